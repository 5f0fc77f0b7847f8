"""Read spans as they come in and, once their names and numbers are read, redact them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ihobs.redact.tally import Tally
from ihobs.spans.attributes import attributes_of
from ihobs.spans.normalise import MAX_TEXT_CHARS, Receipt, normalise

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

    from ihobs.redact.message import Redactor
    from ihobs.spans.dialects import Dialects
    from ihobs.spans.span import Span

UNKNOWN_SERVICE = "unknown_service"
"""What OpenTelemetry's SDK calls a service that has no name."""


class Origin(NamedTuple):
    """Where spans come from: their service and scope, as they came and as they are stored."""

    service: str
    scope: str
    stored_service: str
    stored_scope: str


class SpanReader:
    """Reads the spans of some requests.

    Args:
        dialects, receipt: what `normalise` takes.
        redactor: takes secrets and contents out of every request that is read, in place; None leaves them.

    Attributes:
        tally: what the redactor removed.
    """

    def __init__(self, dialects: Dialects, receipt: Receipt, redactor: Redactor | None) -> None:
        self._dialects, self._receipt, self._redactor = dialects, receipt, redactor
        self.tally = Tally()

    def groups(self, resource_spans: ResourceSpans) -> Iterator[tuple[Origin, Iterable[OtlpSpan]]]:
        """Yield the spans of a resource, scope by scope, with their origin."""
        service = _service(resource_spans.resource.attributes)
        if self._redactor is not None:
            self._redactor.resource(resource_spans, self.tally)
        stored_service = _service(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope.name
            if self._redactor is not None:
                self._redactor.scope(scope_spans, self.tally)
            yield Origin(service, scope, stored_service, scope_spans.scope.name), scope_spans.spans

    def read(self, span: OtlpSpan, origin: Origin) -> Span:
        """Return what a span says, in ihobs' terms: its numbers as they came, its names as they are stored."""
        attributes = attributes_of(span)
        read = normalise(span, origin.service, origin.scope, self._dialects, self._receipt, attributes)
        if self._redactor is None:
            return read
        name = span.name
        changed = self._redactor.span(span, attributes, self.tally)
        if changed or origin[:2] != origin[2:]:
            return self._renamed(read, span, origin, name)
        return read

    def _renamed(self, read: Span, span: OtlpSpan, origin: Origin, name: str) -> Span:
        """Return `read` with the names that the redacted `span` has.

        What it is, and what it is an attempt of, stays: two names that are masked alike are still two.
        """
        again = normalise(span, origin.stored_service, origin.scope, self._dialects, self._receipt)
        shape = again.shape._replace(kind=read.shape.kind, scope=origin.stored_scope[:MAX_TEXT_CHARS])
        key = None if read.attempt_key is None else again.attempt_key or read.attempt_key
        if key is not None and self._redactor is not None and span.name != name:
            told_apart = f"{key} {self._redactor.fingerprint(name)}".encode()
            key = int.from_bytes(hashlib.blake2b(told_apart, digest_size=8).digest(), "big", signed=True)
        return read._replace(shape=shape, attempt_key=key)


def _service(attributes: Iterable[KeyValue]) -> str:
    for attribute in attributes:
        if attribute.key == "service.name":
            return attribute.value.string_value[:MAX_TEXT_CHARS] or UNKNOWN_SERVICE
    return UNKNOWN_SERVICE
