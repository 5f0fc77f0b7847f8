"""OTLP/protobuf: requests one after another, each behind its length, and what can be saved of a damaged one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, BinaryIO

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ihobs.spans.decoded import Decoded, Rejected
from ihobs.spans.signals import SPANS, Signal

_VARINT_MAX_BYTES = 10
_CONTINUES = 0x80
"""The bit of a varint's byte that says that another follows."""
_FIXED_BYTES = {1: 8, 5: 4}
"""Wire types of fixed length; 0 is a varint and 2 has its length before it."""
_LENGTH_DELIMITED = 2
_RESOURCE_SPANS_TAG = b"\x0a"
_INSIDE_RESOURCE_SPANS = (b"\x0a", b"\x12", b"\x1a")
"""The tags of ResourceSpans: resource, scope_spans, schema_url."""

_RESOURCES, _RESOURCE, _SCOPES, _SCOPE, _ITEMS = 1, 1, 2, 1, 2
"""Numbers of the fields of a request, of ResourceSpans and of ScopeSpans; those of logs are the same."""

REASON_ITEM = "a {noun} is damaged, nested too deeply, or not UTF-8"
REASON_SPAN = REASON_ITEM.format(noun="span")
REASON_RESOURCE = "a resource is damaged or not UTF-8"
REASON_MESSAGE = "the protobuf message is damaged or cut off"


def is_request(head: bytes) -> bool:
    """Say whether `head` can begin a bare request: the tag of resource_spans, its length, a tag inside it."""
    length, position = _varint(head, 1)
    inside = head[position : position + 1]
    return head[:1] == _RESOURCE_SPANS_TAG and (length == 0 or (length > 0 and inside in _INSIDE_RESOURCE_SPANS))


def is_delimited(head: bytes) -> bool:
    """Say whether `head` can begin a request behind its length: the length, then a bare request or nothing."""
    length, position = _varint(head, 0)
    return length == 0 or (length > 0 and is_request(head[position:]))


def read_delimited(stream: BinaryIO, limit_bytes: int, signal: Signal = SPANS) -> Iterator[Decoded]:
    """Yield the requests of a stream in which each stands behind its length as a varint.

    A wrong length makes all that follows unreadable: it is reported, and reading ends.
    """
    number, position = 0, 0
    while True:
        number += 1
        where = f"request {number} at byte {position}"
        length, prefix_bytes = _read_length(stream)
        if length < 0:
            yield _nothing(where, signal, "the length before a request is damaged; what follows cannot be read")
            return
        if not prefix_bytes:
            return
        if length > limit_bytes:
            reason = f"a request is longer than {limit_bytes} bytes; what follows was not read"
            yield _nothing(where, signal, reason, str(length))
            return
        payload = stream.read(length)
        if len(payload) < length:
            yield save(payload, where, signal)
            return
        position += prefix_bytes + length
        yield decode_request(payload, where, signal)


def _nothing(where: str, signal: Signal, reason: str, found: str = "") -> Decoded:
    return Decoded(where, signal.request(), [Rejected(where, reason, found)])


def _read_length(stream: BinaryIO) -> tuple[int, int]:
    """Return a length and how many bytes it took: (0, 0) at the end of the stream, (-1, n) when it is no varint."""
    prefix = bytearray()
    while byte := stream.read(1):
        prefix += byte
        if byte[0] < _CONTINUES:
            return _varint(prefix, 0)[0], len(prefix)
        if len(prefix) >= _VARINT_MAX_BYTES:
            break
    return (-1, len(prefix)) if prefix else (0, 0)


def decode_request(payload: bytes, where: str, signal: Signal = SPANS, most_fields: int | None = None) -> Decoded:
    """Parse one request; when it does not parse as a whole, save the items that do, as `save` does."""
    try:
        return Decoded(where, signal.request.FromString(payload))
    except DecodeError:
        return save(payload, where, signal, most_fields)


