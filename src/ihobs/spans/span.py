"""A span as ihobs understands it, whatever dialect it was written in."""

from __future__ import annotations

from typing import NamedTuple

REMOTE_PARENT = 1
GENAI = 2
FAILED = 4
CONTROL_FLOW = 8
TIMED_OUT = 16
ORPHAN = 32
FLAGGED_TIME = 64
IMPORTED = 128
RUN = 256
USAGE_ADJUSTED = 512
PENDING = 1024
"""Bits of `Span.flags` and of the column `span.flags`. RUN is a result of the facts, PENDING says that a span of a
large trace is not counted yet, the others are the facts' input."""


class Shape(NamedTuple):
    """What many spans have in common; stored once, numbered, and referred to by the span's row."""

    service: str
    scope: str
    name: str
    kind: str
    workflow: str
    node: str
    provider: str
    model: str
    error: str


class Span(NamedTuple):
    """One finished span. Texts are empty, and counts None, where the span does not say.

    Ids are signed 64-bit integers (the span id's eight bytes, big-endian). `bucket` is the 10-second bucket of
    the epoch in which the span counts: the one of its end, or of its receipt when its clock was ahead.
    `attempt_key` is a hash: equal keys below one parent are attempts of one thing. `first_token_ns` is how long after
    the start the first piece of a streamed answer came.
    """

    span_id: int
    parent_id: int | None
    start_ns: int
    duration_ns: int
    bucket: int
    flags: int
    attempt_key: int | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_nano_usd: int | None
    first_token_ns: int | None
    shape: Shape


def span_id_number(span_id: bytes) -> int:
    """Return the eight bytes of a span id as a signed integer."""
    return int.from_bytes(span_id, "big", signed=True)


def span_id_bytes(number: int) -> bytes:
    """Return the eight bytes of a span id."""
    return number.to_bytes(8, "big", signed=True)
