"""Spans of the SDK as the bytes of an OTLP request.

The SDK's own encoder builds a protobuf object for every attribute, which costs more than everything else that
happens to a span after its end. This one writes the same bytes directly, in a third of the time
(docs/benchmarks.md). The SDK's encoder is its oracle: tests/telemetry/test_encode.py compares the two over
random spans. Field numbers: opentelemetry-proto, trace/v1/trace.proto and common/v1/common.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

from ihobs.courtesy import Pause, no_pause

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext

Stamps = Sequence[tuple[str, str]]
"""Attributes that are added to a span on its way out."""

MAX_KEYS = 10_000
"""Attribute keys whose bytes are remembered; beyond it the memory starts anew."""

MAX_DEPTH = 32
"""Deeper nested attribute values are left out, as the SDK leaves out what it cannot encode."""

_double = Struct("<d").pack
_fixed64 = Struct("<Q").pack
_times = Struct("<BQBQ").pack
_UINT64 = (1 << 64) - 1
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_PARENT_KNOWN, _PARENT_REMOTE = b"\x85\x01\x00\x01\x00\x00", b"\x85\x01\x00\x03\x00\x00"
"""Span.flags, a fixed32: bit 8 says that bit 9 tells whether the parent is remote."""


def _varint(value: int) -> bytes:
    """Return an unsigned integer of at most 64 bits, seven bits a byte, least significant first."""
    if value < len(_SHORT):
        return _SHORT[value]
    parts = bytearray()
    while value >= _MORE:
        parts.append(value & 0x7F | _MORE)
        value >>= 7
    parts.append(value)
    return bytes(parts)


_MORE = 0x80
"""Set in every byte of a varint but the last."""

_SHORT = [bytes((n,)) if n < _MORE else bytes((n & 0x7F | _MORE, n >> 7)) for n in range(0x4000)]
"""Varints of one or two bytes: nearly all lengths."""


def encode(spans: Sequence[tuple[ReadableSpan, Stamps]], pause: Pause = no_pause) -> bytes:
    """Return an ExportTraceServiceRequest with `spans`, each with its stamps behind its own attributes."""
    resources: dict[Resource, dict[InstrumentationScope | None, list[bytes]]] = {}
    scopes_of: dict[int, dict[InstrumentationScope | None, list[bytes]]] = {}
    for span, stamps in spans:
        scopes = scopes_of.get(id(span.resource))  # its hash is made from its text every time; spans keep it alive
        if scopes is None:
            scopes = scopes_of[id(span.resource)] = resources.setdefault(span.resource, {})
        scopes.setdefault(span.instrumentation_scope, []).append(_field(b"\x12", _span(span, stamps)))
        pause()
    return b"".join(
        _field(b"\x0a", _resource(resource) + b"".join(_scope_spans(scope, found) for scope, found in scopes.items()))
        for resource, scopes in resources.items()
    )


def _resource(resource: Resource) -> bytes:
    """Return the fields of ResourceSpans that stand before its scopes."""
    schema_url = _text(b"\x1a", resource.schema_url) if resource.schema_url else b""
    return _field(b"\x0a", _attributes(b"\x0a", resource.attributes)) + schema_url


def _scope_spans(scope: InstrumentationScope | None, spans: Sequence[bytes]) -> bytes:
    if scope is None:
        return _field(b"\x12", b"\x0a\x00" + b"".join(spans))
    about = _text(b"\x0a", scope.name) if scope.name else b""
    about += _text(b"\x12", scope.version) if scope.version else b""
    about += _attributes(b"\x1a", scope.attributes)
    schema_url = _text(b"\x1a", scope.schema_url) if scope.schema_url else b""
    return _field(b"\x12", _field(b"\x0a", about) + b"".join(spans) + schema_url)


def _span(span: ReadableSpan, stamps: Stamps) -> bytes:
    """Return the fields of a Span, in the order of their numbers."""
    context, parent = span.get_span_context(), span.parent
    if context is None:
        return b""
    parts = [_ids(context), _trace_state(context)]
    if parent is not None:
        parts.append(b"\x22\x08" + parent.span_id.to_bytes(8, "big"))
    if span.name:
        parts.append(_text(b"\x2a", span.name))
    parts += (
        b"\x30" + _SHORT[span.kind.value + 1],
        _times(0x39, span.start_time or 0, 0x41, span.end_time or 0),
        _attributes(b"\x4a", span.attributes),
        *[_stamp(key, value) for key, value in stamps],
        _count(b"\x50", span.dropped_attributes),
        *[_field(b"\x5a", _event(event)) for event in span.events],
        _count(b"\x60", span.dropped_events),
        *[_field(b"\x6a", _link(link)) for link in span.links],
        _count(b"\x70", span.dropped_links),
        _status(span),
        _PARENT_REMOTE if parent is not None and parent.is_remote else _PARENT_KNOWN,
    )
    return b"".join(parts)


def _stamp(key: str, value: str) -> bytes:
    parts: list[bytes] = []
    _add_attribute(parts, b"\x4a", key, value)
    return b"".join(parts)


def _ids(context: SpanContext) -> bytes:
    return b"\x0a\x10" + context.trace_id.to_bytes(16, "big") + b"\x12\x08" + context.span_id.to_bytes(8, "big")


def _trace_state(context: SpanContext) -> bytes:
    if not context.trace_state:
        return b""
    return _text(b"\x1a", ",".join(f"{key}={value}" for key, value in context.trace_state.items()))


def _status(span: ReadableSpan) -> bytes:
    status = span.status
    message = _text(b"\x12", status.description) if status.description else b""
    return _field(b"\x7a", message + _count(b"\x18", status.status_code.value))


def _event(event: Event) -> bytes:
    name = _text(b"\x12", event.name) if event.name else b""
    dropped = _count(b"\x20", event.dropped_attributes)
    return b"\x09" + _fixed64(event.timestamp) + name + _attributes(b"\x1a", event.attributes) + dropped


def _link(link: Link) -> bytes:
    remote = link.context.is_remote
    flags = b"\x35" + (_PARENT_REMOTE if remote else _PARENT_KNOWN)[2:]
    dropped = _count(b"\x28", link.dropped_attributes)
    return _ids(link.context) + _attributes(b"\x22", link.attributes) + dropped + flags


def _attributes(tag: bytes, attributes: Mapping[str, Any] | None) -> bytes:
    """Return each attribute as a KeyValue behind `tag`; what OTLP cannot hold is left out."""
    if not attributes:
        return b""
    copy = getattr(attributes, "copy", None)  # the SDK's own mapping takes a lock for every item, but one for a copy
    parts: list[bytes] = []
    for key, value in (copy() if copy is not None else attributes).items():
        _add_attribute(parts, tag, key, value)
    return b"".join(parts)


def _add_attribute(parts: list[bytes], tag: bytes, key: str, value: Any) -> None:
    """Add a KeyValue behind `tag` to `parts`. Most values are short texts, which need no arithmetic."""
    name = _keys.get(key) or _remembered_key(key)
    if type(value) is str:
        try:
            data = value.encode()
        except UnicodeEncodeError:
            data = value.encode("utf-8", "replace")
        size = len(data)
        head = _TEXT_HEADS[size] if size < len(_TEXT_HEADS) else _text_head(size)
    else:
        encoded = _value(value, 0)
        if encoded is None:
            return
        data, head = encoded, b"\x12" + _varint(len(encoded))
        size = len(data)
    parts += (tag, _varint(len(name) + len(head) + size), name, head, data)


def _text_head(size: int) -> bytes:
    """Return what stands between the key and a text of `size` bytes: KeyValue.value and AnyValue.string_value."""
    length = _varint(size)
    return b"\x12" + _varint(1 + len(length) + size) + b"\x0a" + length


_TEXT_HEADS = [_text_head(size) for size in range(256)]
_keys: dict[str, bytes] = {}


def _remembered_key(key: str) -> bytes:
    if len(_keys) >= MAX_KEYS:
        _keys.clear()
    name = _keys[key] = _text(b"\x0a", key)
    return name


def _value(value: Any, depth: int) -> bytes | None:
    """Return the fields of an AnyValue; None for what it cannot hold."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, str):
        return _text(b"\x0a", value)
    if isinstance(value, int):
        return b"\x18" + _varint(value & _UINT64) if _INT64_MIN <= value <= _INT64_MAX else None
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes):
        return _field(b"\x3a", value)
    return _nested(value, depth + 1) if depth < MAX_DEPTH else None


def _nested(value: Any, depth: int) -> bytes | None:
    """Return an ArrayValue or a KeyValueList as a field of AnyValue; None when something in it cannot be held."""
    if isinstance(value, Mapping):
        members = [(_text(b"\x0a", str(key)), _value(item, depth)) for key, item in value.items()]
        if any(item is None for _, item in members):
            return None
        pairs = [_field(b"\x0a", name + _field(b"\x12", item or b"")) for name, item in members]
        return _field(b"\x32", b"".join(pairs))
    if isinstance(value, Sequence):
        items = [_value(item, depth) for item in value]
        if any(item is None for item in items):
            return None
        return _field(b"\x2a", b"".join([_field(b"\x0a", item or b"") for item in items]))
    return None


def _field(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data


def _text(tag: bytes, text: str) -> bytes:
    return _field(tag, text.encode("utf-8", "replace"))


def _count(tag: bytes, count: int) -> bytes:
    return tag + _varint(count) if count else b""
