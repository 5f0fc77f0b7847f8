"""Traces of very many spans: stored at once, counted in portions, in the end exactly as if they had come at once."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ihobs.clock import SECOND_NS
from ihobs.store import large, query
from ihobs.store.change import Change
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore

LLM = {"ihobs.kind": "llm", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10}


@pytest.fixture(autouse=True)
def twenty_are_many(monkeypatch):
    monkeypatch.setattr(large, "LARGE_SPANS", 20)


def spans_of_a_trace(count, rng):
    """A run of nodes and calls, some nested, some retried, some failed; a few whose parent never comes."""
    spans = [(1, {"attributes": {"ihobs.kind": "workflow"}, "name": "flow", "took_s": 60.0})]
    for number in range(2, count + 1):
        kind = rng.choice(["node", "llm", "llm", "tool", "agent"])
        attributes = {**(LLM if kind == "llm" else {"ihobs.kind": kind})}
        if kind == "node":
            attributes["ihobs.attempt_key"] = f"k{number % 3}"
        parent = rng.choice([rng.randint(1, number - 1), 1, 1, 9_999 if number % 40 == 0 else 1])
        more = {"parent": parent, "attributes": attributes, "failed": rng.random() < 0.2, "took_s": number % 7 / 10}
        spans.append((number, {**more, "ago_s": 100.0 + number % 50}))
    return spans


def total(store):
    [group] = query.metrics(store.database, start_ns=0, end_ns=2**62).groups
    return group.counters


def imported(path, clock, requests):
    store = TelemetryStore(Home.open(path, create=True), clock=clock)
    store.ingest_many(requests, live=False)
    store.settle(everything=True)
    return store


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), seed=st.integers(0, 10_000))
def test_whatever_the_order_and_the_portions_the_sums_are_those_of_one_import(
    tmp_path_factory, build, clock, ledger, data, seed
):
    rng = random.Random(seed)
    spans = spans_of_a_trace(data.draw(st.integers(10, 120)), rng)
    path = tmp_path_factory.mktemp("homes")
    with imported(path / "whole", clock, [build.request(*spans)]) as store:
        whole = ledger(store)

    rng.shuffle(spans)
    spans += rng.sample(spans, 5)
    with TelemetryStore(Home.open(path / "split", create=True), clock=clock) as store:
        while spans:
            portion = [spans.pop() for _ in range(min(len(spans), rng.randint(1, 9)))]
            store.ingest(build.request(*portion), live=False)
            if rng.random() < 0.1:
                store.settle()
        store.settle(everything=True)
        assert ledger(store) == whole


def test_a_span_that_a_large_trace_has_already_is_a_duplicate(store, build):
    spans = spans_of_a_trace(40, random.Random(1))
    store.ingest(build.request(*spans[1:]))
    again = store.ingest(build.request(*spans[:1], *spans[5:8], *spans[:1]))
    assert (again.accepted, again.duplicates) == (1, 4)


def test_the_root_of_a_large_trace_counts_at_once(store, build):
    spans = spans_of_a_trace(41, random.Random(1))
    store.ingest(build.request(*spans[1:40]))
    assert total(store).runs == 0
    store.ingest(build.request(spans[0]))
    assert (total(store).runs, total(store).spans) == (1, 40)


def test_what_is_left_of_a_large_trace_counts_after_30_seconds_though_spans_keep_coming(store, build, clock):
    spans = spans_of_a_trace(60, random.Random(1))
    store.ingest(build.request(*spans[:50]))
    assert total(store).spans == 50
    for number in range(50, 53):
        store.ingest(build.request(spans[number]))
        assert total(store).spans == 50
        clock.forward(11 * SECOND_NS)
    assert store.settle() == 0  # nobody became an orphan: the trace is not quiet
    assert total(store).spans == 53


def test_a_trace_that_is_quiet_is_counted_whole_and_its_orphans_with_it(store, build, clock):
    store.ingest(build.request(*spans_of_a_trace(30, random.Random(1))))
    store.ingest(build.request((99, {"parent": 5_000, "attributes": LLM})))
    clock.forward(31 * SECOND_NS)
    assert store.settle() == 1
    assert total(store).spans == 31


def test_counting_a_growing_trace_reads_each_span_a_bounded_number_of_times(store, build, monkeypatch):
    read = []
    load = Change.load
    monkeypatch.setattr(Change, "load", lambda change, no: read.append(load(change, no)) or read[-1])
    spans = spans_of_a_trace(1_500, random.Random(1))
    random.Random(2).shuffle(spans)
    for start in range(0, len(spans), 5):
        store.ingest(build.request(*spans[start : start + 5]))
    assert sum(map(len, read)) < 15 * len(spans)  # reading it all at each of 300 requests would be 150


def test_a_trace_of_pending_spans_that_is_priced_anew_is_priced_whole(tmp_path, build, clock, ledger):
    from ihobs.spans.price import Price

    price = Price("", "m", 0, 0, 1_000_000, 0, 0, 0, "test")
    spans = spans_of_a_trace(50, random.Random(1))
    with imported(tmp_path / "whole", clock, [build.request(*spans)]) as store:
        store.add_prices([price])
        whole = ledger(store)
    assert any(trace[-3] for trace in whole["traces"])
    with TelemetryStore(Home.open(tmp_path / "split", create=True), clock=clock) as store:
        store.ingest(build.request(*spans[:45]), live=False)
        store.ingest(build.request(*spans[45:48]), live=False)  # pending
        store.add_prices([price])
        store.ingest(build.request(*spans[48:]), live=False)  # pending, and priced at once
        store.settle(everything=True)
        assert ledger(store) == whole
