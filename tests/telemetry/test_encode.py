"""The encoder against the SDK's own: the same message for any span that the SDK can make."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from ihobs.telemetry.encode import encode

texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["x" * 127, "y" * 128, "z" * 20_000])
scalars = texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
values = (
    scalars
    | st.lists(texts, max_size=3).map(tuple)
    | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3).map(tuple)
    | st.binary(max_size=20)
    | st.none()
    | st.recursive(scalars, lambda inner: st.dictionaries(texts, inner, max_size=3) | st.lists(inner, max_size=3))
)
attributes = st.dictionaries(texts, values, max_size=5)
moments = st.integers(0, 2**63 - 1)
contexts = st.builds(
    SpanContext,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.just(TraceFlags(1)),
    trace_state=st.sampled_from([TraceState(), TraceState([("vendor", "a"), ("other", "b")])]),
)
scopes = st.none() | st.builds(
    InstrumentationScope, name=texts, version=texts | st.none(), schema_url=texts | st.none(),
    attributes=st.dictionaries(texts.filter(bool), texts, max_size=2),
)  # fmt: skip
statuses = st.sampled_from(
    [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR, "it broke ü"), Status(StatusCode.ERROR)]
)
spans = st.builds(
    ReadableSpan,
    name=texts,
    context=contexts,
    parent=st.none() | contexts,
    resource=st.builds(Resource, st.dictionaries(texts.filter(bool), texts, max_size=2), schema_url=texts),
    attributes=attributes,
    events=st.lists(st.builds(Event, name=texts, attributes=attributes, timestamp=moments), max_size=2),
    links=st.lists(st.builds(Link, context=contexts, attributes=attributes), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=statuses,
    start_time=moments,
    end_time=moments,
    instrumentation_scope=scopes,
)


def decoded(data):
    request = ExportTraceServiceRequest()
    request.ParseFromString(data)
    return request


@settings(max_examples=300, deadline=None)
@given(st.lists(spans, max_size=4))
def test_any_spans_are_encoded_as_the_sdk_encodes_them(given_spans):
    assert decoded(encode([(span, ()) for span in given_spans])) == encode_spans(given_spans)


def test_spans_of_the_real_sdk_are_encoded_as_the_sdk_encodes_them():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "svc"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("scope", "1.0", schema_url="https://opentelemetry.io/schemas/1.30.0")
    with tracer.start_as_current_span("root", kind=SpanKind.SERVER, attributes={"a": 1, "b": ["x", "y"]}) as root:
        root.add_event("happened", {"n": 2.5})
        with pytest.raises(ValueError, match="no"), tracer.start_as_current_span("child"):
            raise ValueError("no")
    finished = exporter.get_finished_spans()
    provider.shutdown()

    assert decoded(encode([(span, ()) for span in finished])) == encode_spans(finished)


def test_stamps_stand_behind_the_spans_own_attributes():
    [span] = [ReadableSpan("s", context=SpanContext(1, 2, is_remote=False), attributes={"own": "1"})]

    request = decoded(encode([(span, [("ihobs.workflow", "flow"), ("ihobs.node", "n")])]))

    found = [(a.key, a.value.string_value) for a in request.resource_spans[0].scope_spans[0].spans[0].attributes]
    assert found == [("own", "1"), ("ihobs.workflow", "flow"), ("ihobs.node", "n")]


@pytest.mark.parametrize("bad", [2**63, -(2**63) - 1, object(), [1, object()], {"deep": {"er": 2**70}}])
def test_a_value_that_otlp_cannot_hold_is_left_out_alone(bad):
    span = ReadableSpan("s", context=SpanContext(1, 2, is_remote=False), attributes={"bad": bad, "good": 1})

    request = decoded(encode([(span, ())]))

    assert [a.key for a in request.resource_spans[0].scope_spans[0].spans[0].attributes] == ["good"]


def test_a_text_that_is_no_unicode_is_encoded_with_a_replacement():
    span = ReadableSpan("s", context=SpanContext(1, 2, is_remote=False), attributes={"half": "a\ud800b"})

    request = decoded(encode([(span, ())]))

    assert request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.string_value == "a?b"
