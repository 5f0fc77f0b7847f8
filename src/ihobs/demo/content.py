"""The real text that InsightHub works on: the documents of the Python packages found in this environment."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass

from ihobs.demo.extract import sentences, terms

MIN_SENTENCES = 8
"""A shorter document is not worth a summary."""

MAX_CHARACTERS = 9_000
"""Longer ones are cut: about 2 300 tokens, what a summarising prompt would hold."""


@dataclass(frozen=True, slots=True)
class Content:
    """One document to be processed. `text` is Markdown or reStructuredText, as its authors wrote it."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """One sentence found in the library, and the title of the document it stands in."""

    title: str
    sentence: str


class Library:
    """Documents that can be searched by term.

    Attributes:
        contents: the documents, in the order in which they were given.
    """

    def __init__(self, contents: Iterable[Content]) -> None:
        self.contents = tuple(contents)
        self._passages_of: dict[str, list[Passage]] = {}
        for content in self.contents:
            for sentence in sentences(content.text):
                for term in dict.fromkeys(terms(sentence)):
                    self._passages_of.setdefault(term, []).append(Passage(content.title, sentence))

    def search(self, term: str, *, outside: str, limit: int = 3) -> list[Passage]:
        """Return at most `limit` passages that name `term`, one a document, none from the document `outside`."""
        found: dict[str, Passage] = {}
        for passage in self._passages_of.get(term.lower(), []):
            if passage.title != outside:
                found.setdefault(passage.title, passage)
        return list(found.values())[:limit]


def installed_documents() -> list[Content]:
    """Return the long descriptions of the installed distributions that hold enough prose, by name."""
    found: dict[str, Content] = {}
    for distribution in importlib.metadata.distributions():
        metadata = distribution.metadata.json
        text = str(metadata.get("description", ""))[:MAX_CHARACTERS]
        name = str(metadata.get("name", ""))
        if name and len(sentences(text)) >= MIN_SENTENCES:
            found.setdefault(name, Content(name, text))
    return [found[name] for name in sorted(found, key=str.lower)]