def save(payload: bytes, where: str, signal: Signal = SPANS, most_fields: int | None = None) -> Decoded:
    """Return the items of a damaged or cut request that are whole, and report the rest.

    Looks at `most_fields` around the items, when that is given, and takes what follows for damaged.
    """
    salvage = _Salvage(where, signal, itertools.count() if most_fields is None else iter(range(most_fields)))
    salvage.request(payload)
    if salvage.cut or not salvage.decoded.rejections:
        salvage.decoded.rejections.append(Rejected(where, REASON_MESSAGE))
    return salvage.decoded


class _Salvage:
    """Walks the wire format of one request, level by level, and parses each item by itself."""

    def __init__(self, where: str, signal: Signal, steps: Iterator[int]) -> None:
        self.decoded = Decoded(where, signal.request())
        self.cut = False
        self._steps = steps
        self._where, self._signal = where, signal
        self._items_seen = 0

    def request(self, payload: bytes) -> None:
        for number, content, _ in self._fields(payload):
            if number == _RESOURCES:
                self._resource(content)

    def _resource(self, payload: bytes) -> None:
        """Add what can be parsed. Items whose resource is lost are lost: they would count as nobody's."""
        found = list(self._fields(payload))
        target: Any = self._signal.resource()
        try:
            for number, content, whole in found:
                if number == _RESOURCE and whole:
                    target.resource.MergeFrom(Resource.FromString(content))
        except DecodeError:
            scopes = [content for number, content, _ in found if number == _SCOPES]
            lost = sum(number == _ITEMS for each in scopes for number, _, _ in fields(each, self._steps))
            self.decoded.rejections.append(Rejected(self._where, REASON_RESOURCE, count=lost or 1))
            return
        for number, content, _ in found:
            if number == _SCOPES:
                self._scope(content, getattr(target, self._signal.scopes).add())
        getattr(self.decoded.request, self._signal.resources).append(target)

    def _scope(self, payload: bytes, target: Any) -> None:
        for number, content, whole in self._fields(payload):
            if number == _SCOPE and whole:
                with contextlib.suppress(DecodeError):  # only a name for people: the items count without it
                    target.scope.MergeFrom(InstrumentationScope.FromString(content))
            elif number == _ITEMS and whole:
                self._item(content, getattr(target, self._signal.items))

    def _item(self, payload: bytes, target: Any) -> None:
        self._items_seen += 1
        noun = self._signal.noun
        try:
            target.append(self._signal.item.FromString(payload))
        except DecodeError:
            place = f"{self._where}: {noun} {self._items_seen}"
            self.decoded.rejections.append(Rejected(place, REASON_ITEM.format(noun=noun)))

    def _fields(self, payload: bytes) -> Iterator[tuple[int, bytes, bool]]:
        for number, content, whole in fields(payload, self._steps):
            self.cut = self.cut or not whole
            yield number, content, whole


def fields(payload: bytes, steps: Iterator[int]) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (field number, content, whole) of the length-delimited fields of a message, skipping the others.

    The last item has `whole` False when the bytes end, or stop making sense, in the middle of it; a cut
    content may still hold smaller parts that are whole. Every field, skipped or not, takes one of `steps`; when
    there are none left, what follows counts as cut.
    """
    position = 0
    while position < len(payload):
        if next(steps, None) is None:
            yield 0, b"", False
            return
        tag, position = _varint(payload, position)
        wire_type = tag & 7
        if wire_type == _LENGTH_DELIMITED:
            length, position = _varint(payload, position)
        elif wire_type == 0:
            length = _varint(payload, position)[1] - position
        else:
            length = _FIXED_BYTES.get(wire_type, -1)
        whole = tag > 0 and length >= 0 and position + length <= len(payload)
        if wire_type == _LENGTH_DELIMITED or not whole:
            yield tag >> 3, payload[position : position + max(length, 0)], whole
        if not whole:
            return
        position += length


def _varint(payload: bytes | bytearray, position: int) -> tuple[int, int]:
    """Return the varint at `position` and the position behind it; the value is -1 when there is none."""
    value = 0
    for index, byte in enumerate(payload[position : position + _VARINT_MAX_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < _CONTINUES:
            return value, position + index + 1
    return -1, len(payload)
