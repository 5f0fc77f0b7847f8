"""What detectors return, and the two ways to look: where a literal stands, and wherever a pattern fits.

One pass of an Aho-Corasick automaton over a text tells where all literals stand (`ihobs.redact.text`), so clean text
costs a nanosecond or two a character, and patterns are only tried there. Every search takes time in proportion to the
text, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SECRET, PERSONAL = "secret", "personal"
"""The two families of findings; the settings treat each in one way."""

ESCAPED = r"(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})"
"""Places inside JSON or a URL where a word begins although a letter or digit stands before it."""

WORD = rf"(?:(?<![A-Za-z0-9])|{ESCAPED})"
"""A word begins here."""

Check = Callable[[str], int]
"""Returns how many characters of what a pattern matched are the finding, 0 for none."""


class Finding(NamedTuple):
    """Where something stands in a text, and what it is."""

    start: int
    end: int
    kind: str


Find = Callable[[str, Sequence[int]], Iterator[Finding]]
"""Yields what stands in a text, given where the detector's gates begin in it, in ascending order."""


@dataclass(frozen=True, slots=True)
class Detector:
    """How some kinds of findings are found.

    Attributes:
        family: SECRET or PERSONAL.
        gates: literals, one of which stands in every text that holds a finding; "" stands in all.
        find: yields them. It is given no places when a gate is "", or there is none.
        may_be_in: for findings that have no literal: returns what is true when one may stand in a text.
    """

    family: str
    gates: tuple[str, ...]
    find: Find
    may_be_in: Callable[[str], object] | None = None


def anchored(kind: str, literals: str, pattern: str, check: Check | None = None) -> Detector:
    """Return a detector of secrets that begin with one of `literals`, at the beginning of a word.

    Args:
        kind: what it finds. literals: separated by blanks.
        pattern: what stands there, from the literal on; the group "hit", if there is one, is the finding.
        check: None: the pattern is enough.
    """
    compiled = re.compile(WORD + pattern)
    group: int | str = "hit" if "hit" in compiled.groupindex else 0

    def find(text: str, places: Sequence[int]) -> Iterator[Finding]:
        seen_to = 0  # a long run of literals is read once, not from each of them
        for at in places:
            if at < seen_to or (match := compiled.match(text, at)) is None:
                continue
            seen_to = match.end()
            start, end = match.span(group)
            if check is not None:
                end = start + check(text[start:end])
            if end > start:
                yield Finding(start, end, kind)

    return Detector(SECRET, tuple(literals.split()), find)


def anywhere(
    kind: str, family: str, gates: Sequence[str], pattern: re.Pattern[str], check: Check | None = None
) -> Detector:
    """Return a detector that tries a pattern at every place of a text with one of `gates`: for what is rare."""
    group: int | str = "hit" if "hit" in pattern.groupindex else 0

    def find(text: str, _: Sequence[int]) -> Iterator[Finding]:
        for match in pattern.finditer(text):
            start, end = match.span(group)
            if check is not None:
                end = start + check(text[start:end])
            if end > start:
                yield Finding(start, end, kind)

    return Detector(family, tuple(gates), find)
