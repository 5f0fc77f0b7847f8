"""Traces for people: the newest ones, and one with all its spans and their attributes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from ihobs.errors import InvalidInputError, NotFoundError
from ihobs.spans.span import CONTROL_FLOW, FAILED, FLAGGED_TIME, ORPHAN, RUN, Shape, Span, span_id_bytes
from ihobs.store.numbers import Numbers
from ihobs.store.payloads import decompress
from ihobs.store.traces import load_spans

if TYPE_CHECKING:
    from ihobs.store.database import Database

SUMMARY = (
    "trace_id, start_ns, end_ns, spans, failed_spans, runs, failed_runs, workflow, service, input_tokens, "
    "output_tokens, cost_nano_usd, unpriced_calls"
)
LATEST = "latest"
"""Names the trace that ended last, where others are named by the first digits of their ids."""

_TRACE_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace on one line. `trace_id` is hexadecimal; costs hold what is priced, `unpriced_calls` the rest."""

    trace_id: str
    start_ns: int
    duration_ns: int
    spans: int
    failed_spans: int
    runs: int
    failed_runs: int
    workflow: str
    service: str
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class SpanDetail:
    """One span of a trace, as ihobs counts it and as it came.

    Attributes:
        span_id, parent_id: hexadecimal; parent_id None at a root.
        depth: steps below the root of its tree.
        span: what ihobs understood. failed, control_flow, orphan, flagged_time, is_run: read from its flags.
        attributes, events, status_message: as they came; empty when the payload's retention has passed.
    """

    span_id: str
    parent_id: str | None
    depth: int
    span: Span
    attributes: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    status_message: str

    @property
    def failed(self) -> bool:
        """Whether it ended in an error that is not control flow."""
        return bool(self.span.flags & FAILED)

    @property
    def control_flow(self) -> bool:
        """Whether it ended by an exception that steers the graph."""
        return bool(self.span.flags & CONTROL_FLOW)

    @property
    def orphan(self) -> bool:
        """Whether its parent never came."""
        return bool(self.span.flags & ORPHAN)

    @property
    def flagged_time(self) -> bool:
        """Whether its clock was off."""
        return bool(self.span.flags & FLAGGED_TIME)

    @property
    def is_run(self) -> bool:
        """Whether it counts as a run."""
        return bool(self.span.flags & RUN)


@dataclass(frozen=True, slots=True)
class TraceDetail:
    """A trace with its spans in the order of a waterfall: parents before children, by start."""

    summary: TraceSummary
    spans: tuple[SpanDetail, ...]
    contents_kept: bool


def recent_traces(
    database: Database, *, limit: int = 20, since_ns: int | None = None, failed_only: bool = False
) -> list[TraceSummary]:
    """Return the traces received last, newest first.

    Args:
        since_ns: only those that ended at this time or later.
        failed_only: only those with a run that failed for good.
    """
    with database.read() as connection:
        rows = connection.execute(
            f"SELECT {SUMMARY} FROM trace WHERE end_ns >= ? AND (NOT ? OR failed_runs > 0) "  # noqa: S608 - our own names
            "ORDER BY end_ns DESC, no DESC LIMIT ?",
            [since_ns or 0, failed_only, limit],
        ).fetchall()
    return [summary_of(row) for row in rows]


def find_trace(database: Database, prefix: str) -> TraceDetail:
    """Return the trace whose hexadecimal id begins with `prefix`; of `LATEST`, the one that ended last.

    Raises:
        InvalidInputError: not hexadecimal, or several traces begin so.
        NotFoundError: none does.
    """
    newest = recent_traces(database, limit=1) if prefix == LATEST else []
    if prefix == LATEST and not newest:
        raise NotFoundError("trace", prefix, "none is kept yet")
    low, high = _id_range(newest[0].trace_id if newest else prefix)
    with database.read() as connection:
        rows = connection.execute(
            f"SELECT no, {SUMMARY} FROM trace WHERE trace_id >= ? AND trace_id <= ? LIMIT 2",  # noqa: S608 - our own names
            [low, high],
        ).fetchall()
        if not rows:
            raise NotFoundError("trace", prefix, "see 'ihobs traces list'")
        if len(rows) > 1:
            raise InvalidInputError("TRACE", f"'{prefix}' begins several trace ids", "give more digits")
        trace_no = rows[0][0]
        spans = load_spans(connection, trace_no, Numbers("shape", Shape))
        contents, kept = _contents(connection, trace_no, rows[0][1])
    return TraceDetail(summary_of(rows[0][1:]), tuple(_waterfall(spans, contents)), kept)


