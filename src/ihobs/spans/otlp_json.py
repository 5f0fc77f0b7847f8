"""OTLP/JSON to protobuf messages, from what `json.loads` returns: the structure around spans or log records.

Written out by hand because `google.protobuf.json_format` reads 3 600 spans/s. Accepted beyond the
specification, because files in the wild have it: ids in base64 as well as hex, enums by name, snake_case
names, whole numbers as strings or floats, single spans, bare arrays, attributes as a plain object.
A span or record that cannot be represented is left out and reported; its neighbours stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ihobs.spans.decoded import Decoded, Rejected, quote
from ihobs.spans.otlp_json_fields import LOG_RECORD, RESOURCE_SPANS, SCOPE_SPANS, SPAN, Writer, write
from ihobs.spans.otlp_json_values import UnfitError
from ihobs.spans.signals import LOGS, SPANS, Signal

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans


class _Form(NamedTuple):
    """What JSON calls the levels of a signal, and the fields of its items."""

    signal: Signal
    resources: str
    scopes: str
    items: str
    fields: Mapping[str, Writer]


_SPANS = _Form(SPANS, "resourceSpans", "scopeSpans", "spans", SPAN)
_LOGS = _Form(LOGS, "resourceLogs", "scopeLogs", "logRecords", LOG_RECORD)


def decode_document(document: object, where: str, signal: Signal = SPANS) -> Decoded:
    """Decode one JSON document: a request, ResourceSpans, ScopeSpans, a span, or an array of any of these.

    A span outside ScopeSpans may carry `resource` and `scope` objects of its own. Likewise for logs, but for lone
    records, which nobody writes.

    Args:
        document: what `json.loads` returned.
        where: the place of the document; each rejection's own place follows it.
        signal: what is expected.
    """
    reader = _Reader(_SPANS if signal is SPANS else _LOGS, Decoded(where, signal.request()))
    if isinstance(document, list):
        for index, item in enumerate(document):
            reader.place(item, f"{where}: [{index}]")
    else:
        reader.place(document, where)
    return reader.decoded


def is_crowded(document: object, most: int, signal: Signal = SPANS) -> bool:
    """Return whether a document has more than so many entries on any level, without looking into them.

    A level that is no array, or is called something else, is none: `decode_document` says so.
    """
    form = _SPANS if signal is SPANS else _LOGS
    level = document if isinstance(document, list) else [document]
    for camel, snake in (
        (form.resources, signal.resources),
        (form.scopes, signal.scopes),
        (form.items, signal.items),
    ):
        if len(level) > most:
            return True
        arrays = (_either(entry, camel, snake) for entry in level if isinstance(entry, dict))
        found = [array for array in arrays if isinstance(array, list)]
        if sum(map(len, found)) > most:
            return True
        below = [entry for array in found for entry in array]
        level = below if any(found) else level  # a document may begin at any of the levels
    return False


class _Reader:
    """Reads the levels around the items of one signal."""

    def __init__(self, form: _Form, decoded: Decoded) -> None:
        self.decoded = decoded
        self._form = form
        self._resources = getattr(decoded.request, form.signal.resources)
        self._groups = _Groups(decoded.request)

    def place(self, item: object, where: str) -> None:
        """Decode `item` as what its keys say it is."""
        form = self._form
        if not isinstance(item, dict):
            self.decoded.rejections.append(Rejected(where, "not OTLP: expected a JSON object", quote(item)))
        elif (resources := _either(item, form.resources, form.signal.resources)) is not None:
            for path, entry in self._objects(resources, f"{where}: {form.resources}"):
                self._resource(entry, path)
        elif form.scopes in item or form.signal.scopes in item:
            self._resource(item, where)
        elif form.items in item or form.signal.items in item:
            self._scope(item, self._resources.add(), where)
        elif form.signal is SPANS and ("spanId" in item or "span_id" in item):
            self._lone_span(item, where)
        elif item:
            self.decoded.rejections.append(Rejected(where, self._strange(item), quote(", ".join(item))))

    def _strange(self, item: Mapping[str, Any]) -> str:
        """Return why an object with other keys is refused."""
        for other in ("Spans", "Metrics", "Logs", "Profiles"):
            if f"resource{other}" in item or f"resource_{other.lower()}" in item:
                return f"holds {other.lower()}, not {self._form.signal.nouns}"
        return f"not OTLP: neither {self._form.resources} nor a {self._form.signal.noun}"

    def _resource(self, entry: dict[str, Any], where: str) -> None:
        form = self._form
        scopes = _either(entry, form.scopes, form.signal.scopes) or []
        target = self._resources.add()
        try:
            write(RESOURCE_SPANS, target, entry)
        except UnfitError as error:
            del self._resources[-1]
            self._reject(where, error, self._count(scopes))
            return
        for path, scope in self._objects(scopes, f"{where}.{form.scopes}"):
            self._scope(scope, target, path)

    def _scope(self, entry: dict[str, Any], parent: Any, where: str) -> None:
        form = self._form
        scopes = getattr(parent, form.signal.scopes)
        target = scopes.add()
        try:
            write(SCOPE_SPANS, target, entry)
        except UnfitError as error:
            del scopes[-1]
            self._reject(where, error, self._count([entry]))
            return
        items = _either(entry, form.items, form.signal.items) or []
        for path, item in self._objects(items, f"{where}.{form.items}"):
            self._item(item, target, path)

    def _item(self, entry: dict[str, Any], parent: Any, where: str) -> None:
        """Add `entry` to `parent`, or leave it out and report it."""
        items = getattr(parent, self._form.signal.items)
        try:
            write(self._form.fields, items.add(), entry)
        except UnfitError as error:
            del items[-1]
            self._reject(where, error, 1)

    def _lone_span(self, entry: dict[str, Any], where: str) -> None:
        try:
            parent = self._groups.group_of(entry)
        except UnfitError as error:
            self._reject(where, error, 1)
            return
        self._item(entry, parent, where)

    def _reject(self, where: str, error: UnfitError, count: int) -> None:
        self.decoded.rejections.append(Rejected(where, error.reason, quote(error.found), count))

    def _objects(self, items: object, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (place, object) for the objects of an array, and report what is none."""
        if not isinstance(items, list):
            self.decoded.rejections.append(Rejected(where, "not OTLP: expected an array", quote(items)))
            return
        for index, item in enumerate(items):
            place = f"{where}[{index}]"
            if isinstance(item, dict):
                yield place, item
            else:
                self.decoded.rejections.append(Rejected(place, "not OTLP: expected a JSON object", quote(item)))

    def _count(self, scopes: object) -> int:
        """Return how many items scopes hold that are lost as a whole; at least 1, so that the loss shows."""
        if not isinstance(scopes, list):
            return 1
        form = self._form
        held = (_either(scope, form.items, form.signal.items) for scope in scopes if isinstance(scope, dict))
        return sum(len(each) for each in held if isinstance(each, list)) or 1


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


def _either(item: Mapping[str, Any], camel: str, snake: str) -> Any:
    found = item.get(camel)
    return item.get(snake) if found is None else found
