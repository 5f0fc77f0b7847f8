"""Bad input: one clear report each, the valid spans of the same file still counted."""

import gzip
import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.errors import InvalidInputError
from ihobs.spans.decode import read_file

TEXT_PAIR = {"key": "k", "value": {"stringValue": "v"}}


def nested(depth):
    value = {"stringValue": "x"}
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return [{"key": "k", "value": value}]


TRACE_ID = "traceId is neither 32 hex digits nor base64 of 16 bytes"
SPAN_ID = "spanId is neither 16 hex digits nor base64 of 8 bytes"
PARENT_ID = "parentSpanId is neither 16 hex digits nor base64 of 8 bytes"
START = "startTimeUnixNano is out of range or of the wrong type"
UNKNOWN_KIND = (
    "kind is not one of SPAN_KIND_UNSPECIFIED, SPAN_KIND_INTERNAL, SPAN_KIND_SERVER, SPAN_KIND_CLIENT, "
    "SPAN_KIND_PRODUCER, SPAN_KIND_CONSUMER"
)
ATTRIBUTES = "attributes is out of range or of the wrong type"

BAD_FIELDS = {
    "a short trace id": ({"traceId": "abcd"}, TRACE_ID, "abcd"),
    "a trace id of 32 letters": ({"traceId": "z" * 32}, TRACE_ID, "z" * 32),
    "a trace id with spaces": ({"traceId": "5b 8efff798038103d269b633813fc6 "}, TRACE_ID, None),
    "a 64-bit trace id": ({"traceId": "eee19b7ec3c1b174"}, TRACE_ID, "eee19b7ec3c1b174"),
    "a trace id that is a number": ({"traceId": 12}, TRACE_ID, "12"),
    "a span id in odd base64": ({"spanId": "AAAA*AAA"}, SPAN_ID, "AAAA*AAA"),
    "a long parent id": ({"parentSpanId": "0" * 32}, PARENT_ID, "0" * 32),
    "a negative time": ({"startTimeUnixNano": "-5"}, START, "-5"),
    "a time beyond 64 bits": ({"startTimeUnixNano": 2**64}, START, str(2**64)),
    "a time that is NaN": ({"startTimeUnixNano": float("nan")}, START, "nan"),
    "a time that is infinite": ({"startTimeUnixNano": float("inf")}, START, "inf"),
    "a time with a fraction": ({"startTimeUnixNano": 1.5}, START, "1.5"),
    "a time that is a date": ({"startTimeUnixNano": "2026-01-01T00:00:00Z"}, START, "2026-01-01T00:00:00Z"),
    "a time that is true": ({"startTimeUnixNano": True}, START, "True"),
    "a time that is an object": ({"startTimeUnixNano": {}}, START, "an object"),
    "an unknown kind": (
        {"kind": "SPAN_KIND_ROBOT"},
        UNKNOWN_KIND,
        "SPAN_KIND_ROBOT",
    ),
    "a kind beyond 32 bits": ({"kind": 2**40}, "kind is out of range or of the wrong type", str(2**40)),
    "a name that is a number": ({"name": 7}, "name is out of range or of the wrong type", "7"),
    "a name that is half a character": ({"name": "\ud800"}, "name is not valid UTF-8", ""),
    "a status that is text": ({"status": "ERROR"}, "status is not an object", "ERROR"),
    "attributes that are a number": ({"attributes": 3}, "attributes is not an array", "3"),
    "an attribute that is text": ({"attributes": [TEXT_PAIR, "x"]}, "an attribute is not an object", "x"),
    "an attribute with a bare value": (
        {"attributes": [{"key": "k", "value": "v"}]},
        "an attribute's value is not an object",
        "v",
    ),
    "an attribute whose key is a number": ({"attributes": [{"key": 1}]}, ATTRIBUTES, "an array"),
    "an integer beyond 64 bits": ({"attributes": [{"key": "k", "value": {"intValue": str(2**63)}}]}, ATTRIBUTES, None),
    "a boolean that is text": (
        {"attributes": [{"key": "k", "value": {"boolValue": "true"}}]},
        "boolValue is not true or false",
        "true",
    ),
    "a double that is true": (
        {"attributes": [{"key": "k", "value": {"doubleValue": True}}]},
        "doubleValue is not a number",
        "True",
    ),
    "a value nested too deeply": (
        {"attributes": nested(25)},
        "an attribute nests more than 24 arrays and objects",
        "",
    ),
    "a plain value nested too deeply": (
        {"attributes": {"k": json.loads("[" * 30 + "]" * 30)}},
        "an attribute nests more than 24 arrays and objects",
        "",
    ),
    "an event that is text": ({"events": ["x"]}, "events is not an object", "x"),
    "a link with a short id": ({"links": [{"traceId": "00"}]}, TRACE_ID, "00"),
}


