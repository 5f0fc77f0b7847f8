"""The filters and tests that expressions may use. Each bounds what it makes before it makes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_TEXT_CHARS = 65_536
"""A text that an expression makes; as much as a step may put out."""
MAX_ITEMS = 10_000
MAX_DIGITS = 15


class Undefined:
    """What a name yields that is not there; only `default` and `is defined` may look at it."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


@dataclass(frozen=True, slots=True)
class Named:
    """A filter or a test.

    Attributes:
        call: gets the value and the arguments; raises ValueError or TypeError when it cannot.
        arguments: least and most of them.
        yields: the JSON type of what it makes; None: that depends.
        takes: JSON types that it works on; empty: any.
    """

    call: Callable[..., Any]
    arguments: tuple[int, int] = (0, 0)
    yields: str | None = None
    takes: tuple[str, ...] = ()


def as_text(value: Any) -> str:
    """Return a value as it stands in a text: text as it is, all else as JSON.

    Raises:
        ValueError: it is too long.
    """
    if isinstance(value, str):
        return value
    pieces, length = [], 0
    for piece in _ENCODER.iterencode(value):
        length += len(piece)
        if length > MAX_TEXT_CHARS:
            raise ValueError("the text is too long")
        pieces.append(piece)
    return "".join(pieces)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def bounded(length: int, limit: int = MAX_TEXT_CHARS) -> None:
    """Refuse to make something of `length`.

    Raises:
        ValueError: it is too long.
    """
    if length > limit:
        raise ValueError(f"what it makes is larger than {limit}")


def _of_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("works on text")
    return value


def _of_list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError("works on a list")
    return value


def _of_number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("works on a number")
    return value


def _length(value: Any) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise TypeError("works on text, a list or a mapping")
    return len(value)


def _join(value: Any, between: Any = "") -> str:
    texts = [as_text(item) for item in _of_list(value)]
    bounded(sum(map(len, texts)) + len(_of_text(between)) * len(texts))
    return str(between).join(texts)


def _replace(value: Any, old: Any, new: Any) -> str:
    text = _of_text(value)
    bounded(len(text) + text.count(_of_text(old)) * len(_of_text(new)))
    return text.replace(old, new)


def _round(value: Any, digits: Any = 0) -> int | float:
    if not isinstance(digits, int) or abs(digits) > MAX_DIGITS:
        raise ValueError("rounds to at most 15 digits")
    return round(_of_number(value), digits) if digits else round(_of_number(value))


def _int(value: Any) -> int:
    if isinstance(value, str):
        bounded(len(value), 20)
    elif not isinstance(value, int | float):
        raise TypeError("works on a number or text")
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, str):
        bounded(len(value), 40)
    elif not isinstance(value, int | float):
        raise TypeError("works on a number or text")
    return float(value)


def _end(index: int) -> Callable[[Any], Any]:
    def one(value: Any) -> Any:
        items = value if isinstance(value, str) else _of_list(value)
        return items[index] if items else Undefined("first item" if index == 0 else "last item")

    return one


def _sum(value: Any) -> int | float:
    return sum(_of_number(item) for item in _of_list(value))


def _extreme(choose: Callable[..., Any]) -> Callable[[Any], Any]:
    def one(value: Any) -> Any:
        return choose(_of_list(value)) if value else Undefined("of an empty list")

    return one


def _unique(value: Any) -> list[Any]:
    return list({as_text([item]): item for item in reversed(_of_list(value))}.values())[::-1]


def _default(value: Any, other: Any) -> Any:
    return other if isinstance(value, Undefined) else value


def _keys(value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        raise TypeError("works on a mapping")
    return list(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_LIST, _TEXT, _NUMBER = ("array",), ("string",), ("number",)

FILTERS: Mapping[str, Named] = {
    "abs": Named(lambda value: abs(_of_number(value)), yields="number", takes=_NUMBER),
    "default": Named(_default, (1, 1)),
    "first": Named(_end(0), takes=("array", "string")),
    "float": Named(_float, yields="number", takes=("number", "string")),
    "int": Named(_int, yields="integer", takes=("number", "string")),
    "join": Named(_join, (0, 1), "string", _LIST),
    "keys": Named(_keys, yields="array", takes=("object",)),
    "last": Named(_end(-1), takes=("array", "string")),
    "length": Named(_length, yields="integer", takes=("array", "string", "object")),
    "lower": Named(lambda value: _of_text(value).lower(), yields="string", takes=_TEXT),
    "max": Named(_extreme(max), takes=_LIST),
    "min": Named(_extreme(min), takes=_LIST),
    "replace": Named(_replace, (2, 2), "string", _TEXT),
    "round": Named(_round, (0, 1), "number", _NUMBER),
    "sort": Named(lambda value: sorted(_of_list(value)), yields="array", takes=_LIST),
    "string": Named(as_text, yields="string"),
    "sum": Named(_sum, yields="number", takes=_LIST),
    "tojson": Named(lambda value: as_text([value])[1:-1], yields="string"),
    "trim": Named(lambda value: _of_text(value).strip(), yields="string", takes=_TEXT),
    "unique": Named(_unique, yields="array", takes=_LIST),
    "upper": Named(lambda value: _of_text(value).upper(), yields="string", takes=_TEXT),
}
"""What may follow `|`."""

TESTS: Mapping[str, Named] = {
    "boolean": Named(lambda value: isinstance(value, bool)),
    "defined": Named(lambda value: not isinstance(value, Undefined)),
    "undefined": Named(lambda value: isinstance(value, Undefined)),
    "mapping": Named(lambda value: isinstance(value, Mapping)),
    "none": Named(lambda value: value is None),
    "number": Named(_is_number),
    "sequence": Named(lambda value: isinstance(value, list | tuple)),
    "string": Named(lambda value: isinstance(value, str)),
}
"""What may follow `is`."""

LOOK_AT_UNDEFINED = frozenset({"default", "defined", "undefined"})
"""Filters and tests that may be given what is not there."""
