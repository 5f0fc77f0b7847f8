"""The one way in: what is counted, once, and what is refused."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import DAY_NS, SECOND_NS
from ihobs.spans.batch import Rejection
from ihobs.store import query
from ihobs.store.health import losses
from ihobs.store.home import Home
from ihobs.store.losses import Loss
from ihobs.store.payloads import decompress
from ihobs.store.telemetry import TelemetryStore

WORKFLOW = {"ihobs.kind": "workflow"}
LLM = {"ihobs.kind": "llm", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}


def total(store):
    [group] = query.metrics(store.database, start_ns=0, end_ns=2**62).groups
    return group.counters


def payloads(store):
    with store.database.read() as connection:
        return [decompress(body) for (body,) in connection.execute("SELECT body FROM payload ORDER BY id")]


def test_a_request_that_is_sent_twice_counts_once_and_is_stored_once(store, build):
    request = build.request((1, {"attributes": WORKFLOW}), (2, {"parent": 1, "attributes": LLM}))

    first, second = store.ingest(request), store.ingest(request)

    assert (first.accepted, first.duplicates) == (2, 0)
    assert (second.accepted, second.duplicates) == (0, 2)
    assert total(store).spans == 2
    assert len(payloads(store)) == 1


def test_of_a_partly_known_request_only_the_new_spans_are_stored(store, build):
    store.ingest(build.request((1, {"attributes": WORKFLOW})))

    result = store.ingest(build.request((1, {"attributes": WORKFLOW}), (2, {"parent": 1, "attributes": LLM})))

    assert (result.accepted, result.duplicates) == (1, 1)
    [_, second] = payloads(store)
    ids = [s.span_id for r in second.resource_spans for sc in r.scope_spans for s in sc.spans]
    assert ids == [(2).to_bytes(8, "big")]


def test_a_span_twice_in_one_request_counts_once(store, build):
    result = store.ingest(build.request((1, {"attributes": LLM}), (1, {"attributes": LLM})))

    assert (result.accepted, result.duplicates) == (1, 1)
    assert total(store).input_tokens == 10


def test_the_payload_is_stored_as_it_came(store, build):
    request = build.request((1, {"attributes": {**LLM, "my.own": "kept"}}))
    request.resource_spans[0].schema_url = "https://opentelemetry.io/schemas/1.30.0"

    store.ingest(request)

    assert payloads(store) == [request]


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda span: span.ClearField("trace_id"), "invalid trace id"),
        (lambda span: setattr(span, "trace_id", bytes(16)), "invalid trace id"),
        (lambda span: setattr(span, "span_id", b"short"), "invalid span id"),
        (lambda span: setattr(span, "span_id", bytes(8)), "invalid span id"),
        (lambda span: setattr(span, "parent_span_id", b"four"), "invalid parent span id"),
        (lambda span: setattr(span, "start_time_unix_nano", 0), "no start time"),
        (lambda span: setattr(span, "end_time_unix_nano", 0), "no end time"),
        (lambda span: setattr(span, "start_time_unix_nano", 1), "longer than 31 days"),
        (lambda span: setattr(span, "end_time_unix_nano", 2**64 - 1), "longer than 31 days"),
    ],
)
def test_a_span_that_cannot_be_counted_is_refused_by_reason_and_its_neighbour_is_kept(
    store, build, clock, break_it, reason
):
    request = build.request((1, {"attributes": WORKFLOW}))
    break_it(build.span(request, 2, parent=1))

    result = store.ingest(request)

    assert result.accepted == 1
    assert result.rejections == (Rejection(reason, 1),)
    assert losses(store.database) == (Loss(f"refused: {reason}", 1, clock()),)
    [stored] = payloads(store)
    assert sum(len(s.spans) for r in stored.resource_spans for s in r.scope_spans) == 1


def test_an_imported_span_of_the_far_future_is_refused_and_a_live_one_counts_when_it_came(store, build, clock):
    ahead = build.request((1, {"ago_s": -3 * 86_400, "attributes": WORKFLOW}))

    assert store.ingest(ahead, live=False).rejections == (Rejection("time in the future", 1),)
    assert store.ingest(ahead, live=True).accepted == 1
    found = query.metrics(store.database, start_ns=clock() - 10 * SECOND_NS, end_ns=clock() + SECOND_NS)
    assert [(group.counters.runs, group.counters.flagged_times) for group in found.groups] == [(1, 1)]


def test_a_span_that_ends_before_it_starts_lasts_no_time_and_is_flagged(store, build):
    store.ingest(build.request((1, {"took_s": -5, "attributes": WORKFLOW})))

    [group] = query.metrics(store.database, start_ns=0, end_ns=2**62).groups
    assert group.counters.flagged_times == 1
    assert group.run_durations.sum_ns == 0
    assert group.run_durations.quantile_s(0.5) == 0.0


def test_an_empty_request_changes_nothing(store):
    assert store.ingest(ExportTraceServiceRequest()).accepted == 0
    assert payloads(store) == []


def test_a_failing_transaction_leaves_nothing_behind_and_the_next_one_counts_right(store, build, monkeypatch):
    from ihobs.store import change

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(change, "apply_delta", fail)
        with pytest.raises(Exception, match="No space left"):
            store.ingest(build.request((1, {"attributes": LLM})))
    assert payloads(store) == []

    store.ingest(build.request((1, {"attributes": LLM})))
    assert total(store).input_tokens == 10


def test_an_orphan_waits_30_seconds_then_counts_and_a_late_workflow_takes_its_place(store, build, clock, everything):
    child = build.request((2, {"parent": 1, "attributes": {"ihobs.kind": "agent"}, "name": "child"}))
    store.ingest(child)
    assert total(store).runs == 0

    clock.forward(29 * SECOND_NS)
    assert store.settle() == 0
    clock.forward(2 * SECOND_NS)
    assert store.settle() == 1
    assert total(store).runs == 1

    store.ingest(build.request((1, {"attributes": WORKFLOW, "name": "flow"})))
    assert total(store).runs == 1
    [group] = query.metrics(store.database, start_ns=0, end_ns=2**62, by=["workflow"]).groups
    assert group.by == {"workflow": "flow"}
    assert group.counters.spans == 2


def test_an_import_is_settled_at_once_at_its_end(store, build):
    store.ingest(build.request((2, {"parent": 1, "attributes": {"ihobs.kind": "agent"}})), live=False)

    assert store.settle(everything=True) == 1
    assert total(store).runs == 1


def test_a_remote_parent_is_not_waited_for(store, build):
    store.ingest(build.request((2, {"parent": 1, "remote": True, "attributes": {"ihobs.kind": "workflow"}})))

    assert total(store).runs == 1
    assert store.settle(everything=True) == 0


KINDS = ("workflow", "agent", "node", "tool", "llm", "")


@st.composite
def a_trace(draw):
    """Spans of one trace: a forest with missing parents, nested calls, failures and attempts."""
    size = draw(st.integers(1, 9))
    spans = []
    for span_id in range(1, size + 1):
        parent = draw(st.integers(0, span_id - 1 if span_id > 1 else 0))
        if draw(st.booleans()) and parent == 0:
            parent = draw(st.sampled_from([0, 90]))
        kind = draw(st.sampled_from(KINDS))
        attributes = {"ihobs.kind": kind} if kind else {}
        if kind == "llm" and draw(st.booleans()):
            attributes |= {"gen_ai.usage.input_tokens": draw(st.integers(0, 50)), "gen_ai.request.model": "m"}
        if kind == "llm" and draw(st.booleans()):
            attributes |= {"gen_ai.response.time_to_first_chunk": draw(st.sampled_from([0.0, 0.04, 0.1, 1.5]))}
        if kind in ("node", "llm") and draw(st.booleans()):
            attributes |= {"ihobs.attempt_key": "k"}
        spans.append(
            (span_id, {"parent": parent, "attributes": attributes, "failed": draw(st.booleans()),
                       "name": draw(st.sampled_from("ab")), "ago_s": draw(st.sampled_from([5, 65, 4000])),
                       "took_s": draw(st.sampled_from([0, 0.1, 2.0]))})
        )  # fmt: skip
    return spans


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_totals_do_not_depend_on_order_splits_or_duplicates(tmp_path_factory, build, clock, everything, data):
    traces = data.draw(st.lists(a_trace(), min_size=1, max_size=3))
    spans = [(number, span) for number, trace in enumerate(traces, 1) for span in trace]
    again = data.draw(st.lists(st.sampled_from(spans), max_size=4))
    shuffled = data.draw(st.permutations(spans + again))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))

    def requests(parts):
        return [build.request(*((i, {**m, "trace": t}) for t, (i, m) in part)) for part in parts if part]

    def fresh():
        home = Home.open(tmp_path_factory.mktemp("home") / "h", create=True)
        return TelemetryStore(home, clock=clock)

    with fresh() as whole, fresh() as split:
        whole.ingest_many(requests([spans]), live=False)
        whole.settle(everything=True)
        edges = [0, *cuts, len(shuffled)]
        for request in requests(shuffled[a:b] for a, b in pairwise(edges)):
            split.ingest(request, live=False)
            if data.draw(st.booleans()):
                split.settle(everything=data.draw(st.booleans()))
        split.settle(everything=True)
        assert everything(split) == everything(whole)


def test_an_old_file_imported_again_after_its_rows_are_gone_is_refused(store, build, clock):
    old = build.request((1, {"ago_s": 400_000, "attributes": WORKFLOW}))
    store.ingest(old, live=False)
    clock.forward(31 * DAY_NS)
    store.maintain()

    result = store.ingest(old, live=False)

    assert result.rejections == (Rejection("sealed day", 1),)
    assert total(store).runs == 1


def test_refused_spans_of_a_running_program_are_counted_also_when_nothing_else_came(store, build, clock):
    request = ExportTraceServiceRequest()
    build.span(request, 1).ClearField("trace_id")
    unread = ExportTraceServiceRequest.FromString(request.SerializeToString())

    assert store.ingest(request).rejections == (Rejection("invalid trace id", 1),)
    assert store.ingest(unread, live=False).rejections == (Rejection("invalid trace id", 1),)

    assert losses(store.database) == (Loss("refused: invalid trace id", 1, clock()),), "an import says so itself"
