"""The values of OTLP/JSON: numbers, bytes, and attributes of any type.

What cannot be represented raises UnfitError, or the TypeError or ValueError of the assignment itself;
the caller knows which field it was.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

MAX_VALUE_DEPTH = 24
"""Arrays and objects inside one attribute value. Each is three messages deep, and protobuf reads at most 100."""

_DECIMAL = re.compile(r"-?[0-9]+")


class UnfitError(Exception):
    """A value that has no place in the message. Caught where the span is left out.

    Attributes:
        reason: why, the same for the same kind of fault. found: the value.
    """

    def __init__(self, reason: str, found: object = "") -> None:
        super().__init__(reason)
        self.reason, self.found = reason, found


def whole_number(value: object) -> int:
    """Return an integer given as a number or as decimal digits (JSON's 64-bit integers are strings).

    Raises:
        ValueError: it is neither.
    """
    if type(value) is int:
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(value)


def decode_base64(value: str) -> bytes:
    """Decode base64 in either alphabet, padded or not."""
    standard = value.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)


def as_object(value: object, name: str) -> dict[str, Any]:
    """Return `value` when it is a JSON object; raise UnfitError otherwise."""
    if not isinstance(value, dict):
        raise UnfitError(f"{name} is not an object", value)
    return value


def as_array(value: object, name: str) -> list[Any]:
    """Return `value` when it is a JSON array; raise UnfitError otherwise."""
    if not isinstance(value, list):
        raise UnfitError(f"{name} is not an array", value)
    return value


def write_attributes(target: Any, value: Any) -> None:
    """Write `target.attributes` from KeyValue objects, or from a plain object such as `{"http.status_code": 200}`."""
    if isinstance(value, dict):
        _plain_pairs(target.attributes, value, 0)
    else:
        _pairs(target.attributes, as_array(value, "attributes"), 0)


def write_any_value(target: AnyValue, value: Any) -> None:
    """Write an AnyValue from the object that names its type, or from a plain text, number or switch."""
    if isinstance(value, dict):
        _any_value(target, value, 0)
    else:
        _plain_value(target, value, 0)


def _pairs(target: Any, items: list[Any], depth: int) -> None:
    """Write KeyValue objects. The hot loop: most of a span is its attributes, most of them text."""
    add = target.add
    for item in items:
        if not isinstance(item, dict):
            raise UnfitError("an attribute is not an object", item)
        pair = add()
        key = item.get("key")
        if key is not None:
            pair.key = key
        value = item.get("value")
        if not isinstance(value, dict):
            if value is not None:
                raise UnfitError("an attribute's value is not an object", value)
        elif (text := value.get("stringValue")) is not None:
            pair.value.string_value = text
        else:
            _any_value(pair.value, value, depth)


def _any_value(target: AnyValue, value: dict[str, Any], depth: int) -> None:
    """Write an AnyValue: an object with one key that names the type. Without a known key the value is empty."""
    target.SetInParent()
    for name, content in value.items():
        writer = _ANY_VALUE.get(name)
        if writer is not None and content is not None:
            if depth >= MAX_VALUE_DEPTH:
                raise UnfitError(f"an attribute nests more than {MAX_VALUE_DEPTH} arrays and objects")
            writer(target, content, depth + 1)


def _string_value(target: AnyValue, content: Any, _depth: int) -> None:
    target.string_value = content


def _bool_value(target: AnyValue, content: Any, _depth: int) -> None:
    if not isinstance(content, bool):
        raise UnfitError("boolValue is not true or false", content)
    target.bool_value = content


def _int_value(target: AnyValue, content: Any, _depth: int) -> None:
    target.int_value = whole_number(content)


def _double_value(target: AnyValue, content: Any, _depth: int) -> None:
    if isinstance(content, bool):
        raise UnfitError("doubleValue is not a number", content)
    target.double_value = float(content)  # also from text: "NaN", "Infinity" and "-Infinity" are written so


def _bytes_value(target: AnyValue, content: Any, _depth: int) -> None:
    if not isinstance(content, str):
        raise UnfitError("bytesValue is not text", content)
    target.bytes_value = decode_base64(content)


def _array_value(target: AnyValue, content: Any, depth: int) -> None:
    target.array_value.SetInParent()
    add = target.array_value.values.add
    for item in as_array(as_object(content, "arrayValue").get("values") or [], "arrayValue.values"):
        _any_value(add(), as_object(item, "arrayValue.values[]"), depth)


def _kvlist_value(target: AnyValue, content: Any, depth: int) -> None:
    target.kvlist_value.SetInParent()
    items = as_object(content, "kvlistValue").get("values") or []
    _pairs(target.kvlist_value.values, as_array(items, "kvlistValue.values"), depth)


_ANY_VALUE: dict[str, Callable[[AnyValue, Any, int], None]] = {
    "stringValue": _string_value,
    "string_value": _string_value,
    "boolValue": _bool_value,
    "bool_value": _bool_value,
    "intValue": _int_value,
    "int_value": _int_value,
    "doubleValue": _double_value,
    "double_value": _double_value,
    "bytesValue": _bytes_value,
    "bytes_value": _bytes_value,
    "arrayValue": _array_value,
    "array_value": _array_value,
    "kvlistValue": _kvlist_value,
    "kvlist_value": _kvlist_value,
}


def _plain_pairs(target: Any, items: Mapping[str, Any], depth: int) -> None:
    for key, value in items.items():
        pair = target.add()
        pair.key = key
        _plain_value(pair.value, value, depth)


def _plain_value(target: AnyValue, value: Any, depth: int) -> None:
    target.SetInParent()
    if depth >= MAX_VALUE_DEPTH:
        raise UnfitError(f"an attribute nests more than {MAX_VALUE_DEPTH} arrays and objects")
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):  # before int: True is an int
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            _plain_value(target.array_value.values.add(), item, depth + 1)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        _plain_pairs(target.kvlist_value.values, value, depth + 1)
