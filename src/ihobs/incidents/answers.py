"""What people answer to the five questions of a review, and what they want to do about it; from a file or words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from ihobs.clock import SECOND_NS
from ihobs.documents import DocumentInvalidError, read
from ihobs.errors import InvalidInputError
from ihobs.quantities import seconds
from ihobs.schemas import findings

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    from ihobs.store.state.actions import Priority

QUESTIONS: Mapping[str, str] = {
    "root_cause": "What was the root cause?",
    "detection": "How could detection have been faster?",
    "prevention": "What preventive measures can be implemented?",
    "response": "Were response procedures effective?",
    "documentation": "What documentation needs updating?",
}
"""The questions of a review, by the keys of files and options."""

LISTS: Mapping[str, str] = {"contributing": "Contributing factors", "lessons": "Lessons learned"}
"""What else a review holds: lists, by their keys."""

PRIORITIES: tuple[Priority, ...] = ("high", "medium", "low")
ACTION_KEYS = ("owner", "priority", "due", "for", "test")
"""What an action item says beside its text."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An action item that a review asks for.

    Attributes:
        due_ns: until when. question: which question it answers; empty: none.
        test: the test of rules that must pass before it is done, FILE::NAME; empty: none.
    """

    text: str
    owner: str
    due_ns: int
    priority: Priority = "medium"
    question: str = ""
    test: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a review says.

    Attributes:
        texts: an answer to each of `QUESTIONS`. contributing, lessons: one line each.
        planned: what is to be done.
    """

    texts: Mapping[str, str]
    contributing: Sequence[str] = ()
    lessons: Sequence[str] = ()
    planned: Sequence[Planned] = field(default_factory=tuple)

    def missing(self) -> list[str]:
        """Return the questions that have no answer."""
        return [key for key in QUESTIONS if not self.texts.get(key)]

    def to_json(self) -> dict[str, Any]:
        """Return the answers as they are stored; action items are stored by themselves."""
        return {**self.texts, "contributing": list(self.contributing), "lessons": list(self.lessons)}


def from_json(value: Mapping[str, Any]) -> Answers:
    """Return the answers that were stored."""
    texts = {key: str(value.get(key, "")) for key in QUESTIONS}
    return Answers(texts, tuple(value.get("contributing", ())), tuple(value.get("lessons", ())))


def from_file(path: Path, now_ns: int, timezone: tzinfo | None) -> Answers:
    """Read the answers in a YAML file; see `schemas/review.schema.json`.

    Raises:
        NotFoundError: there is no such file.
        DocumentInvalidError: it is not valid; all findings at once.
        InvalidInputError: a date cannot be read.
    """
    document = read(path)
    wrong = list(findings(document, "review"))
    if wrong:
        raise DocumentInvalidError(path, wrong)
    value = document.value
    planned = [_planned(one, now_ns, timezone) for one in value.get("actions", ())]
    texts = {key: str(value.get(key, "")).strip() for key in QUESTIONS}
    return Answers(texts, tuple(value.get("contributing", ())), tuple(value.get("lessons", ())), planned)


def from_words(words: Sequence[str], actions: Sequence[str], now_ns: int, timezone: tzinfo | None) -> Answers:
    """Read answers such as `root_cause=a full disk`, and action items such as `Alert sooner; owner=anna; due=5d`.

    Raises:
        InvalidInputError: one cannot be read.
    """
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {key: [] for key in LISTS}
    for word in words:
        key, _, text = word.partition("=")
        if key in lists:
            lists[key].append(text.strip())
        elif key in QUESTIONS and text.strip():
            texts[key] = text.strip()
        else:
            keys = ", ".join((*QUESTIONS, *LISTS))
            raise InvalidInputError(f"{word!r}", "is not an answer", f"write KEY=TEXT, with a key of {keys}")
    planned = [_spoken(one, now_ns, timezone) for one in actions]
    return Answers(texts, tuple(lists["contributing"]), tuple(lists["lessons"]), planned)


def together(first: Answers, second: Answers) -> Answers:
    """Return the answers of both; where both answer, the second counts."""
    return Answers(
        {**first.texts, **{key: text for key, text in second.texts.items() if text}},
        (*first.contributing, *second.contributing),
        (*first.lessons, *second.lessons),
        (*first.planned, *second.planned),
    )


def due_ns(text: str, now_ns: int, timezone: tzinfo | None) -> int:
    """Return the moment that a due date names: the end of a day such as 2027-01-22, or a time from now such as 5d.

    Raises:
        InvalidInputError: it is neither.
    """
    try:
        return now_ns + round(seconds(text) * SECOND_NS)
    except ValueError:
        pass
    try:
        day = date.fromisoformat(text)
    except ValueError:
        hint = "write a day such as 2027-01-22, or a time from now such as 5d"
        raise InvalidInputError(f"{text!r}", "is no due date", hint) from None
    midnight = datetime.combine(day + timedelta(days=1), time(), timezone or UTC)
    return round(midnight.timestamp()) * SECOND_NS - SECOND_NS


def planned_of(text: str, facts: Mapping[str, str], now_ns: int, timezone: tzinfo | None) -> Planned:
    """Return an action item of what somebody says of it.

    Raises:
        InvalidInputError: it has no text, owner or due date, or one cannot be read.
    """
    absent = [name for name, value in {"text": text, **facts}.items() if name in {"text", "owner", "due"} and not value]
    absent += [name for name in ("owner", "due") if name not in facts]
    priority, question = facts.get("priority", "medium"), facts.get("for", "")
    if absent:
        hint = "write TEXT; owner=NAME; due=2027-01-22 [; priority=high] [; test=FILE::NAME]"
        raise InvalidInputError(f"action {text!r}", f"{' and '.join(absent)} missing", hint)
    if priority not in PRIORITIES:
        raise InvalidInputError(f"{priority!r}", "is no priority", f"use one of {', '.join(PRIORITIES)}")
    if question and question not in QUESTIONS:
        raise InvalidInputError(f"{question!r}", "is no question", f"use one of {', '.join(QUESTIONS)}")
    until_ns = due_ns(facts["due"], now_ns, timezone)
    return Planned(text, facts["owner"], until_ns, priority, question, facts.get("test", ""))


def _planned(given: Mapping[str, Any], now_ns: int, timezone: tzinfo | None) -> Planned:
    facts = {key: str(given[key]) for key in ACTION_KEYS if key in given}
    return planned_of(str(given["text"]).strip(), facts, now_ns, timezone)


def _spoken(words: str, now_ns: int, timezone: tzinfo | None) -> Planned:
    text, *rest = (part.strip() for part in words.split(";"))
    facts = {}
    for part in rest:
        key, _, value = part.partition("=")
        if key.strip() not in ACTION_KEYS:
            raise InvalidInputError(f"{part!r}", "is not a part of an action", f"use {', '.join(ACTION_KEYS)}")
        facts[key.strip()] = value.strip()
    return planned_of(text, facts, now_ns, timezone)
