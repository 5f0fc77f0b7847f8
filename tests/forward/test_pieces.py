"""What is split, sampled, masked and named on the way out."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.forward.conftest import drain

from ihobs.forward.answers import Answer
from ihobs.forward.pieces import Piece, halves, sampling, spans_of
from ihobs.forward.walk import Walk


def request_of(shape):
    """Return a request: `shape` is a list of resources, each a list of scopes, each a number of spans."""
    request, number = ExportTraceServiceRequest(), 0
    for resource in shape:
        resource_spans = request.resource_spans.add(schema_url=f"r{number}")
        resource_spans.resource.attributes.add(key="service.name").value.string_value = f"svc{number}"
        for scope in resource:
            scope_spans = resource_spans.scope_spans.add()
            scope_spans.scope.name = f"scope{number}"
            for _ in range(scope):
                number += 1
                scope_spans.spans.add(name=str(number), trace_id=number.to_bytes(16), span_id=number.to_bytes(8))
    return request


def placed(request):
    """Return each span with all that stands around it."""
    return [
        (resource.schema_url, resource.resource.SerializeToString(), scope.scope.name, span.SerializeToString())
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=3)


@given(SHAPES)
def test_halves_hold_every_span_once_with_its_scope_and_resource(shape):
    request = request_of(shape)
    whole = placed(request)
    parts = halves(Piece(1, request.SerializeToString(), len(whole)))
    if len(whole) < 2:
        assert parts == []
        return
    assert [piece.spans for piece in parts] == [len(whole) // 2, len(whole) - len(whole) // 2]
    assert [one for piece in parts for one in placed(ExportTraceServiceRequest.FromString(piece.data))] == whole


@settings(deadline=None)
@given(
    st.lists(SHAPES, min_size=1, max_size=4), st.sets(st.integers(1, 30)), st.sampled_from(["bad", "fault"]), st.data()
)
def test_whatever_is_refused_every_other_span_is_sent_once(shapes, unwanted, outcome, data):
    shape = [resource for shape in shapes for resource in shape]
    request = request_of(shape)
    pieces = tuple(
        Piece(number, part.SerializeToString(), sum(1 for _ in spans_of(part)))
        for number, part in enumerate(split_resources(request))
    )
    walk = Walk(0, 1, 0, pieces, data.draw(st.sampled_from([1, 60, 10_000])), is_trusted=True)
    sent, waits = Counter(), 0
    while not walk.is_done:
        names = [int(span.name) for span in spans_of(ExportTraceServiceRequest.FromString(walk.next_request()))]
        refused = bool(unwanted.intersection(names))
        waits += walk.take(Answer(outcome if refused else "taken", "no")) is not None
        sent.update([] if refused else names)
    numbers = {int(span.name) for span in spans_of(request)}
    assert set(sent) == numbers - unwanted
    assert set(sent.values()) <= {1}
    assert {int.from_bytes(dead.span_id) for dead in walk.dead} == numbers & unwanted
    assert walk.sent_spans == len(sent)
    assert waits <= (0 if outcome == "bad" else 5 * len(shape) * 13)


def split_resources(request):
    for resource_spans in request.resource_spans:
        if any(scope.spans for scope in resource_spans.scope_spans):
            part = ExportTraceServiceRequest()
            part.resource_spans.add().CopyFrom(resource_spans)
            yield part


def test_sampling_takes_whole_traces_and_about_as_many_as_asked():
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(4000):
        spans.add(trace_id=(number // 4).to_bytes(16), span_id=number.to_bytes(8))
    sampling(0.25)(request)
    kept = Counter(span.trace_id for span in spans_of(request))
    assert set(kept.values()) == {4}
    assert 200 < len(kept) < 300


def test_a_trace_has_the_same_fate_in_every_request(place, forward, backend, clock, there):
    line = forward(replace(there, sample_ratio=0.5))
    for trace in range(1, 21):
        place.put(f"{trace}-first", trace=trace)
    for trace in range(1, 21):
        place.put(f"{trace}-second", trace=trace)
    assert drain(line, clock) is None
    names = set(backend.names())
    assert 0 < len(names) < 40
    assert {name.split("-")[0] for name in names if "first" in name} == {
        name.split("-")[0] for name in names if "second" in name
    }
    assert place.backlog().spans == 0


def test_a_batch_of_which_nothing_is_sampled_is_done_with(place, forward, backend, clock, there):
    line = forward(replace(there, sample_ratio=1e-9))
    place.put("a", "b")
    assert drain(line, clock) is None
    assert backend.requests == []
    assert place.backlog().spans == 0


def attributes_of(span):
    return {one.key: one.value.string_value for one in span.attributes}


@pytest.mark.parametrize(("content", "sent"), [(None, "hello"), ("keep", "hello"), ("mask", "[masked]")])
def test_contents_that_are_kept_at_home_can_be_masked_on_the_way_out(place, forward, backend, there, content, sent):
    line = forward(replace(there, content=content))
    place.put("a", input__value="hello", gen_ai__request__model="gpt-4o")
    drain(line, place.clock)
    assert attributes_of(backend.taken[0]) == {"input.value": sent, "gen_ai.request.model": "gpt-4o"}


@pytest.mark.parametrize(
    ("kind", "run_type"), [("workflow", "chain"), ("node", "chain"), ("tool", "tool"), ("llm", "llm")]
)
def test_spans_of_our_decorators_tell_langsmith_what_they_are(place, forward, backend, there, kind, run_type):
    line = forward(replace(there, is_langsmith=True))
    place.put("ours", ihobs__kind=kind, ihobs__workflow="w", ihobs__node="n")
    place.put("theirs", openinference__span__kind="LLM", ihobs__workflow="w")
    drain(line, place.clock)
    ours, theirs = map(attributes_of, backend.taken)
    assert ours["langsmith.span.kind"] == run_type
    assert (ours["langsmith.metadata.ihobs_workflow"], ours["langsmith.metadata.ihobs_node"]) == ("w", "n")
    assert not [key for key in theirs if key.startswith("langsmith.")]


def test_other_backends_get_no_attribute_of_langsmith(place, forward, backend, clock):
    line = forward()
    place.put("ours", ihobs__kind="llm")
    drain(line, clock)
    assert attributes_of(backend.taken[0]) == {"ihobs.kind": "llm"}
