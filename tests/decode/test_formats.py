"""Every shape of file that is read: the same spans must come out of each."""

import base64
import gzip
import json

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PACKINGS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip of two members": lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:]),
}


def delimited(*requests):
    return b"".join(varint(each.ByteSize()) + each.SerializeToString() for each in requests)


def varint(number):
    head = b""
    while number > 127:
        head, number = head + bytes([number & 127 | 128]), number >> 7
    return head + bytes([number])


def protobuf(*names, resource="svc"):
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add()
    entry.resource.attributes.add(key="service.name").value.string_value = resource
    scope = entry.scope_spans.add()
    for name in names:
        scope.spans.add(name=name, trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=1, end_time_unix_nano=2)
    return request


@pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)
def test_every_format_is_told_apart_by_its_content(pack, read, span, request_of):
    one, two = request_of(span("one")), request_of(span("two"))
    files = {
        "JSON": json.dumps(request_of(span("one"), span("two"))),
        "pretty JSON": json.dumps(request_of(span("one"), span("two")), indent=2),
        "flat JSON over lines": json.dumps(request_of(span("one"), span("two")), indent=0),
        "tabbed JSON": "\n\t" + json.dumps(request_of(span("one"), span("two")), indent="\t"),
        "JSON with a mark": "\ufeff" + json.dumps(request_of(span("one"), span("two"))),
        "JSON lines": f"{json.dumps(one)}\n{json.dumps(two)}\n",
        "JSON lines, DOS": f"{json.dumps(one)}\r\n\r\n{json.dumps(two)}",
        "documents one after another": json.dumps(one, indent=1) + "\n" + json.dumps(two, indent=1),
        "documents on one line": json.dumps(one) + " " + json.dumps(two),
        "bare array of spans": json.dumps([span("one"), span("two")]),
        "bare array of resourceSpans": json.dumps([*one["resourceSpans"], *two["resourceSpans"]]),
        "bare array of requests, a line each": f"[\n{json.dumps(one)},\n{json.dumps(two)}\n]",
        "a span a line": f"{json.dumps(span('one'))}\n{json.dumps(span('two'))}",
        "resourceSpans a line": "\n".join(json.dumps(each["resourceSpans"][0]) for each in (one, two)),
        "one protobuf request": protobuf("one", "two").SerializeToString(),
        "delimited protobuf": delimited(protobuf("one"), ExportTraceServiceRequest(), protobuf("two")),
    }
    for shape, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        found = read(pack(data))
        assert (found.names, found.reasons) == (["one", "two"], []), shape


@pytest.mark.parametrize("length", [91, 123, 9, 10, 13, 32, 34, 128, 300])
def test_a_delimited_request_is_no_json_whatever_its_length_looks_like(length, read):
    """123 is an opening brace, 91 a bracket, 10 a line feed, 34 a quotation mark."""
    request = protobuf("x")
    request.resource_spans[0].schema_url = "u"
    excess = length - request.ByteSize()
    if excess < 0:  # shorter than a span can be: a request that holds only a schema url
        request = ExportTraceServiceRequest()
        request.resource_spans.add().schema_url = "u" * (length - 4)
    else:
        request.resource_spans[0].schema_url = "u" * (1 + excess)
        while request.ByteSize() > length:  # the lengths inside may have grown by a byte
            request.resource_spans[0].schema_url = request.resource_spans[0].schema_url[1:]
    assert request.ByteSize() == length
    found = read(delimited(request, protobuf("next")))
    assert found.names[-1] == "next"
    assert found.reasons == []


@pytest.mark.parametrize("size", [34, 91, 123])
def test_a_bare_request_is_no_json_whatever_its_length_looks_like(size, read):
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add(schema_url="u" * (size - 2))
    assert entry.ByteSize() == size
    scope = request.resource_spans.add().scope_spans.add()
    scope.spans.add(name="x", trace_id=b"t" * 16, span_id=b"s" * 8)
    assert read(request.SerializeToString()).names == ["x"]


def test_ids_in_base64_and_hex_are_the_same_ids(read, span, request_of):
    trace_id, span_id, parent_id = bytes(range(16)), bytes(range(8)), b"\xff\xfe" * 4
    ids = {"traceId": trace_id, "spanId": span_id, "parentSpanId": parent_id}
    spellings = [
        {name: value.hex() for name, value in ids.items()},
        {name: value.hex().upper() for name, value in ids.items()},
        {name: base64.b64encode(value).decode() for name, value in ids.items()},
        {name: base64.b64encode(value).decode().rstrip("=") for name, value in ids.items()},
        {name: base64.urlsafe_b64encode(value).decode() for name, value in ids.items()},
    ]
    for each in read(json.dumps(request_of(*(span(**spelling) for spelling in spellings)))).spans:
        assert (each.trace_id, each.span_id, each.parent_span_id) == (trace_id, span_id, parent_id)