def _id_range(prefix: str) -> tuple[bytes, bytes]:
    text = prefix.lower().replace("-", "")
    if not re.fullmatch(f"[0-9a-f]{{1,{_TRACE_ID_DIGITS}}}", text):
        raise InvalidInputError(
            "TRACE",
            f"'{prefix}' is no trace id",
            "give its first digits, as 'ihobs traces list' shows them, or 'latest'",
        )
    return bytes.fromhex(text.ljust(_TRACE_ID_DIGITS, "0")), bytes.fromhex(text.ljust(_TRACE_ID_DIGITS, "f"))


def summary_of(row: Sequence[Any]) -> TraceSummary:
    """Return the trace of a row of `SUMMARY`."""
    trace_id, start_ns, end_ns, *rest = row
    return TraceSummary(trace_id.hex(), start_ns, end_ns - start_ns, *rest)


def _contents(connection: sqlite3.Connection, trace_no: int, trace_id: bytes) -> tuple[dict[bytes, OtlpSpan], bool]:
    """Return the spans as they came, by span id, and whether all payloads are still kept."""
    rows = connection.execute(
        "SELECT body FROM payload WHERE id IN (SELECT payload_id FROM span WHERE trace_no = ?)", [trace_no]
    ).fetchall()
    query = "SELECT count(DISTINCT payload_id) FROM span WHERE trace_no = ?"
    expected = connection.execute(query, [trace_no]).fetchone()[0]
    found: dict[bytes, OtlpSpan] = {}
    for (body,) in rows:
        for resource_spans in decompress(body).resource_spans:
            for scope_spans in resource_spans.scope_spans:
                found.update({span.span_id: span for span in scope_spans.spans if span.trace_id == trace_id})
    return found, len(rows) == expected


def _waterfall(spans: Sequence[Span], contents: Mapping[bytes, OtlpSpan]) -> list[SpanDetail]:
    """Return the spans with parents before children, siblings by start; a loop of parents is shown once."""
    known = {span.span_id for span in spans}
    children: dict[int | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.start_ns, span.span_id)):
        parent = span.parent_id if span.parent_id in known else None
        children.setdefault(parent, []).append(span)
    result: list[SpanDetail] = []
    shown: set[int] = set()

    def walk(first: Span) -> None:
        stack = [(first, 0)]
        while stack:
            span, depth = stack.pop()
            if span.span_id not in shown:
                shown.add(span.span_id)
                result.append(_detail(span, depth, contents))
                stack += [(child, depth + 1) for child in reversed(children.get(span.span_id, []))]

    for span in (*children.get(None, ()), *spans):
        walk(span)
    return result


def _detail(span: Span, depth: int, contents: Mapping[bytes, OtlpSpan]) -> SpanDetail:
    raw = contents.get(span_id_bytes(span.span_id), OtlpSpan())
    return SpanDetail(
        span_id=span_id_bytes(span.span_id).hex(),
        parent_id=span_id_bytes(span.parent_id).hex() if span.parent_id is not None else None,
        depth=depth,
        span=span,
        attributes={attribute.key: plain(attribute.value) for attribute in raw.attributes},
        events=[
            {
                "name": event.name,
                "time_ns": event.time_unix_nano,
                "attributes": {attribute.key: plain(attribute.value) for attribute in event.attributes},
            }
            for event in raw.events
        ],
        status_message=raw.status.message,
    )


def plain(value: Any) -> Any:
    """Return an OTLP AnyValue as plain Python: texts, numbers, bytes, lists, dicts, or None."""
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [plain(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {item.key: plain(item.value) for item in value.kvlist_value.values}
    return getattr(value, which)
