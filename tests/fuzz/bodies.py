"""OTLP bodies that are damaged in one of many ways, each the same for the same seed."""

import gzip
import json
import random
import zlib
from dataclasses import dataclass, field, replace
from functools import cache

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import SECOND_NS, now_ns

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PATHS = {"spans": "/v1/traces", "logs": "/v1/logs"}
MIB = 1024 * 1024


@dataclass(frozen=True)
class Body:
    """What is posted."""

    path: str
    content_type: str
    data: bytes
    headers: dict = field(default_factory=dict)


def spans_request(service, trace_id, span_ids):
    """Return a request with something in every field that OTLP has."""
    request, ended_ns = ExportTraceServiceRequest(), now_ns() - SECOND_NS
    resource = request.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.37.0")
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "tests.fuzz", "1"
    for number, span_id in enumerate(span_ids):
        span = scope.spans.add(trace_id=trace_id, span_id=span_id, name="chat", kind=3, trace_state="a=b", flags=256)
        span.parent_span_id = span_ids[0] if number else b""
        span.start_time_unix_nano, span.end_time_unix_nano = ended_ns - SECOND_NS, ended_ns
        _fill(span.attributes)
        _fill(span.events.add(name="exception", time_unix_nano=ended_ns).attributes)
        _fill(span.links.add(trace_id=trace_id, span_id=span_id).attributes)
        span.status.code, span.status.message = 2, "it went wrong"
    return request


def logs_request(service, trace_id, count):
    """Return the same of log records."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    for number in range(count):
        record = resource.scope_logs.add().log_records.add(time_unix_nano=now_ns(), severity_number=13)
        record.body.string_value, record.trace_id, record.span_id = f"line {number}", trace_id, bytes(7) + b"\1"
        _fill(record.attributes)
    return request


def _fill(attributes):
    attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    attributes.add(key="gen_ai.request.model").value.string_value = "gpt-4o"
    attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 700
    attributes.add(key="gen_ai.usage.output_tokens").value.double_value = 70.0
    attributes.add(key="stream").value.bool_value = True
    attributes.add(key="raw").value.bytes_value = b"\0\xff"
    attributes.add(key="metadata").value.string_value = '{"langgraph_node": "plan", "ls_model_name": "gpt-4o"}'
    attributes.add(key="tags").value.array_value.values.add().string_value = "alice@example.com"
    attributes.add(key="map").value.kvlist_value.values.add(
        key="a"
    ).value.string_value = "sk-abcdefghijklmnop1234567890"


def damaged(seed):
    """Return the body of a seed."""
    rng = random.Random(seed)
    signal = rng.choice(("spans", "spans", "spans", "logs"))
    message = _whole(signal, rng)
    data, content_type = rng.choice((_protobuf, _protobuf, _json))(message, rng)
    body = Body(PATHS[signal], content_type, data)
    return rng.choices((_as_it_is, _coded, _coded_damaged, _bomb, _mislabelled), (70, 10, 12, 0.1, 8))[0](body, rng)


def _whole(signal, rng):
    trace_id = b"\xee" + rng.randbytes(15)
    if signal == "logs":
        return logs_request("damaged", trace_id, rng.choice((1, 3)))
    return spans_request("damaged", trace_id, [rng.randbytes(8) for _ in range(rng.choice((1, 3)))])


def _protobuf(message, rng):
    kinds = (_flip, _cut, _insert, _repeat, _varint, _deep_message, _huge)
    how = rng.choices(kinds, (30, 15, 15, 10, 20, 9, 0.5))[0]
    return how(message.SerializeToString(), rng), PROTOBUF


def _json(message, rng):
    if rng.random() < 0.3:
        how = rng.choice((_flip, _cut, _insert, _repeat))
        return how(json_format.MessageToJson(message, indent=None).encode(), rng), JSON
    document = json_format.MessageToDict(message)
    for holder, key in rng.choices(list(_places(document)), k=rng.choice((1, 1, 2, 5))):
        holder[key] = _anything(rng)
    return json.dumps(document).encode("utf-8", "surrogatepass"), JSON


def _flip(data, rng):
    flipped = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _cut(data, rng):
    return data[: rng.randrange(len(data))]


def _insert(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice((1, 2, 9, 300))) + data[at:]


def _repeat(data, rng):
    start, stop = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:stop] + data[start:stop] * rng.choice((1, 5, 50)) + data[stop:]


def _varint(data, rng):
    """Put a varint that lies where one may stand: too long, without an end, of 2**63, of a length that is not there."""
    at = rng.randrange(len(data))
    number = rng.choice((b"\xff" * 9 + b"\x01", b"\xff" * 20, b"\x80" * 10 + b"\x00", b"\xff\xff\xff\xff\x07", b"\x00"))
    return data[:at] + number + data[at + rng.choice((0, 1)) :]


def _deep_message(data, rng):
    """Nest a value as deeply as no parser likes, with honest lengths."""
    value = b"\x0a\x01x"
    list_or_map = rng.choice((False, True))
    for _ in range(rng.choice((20, 90, 110, 2000))):
        inner = _field(1, _field(2, value)) if list_or_map else _field(1, value)
        value = _field(6 if list_or_map else 5, inner)
    span = _field(9, _field(1, b"k") + _field(2, value))
    return data + _field(1, _field(2, _field(2, span)))


def _field(number, content):
    length, prefix = len(content), bytearray([number << 3 | 2])
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + content


def _huge(_, rng):
    request = spans_request("damaged", b"\xee" + rng.randbytes(15), [rng.randbytes(8)])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    text = rng.choice(("x", "4111 ", "é", '{"a":', "a@b.c ", "sk-")) * rng.choice((10_000, 300_000))
    where = rng.choice(("name", "attribute", "key", "metadata", "status"))
    if where == "name":
        span.name = text
    elif where == "status":
        span.status.message = text
    elif where == "key":
        span.attributes.add(key=text).value.int_value = 1
    else:
        span.attributes.add(key="metadata" if where == "metadata" else "gen_ai.prompt").value.string_value = text
    return request.SerializeToString()


def _places(value):
    """Yield everything in a JSON value with what holds it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


