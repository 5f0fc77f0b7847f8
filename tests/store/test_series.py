"""A bound on series a day: what comes beyond counts as "_other", and every total stays what it is."""

from dataclasses import astuple

import pytest

from ihobs.clock import DAY_NS
from ihobs.errors import StoreUnavailableError
from ihobs.model import DIMENSIONS, Counters
from ihobs.store import change, query, rollups
from ihobs.store.series import OTHER, SeriesNumbers
from ihobs.store.telemetry import TelemetryStore

BOUND = 4


@pytest.fixture
def open_store(home, clock):
    opened = []

    def make(bound=BOUND):
        store = TelemetryStore(home, clock=clock)
        store._series = SeriesNumbers(bound)
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


def flow(build, number, *, ago_s=10.0, parent=0, span_id=1):
    more = {"trace": number, "ago_s": ago_s, "name": f"flow-{number}", "parent": parent}
    return build.request((span_id, {**more, "attributes": {"ihobs.kind": "agent"}}))


def workflows(store):
    found = query.metrics(store.database, start_ns=0, end_ns=2**62, by=["workflow"]).groups
    return {group.by["workflow"]: group.counters.runs for group in found}


def total(store):
    found = query.metrics(store.database, start_ns=0, end_ns=2**62, by=DIMENSIONS).groups
    return Counters(*map(sum, zip(*(astuple(group.counters) for group in found), strict=True)))


def test_what_comes_beyond_the_bound_counts_as_other(open_store, build):
    store = open_store()
    for number in range(1, 9):
        store.ingest(flow(build, number))
    assert workflows(store) == {**{f"flow-{n}": 1 for n in range(1, 5)}, OTHER: 4}


def test_a_series_that_was_admitted_is_used_on_and_a_refused_one_stays_refused(open_store, build):
    store = open_store()
    for span_id in (1, 2):
        for number in range(1, 9):
            store.ingest(flow(build, number, span_id=span_id))
    assert workflows(store) == {**{f"flow-{n}": 2 for n in range(1, 5)}, OTHER: 8}


def test_the_next_day_begins_anew(open_store, build):
    store = open_store()
    for number in range(1, 7):
        store.ingest(flow(build, number))
    for number in range(11, 14):
        store.ingest(flow(build, number, ago_s=86_400 * 2))
    assert {f"flow-{n}": 1 for n in (11, 12, 13)}.items() <= workflows(store).items()


def test_several_processes_share_the_bound(open_store, build):
    here, there = open_store(), open_store()
    for number in range(1, 9):
        (here if number % 2 else there).ingest(flow(build, number))
    assert workflows(here) == {**{f"flow-{n}": 1 for n in range(1, 5)}, OTHER: 4}


def test_a_correction_takes_back_from_other_what_was_counted_there(open_store, build):
    store = open_store()
    for number in range(1, 9):
        store.ingest(flow(build, number, parent=50, span_id=2))
    store.settle(everything=True)
    assert sum(workflows(store).values()) == 8

    for number in range(1, 9):  # the workflows above them come after all, and take their place
        store.ingest(flow(build, number, span_id=50))

    assert sum(workflows(store).values()) == 8
    assert total(store).spans == 16
    with store.database.read() as connection:
        assert (
            min(connection.execute("SELECT min(spans), min(runs), min(run_duration_ns) FROM rollup_1h").fetchone()) > 0
        )


def test_a_correction_after_the_day_was_sealed_and_swept_still_meets_what_it_corrects(open_store, build, clock):
    """One trace of the day is forgotten, another, received later, is still there and is corrected."""
    store = open_store()
    for number in range(1, 7):
        store.ingest(flow(build, number, ago_s=100), live=False)
    clock.forward(20 * DAY_NS)
    store.ingest(flow(build, 8, ago_s=100, parent=50, span_id=2), live=False)
    store.settle(everything=True)
    assert workflows(store)[OTHER] == 3
    clock.forward(15 * DAY_NS)
    store.maintain()  # seals the day, as six of its traces go

    store.ingest(flow(build, 8, ago_s=-86_400, span_id=50), live=False)

    assert sum(workflows(store).values()) == 7
    assert workflows(store)[OTHER] == 2
    assert workflows(store)["flow-8"] == 1


def test_a_transaction_that_fails_admits_nothing(open_store, build, monkeypatch):
    store = open_store(bound=1)

    def fail_after(*arguments):
        rollups.apply_delta(*arguments)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(change, "apply_delta", fail_after)
        with pytest.raises(StoreUnavailableError):
            store.ingest(flow(build, 1))
    store.ingest(flow(build, 2))
    assert workflows(store) == {"flow-2": 1}