@pytest.mark.parametrize(("fields", "reason", "found"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_a_span_that_cannot_be_represented_is_named_and_its_neighbours_stay(
    fields, reason, found, read, span, request_of
):
    result = read(json.dumps(request_of(span("before"), span("bad", **fields), span("after"))))
    assert result.names == ["before", "after"]
    [rejected] = result.rejections
    assert (rejected.where, rejected.reason) == ("line 1: resourceSpans[0].scopeSpans[0].spans[1]", reason)
    assert found is None or rejected.found == found


def test_what_protobuf_can_hold_is_left_to_ingest(read, span, request_of):
    odd = span("odd", traceId="0" * 32, spanId="", endTimeUnixNano=0, kind=77, later="unknown", flags=None)
    odd["attributes"] = [{"key": "n", "value": {"doubleValue": "NaN"}}, {"key": "e", "value": {}}, {"key": "none"}]
    result = read(json.dumps(request_of(odd)))
    assert (result.names, result.rejections) == (["odd"], [])
    assert result.spans[0].trace_id == bytes(16)


def test_values_as_deep_as_allowed_survive_protobuf(read, span, request_of):
    [request] = read(json.dumps(request_of(span(attributes=nested(23), events=[{"attributes": nested(23)}])))).requests
    assert ExportTraceServiceRequest.FromString(request.SerializeToString()) == request


def test_a_resource_that_cannot_be_read_rejects_its_spans_by_number(read, span, request_of):
    content = request_of(span("a"), span("b"))
    content["resourceSpans"][0]["resource"] = {"attributes": [{"key": 5}]}
    content["resourceSpans"] += request_of(span("c"))["resourceSpans"]
    result = read(json.dumps(content))
    assert result.names == ["c"]
    [rejected] = result.rejections
    assert (rejected.where, rejected.count) == ("line 1: resourceSpans[0]", 2)


def test_a_scope_that_cannot_be_read_rejects_its_spans_by_number(read, span, request_of):
    content = request_of(span("a"), span("b"), span("c"))
    content["resourceSpans"][0]["scopeSpans"][0]["scope"] = "lib"
    [rejected] = read(json.dumps(content)).rejections
    assert (rejected.where, rejected.count) == ("line 1: resourceSpans[0].scopeSpans[0]", 3)


@pytest.mark.parametrize(
    ("line", "where", "reason"),
    [
        ('{"resourceSpans": [}', "line 2, column 20", "not JSON"),
        ('{"resourceSpans": [{"res', "line 2, column 25", "not JSON"),
        ("plain text", "line 2, column 1", "not JSON"),
        ("}", "line 2, column 1", "not JSON"),
        ("[" * 100_000 + "]" * 100_000, "line 2", "the JSON is nested too deeply"),
        ('{"n": ' + "9" * 5000 + "}", "line 2", "not JSON"),
        ('{"resourceMetrics": []}', "line 2", "holds metrics, not spans"),
        ('{"resource_logs": []}', "line 2", "holds logs, not spans"),
        ('{"level": "info"}', "line 2", "not OTLP: neither resourceSpans nor a span"),
        ("[1]", "line 2: [0]", "not OTLP: expected a JSON object"),
        ('"text"', "line 2", "not OTLP: expected a JSON object"),
        ('{"resourceSpans": {}}', "line 2: resourceSpans", "not OTLP: expected an array"),
        ('{"resourceSpans": [null]}', "line 2: resourceSpans[0]", "not OTLP: expected a JSON object"),
    ],
)
def test_a_bad_line_costs_only_itself(line, where, reason, read, span, request_of):
    result = read(f"{json.dumps(request_of(span('a')))}\n{line}\n{json.dumps(request_of(span('b')))}\n")
    assert result.names == ["a", "b"]
    assert (result.rejections[0].where, result.rejections[0].reason) == (where, reason)
    assert len(result.rejections) == 1


def test_a_document_cut_off_between_tokens_does_not_swallow_what_follows(read, span, request_of):
    pretty = json.dumps(request_of(span("lost")), indent=1).splitlines()
    result = read("\n".join(pretty[:-3]) + "\n" + json.dumps(request_of(span("next"))))
    assert (result.names, result.reasons) == (["next"], ["not JSON"])


def test_bytes_that_are_not_utf8_reject_only_the_span_that_holds_them(read, span, request_of):
    text = json.dumps(request_of(span("good"), span("caf@")))
    result = read(text.encode().replace(b"caf@", b"caf\xe9") + b"\n" + json.dumps(request_of(span("next"))).encode())
    assert (result.names, result.reasons) == (["good", "next"], ["name is not valid UTF-8"])


def test_a_cut_gzip_keeps_the_lines_before_the_cut(read, span, request_of):
    lines = [json.dumps(request_of(span(f"{index}", attributes={"seed": index * 7919}))) for index in range(50)]
    data = gzip.compress("\n".join(lines).encode())
    result = read(data[: len(data) * 9 // 10])
    assert 0 < len(result.names) < 50
    assert result.names == [str(index) for index in range(len(result.names))]
    assert result.reasons[-1] == "the gzip data is cut off"


def test_a_damaged_gzip_keeps_what_was_read_before_it(read, span, request_of):
    good = gzip.compress((json.dumps(request_of(span("good"))) + "\n").encode())
    damaged = bytearray(gzip.compress(json.dumps(request_of(span("bad"))).encode()))
    damaged[-6] ^= 0xFF  # the checksum
    result = read(good + bytes(damaged))
    assert result.names[0] == "good"
    assert result.reasons == ["the gzip data is damaged"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"root:x:0:0\n", "is not OTLP: neither JSON nor protobuf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is not OTLP: neither JSON nor protobuf"),
        (b"PK\x03\x04" + bytes(50), "is not OTLP: neither JSON nor protobuf"),
        (b"\xff\xfe{\x00}\x00", "is not OTLP: neither JSON nor protobuf"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(b"hello, world", mtime=0), "is not OTLP: neither JSON nor protobuf"),
        (gzip.compress(b"hello", mtime=0)[:12], "the gzip data is cut off"),
        (b"\x1f\x8b\x99\x00" + bytes(10), "the gzip data is damaged"),
    ],
)
def test_a_file_that_is_no_otlp_is_one_error(content, reason, read):
    with pytest.raises(InvalidInputError) as caught:
        read(content)
    assert (caught.value.where, caught.value.reason) == ("file", reason)


@pytest.mark.parametrize(("path", "reason"), [("missing.json", "no such file or directory"), (".", "is a directory")])
def test_a_file_that_cannot_be_opened_is_one_error(path, reason, tmp_path):
    with pytest.raises(InvalidInputError) as caught:
        list(read_file(tmp_path / path))
    assert (caught.value.where, caught.value.reason) == (str(tmp_path / path), reason)


def test_a_document_that_is_too_long_ends_the_file_after_what_came_before(span, request_of, tmp_path):
    path = tmp_path / "long.jsonl"
    lines = [request_of(span("short")), request_of(span("long" * 1000))]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    chunks = read_file(path, max_document_bytes=2000)
    assert next(chunks).request.resource_spans
    with pytest.raises(InvalidInputError) as caught:
        next(chunks)
    assert caught.value.reason == "line 2: a document is longer than 2000 bytes"


def test_a_long_document_over_many_lines_is_noticed_before_it_is_read_whole(read, span, request_of):
    with pytest.raises(InvalidInputError) as caught:
        read(json.dumps(request_of(*[span()] * 20), indent=1), max_document_bytes=2000)
    assert "a document is longer than 2000 bytes" in caught.value.reason


class TestProtobuf:
    @pytest.fixture
    def request_bytes(self):
        def request_bytes(*names: bytes) -> bytes:
            request = ExportTraceServiceRequest()
            entry = request.resource_spans.add()
            entry.resource.attributes.add(key="service.name").value.string_value = "svc"
            scope = entry.scope_spans.add()
            scope.scope.name = "lib"
            for index, name in enumerate(names):
                scope.spans.add(name=name.decode(), trace_id=b"t" * 16, span_id=bytes(7) + bytes([index]))
            return request.SerializeToString()

        return request_bytes

    def test_a_span_that_is_not_utf8_is_named_and_its_neighbours_stay(self, read, request_bytes):
        result = read(request_bytes(b"one", b"caf@", b"two").replace(b"caf@", b"caf\xe9"))
        assert result.names == ["one", "two"]
        [rejected] = result.rejections
        assert (rejected.where, rejected.reason) == (
            "the request: span 2",
            "a span is damaged, nested too deeply, or not UTF-8",
        )
        assert result.requests[0].resource_spans[0].resource.attributes[0].value.string_value == "svc"
        assert result.requests[0].resource_spans[0].scope_spans[0].scope.name == "lib"

    def test_a_resource_that_is_not_utf8_rejects_its_spans_by_number(self, read, request_bytes):
        [rejected] = read(request_bytes(b"one", b"two").replace(b"svc", b"\xff\xff\xff")).rejections
        assert (rejected.reason, rejected.count) == ("a resource is damaged or not UTF-8", 2)

    def test_a_cut_request_keeps_the_spans_before_the_cut(self, read, request_bytes):
        whole = request_bytes(b"one", b"two", b"three")
        result = read(whole[:-5])
        assert (result.names, result.reasons) == (["one", "two"], ["the protobuf message is damaged or cut off"])

    def test_a_span_cut_at_a_field_is_not_taken_for_a_whole_one(self, read, request_bytes):
        """Without its last fields a span still parses, but it would count as something that it is not."""
        whole = request_bytes(b"one", b"two")
        for cut in range(1, len(whole)):
            result = read(whole[:cut]) if cut > 4 else None
            if result is not None:
                assert result.names in ([], ["one"])
                assert result.reasons == ["the protobuf message is damaged or cut off"]

    def test_the_last_of_delimited_requests_may_be_cut(self, read, request_bytes):
        one, two = request_bytes(b"one"), request_bytes(b"two", b"lost")
        data = bytes([len(one)]) + one + bytes([len(two) & 127 | 128, len(two) >> 7]) + two[:-5]
        result = read(data)
        assert result.names == ["one", "two"]
        [rejected] = result.rejections
        assert rejected.where == f"request 2 at byte {len(one) + 1}"

    @pytest.mark.parametrize(
        ("tail", "reason"),
        [
            (b"\xff" * 12, "the length before a request is damaged; what follows cannot be read"),
            (b"\xff\xff\xff\xff\x7f", "a request is longer than 536870912 bytes; what follows was not read"),
            (b"\x85", "the length before a request is damaged; what follows cannot be read"),
        ],
    )
    def test_a_wrong_length_ends_the_reading_and_says_so(self, tail, reason, read, request_bytes):
        one = request_bytes(b"one")
        result = read(bytes([len(one)]) + one + tail)
        assert (result.names, result.reasons) == (["one"], [reason])