def _anything(rng):
    deep = "x"
    for _ in range(rng.choice((1, 50, 150, 900))):
        deep = rng.choice(([deep], {"a": deep}))
    numbers = (0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"))
    texts = ("", "x" * 70_000, "\ud800", "\0", "-1", "1e9", "ff" * 16, "00" * 16, "AAAA", "99999999999999999999", "NaN")
    return rng.choice((None, True, rng.choice(numbers), rng.choice(texts), [], {}, [None], [[]], {"": {}}, deep))


def _as_it_is(body, _):
    return body


def _coded(body, rng):
    coding, compress = rng.choice((("gzip", gzip.compress), ("deflate", zlib.compress)))
    return replace(body, data=compress(body.data), headers={"content-encoding": coding})


def _coded_damaged(body, rng):
    coded = _coded(body, rng)
    how = rng.choice((_flip, _cut, _insert, _repeat, lambda data, _: data * rng.choice((2, 70))))
    return replace(coded, data=how(coded.data, rng))


BOMBS = (
    (b"", b"\0", b""),
    (b"", b"[", b""),
    (b"", b"\x0a\x00", b""),
    (b"", b"{}\n", b""),
    (b'{"resourceSpans":[', b"{},", b"{}]}"),
    (b'{"resourceSpans":[{"scopeSpans":[{"spans":[', b"{},", b"{}]}]}]}"),
    (b'{"resourceSpans":[{"resource":{"attributes":[', b"0,", b"0]}}]}"),
    (b'{"resourceSpans":[{"scopeSpans":[{"spans":[', b'"a",', b"[]]}]}]}"),
    (b'{"resourceSpans":', b"9", b"}"),
)
"""What is said, over and over, between a beginning and an end."""


def _bomb(body, rng):
    """Say little and mean a lot: as much as is read at most, or more."""
    coded = _bomb_of(rng.choice(BOMBS), rng.choice((5, 19, 24)))
    return replace(body, data=coded, headers={"content-encoding": "gzip"})


@cache
def _bomb_of(parts, size_mib):
    beginning, unit, end = parts
    stream = zlib.compressobj(6, zlib.DEFLATED, 31)
    chunk = unit * (MIB // len(unit))
    coded = [stream.compress(beginning), *(stream.compress(chunk) for _ in range(size_mib)), stream.compress(end)]
    return b"".join([*coded, stream.flush()])


def _mislabelled(body, rng):
    """Call it what it is not."""
    types = (PROTOBUF, JSON, "text/plain", "", "application/json; charset=utf-7", "application/x-protobuf\t;a")
    codings = ("gzip", "deflate", "br", "gzip, gzip", "", "identity")
    path = rng.choice((*PATHS.values(), "/v1/metrics", "/v1/traces/"))
    return Body(path, rng.choice(types), body.data, {"content-encoding": rng.choice(codings)})
