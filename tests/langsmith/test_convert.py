"""Runs of the API as spans: ids, times, usage, errors, and whatever an API may answer that it never should."""

import contextlib
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.forward.pieces import leaving_out_traced
from ihobs.langsmith.convert import NotConvertibleError, request_of, span_of

US = "https://api.smith.langchain.com"
RUN = {
    "id": str(uuid.UUID(int=1 << 100)),
    "trace_id": str(uuid.UUID(int=1 << 100)),
    "name": "answer",
    "run_type": "llm",
    "start_time": "2026-11-22T17:00:00.000001",
    "end_time": "2026-11-22T17:00:01.500000+00:00",
}


def attributes(run):
    span = span_of(RUN | run)
    return {one.key: one.value.string_value or one.value.double_value or one.value.int_value for one in span.attributes}


def test_times_are_exact_to_the_microsecond_and_utc_when_they_do_not_say():
    span = span_of(RUN)
    assert (span.start_time_unix_nano % 10**9, span.end_time_unix_nano % 10**9) == (1_000, 500_000_000)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_499_999_000


def test_a_run_that_was_a_span_is_that_span_again():
    from langsmith.integrations.otel import langsmith_run_id_from_otel_span_id

    run_id = langsmith_run_id_from_otel_span_id(0x1234567890ABCDEF)
    span = span_of(RUN | {"id": str(run_id), "parent_run_id": str(langsmith_run_id_from_otel_span_id(7))})
    assert (span.span_id.hex(), int.from_bytes(span.parent_span_id)) == ("1234567890abcdef", 7)


def test_runs_that_begin_in_one_millisecond_are_told_apart():
    from langsmith import uuid7

    ids = {span_of(RUN | {"id": str(uuid7())}).span_id for _ in range(5_000)}
    assert len(ids) == 5_000


def test_the_parent_of_a_span_is_the_span_of_the_parent():
    parent = span_of(RUN)
    child = span_of(RUN | {"id": str(uuid.uuid4()), "parent_run_id": RUN["id"]})
    assert child.parent_span_id == parent.span_id
    assert child.trace_id == parent.trace_id


TOLD = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12, "input_token_details": {"cache_read": 4}}
COUNTED = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ({"extra": {"metadata": {"usage_metadata": TOLD}}, **COUNTED}, '"input_tokens": 10'),
        ({"outputs": {"usage_metadata": TOLD}, **COUNTED}, '"input_tokens": 10'),
        (COUNTED, '"input_tokens": 7'),
        ({**COUNTED, "total_cost": "0.0125"}, '"total_cost": 0.0125'),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ({"run_type": "chain", **COUNTED}, None),  # the sum of those below it
    ],
)
def test_usage_is_what_the_program_told_else_what_langsmith_counted(run, told):
    found = attributes(run).get("langsmith.metadata.usage_metadata")
    assert (found is None) if told is None else (told in found)


def test_an_error_keeps_its_class_and_the_span_fails():
    span = span_of(RUN | {"error": "ValueError('no')\n\nTraceback (most recent call last): ..."})
    assert (span.status.code, span.events[0].attributes[1].value.string_value[:12]) == (2, "ValueError('")


def test_the_first_token_is_so_long_after_the_start():
    found = attributes({"first_token_time": "2026-11-22T17:00:00.250001"})
    assert found["gen_ai.response.time_to_first_chunk"] == 0.25


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(
        ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "2026-11-22T17:00:00+23:59", "\ud800", RUN["id"]]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = [
    *RUN, "parent_run_id", "extra", "tags", "error", "outputs", "inputs", "total_tokens", "prompt_tokens",
    "total_cost", "first_token_time", "prompt_token_details", "status",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2))
def test_whatever_the_api_answers_is_a_span_or_refused_and_never_ends_the_import(wrong):
    with contextlib.suppress(NotConvertibleError):
        span = span_of(RUN | wrong)
        assert (len(span.trace_id), len(span.span_id)) == (16, 8)
        assert span.SerializeToString()


@pytest.mark.parametrize(
    "wrong",
    [{"tags": 5}, {"tags": [None, "\ud800"]}, {"name": "\ud800"}, {"name": {"a": 1}}, {"error": {"a": "\ud800"}},
     {"extra": {"metadata": {"a": 2**70, "b": float("nan"), "c": [1]}}}, {"total_cost": "1e999"}, {"extra": "text"}],
    ids=ascii,
)  # fmt: skip
def test_odd_values_are_no_reason_to_leave_a_run_out(wrong):
    assert span_of(RUN | wrong).SerializeToString()


@pytest.mark.parametrize("key", ["start_time", "end_time"])
@pytest.mark.parametrize("value", ["9999-12-31T23:59:59", "0001-01-01T00:00:00", ["x"], 5, None, "soon"])
def test_a_time_that_no_span_can_have_is_refused(key, value):
    with pytest.raises(NotConvertibleError, match=f"its {key} is no time"):
        span_of(RUN | {key: value})


def test_what_is_refused_leaves_its_neighbours():
    request, refused = request_of([RUN, RUN | {"id": "x"}, RUN | {"id": str(uuid.uuid4())}], "svc", US)
    assert len(request.resource_spans[0].scope_spans[0].spans) == 2
    assert refused == [("its id is no UUID", "x")]


def test_what_comes_from_langsmith_is_not_forwarded_there_again():
    request, _ = request_of([RUN], "svc", US)
    elsewhere = ExportTraceServiceRequest.FromString(request.SerializeToString())
    leaving_out_traced("https://eu.api.smith.langchain.com")(elsewhere)
    assert elsewhere == request
    leaving_out_traced(US)(request)
    assert not request.resource_spans
