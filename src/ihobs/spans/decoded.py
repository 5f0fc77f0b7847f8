"""What every decoder of OTLP returns: the spans or log records that could be read, and a report of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.redact.text import scrubbed

MAX_FOUND_LENGTH = 60
"""How much of an offending value a report quotes, in characters."""

MAX_QUOTED_CHARS = 2_000
"""How much of it is looked through for secrets before it is shortened: more than the longest key."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something of a file that could not be decoded.

    Attributes:
        where: its place, e.g. "line 3: resourceSpans[0].scopeSpans[0].spans[2]".
        reason: why, the same text for the same kind of fault, so that it can be counted.
        found: the offending value, shortened; empty when there is nothing to quote.
        count: how many spans (or whole lines, or documents) are lost by it.
    """

    where: str
    reason: str
    found: str = ""
    count: int = 1


@dataclass(slots=True)
class Decoded:
    """What became of the document or message at `where`; `request` is the message of its signal."""

    where: str
    request: Any = field(default_factory=ExportTraceServiceRequest)
    rejections: list[Rejected] = field(default_factory=list)


def quote(found: object) -> str:
    """Return `found` as one short printable line, without secrets."""
    text = found if isinstance(found, str) else repr(found) if isinstance(found, int | float | bool) else _kind(found)
    text = scrubbed(text[:MAX_QUOTED_CHARS])
    shortened = text if len(text) <= MAX_FOUND_LENGTH else text[: MAX_FOUND_LENGTH - 3] + "..."
    return shortened.encode("unicode_escape").decode("ascii") if not shortened.isprintable() else shortened


def _kind(found: object) -> str:
    """Name the type in JSON's words: the value itself may be deep or large."""
    return {dict: "an object", list: "an array", type(None): "null"}.get(type(found), type(found).__name__)
