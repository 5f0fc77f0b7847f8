"""OTLP/JSON to protobuf messages, from what `json.loads` returns: the structure around the spans.

Written out by hand because `google.protobuf.json_format` reads 3 600 spans/s. Accepted beyond the
specification, because files in the wild have it: ids in base64 as well as hex, enums by name, snake_case
names, whole numbers as strings or floats, single spans, bare arrays, attributes as a plain object.
A span that cannot be represented is left out and reported; its neighbours stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from ihobs.spans.decoded import Decoded, Rejected, quote
from ihobs.spans.otlp_json_fields import RESOURCE_SPANS, SCOPE_SPANS, SPAN, write
from ihobs.spans.otlp_json_values import UnfitError

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def decode_document(document: object, where: str) -> Decoded:
    """Decode one JSON document: a request, ResourceSpans, ScopeSpans, a span, or an array of any of these.

    A span outside ScopeSpans may carry `resource` and `scope` objects of its own.

    Args:
        document: what `json.loads` returned.
        where: the place of the document; each rejection's own place follows it.
    """
    decoded = Decoded(where)
    groups = _Groups(decoded.request)
    if isinstance(document, list):
        for index, item in enumerate(document):
            _place(item, decoded, groups, f"{where}: [{index}]")
    else:
        _place(document, decoded, groups, where)
    return decoded


def _place(item: object, decoded: Decoded, groups: _Groups, where: str) -> None:
    """Decode `item` as what its keys say it is."""
    if not isinstance(item, dict):
        decoded.rejections.append(Rejected(where, "not OTLP: expected a JSON object", quote(item)))
    elif (resource_spans := _either(item, "resourceSpans", "resource_spans")) is not None:
        for path, entry in _objects(resource_spans, f"{where}: resourceSpans", decoded):
            _resource_spans(entry, decoded, path)
    elif "scopeSpans" in item or "scope_spans" in item:
        _resource_spans(item, decoded, where)
    elif "spans" in item:
        _scope_spans(item, decoded, decoded.request.resource_spans.add(), where)
    elif "spanId" in item or "span_id" in item:
        _lone_span(item, decoded, groups, where)
    elif item:
        decoded.rejections.append(Rejected(where, _not_spans(item), quote(", ".join(item))))


def _not_spans(item: Mapping[str, Any]) -> str:
    for signal in ("Metrics", "Logs", "Profiles"):
        if f"resource{signal}" in item or f"resource_{signal.lower()}" in item:
            return f"holds {signal.lower()}, not spans"
    return "not OTLP: neither resourceSpans nor a span"


def _resource_spans(entry: dict[str, Any], decoded: Decoded, where: str) -> None:
    scopes = _either(entry, "scopeSpans", "scope_spans") or []
    target = decoded.request.resource_spans.add()
    try:
        write(RESOURCE_SPANS, target, entry)
    except UnfitError as error:
        del decoded.request.resource_spans[-1]
        _reject(decoded, where, error, _count_spans(scopes))
        return
    for path, scope_spans in _objects(scopes, f"{where}.scopeSpans", decoded):
        _scope_spans(scope_spans, decoded, target, path)


def _scope_spans(entry: dict[str, Any], decoded: Decoded, parent: ResourceSpans, where: str) -> None:
    target = parent.scope_spans.add()
    try:
        write(SCOPE_SPANS, target, entry)
    except UnfitError as error:
        del parent.scope_spans[-1]
        _reject(decoded, where, error, _count_spans([entry]))
        return
    for path, span in _objects(entry.get("spans") or [], f"{where}.spans", decoded):
        _span(span, decoded, target, path)


def _span(entry: dict[str, Any], decoded: Decoded, parent: ScopeSpans, where: str) -> None:
    """Add `entry` to `parent`, or leave it out and report it."""
    try:
        write(SPAN, parent.spans.add(), entry)
    except UnfitError as error:
        del parent.spans[-1]
        _reject(decoded, where, error, 1)


def _lone_span(entry: dict[str, Any], decoded: Decoded, groups: _Groups, where: str) -> None:
    try:
        parent = groups.group_of(entry)
    except UnfitError as error:
        _reject(decoded, where, error, 1)
        return
    _span(entry, decoded, parent, where)


class _Groups:
    """Where the spans of a bare array go: neighbours of equal resource and scope share a group."""

    def __init__(self, request: ExportTraceServiceRequest) -> None:
        self._request = request
        self._key: tuple[object, object] | None = None
        self._current: ScopeSpans | None = None

    def group_of(self, entry: dict[str, Any]) -> ScopeSpans:
        """Return the group of a span, a new one when its resource or scope is not the last span's.

        Raises:
            UnfitError: the resource or the scope cannot be represented.
        """
        resource, scope = entry.get("resource"), _either(entry, "scope", "instrumentationScope")
        if self._current is None or (resource, scope) != self._key:
            target = ResourceSpans()
            write(RESOURCE_SPANS, target, {"resource": resource})
            write(SCOPE_SPANS, target.scope_spans.add(), {"scope": scope})
            self._request.resource_spans.append(target)  # copies: only now, when nothing can fail any more
            self._current, self._key = self._request.resource_spans[-1].scope_spans[0], (resource, scope)
        return self._current


def _reject(decoded: Decoded, where: str, error: UnfitError, count: int) -> None:
    decoded.rejections.append(Rejected(where, error.reason, quote(error.found), count))


def _objects(items: object, where: str, decoded: Decoded) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) for the objects of an array, and report what is none."""
    if not isinstance(items, list):
        decoded.rejections.append(Rejected(where, "not OTLP: expected an array", quote(items)))
        return
    for index, item in enumerate(items):
        place = f"{where}[{index}]"
        if isinstance(item, dict):
            yield place, item
        else:
            decoded.rejections.append(Rejected(place, "not OTLP: expected a JSON object", quote(item)))


def _count_spans(scopes: object) -> int:
    """Return how many spans ScopeSpans hold that are lost as a whole; at least 1, so that the loss shows."""
    if not isinstance(scopes, list):
        return 1
    spans = (scope.get("spans") for scope in scopes if isinstance(scope, dict))
    return sum(len(each) for each in spans if isinstance(each, list)) or 1


def _either(item: Mapping[str, Any], camel: str, snake: str) -> Any:
    found = item.get(camel)
    return item.get(snake) if found is None else found
