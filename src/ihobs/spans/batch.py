"""Turn OTLP requests into spans by trace, refusing what cannot be counted, before any transaction begins."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import DAY_NS
from ihobs.courtesy import Pause, no_pause
from ihobs.redact.tally import Tally
from ihobs.spans.reader import SpanReader

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

    from ihobs.redact.message import Redactor
    from ihobs.spans.dialects import Dialects
    from ihobs.spans.normalise import Receipt
    from ihobs.spans.span import Span

MAX_DURATION_NS = 31 * DAY_NS
"""A longer span has a broken clock. 3 443 such in one hour overflow SQLite's 64-bit integers; of a year each, 292."""

MAX_AHEAD_NS = DAY_NS
"""An imported span that ends later than this after its receipt is refused; less is taken as clock skew."""

_NO_TRACE_ID, _NO_SPAN_ID = bytes(16), bytes(8)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Spans that were refused, why, and the index of the request that held them."""

    reason: str
    count: int
    request: int = 0


class Incoming(NamedTuple):
    """A span and where it stands: the request's index, and the span's position in it."""

    span: Span
    request: int
    position: int


@dataclass(slots=True)
class Batch:
    """What some requests brought.

    Attributes:
        traces: trace id -> its spans, in the order of arrival.
        span_counts: number of spans in each request, whether they are of use or not.
        rejected: (reason, request) -> how many.
    """

    traces: dict[bytes, list[Incoming]] = field(default_factory=dict)
    span_counts: list[int] = field(default_factory=list)
    rejected: dict[tuple[str, int], int] = field(default_factory=dict)
    redacted: Tally = field(default_factory=Tally)

    def reject(self, reason: str, request: int) -> None:
        """Count a span that is refused."""
        self.rejected[reason, request] = self.rejected.get((reason, request), 0) + 1


def read_batch(
    requests: Iterable[ExportTraceServiceRequest],
    dialects: Dialects,
    receipt: Receipt,
    redactor: Redactor | None = None,
    pause: Pause = no_pause,
) -> Batch:
    """Return the spans of `requests` in ihobs' terms, by trace.

    Args:
        redactor: takes secrets and contents out of the requests, in place; None leaves them as they are.
        pause: called after each span.
    """
    reader = SpanReader(dialects, receipt, redactor)
    batch = Batch(redacted=reader.tally)
    for index, request in enumerate(requests):
        position = 0
        for resource_spans in request.resource_spans:
            for origin, spans in reader.groups(resource_spans):
                for span in spans:
                    fault = _fault(span, receipt)
                    if fault:
                        batch.reject(fault, index)
                    else:
                        entry = Incoming(reader.read(span, origin), index, position)
                        batch.traces.setdefault(span.trace_id, []).append(entry)
                    position += 1
                    pause()
        if redactor is not None:
            request.DiscardUnknownFields()  # nobody can tell what they hold
        batch.span_counts.append(position)
    return batch


def only(request: ExportTraceServiceRequest, positions: Collection[int]) -> ExportTraceServiceRequest:
    """Return a copy of `request` that holds only the spans at `positions`, with their resources and scopes."""
    kept = ExportTraceServiceRequest()
    position = 0
    for resource_spans in request.resource_spans:
        resource = kept.resource_spans.add(schema_url=resource_spans.schema_url)
        resource.resource.CopyFrom(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            scope = resource.scope_spans.add(schema_url=scope_spans.schema_url)
            scope.scope.CopyFrom(scope_spans.scope)
            for span in scope_spans.spans:
                if position in positions:
                    scope.spans.append(span)
                position += 1
            if not scope.spans:
                del resource.scope_spans[-1]
        if not resource.scope_spans:
            del kept.resource_spans[-1]
    return kept


def _fault(span: OtlpSpan, receipt: Receipt) -> str:
    """Return why a span cannot be counted, or an empty text."""
    if len(span.trace_id) != len(_NO_TRACE_ID) or span.trace_id == _NO_TRACE_ID:
        return "invalid trace id"
    if len(span.span_id) != len(_NO_SPAN_ID) or span.span_id == _NO_SPAN_ID:
        return "invalid span id"
    if len(span.parent_span_id) not in (0, len(_NO_SPAN_ID)):
        return "invalid parent span id"
    start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
    if not start_ns:
        return "no start time"
    if not end_ns:
        return "no end time"
    if abs(end_ns - start_ns) > MAX_DURATION_NS:
        return "longer than 31 days"
    if max(start_ns, end_ns) > receipt.received_ns + (MAX_DURATION_NS if receipt.live else MAX_AHEAD_NS):
        return "time in the future"
    return ""