def test_enums_may_be_numbers_or_names(read, span, request_of):
    kinds = [3, "3", "SPAN_KIND_CLIENT", "client", "Client"]
    codes = [2, "2", "STATUS_CODE_ERROR", "ERROR", "Error"]
    spans = [span(kind=kind, status={"code": code}) for kind, code in zip(kinds, codes, strict=True)]
    assert {(each.kind, each.status.code) for each in read(json.dumps(request_of(*spans))).spans} == {(3, 2)}


def test_whole_numbers_may_be_text_integers_or_floats_without_a_fraction(read, span, request_of):
    spans = [span(startTimeUnixNano=value) for value in ("1544712660000000000", 1544712660000000000, 1.54471266e18)]
    found = read(json.dumps(request_of(*spans)))
    assert [each.start_time_unix_nano for each in found.spans] == [1544712660000000000] * 3


def test_snake_case_names_mean_the_same(read, span, request_of):
    camel = span(
        parentSpanId="0102030405060708",
        droppedAttributesCount=3,
        traceState="a=b",
        attributes=[{"key": "k", "value": {"kvlistValue": {"values": [{"key": "n", "value": {"intValue": "7"}}]}}}],
        events=[{"name": "e", "timeUnixNano": "5"}],
        links=[{"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1"}],
        status={"code": 2, "message": "no"},
    )
    snake = snake_cased(request_of(camel))
    assert "start_time_unix_nano" in json.dumps(snake)
    assert read(json.dumps(snake)).requests == read(json.dumps(request_of(camel))).requests


def snake_cased(value):
    if isinstance(value, list):
        return [snake_cased(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {"".join("_" + c.lower() if c.isupper() else c for c in key): snake_cased(v) for key, v in value.items()}


def test_spans_of_a_bare_array_keep_their_own_resource_and_scope(read, span):
    spans = [
        span("a", resource={"attributes": {"service.name": "first"}}, scope={"name": "lib"}),
        span("b", resource={"attributes": {"service.name": "first"}}, scope={"name": "lib"}),
        span("c", resource={"attributes": [{"key": "service.name", "value": {"stringValue": "second"}}]}),
        span("d"),
    ]
    [request] = read(json.dumps(spans)).requests
    groups = [
        (
            [pair.value.string_value for pair in entry.resource.attributes],
            entry.scope_spans[0].scope.name,
            [each.name for each in entry.scope_spans[0].spans],
        )
        for entry in request.resource_spans
    ]
    assert groups == [(["first"], "lib", ["a", "b"]), (["second"], "", ["c"]), ([], "", ["d"])]


def test_attributes_may_be_a_plain_object(read, span):
    plain = {"text": "x", "yes": True, "count": 3, "ratio": 0.5, "list": [1, "a"], "map": {"k": None}}
    [found] = read(json.dumps([span(attributes=plain)])).spans
    assert [json_format.MessageToDict(each.value) for each in found.attributes] == [
        {"stringValue": "x"},
        {"boolValue": True},
        {"intValue": "3"},
        {"doubleValue": 0.5},
        {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}]}},
        {"kvlistValue": {"values": [{"key": "k", "value": {}}]}},
    ]


def test_a_large_request_is_divided_without_loss(read, span, request_of, monkeypatch):
    monkeypatch.setattr("ihobs.spans.decode.MAX_CHUNK_SPANS", 4)
    content = request_of(*(span(f"{index}") for index in range(10)))
    content["resourceSpans"].append(request_of(*(span(f"{index}") for index in range(10, 13)))["resourceSpans"][0])
    found = read(json.dumps(content))
    assert found.names == [str(index) for index in range(13)]
    sizes = [sum(len(s.spans) for r in each.resource_spans for s in r.scope_spans) for each in found.requests]
    assert sizes == [4, 4, 4, 1]
    for request in found.requests:
        for entry in request.resource_spans:
            assert entry.resource.attributes[0].value.string_value == "svc"
            assert entry.scope_spans[0].scope.name == "lib"


def test_ten_megabytes_in_an_attribute_are_read(read, span, request_of):
    large = 'x\\"é' * 2_000_000
    [found] = read(json.dumps(request_of(span(attributes=[{"key": "k", "value": {"stringValue": large}}])))).spans
    assert found.attributes[0].value.string_value == large
