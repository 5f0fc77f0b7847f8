"""Hold a document against its JSON Schema, and say what is wrong in the words of the file's author."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import jsonschema

from ihobs.documents import At, Document, Finding
from ihobs.resources import shipped

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "nothing",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}


@dataclass(frozen=True, slots=True)
class _Fault:
    """A jsonschema error, as far as it is needed.

    Attributes:
        at: where the value stands.
        value: what stands there; with `is_key` a key of the mapping there.
        keyword, expected: the schema's keyword that failed, and its argument.
        schema: what the keyword belongs to.
        message: jsonschema's own words.
    """

    at: At
    value: Any
    is_key: bool
    keyword: str
    expected: Any
    schema: Mapping[str, Any]
    message: str


def findings(document: Document, name: str) -> Iterator[Finding]:
    """Yield what is wrong with `document` by the shipped schema `name`, e.g. "config"."""
    yield from _worded(document, _validator(name), document.value, ())


def findings_in(
    document: Document,
    schema: Mapping[str, Any],
    value: object,
    at: At = (),
    *,
    leave: Callable[[object], bool] = lambda _: False,
) -> Iterator[Finding]:
    """Yield what is wrong by `schema` with a part of `document`.

    Args:
        value: the part; not what stands there when it was written in a shorter form.
        at: where it stands.
        leave: tells values that are not judged.
    """
    yield from _worded(document, jsonschema.Draft202012Validator(schema), value, at, leave)


def _worded(
    document: Document,
    validator: jsonschema.Draft202012Validator,
    value: object,
    at: At,
    leave: Callable[[object], bool] = lambda _: False,
) -> Iterator[Finding]:
    for error in validator.iter_errors(value):
        if leave(error.instance):
            continue
        fault = _Fault(
            at=(*at, *error.absolute_path),
            value=error.instance,
            is_key="propertyNames" in error.absolute_schema_path,
            keyword=str(error.validator),
            expected=error.validator_value,
            schema=cast("Mapping[str, Any]", error.schema),
            message=error.message,
        )
        yield from _WORDS.get(fault.keyword, _as_jsonschema_says)(document, fault)


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    text = (shipped("schemas") / f"{name}.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def _unknown_keys(document: Document, fault: _Fault) -> Iterator[Finding]:
    """One finding for each key that the schema does not know, at the key itself."""
    known = list(fault.schema.get("properties", {}))
    for key in fault.value:
        if key not in known:
            yield Finding(document.place((*fault.at, key)), f"unknown key {key!r}", _did_you_mean(key, known))


def _not_one_of(document: Document, fault: _Fault) -> Iterator[Finding]:
    """A value, or a key where `propertyNames` lists the keys, that is not in the list."""
    hint = _did_you_mean(fault.value, fault.expected)
    if fault.is_key:
        yield Finding(document.place((*fault.at, fault.value)), f"unknown key {fault.value!r}", hint)
    else:
        yield _finding(document, fault, f"{_shown(fault.value)} is not known", hint)


def _wrong_type(document: Document, fault: _Fault) -> Iterator[Finding]:
    """A value of another type; where a schema allows several, its `title` says in words what is expected."""
    wanted = fault.expected if isinstance(fault.expected, list) else [fault.expected]
    expected = fault.schema["title"] if len(wanted) > 1 else _TYPES[wanted[0]]
    yield _finding(document, fault, f"must be {expected}, not {_kind(fault.value)}")


def _wrong_form(document: Document, fault: _Fault) -> Iterator[Finding]:
    """A pattern: the schema's `title` says in words what is expected."""
    expected = fault.schema.get("title", f"text that matches {fault.expected}")
    yield _finding(document, fault, f"{_shown(fault.value)} is not {expected}")


def _missing(document: Document, fault: _Fault) -> Iterator[Finding]:
    """`required` lists all keys, and fails once for each that is missing."""
    for key in fault.expected:
        if key not in fault.value and fault.message.startswith(repr(key)):
            yield _finding(document, fault, f"key {key!r} is missing")


def _limit(comparison: str) -> Callable[[Document, _Fault], Iterator[Finding]]:
    def say(document: Document, fault: _Fault) -> Iterator[Finding]:
        yield _finding(document, fault, f"{fault.value} is not {comparison} {fault.expected}")

    return say


def _empty(document: Document, fault: _Fault) -> Iterator[Finding]:
    yield _finding(document, fault, "must not be empty")


def _as_jsonschema_says(document: Document, fault: _Fault) -> Iterator[Finding]:
    yield _finding(document, fault, fault.message)


def _exactly_one(document: Document, fault: _Fault) -> Iterator[Finding]:
    """`oneOf` of keys that are required: exactly one of them must be there."""
    ways = [" and ".join(map(repr, one["required"])) for one in fault.expected if "required" in one]
    yield _finding(document, fault, f"needs either {' or '.join(ways)}" if ways else fault.message)


_WORDS = {
    "additionalProperties": _unknown_keys,
    "enum": _not_one_of,
    "exclusiveMaximum": _limit("less than"),
    "exclusiveMinimum": _limit("greater than"),
    "maximum": _limit("at most"),
    "minItems": _empty,
    "minLength": _empty,
    "minProperties": _empty,
    "minimum": _limit("at least"),
    "oneOf": _exactly_one,
    "pattern": _wrong_form,
    "required": _missing,
    "type": _wrong_type,
}


def _finding(document: Document, fault: _Fault, reason: str, hint: str = "") -> Finding:
    """Return a finding at a value, named by its dotted path: in a line of flow style that helps more than a column."""
    name = ".".join(str(part) for part in fault.at)
    place = document.values.get(fault.at) or document.place(fault.at)
    return Finding(place, f"{name}: {reason}" if name else reason, hint)


def _did_you_mean(wrong: object, known: Iterable[object]) -> str:
    names = sorted(str(name) for name in known)
    close = difflib.get_close_matches(str(wrong), names, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(names)}" if names else ""


def _shown(value: object) -> str:
    """Return a value for a message: in full when it is short, else its kind."""
    text = repr(value)
    return text if len(text) <= 80 else _kind(value)  # noqa: PLR2004 - what fits on a line


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
