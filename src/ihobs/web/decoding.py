"""From the body of a request to spans or log records: decompressed within a bound, decoded, saving what is whole."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError, Message

from ihobs.spans.batch import Rejection
from ihobs.spans.decode import divide
from ihobs.spans.decoded import Decoded, Rejected
from ihobs.spans.json_documents import read_documents
from ihobs.spans.otlp_json import decode_document, is_crowded
from ihobs.spans.otlp_protobuf import decode_request
from ihobs.spans.signals import SPANS, Signal
from ihobs.web.wire import JSON, PROTOBUF, RefusalError, Wire, listed

if TYPE_CHECKING:
    from ihobs.web.limits import Limits

IDENTITY = "identity"
_CODINGS = {"": IDENTITY, IDENTITY: IDENTITY, "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}

_GZIP, _ZLIB, _RAW = 31, 15, -15
"""`wbits` of zlib for each format."""
_ZLIB_HEAD = 0x78
"""First byte of the zlib format with its usual window. HTTP's deflate is that format, but some send it without."""

MAX_MEMBERS = 64
"""Parts of one gzip body, as `cat a.gz b.gz` makes them; each costs a copy of what follows."""

INLINE_BYTES = 128 * 1024
"""Up to this size, protobuf that is not compressed is parsed at once: in a quarter of a millisecond."""

MAX_LINES = 1_000_000
"""Of a JSON body; each is looked at by itself."""

MIN_PART_BYTES = 12
MANY_PARTS = 131_072
"""Beyond so many parts (an attribute is one, and its value another), a body must have so many bytes for each of them on
average. Two would do in protobuf, but then one of 20 MiB becomes objects of gigabytes, and keeps the thread that stores
busy for minutes."""

FIELDS_AN_ITEM = 4
"""How many fields around the items are looked at in a damaged protobuf body, for each item that it may have."""

_WHERE = "the request"


@dataclass(frozen=True, slots=True)
class Parcel:
    """The spans, or log records, of one request.

    Attributes:
        requests: each of so few that it fits into one transaction.
        items: how many there are. size_bytes: of the decompressed body.
        rejections: what could not be decoded.
    """

    requests: Sequence[Any]
    items: int
    size_bytes: int
    rejections: tuple[Rejection, ...] = ()


def coding_of(content_encoding: str) -> str:
    """Return the coding that a Content-Encoding names.

    Raises:
        RefusalError: 415, it is not one of ours, or several.
    """
    coding = _CODINGS.get(content_encoding.strip().lower())
    if coding is None:
        hint = {"accept-encoding": "gzip, deflate, identity"}
        raise RefusalError(415, "the Content-Encoding must be gzip, deflate or identity", hint)
    return coding


def decode_at_once(body: bytes, coding: str, wire: Wire, limits: Limits, signal: Signal = SPANS) -> Parcel | None:
    """Return the parcel of a body that takes next to no time; None: leave it to `decode`, on another thread."""
    if wire is not PROTOBUF or coding != IDENTITY or len(body) > INLINE_BYTES:
        return None
    try:
        request = signal.request.FromString(body)
    except DecodeError:
        return None
    return _parcel([Decoded(_WHERE, request)], len(body), limits, signal)


def decode(body: bytes, coding: str, wire: Wire, limits: Limits, signal: Signal = SPANS) -> Parcel:
    """Return the parcel of a body. A damaged one loses what is damaged, and no more.

    Raises:
        RefusalError: 400, nothing of it can be decoded; 413, it is too large when decompressed.
    """
    data = body if coding == IDENTITY else inflate(body, coding, limits.body_bytes)
    if wire is JSON:
        return _parcel(list(_documents(data, limits, signal)), len(data), limits, signal)
    return _parcel(
        [decode_request(data, _WHERE, signal, FIELDS_AN_ITEM * limits.pending_items)], len(data), limits, signal
    )


