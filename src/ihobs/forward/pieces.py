"""Serialised spans of one stored request, and what splits and changes them on the way out.

A request of OTLP is a list of resources, so that the bytes of several behind each other are a request of them all:
what needs no change is sent without ever being parsed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, MutableSequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.langsmith.tracing import TRACED_TO, mark_of
from ihobs.redact.tally import Tally

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from ihobs.redact.message import Redactor

Item = TypeVar("Item")
Change = Callable[[ExportTraceServiceRequest], None]
"""Changes a request in place before it leaves."""

KIND = "ihobs.kind"
LANGSMITH_KIND = "langsmith.span.kind"
RUN_TYPES = {"workflow": "chain", "node": "chain", "tool": "tool", "llm": "llm"}
"""Kinds of our own decorators -> run types of LangSmith (docs.langchain.com/langsmith/trace-with-opentelemetry)."""

_METADATA = {"ihobs.workflow": "langsmith.metadata.ihobs_workflow", "ihobs.node": "langsmith.metadata.ihobs_node"}


class Piece(NamedTuple):
    """Spans of one stored request: its number, the bytes of a request of them, and how many they are."""

    payload_id: int
    data: bytes
    spans: int


class Only(NamedTuple):
    """The ids of a piece's only span."""

    trace_id: bytes
    span_id: bytes


def halves(piece: Piece) -> list[Piece]:
    """Return a piece as two with about half of the spans each; as none when it has fewer than two."""
    request = ExportTraceServiceRequest.FromString(piece.data)
    total = sum(1 for _ in spans_of(request))
    if total < 2:  # noqa: PLR2004 - a pair is the least that has halves
        return []
    middle = total // 2
    return [_part(piece, request, 0, middle), _part(piece, request, middle, total)]


def only_span(piece: Piece) -> Only:
    """Return the ids of the only span of a piece."""
    span = next(spans_of(ExportTraceServiceRequest.FromString(piece.data)))
    return Only(span.trace_id, span.span_id)


def one_span(payload_id: int, request: ExportTraceServiceRequest, trace_id: bytes, span_id: bytes) -> Piece | None:
    """Return one span of a request as a piece; None when it is not there."""
    for position, span in enumerate(spans_of(request)):
        if (span.trace_id, span.span_id) == (trace_id, span_id):
            return _part(Piece(payload_id, b"", 0), request, position, position + 1)
    return None


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Yield the spans of a request in order."""
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def _part(piece: Piece, request: ExportTraceServiceRequest, start: int, end: int) -> Piece:
    """Return the spans at the positions from `start` to before `end`, below their resource and scope."""
    part = ExportTraceServiceRequest()
    part.CopyFrom(request)
    positions = itertools.count()
    _keep(part, lambda _: start <= next(positions) < end)
    return Piece(piece.payload_id, part.SerializeToString(), end - start)


def _keep(request: ExportTraceServiceRequest, is_kept: Callable[[Span], bool]) -> None:
    """Remove the other spans, and the scopes and resources that are empty then."""
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            kept = [span for span in scope_spans.spans if is_kept(span)]
            if len(kept) < len(scope_spans.spans):
                del scope_spans.spans[:]
                scope_spans.spans.extend(kept)
        _drop_empty(resource_spans.scope_spans, lambda scope: not scope.spans)
    _drop_empty(request.resource_spans, lambda resource: not resource.scope_spans)


def _drop_empty(items: MutableSequence[Item], is_empty: Callable[[Item], bool]) -> None:
    for index in reversed(range(len(items))):
        if is_empty(items[index]):
            del items[index]


def sampling(ratio: float) -> Change:
    """Return what keeps that part of the traces: by the id alone, so that every span of a trace has the same fate.

    The id is hashed: one that was sampled by its own bits before must not be sampled by the same ones again.
    """
    bound = round(ratio * 2**64)

    def is_kept(span: Span) -> bool:
        return int.from_bytes(hashlib.blake2b(span.trace_id, digest_size=8).digest()) < bound

    return lambda request: _keep(request, is_kept)


def leaving_out_traced(endpoint: str) -> Change:
    """Return what leaves out spans whose runs their program brings to this LangSmith itself: or all would be double."""
    mark = mark_of(endpoint)

    def is_kept(span: Span) -> bool:
        return all(one.key != TRACED_TO or one.value.string_value != mark for one in span.attributes)

    return lambda request: _keep(request, is_kept)


def masking(redactor: Redactor) -> Change:
    """Return what takes out of a request what a redactor takes out."""
    return lambda request: redactor.request(request, Tally())


def name_run_types(request: ExportTraceServiceRequest) -> None:
    """Say in LangSmith's words what the spans of our own decorators are."""
    for span in spans_of(request):
        if all(attribute.key != KIND for attribute in span.attributes):
            continue
        told = {attribute.key: attribute.value.string_value for attribute in span.attributes}
        run_type = RUN_TYPES.get(told.get(KIND, ""))
        if run_type is None:
            continue
        said = {LANGSMITH_KIND: run_type} | {key: told[ours] for ours, key in _METADATA.items() if told.get(ours)}
        for key, text in said.items():
            if key not in told:
                span.attributes.add(key=key).value.string_value = text
