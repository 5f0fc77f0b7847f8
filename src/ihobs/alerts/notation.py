"""Series of values in the notation of promtool's rule tests: `0+1x10 _ stale`.

    1 2 3       these values
    0+1x3       0 1 2 3: a start, an increment, and how often it is added
    5-1x2       5 4 3
    7x3         7 7 7 7: a value and how often it is repeated
    _  _x3      no value, once or three times
    stale       no value, and what was before is over

Each value is one interval after the one before it; the first is at the beginning.
"""

from __future__ import annotations

import re
from typing import Final, Literal

MAX_VALUES = 100_000

STALE: Final = "stale"
Value = float | None | Literal["stale"]
"""A value; None: none at this moment; STALE: none, and the one before holds no longer."""

_UNSIGNED = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER = rf"[-+]?{_UNSIGNED}"
_REPEATED = re.compile(rf"(?P<start>{_NUMBER})(?P<step>[-+]{_UNSIGNED})?x(?P<times>\d+)")
_MISSING = re.compile(r"_(?:x(?P<times>\d+))?")


def values_of(text: str) -> list[Value]:
    """Return the values that `text` stands for.

    Raises:
        ValueError: it cannot be read, or stands for too many.
    """
    values: list[Value] = []
    for word in text.split():
        values += _expanded(word)
        if len(values) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values")
    return values


def _expanded(word: str) -> list[Value]:
    if word == STALE:
        return [STALE]
    missing = _MISSING.fullmatch(word)
    if missing:
        return [None] * _times(missing["times"] or "1")
    if re.fullmatch(_NUMBER, word):
        return [float(word)]
    repeated = _REPEATED.fullmatch(word)
    if not repeated:
        raise ValueError(f"{word!r} is not a value such as 5, 0+1x10, 7x3, _ or stale")
    start, step = float(repeated["start"]), float(repeated["step"] or 0)
    return [start + step * count for count in range(_times(repeated["times"]) + 1)]


def _times(text: str) -> int:
    """Return how often something is repeated.

    Raises:
        ValueError: too often.
    """
    times = int(text) if len(text) < len(str(MAX_VALUES)) + 1 else MAX_VALUES + 1
    if times > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    return times