def inflate(body: bytes, coding: str, limit_bytes: int) -> bytes:
    """Decompress `body`, never holding more than `limit_bytes` and a byte of the result.

    Raises:
        RefusalError: 400, it is damaged or cut off; 413, the result is larger than that.
    """
    parts, room = [], limit_bytes + 1
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(_window(body, coding))
        try:
            part = stream.decompress(body, room)
        except zlib.error:
            raise RefusalError(400, f"the {coding} data is damaged") from None
        parts.append(part)
        room -= len(part)
        if room <= 0:
            raise RefusalError(413, f"decompressed, the request is larger than {limit_bytes} bytes; send less at once")
        if not stream.eof:
            raise RefusalError(400, f"the {coding} data is cut off")
        body = stream.unused_data
        if not body or coding != "gzip":
            return b"".join(parts)
    raise RefusalError(400, f"the gzip data has more than {MAX_MEMBERS} parts")


def _window(body: bytes, coding: str) -> int:
    if coding == "gzip":
        return _GZIP
    return _ZLIB if body[:1] == bytes((_ZLIB_HEAD,)) else _RAW


def _documents(data: bytes, limits: Limits, signal: Signal) -> Iterator[Decoded]:
    """Yield what each JSON document of a body holds: one, or several as lines, as in files of the Collector."""
    if data.count(b"\n") > MAX_LINES:
        raise RefusalError(413, f"the request has more than {MAX_LINES} lines; send less at once")
    for number, found in enumerate(read_documents(io.BytesIO(data), _WHERE, limits.body_bytes)):
        if number >= limits.pending_items:
            raise _too_many(limits, "documents")
        if isinstance(found, Rejected):
            yield Decoded(found.where, signal.request(), [found])
        elif is_crowded(found.value, limits.pending_items, signal):
            raise _too_many(limits, signal.nouns)
        else:
            yield decode_document(found.value, found.where, signal)


def _too_many(limits: Limits, nouns: str) -> RefusalError:
    return RefusalError(413, f"the request has more than {limits.pending_items} {nouns}; send less at once")


def _is_crowded(request: Any, limits: Limits, signal: Signal) -> bool:
    """Return whether a request has more resources, or scopes, than it may have items."""
    resources = getattr(request, signal.resources)
    most = limits.pending_items
    return len(resources) > most or sum(len(getattr(each, signal.scopes)) for each in resources) > most


def _has_more_parts(requests: Iterable[Message], most: int) -> bool:
    """Return whether messages hold more than so many others, at any depth; look no further than that."""
    left, seen = list(requests), 0
    while left:
        for field, value in left.pop().ListFields():
            if field.type != field.TYPE_MESSAGE:
                continue
            inner = (value,) if isinstance(value, Message) else value
            seen += len(inner)
            if seen > most:
                return True
            left.extend(inner)
    return False


def _parcel(decoded: Sequence[Decoded], size_bytes: int, limits: Limits, signal: Signal) -> Parcel:
    if any(_is_crowded(each.request, limits, signal) for each in decoded):
        raise _too_many(limits, signal.nouns)
    most = max(MANY_PARTS, size_bytes // MIN_PART_BYTES)
    if size_bytes > INLINE_BYTES and _has_more_parts((each.request for each in decoded), most):
        raise RefusalError(413, "the request has too many attributes, events, links and values for its size")
    lost: dict[str, int] = {}
    for each in decoded:
        for rejected in each.rejections:
            lost[rejected.reason] = lost.get(rejected.reason, 0) + rejected.count
    items = sum(signal.count(each.request) for each in decoded)
    if not decoded or (lost and not items):
        raise RefusalError(400, listed(lost) or "the request is empty")
    if items > limits.pending_items:
        raise _too_many(limits, signal.nouns)
    divided = (part for each in decoded for part in divide(each.request, limits.group_items, signal))
    requests = [part for part in divided if signal.count(part)]
    return Parcel(requests, items, size_bytes, tuple(Rejection(*item) for item in lost.items()))
