"""The two kinds of telemetry that are received: OTLP builds their requests alike, under different names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of telemetry, level by level.

    Attributes:
        noun: one of its items, for people.
        request, resource, scope, item: the messages: a request holds resources, these hold scopes, those items.
        resources, scopes, items: the fields that hold them. Their numbers are the same for all kinds.
    """

    noun: str
    request: type[Message]
    resource: type[Message]
    scope: type[Message]
    item: type[Message]
    resources: str
    scopes: str
    items: str

    @property
    def nouns(self) -> str:
        """Several of its items, for people."""
        return f"{self.noun}s"

    def groups(self, request: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Yield each resource, scope and the list of its items."""
        for resource in getattr(request, self.resources):
            for scope in getattr(resource, self.scopes):
                yield resource, scope, getattr(scope, self.items)

    def count(self, request: Any) -> int:
        """Return how many items a request holds."""
        return sum(len(items) for _, _, items in self.groups(request))


SPANS = Signal(
    "span", ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span, "resource_spans", "scope_spans", "spans"
)
LOGS = Signal(
    "log record",
    ExportLogsServiceRequest,
    ResourceLogs,
    ScopeLogs,
    LogRecord,
    "resource_logs",
    "scope_logs",
    "log_records",
)

SIGNALS = {"spans": SPANS, "logs": LOGS}
"""By the names that are known before protobuf is loaded, which takes a while."""
