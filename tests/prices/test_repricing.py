"""New prices reach what is stored, in any order, with any interruption: the sums are those of the costs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.prices.calls import NOW_NS, START_NS, call, totals

from ihobs.clock import SECOND_NS
from ihobs.spans.price import Price, cost_nano_usd
from ihobs.store import repricing
from ihobs.store.costs import ModelCost, compare
from ihobs.store.home import Home
from ihobs.store.pricing import PriceBook, in_force, merge, read_prices
from ihobs.store.query import metrics
from ihobs.store.repricing import Job
from ihobs.store.telemetry import TelemetryStore

CHEAP = Price("openai", "a", 0, 0, 1_000_000, 500_000, 1_000_000, 2_000_000, "test")
DEAR = replace(CHEAP, input_pico_usd=9_000_000)
A, B = ("openai", "a"), ("openai", "b")


def opened(path):
    return TelemetryStore(Home.open(path, create=True), clock=lambda: NOW_NS)


def numbers(store):
    """Return everything in the roll-ups and the traces, and the stored costs."""
    with store.database.read() as connection:
        costs = connection.execute("SELECT trace_no, span_id, cost_nano_usd FROM span ORDER BY 1, 2").fetchall()
        traces = connection.execute("SELECT trace_id, cost_nano_usd, unpriced_calls FROM trace ORDER BY 1").fetchall()
        tables = [
            {row for row in connection.execute(f"SELECT * FROM rollup_{name} JOIN series ON id = series_id") if row[2]}
            for name in ("10s", "1m", "1h")
        ]
    by_model = metrics(store.database, start_ns=0, end_ns=NOW_NS, by=("model",))
    numberless = [{(row[0], *row[2:-7], *row[-6:]) for row in table} for table in tables]
    return costs, traces, numberless, by_model


def test_stored_calls_cost_what_the_new_price_says(store):
    store.ingest_many([call(number, "a") for number in range(1, 6)], live=False)
    assert store.add_prices([CHEAP]) == 5
    assert totals(store) == (5 * (1_000_000 + 100_000), 0)
    assert store.add_prices([DEAR]) == 5
    assert totals(store) == (5 * (9_000_000 + 100_000), 0)
    assert store.add_prices([DEAR]) == 0


def test_only_calls_that_began_since_then_are_repriced_and_late_ones_follow_the_same_border(store):
    border = START_NS + 100
    store.add_prices([CHEAP])
    early, late = ({"start_ns": border + offset, "trace": 1} for offset in (-1, 0))
    store.ingest_many([call(1, "a", **early), call(2, "a", **late)], live=False)
    store.replace_prices({A: [DEAR]}, since_ns=border)
    assert store.reprice() == 1
    assert totals(store) == (1_100_000 + 9_100_000, 0)
    store.ingest_many([call(3, "a", **early), call(4, "a", **late)], live=False)
    assert totals(store) == (2 * (1_100_000 + 9_100_000), 0)


def test_a_model_that_loses_its_price_is_unpriced_again(store):
    store.ingest_many([call(1, "a"), call(2, "b")], live=False)
    store.add_prices([CHEAP, replace(CHEAP, model="b")])
    store.replace_prices({A: []})
    assert store.reprice() == 1
    assert totals(store, model="a") == (0, 1)
    assert totals(store, model="b") == (1_100_000, 0)


def test_what_a_call_says_that_it_costs_stays_while_its_model_has_no_price(store):
    store.ingest_many([call(1, "a", cost_usd=0.5), call(2, "a", cost_usd=0.5, start_ns=START_NS + 100)], live=False)
    store.replace_prices({A: [replace(CHEAP, from_ns=START_NS + 1)]})
    assert store.reprice() == 1
    assert totals(store) == (500_000_000 + 1_100_000, 0)


def test_calls_of_other_models_in_the_same_trace_are_left_alone(store):
    store.add_prices([CHEAP, replace(CHEAP, model="b")])
    store.ingest_many([call(1, "a", trace=1), call(2, "b", trace=1)], live=False)
    store.replace_prices({A: [DEAR]})
    assert store.reprice() == 1
    assert totals(store, model="b") == (1_100_000, 0)


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(repricing, "MAX_SPANS", 1)


@pytest.mark.usefixtures("small_steps")
def test_what_an_interrupted_process_left_is_done_by_another_one(tmp_path):
    requests = [call(number, "a", trace=1 + number % 4) for number in range(1, 13)]
    with opened(tmp_path / "clean") as clean:
        clean.add_prices([DEAR])
        clean.ingest_many(requests, live=False)
        expected = numbers(clean)[1:]
    with opened(tmp_path / "home") as first:
        first.add_prices([CHEAP])
        first.ingest_many(requests[:9], live=False)
        first.replace_prices({A: [DEAR]})
        assert first.reprice_some().calls
        assert 9 * 1_100_000 < totals(first)[0] < 9 * 9_100_000
    with opened(tmp_path / "home") as second:
        second.ingest_many(requests[9:], live=False)  # into traces that are done, and that are not
        assert 0 < second.reprice() < 9
        assert numbers(second)[1:] == expected
        assert second.reprice_some() is None


@pytest.mark.usefixtures("small_steps")
def test_two_processes_at_the_same_job_count_nothing_twice(tmp_path):
    with opened(tmp_path / "home") as one, opened(tmp_path / "home") as other:
        one.ingest_many([call(number, "a") for number in range(1, 8)], live=False)
        one.replace_prices({A: [CHEAP]})
        with one.database.read() as connection:
            step = repricing.next_step(connection)
        assert other.reprice_some().calls == 1
        assert one._change(lambda change: repricing.take(change, step)).calls == 0
        assert one.reprice() + other.reprice() == 6
        assert totals(one) == (7 * 1_100_000, 0)


@pytest.mark.usefixtures("small_steps")
def test_a_trace_that_is_forgotten_meanwhile_is_passed_over(store):
    store.ingest_many([call(number, "a") for number in range(1, 4)], live=False)
    store.replace_prices({A: [CHEAP]})
    with store.database.read() as connection:
        step = repricing.next_step(connection)
    with store.database.write() as connection:
        connection.execute("DELETE FROM span WHERE trace_no = ?", step.traces)
        connection.execute("DELETE FROM trace WHERE no = ?", step.traces)
    assert store._change(lambda change: repricing.take(change, step)).calls == 0
    assert store.reprice() == 2


@pytest.mark.usefixtures("small_steps")
def test_later_changes_of_a_price_wait_for_their_turn_and_win(store):
    store.ingest_many([call(number, "a") for number in range(1, 5)], live=False)
    store.replace_prices({A: [CHEAP]})
    store.reprice_some()
    store.replace_prices({A: [DEAR]}, since_ns=START_NS)
    store.reprice()
    assert totals(store) == (4 * 9_100_000, 0)


prices = st.builds(
    lambda model, from_s, rate: replace(CHEAP, model=model, from_ns=from_s * SECOND_NS, input_pico_usd=rate),
    st.sampled_from("ab"),
    st.sampled_from([0, START_NS // SECOND_NS + 5, START_NS // SECOND_NS + 20]),
    st.integers(0, 10**7),
)
several = st.lists(prices, max_size=4, unique_by=lambda price: (price.model, price.from_ns))
changes = st.lists(st.tuples(several, st.sampled_from([0, START_NS, START_NS + 10 * SECOND_NS])), max_size=4)


@settings(max_examples=40, deadline=None)
@given(changes, st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(1, 4)), max_size=12))
def test_after_any_changes_costs_are_those_of_the_table_and_sums_those_of_the_costs(tmp_path_factory, given, calls):
    """As if all had come in when the table was already what it is in the end."""
    path = tmp_path_factory.mktemp("repriced")
    requests = [
        call(number, model, start_ns=START_NS + offset_s * SECOND_NS, trace=trace)
        for number, (model, offset_s, trace) in enumerate(calls, 1)
    ]
    with opened(path / "home") as store, opened(path / "clean") as clean:
        for index, (new, since_ns) in enumerate(given):
            store.ingest_many(requests[index :: len(given)], live=False)
            store.replace_prices(
                {A: [p for p in new if p.model == "a"], B: [p for p in new if p.model == "b"]}, since_ns=since_ns
            )
            if index % 2:
                store.reprice()
        store.ingest_many(requests, live=False)
        store.reprice()
        with store.database.read() as connection:
            table = read_prices(connection)
        clean.replace_prices(table)
        clean.ingest_many(requests, live=False)
        clean.reprice()
        assert numbers(store)[1:] == numbers(clean)[1:]
        expected = [
            cost_nano_usd(tiers, input_tokens=1000, output_tokens=50)
            for model, offset_s, _ in calls
            if (tiers := in_force(table.get(("openai", model), ()), START_NS + offset_s * SECOND_NS))
        ]
        assert totals(store) == (sum(expected), len(calls) - len(expected))


@given(several, several, st.integers(0, 40))
def test_merged_prices_are_the_old_ones_before_and_the_new_ones_after(before, after, since_s):
    since_ns = START_NS + since_s * SECOND_NS if since_s else 0
    merged = merge(before, after, since_ns)
    for at_ns in (0, since_ns - 1, since_ns, START_NS + 6 * SECOND_NS, START_NS + 50 * SECOND_NS):
        wanted = in_force(after if at_ns >= since_ns else before, at_ns)
        if wanted or not before:
            found = in_force(merged, at_ns)
            assert [replace(price, from_ns=0) for price in found] == [replace(price, from_ns=0) for price in wanted]


def test_comparing_is_what_repricing_does(store):
    store.add_prices([CHEAP])
    models = itertools.cycle(["a", "b", "a", "c"])
    store.ingest_many([call(number, next(models), trace=1 + number % 3) for number in range(1, 13)], live=False)
    after = {A: (DEAR,), B: (replace(DEAR, model="b"),)}
    job = Job(0, 0, frozenset((*after, ("openai", "c"))), frozenset([A]))
    told = []
    found = {cost.model: cost for cost in compare(store.database, job, PriceBook(after), told.append)}
    assert told
    assert found["a"] == ModelCost(*A, 6, 6 * 1_100_000, 0, 6 * 9_100_000, 0, 6)
    assert found["b"] == ModelCost(*B, 3, 0, 3, 3 * 9_100_000, 0, 3)
    assert found["c"] == ModelCost("openai", "c", 3, 0, 3, 0, 3, 0)
    before = totals(store)
    store.replace_prices(after)
    assert store.reprice() == sum(cost.changed_calls for cost in found.values())
    difference = sum(cost.new_cost_nano_usd - cost.cost_nano_usd for cost in found.values())
    assert totals(store)[0] - before[0] == difference
