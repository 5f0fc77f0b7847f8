"""Arbitrary requests: read like google.protobuf's own reader does, and never anything but an IhobsError."""

import base64
import contextlib
import gzip
import json

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from ihobs.errors import IhobsError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
UINT32, UINT64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
VALUES = st.recursive(
    st.one_of(
        st.builds(AnyValue),
        st.builds(AnyValue, string_value=TEXT),
        st.builds(AnyValue, bool_value=st.booleans()),
        st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
        st.builds(AnyValue, double_value=st.floats(allow_nan=False)),
        st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items: AnyValue(array_value=ArrayValue(values=items)), st.lists(inner, max_size=2)),
        st.builds(
            lambda items: AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=item) for item in items])),
            st.lists(inner, max_size=2),
        ),
    ),
    max_leaves=4,
)
ATTRIBUTES = st.lists(st.builds(KeyValue, key=TEXT, value=VALUES), max_size=3)
TRACE_ID, SPAN_ID = st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)
SPANS = st.builds(
    Span,
    trace_id=TRACE_ID,
    span_id=SPAN_ID,
    parent_span_id=st.just(b"") | SPAN_ID,
    trace_state=TEXT,
    flags=UINT32,
    name=TEXT,
    kind=st.integers(0, 5),
    start_time_unix_nano=UINT64,
    end_time_unix_nano=UINT64,
    attributes=ATTRIBUTES,
    dropped_attributes_count=UINT32,
    events=st.lists(st.builds(Span.Event, name=TEXT, time_unix_nano=UINT64, attributes=ATTRIBUTES), max_size=2),
    dropped_events_count=UINT32,
    links=st.lists(
        st.builds(Span.Link, trace_id=TRACE_ID, span_id=SPAN_ID, flags=UINT32, attributes=ATTRIBUTES), max_size=2
    ),
    dropped_links_count=UINT32,
    status=st.builds(Status, code=st.integers(0, 2), message=TEXT),
)
RESOURCES = st.builds(Resource, attributes=ATTRIBUTES, dropped_attributes_count=UINT32)
REQUESTS = st.builds(
    ExportTraceServiceRequest,
    resource_spans=st.lists(
        st.builds(
            ResourceSpans,
            resource=RESOURCES,
            schema_url=TEXT,
            scope_spans=st.lists(st.builds(ScopeSpans, schema_url=TEXT, spans=st.lists(SPANS, max_size=2)), max_size=2),
        ),
        max_size=2,
    ),
)


@given(REQUESTS, st.booleans(), st.booleans(), st.sampled_from([None, 1]))
def test_json_is_read_as_protobufs_own_reader_reads_it(read, request_, numbers, snake, indent):
    text = json_format.MessageToJson(
        request_, use_integers_for_enums=numbers, preserving_proto_field_name=snake, indent=indent
    )
    assert json_format.Parse(text, ExportTraceServiceRequest()) == request_
    result = read(text)
    assert (result.requests, result.rejections) == ([request_], [])


@settings(max_examples=50)
@given(REQUESTS)
def test_ids_in_hex_are_read_as_the_same_bytes(read, request_):
    document = json_format.MessageToDict(request_)
    assert read(json.dumps(in_hex(document))).requests == [request_]


def in_hex(value):
    """Turn ids from base64, as protobuf writes them, into hex, as OTLP/JSON has them."""
    if isinstance(value, list):
        return [in_hex(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {key: base64.b64decode(item).hex() if key in ids else in_hex(item) for key, item in value.items()}


@settings(max_examples=40)
@given(st.lists(REQUESTS.filter(lambda request: request.ByteSize() > 0), min_size=1, max_size=3))
def test_delimited_requests_come_back_as_they_are(read, requests):
    data = b"".join(varint(each.ByteSize()) + each.SerializeToString() for each in requests)
    assert read(data).requests == requests


def varint(number):
    head = b""
    while number > 127:
        head, number = head + bytes([number & 127 | 128]), number >> 7
    return head + bytes([number])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["json", "pretty", "protobuf", "delimited"])
@settings(max_examples=40)
@given(st.data())
def test_damaged_files_raise_nothing_but_our_errors(read, form, packed, data):
    request = data.draw(REQUESTS)
    content = {
        "json": lambda: (json_format.MessageToJson(request, indent=None) + "\n").encode() * 2,
        "pretty": lambda: json_format.MessageToJson(request, indent=1).encode(),
        "protobuf": request.SerializeToString,
        "delimited": lambda: (varint(request.ByteSize()) + request.SerializeToString()) * 2,
    }[form]()
    damaged = bytearray(gzip.compress(content) if packed else content)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        stop = data.draw(st.integers(start, min(start + 4, len(damaged))))
        damaged[start:stop] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(IhobsError):
        for each in read(bytes(damaged)).requests:
            assert ExportTraceServiceRequest.FromString(each.SerializeToString()) == each or has_nan(each)


def has_nan(request):
    return "nan" in str(request)  # NaN is not equal to itself


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


PAIRS = [
    {"key": "t", "value": {"stringValue": "x"}},
    {"key": "l", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"boolValue": True}]}}},
    {"key": "m", "value": {"kvlistValue": {"values": [{"key": "b", "value": {"bytesValue": "AA=="}}]}}},
    {"key": "d", "value": {"doubleValue": 0.5}},
]
FULL_SPAN = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "parentSpanId": "eee19b7ec3c1b173",
    "traceState": "a=b",
    "flags": 1,
    "name": "chat",
    "kind": 3,
    "startTimeUnixNano": "1",
    "endTimeUnixNano": "2",
    "attributes": PAIRS,
    "droppedAttributesCount": 1,
    "events": [{"name": "e", "timeUnixNano": "1", "attributes": PAIRS}],
    "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "attributes": PAIRS}],
    "status": {"code": 2, "message": "m"},
}


@settings(max_examples=300)
@given(st.data(), JSON)
def test_json_with_any_value_anywhere_is_read_or_reported(read, span, request_of, data, value):
    """Every value of the document is a candidate to be replaced by something else."""
    document = json.loads(json.dumps(request_of(FULL_SPAN, span("other"))))
    container, key = data.draw(st.sampled_from(list(walk(document))))
    container[key] = value
    result = read(json.dumps(document))
    assert len(result.spans) + sum(each.count for each in result.rejections) >= count_spans(document)
    for each in result.requests:
        each.SerializeToString()


def count_spans(document):
    """Count whatever stands where spans stand: none may be lost without a word."""
    scopes = [scope for entry in objects(document.get("resourceSpans")) for scope in objects(entry.get("scopeSpans"))]
    return sum(len(scope["spans"]) for scope in scopes if isinstance(scope.get("spans"), list))


def objects(value):
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def walk(value):
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from walk(item)
