"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: a warning may be meant; a problem loses data, alerts or the truth of a number.
        subject: what was looked at, in a word or two.
        text: what was found. meaning: what follows from it. advice: what to do.
    """

    level: Level
    subject: str
    text: str
    meaning: str = ""
    advice: str = ""


def ok(subject: str, text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding("ok", subject, text)


def warning(subject: str, text: str, meaning: str, advice: str) -> Finding:
    """Return something that may be meant so, and often is not."""
    return Finding("warning", subject, text, meaning, advice)


def problem(subject: str, text: str, meaning: str, advice: str) -> Finding:
    """Return something that should be put right."""
    return Finding("problem", subject, text, meaning, advice)
