"""Read a span's attributes by the dialect table: the best value of each field, in one pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ihobs.spans.dialects import FIELDS, Dialects, Source

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

MAX_TOKENS = 2**40
"""A greater count is taken as absent: sums of such would overflow SQLite's 64-bit integers."""

MAX_COST_USD = 1_000_000.0
"""A call that says it cost more is not believed."""

MAX_WAIT_S = 86_400.0
"""A first token that is said to have come later than a day after the question is not believed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_NS = {"s": 1e9, "ms": 1e6}

MAX_KNOWN = 1000
"""Texts that a source remembers: kinds, models and providers are few."""

_UNSEEN = 1 << 30

Attribute = tuple[str, "AnyValue", str]
"""One attribute: its key, its value, and its text, which is empty when the value is none."""


def attributes_of(span: OtlpSpan) -> list[Attribute]:
    """Return the attributes of a span; to reach them costs more than all that is done with them."""
    return [(attribute.key, value := attribute.value, value.string_value) for attribute in span.attributes]


def read_fields(
    span: OtlpSpan, dialects: Dialects, attributes: Sequence[Attribute] | None = None
) -> tuple[list[Any], list[int]]:
    """Return the best value of each field of FIELDS, None where no attribute gives it, and the rank of its source.

    Args:
        attributes: those of the span, if they were reached already.
    """
    values: list[Any] = [None] * len(FIELDS)
    ranks = [_UNSEEN] * len(FIELDS)
    sources_of = dialects.sources.get
    for key, raw, text in attributes_of(span) if attributes is None else attributes:
        found = sources_of(key)
        if found is None:
            continue
        for source in found:
            field = source.field
            if source.rank >= ranks[field]:
                continue
            value: Any
            if source.path:  # most members of a JSON object are not there, and most spans have no such object
                value = read_value(text, source) if source.quoted in text else None
            elif source.plain and text:
                value = text
            elif source.counts and 0 < raw.int_value <= MAX_TOKENS:
                value = raw.int_value
            else:
                value = source.known.get(text) or read_value(_scalar(raw), source)
                if source.few and text and value and len(source.known) < MAX_KNOWN:
                    source.known[text] = value
            if value is not None:
                values[field], ranks[field] = value, source.rank
    return values, ranks


def read_value(scalar: str | float | None, source: Source) -> Any:
    """Return what an attribute's value says as `source`, None when it is of no use."""
    return _convert(member(scalar, source) if source.path else scalar, source)


def _scalar(raw: Any) -> str | float | None:
    """Return the scalar of an OTLP AnyValue; counts and texts go first."""
    number: int = raw.int_value
    if number:
        return number
    text: str = raw.string_value
    if text:
        return text
    which = raw.WhichOneof("value")
    if which in ("int_value", "double_value", "bool_value"):
        scalar: float = getattr(raw, which)
        return scalar
    return None


def member(text: str | float | None, source: Source) -> Any:
    """Return the member of the JSON object in `text` that the source's path leads to, or None."""
    if not isinstance(text, str) or source.quoted not in text:
        return None
    document = _parsed(text)
    for name in source.path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    if isinstance(document, str) and not document.isascii():
        return document.encode("utf-8", "replace").decode()  # JSON may hold half a character; no database takes it
    return document


@lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    """Return the JSON in `text`, None when it is none; remembered, as several fields ask for the same text.

    Python's text of a dictionary of numbers is JSON but for its quotes.
    """
    try:
        return json.loads(text.replace("'", '"') if text.startswith("{'") else text)
    except (ValueError, RecursionError):
        return None


def _convert(value: Any, source: Source) -> Any:
    """Return `value` as its source says, or None when it is absent, ignored or of no use."""
    if value is None or isinstance(value, (dict, list)):
        return None
    if source.convert == "int":
        return _count(value)
    if source.convert == "usd":
        return _nano_usd(value)
    if source.convert in _UNITS_NS:
        return _wait_ns(value, _UNITS_NS[source.convert])
    if source.convert == "time":
        return _time_ns(value)
    text = value if isinstance(value, str) else str(value)
    if source.convert == "word":
        text = text.partition(" ")[0]
    if source.values is not None:
        return source.values.get(text.lower())
    if source.convert == "lower":
        text = text.lower()
    elif source.convert == "head":
        text = text.partition(".")[0]
    return None if not text or text.lower() in source.ignore else text


def _count(value: Any) -> int | None:
    """Return a count of tokens; None for what is no count (negative, NaN, text)."""
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= MAX_TOKENS else None


def _nano_usd(value: Any) -> int | None:
    """Return an amount of USD in nano-USD; None for what is no amount, or 0: so they write what they do not know."""
    try:
        amount = float(value)
    except (ValueError, OverflowError):
        return None
    return round(amount * 1e9) or None if 0 < amount <= MAX_COST_USD else None


def _wait_ns(value: Any, unit_ns: float) -> int | None:
    """Return a length of time in nanoseconds; None for what is none (negative, NaN, text)."""
    try:
        wait_ns = float(value) * unit_ns
    except (ValueError, OverflowError):
        return None
    return round(wait_ns) if 0 <= wait_ns <= MAX_WAIT_S * 1e9 else None


def _time_ns(value: Any) -> int | None:
    """Return a moment written by ISO 8601, in UTC where no zone stands, as nanoseconds since the epoch.

    Langfuse writes it as JSON: the text has quotes around it.
    """
    try:
        moment = datetime.fromisoformat(str(value).strip('"'))
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
