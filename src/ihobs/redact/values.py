"""Values that are removed in part: a metadata object keeps names and numbers, a failure its class and its frames."""

from __future__ import annotations

import json
import re
from typing import Any

_CLASS_CALLED = re.compile(r"\s*(?:[A-Za-z_][\w.]*)\(")
"""`ValueError('...')`: what `ihobs.spans.normalise` reads the class of an error from."""

_CLASS_TOLD = re.compile(
    r"\s*(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Timeout|Up))(?=:)"
)
"""`ValueError: ...`"""

_FRAME = re.compile(
    r"\s*File \"[^\"\n]*\", line \d+(?:, in [\w.<>]+)?"  # Python
    r"|\s*at [^\s()]+(?: \[as [^\s()\]]+\])?(?: \([^\s()]+\))?"  # JavaScript, Java
    r"|Traceback \(most recent call last\):"
)
"""A line of a traceback that shows where the program was, and nothing of what it held."""


def without_message(text: str, mask: str) -> str:
    """Return the words of a failure without its message: the class at its head, the frames of its traceback."""
    head = _head(text, mask)
    frames = [line for line in text.split("\n") if _FRAME.fullmatch(line)]
    if not frames:
        return head
    return "\n".join(frames if head == mask else [head, *frames]) + f"\n{mask}"


def _head(text: str, mask: str) -> str:
    called = _CLASS_CALLED.match(text)
    if called:
        return f"{called[0]}{mask})"
    told = _CLASS_TOLD.match(text)
    return f"{told[0]}: {mask}" if told else mask


def object_in(text: str) -> dict[str, Any] | None:
    """Return the JSON object in `text`; None when it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def text_of(document: dict[str, Any]) -> str:
    """Return an object as JSON; halves of characters, which no database takes, become question marks."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def holds_text(value: object) -> bool:
    """Return whether there is anything to remove in a member: numbers and switches hold no text."""
    return value is not None and not isinstance(value, (bool, int, float)) and value not in ("", [], {})
