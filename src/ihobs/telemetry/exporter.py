"""Writes batches of spans into the home; keeps them for a while when the home cannot take them.

Runs on the processor's worker thread, so it may wait for a lock; the program that we watch does not.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ihobs.errors import StoreUnavailableError
from ihobs.guard import guard, log
from ihobs.store.wake import notify
from ihobs.telemetry.encode import Stamps, encode
from ihobs.telemetry.loading import loading
from ihobs.telemetry.places import MAX_SPAN_ATTRIBUTES, SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.sdk.trace import ReadableSpan

    from ihobs.store.telemetry import TelemetryStore
    from ihobs.telemetry.places import Place
    from ihobs.telemetry.processor import Ended

MAX_KEPT_SPANS = 20_000
"""Spans kept in memory while the home cannot be written; the oldest are dropped first."""

DROPPED_QUEUE_FULL = "queue full"
DROPPED_STORE_UNAVAILABLE = "store unavailable"
DROPPED_FAULT = "fault of ihobs"


class StoreExporter(SpanExporter):
    """Encodes spans as OTLP and stores them.

    Args:
        open_store: makes the store; called on first use, again in a forked child, and after a failure to open.
        service: returns the name of this process's service, for the gauge of running workflows.
    """

    def __init__(self, open_store: Callable[[], TelemetryStore], *, service: Callable[[], str]) -> None:
        self._open_store, self._service = open_store, service
        self._store: TelemetryStore | None = None
        self._kept: deque[tuple[ExportTraceServiceRequest, int]] = deque()
        self._dropped: dict[str, int] = {}
        self._unavailable = ""
        self._limit_told = False

    def write(self, ended: Sequence[Ended]) -> None:
        """Store a batch, and before it whatever is kept from earlier calls."""
        if ended:
            self._tell_limit(ended)
            with loading:
                request = _encode(ended)
            self._keep(request, len(ended))
        self._store_kept()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store spans as an ordinary exporter of the SDK, without the names of their places."""
        with guard:
            self.write([(span, None) for span in spans])
        return SpanExportResult.FAILURE if self._kept else SpanExportResult.SUCCESS

    def report_active(self, active: Mapping[str, int]) -> None:
        """Say how many runs of each workflow this process has in progress."""
        self._attempt(lambda store: store.report_active(self._service(), active))

    def count_dropped(self, spans: int) -> None:
        """Count spans that did not fit into the processor's queue."""
        self._count(DROPPED_QUEUE_FULL, spans)

    def after_fork_in_child(self) -> None:
        """Leave what is kept and the connections to the parent."""
        _inherited.append(self._store)
        self._store = None
        self._kept.clear()
        self._dropped.clear()

    def close(self) -> None:
        """Try once more to store what is kept, say what was lost, and close."""
        self._store_kept()
        lost = sum(count for _, count in self._kept)
        if lost:
            log.error("ihobs lost %d spans at the end: %s", lost, self._unavailable)
        if self._store is not None:
            self._store.close()
            self._store = None

    def shutdown(self) -> None:
        """Close. Called by the SDK."""
        with guard:
            self.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - SDK's signature
        """Say whether everything handed over is stored."""
        return not self._kept

    def _tell_limit(self, ended: Sequence[Ended]) -> None:
        """Say once that the provider, which is not ours to change, throws attributes away."""
        if not self._limit_told and any(span.dropped_attributes for span, _ in ended):
            self._limit_told = True
            log.warning(
                "spans lose attributes to the limit of the TracerProvider that was there before ihobs; "
                "set OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=%d",
                MAX_SPAN_ATTRIBUTES,
            )

    def _keep(self, request: ExportTraceServiceRequest, spans: int) -> None:
        self._kept.append((request, spans))
        kept = sum(count for _, count in self._kept)
        while kept > MAX_KEPT_SPANS:
            _, count = self._kept.popleft()
            kept -= count
            self._count(DROPPED_STORE_UNAVAILABLE, count)

    def _store_kept(self) -> None:
        stored = False
        while self._kept:
            request, spans = self._kept.popleft()
            with guard:
                if not self._ingest(request):
                    self._kept.appendleft((request, spans))
                    break
                stored = True
                continue
            self._count(DROPPED_FAULT, spans)  # an error of ours costs this batch, not those behind it
        while self._dropped and self._attempt(lambda store: store.record_dropped(*next(iter(self._dropped.items())))):
            del self._dropped[next(iter(self._dropped))]
        if stored and self._store is not None:
            notify(self._store.home)

    def _ingest(self, request: ExportTraceServiceRequest) -> bool:
        return self._attempt(lambda store: store.ingest(request))

    def _count(self, reason: str, spans: int) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + spans

    def _attempt(self, action: Callable[[TelemetryStore], object]) -> bool:
        """Run `action` on the store; return False when the home cannot be used now, and log it once."""
        try:
            action(self._opened())
        except StoreUnavailableError as error:
            if str(error) != self._unavailable:
                self._unavailable = str(error)
                log.warning("ihobs cannot store spans now and will try again: %s", error)
            return False
        if self._unavailable:
            self._unavailable = ""
            log.warning("ihobs stores spans again")
        return True

    def _opened(self) -> TelemetryStore:
        if self._store is None:
            with loading:
                self._store = self._open_store()
        return self._store


_inherited: list[object] = []
"""Stores of a forked child's parent. Never used again, nor collected: closing them would touch its files."""


def _encode(ended: Sequence[Ended]) -> ExportTraceServiceRequest:
    """Return the spans as one OTLP request, each with the names of its place."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # slow: not before it is needed

    request = trace_service_pb2.ExportTraceServiceRequest()
    request.ParseFromString(encode([(span, _stamps(span, place)) for span, place in ended]))
    return request


def _stamps(span: ReadableSpan, place: Place | None) -> Stamps:
    """Return the attributes that name a span's place, without those that it has."""
    if place is None:
        return ()
    names = [(key, name) for key, name in (("ihobs.workflow", place.workflow), ("ihobs.node", place.node)) if name]
    scope = span.instrumentation_scope
    if names and scope is not None and scope.name == SCOPE:
        said = span.attributes or {}
        return [(key, name) for key, name in names if key not in said]
    return names
