"""Read spans from files: OTLP as JSON, JSON lines or protobuf, plain or gzipped, told apart by content.

A chunk is one request of the file (a line, a document, a delimited message; large ones are divided), so
that a file of any size is read in the memory of its largest request.
"""

from __future__ import annotations

import gzip
import io
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.errors import InvalidInputError
from ihobs.spans.decoded import Decoded, Rejected
from ihobs.spans.json_documents import read_documents
from ihobs.spans.otlp_json import decode_document
from ihobs.spans.otlp_protobuf import decode_request, is_delimited, is_request, read_delimited
from ihobs.spans.signals import SPANS, Signal

MAX_DOCUMENT_BYTES = 512 * 1024 * 1024
"""Longest JSON document or protobuf request; parsed, JSON takes about six times as much memory."""

MAX_CHUNK_SPANS = 4096
"""Larger requests are divided, so that none becomes one huge transaction."""

_HEAD_BYTES = 512
_BUFFER_BYTES = 1 << 18
_GZIP = b"\x1f\x8b"
_JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*(?:"[ -~]|\}|$)|\[\s*(?:[\[{\]]|$))')
"""The head of JSON. A delimited request of 123 or 91 bytes begins with a bracket too, but its fourth byte, a tag of
ResourceSpans, is a control character, which JSON does not have."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a file.

    Attributes:
        request: the spans; may be empty.
        rejections: what of this part could not be decoded.
        where: its place in the file, e.g. "line 7".
        bytes_read: how far the file has been read, as it lies on disk (compressed), for a progress bar.
    """

    request: ExportTraceServiceRequest
    rejections: tuple[Rejected, ...]
    where: str
    bytes_read: int


def read_file(path: Path | str, *, max_document_bytes: int = MAX_DOCUMENT_BYTES) -> Iterator[Chunk]:
    """Yield the spans of a file, or of standard input when `path` is "-".

    Raises:
        InvalidInputError: it cannot be opened, is empty, is not OTLP, or holds a document that is too long.
    """
    if str(path) == "-":
        yield from read_stream(sys.stdin.buffer, "standard input", max_document_bytes=max_document_bytes)
        return
    try:
        with Path(path).open("rb") as stream:
            yield from read_stream(stream, str(path), max_document_bytes=max_document_bytes)
    except OSError as error:
        raise InvalidInputError(str(path), (error.strerror or str(error)).lower()) from error


def read_stream(
    stream: BinaryIO | io.BufferedIOBase, name: str, *, max_document_bytes: int = MAX_DOCUMENT_BYTES
) -> Iterator[Chunk]:
    """Yield the spans of an open binary stream; `name` is for errors.

    Raises:
        InvalidInputError: as `read_file`.
    """
    file = content = _Source(stream)
    if file.head.startswith(_GZIP):
        content = _Source(gzip.GzipFile(fileobj=file.buffered()))
    if not content.head.strip():
        raise InvalidInputError(name, content.damage or "is empty")
    for decoded in _decode(content, name, max_document_bytes):
        rejections = tuple(decoded.rejections)
        for request in divide(decoded.request, MAX_CHUNK_SPANS):
            yield Chunk(request, rejections, decoded.where, file.bytes_read)
            rejections = ()
    if content.damage:
        where = f"byte {file.bytes_read}"
        yield Chunk(ExportTraceServiceRequest(), (Rejected(where, content.damage),), where, file.bytes_read)


class _Source(io.RawIOBase):
    """A stream whose beginning has been looked at, that counts what is read of it and ends where gzip breaks off.

    Attributes:
        head: the first bytes. bytes_read: how many were taken from the stream, the head not included at first.
        damage: why the stream ended before its end, or None.
    """

    def __init__(self, stream: BinaryIO | io.BufferedIOBase) -> None:
        self._read_ready: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self.bytes_read = 0
        self.damage: str | None = None
        self.head = self._unread = self._read(stream.read, _HEAD_BYTES)

    def readable(self) -> bool:
        """Say that this can be read, as io.BufferedReader asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the head, then from the stream as far as it has bytes ready."""
        data = self._unread[: len(buffer)]
        self._unread = self._unread[len(data) :]
        if not data:
            data = self._read(self._read_ready, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def buffered(self) -> io.BufferedReader:
        """Return a reader of this stream from its beginning."""
        return io.BufferedReader(self, _BUFFER_BYTES)

    def _read(self, read: Callable[[int], bytes], size_bytes: int) -> bytes:
        try:
            data = b"" if self.damage else read(size_bytes)
        except EOFError:
            self.damage, data = "the gzip data is cut off", b""
        except (gzip.BadGzipFile, zlib.error):
            self.damage, data = "the gzip data is damaged", b""
        self.bytes_read += len(data)
        return data


def _decode(source: _Source, name: str, limit_bytes: int) -> Iterator[Decoded]:
    """Tell the format by the head and decode accordingly."""
    head, stream = source.head, source.buffered()
    if _JSON.match(head):
        for found in read_documents(stream, name, limit_bytes):
            if isinstance(found, Rejected):
                yield Decoded(found.where, rejections=[found])
            else:
                yield decode_document(found.value, found.where)
    elif is_request(head):
        payload = stream.read(limit_bytes + 1)
        if len(payload) > limit_bytes:
            raise InvalidInputError(name, f"the request is longer than {limit_bytes} bytes")
        yield decode_request(payload, "the request")
    elif is_delimited(head):
        yield from read_delimited(stream, limit_bytes)
    else:
        hint = "traces as OTLP/JSON, JSON lines or protobuf can be read, plain or gzipped"
        raise InvalidInputError(name, "is not OTLP: neither JSON nor protobuf", hint)


def divide(request: Any, max_items: int, signal: Signal = SPANS) -> Iterator[Any]:
    """Yield `request`, or requests of at most `max_items` spans or log records that together hold the same."""
    if signal.count(request) <= max_items:
        yield request
        return
    part, room = signal.request(), max_items
    for resource, scope, items in signal.groups(request):
        for start, stop in _slices(len(items), room, max_items):
            _append(signal, part, (resource, scope), items[start:stop])
            room -= stop - start
            if not room:
                yield part
                part, room = signal.request(), max_items
    if getattr(part, signal.resources):
        yield part


def count_spans(request: ExportTraceServiceRequest) -> int:
    """Return how many spans a request holds."""
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _slices(count: int, first: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut 0..count into ranges, the first as long as the room that is left, the others of `size`."""
    start, stop = 0, min(first, count)
    while start < count:
        yield start, stop
        start, stop = stop, min(stop + size, count)


def _append(signal: Signal, part: Any, group: tuple[Any, Any], items: Sequence[Any]) -> None:
    """Add items to a request, with their resource and scope."""
    resource, scope = group
    target = getattr(part, signal.resources).add(resource=resource.resource, schema_url=resource.schema_url)
    target = getattr(target, signal.scopes).add(scope=scope.scope, schema_url=scope.schema_url)
    getattr(target, signal.items).extend(items)
