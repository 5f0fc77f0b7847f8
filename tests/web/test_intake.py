"""Parcels to commits: grouped, in order, each answered for itself and not before its commit."""

import logging
import threading

import pytest
from tests.web.sender import BOUND_S, span_request

from ihobs.clock import SECOND_NS, now_ns
from ihobs.errors import StoreUnavailableError
from ihobs.guard import guard
from ihobs.spans.batch import Rejection
from ihobs.spans.decode import count_spans
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore
from ihobs.testing import FakeClock
from ihobs.web.decoding import Parcel
from ihobs.web.intake import IngestFaultError, Intake, failed_lately


class GatedStore(TelemetryStore):
    """A store whose transactions wait until they are let through; `began` has the spans of each."""

    def __init__(self, home):
        super().__init__(home)
        self.gate = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.began = []

    def ingest_many(self, requests, *, live=True):
        self.began.append([count_spans(request) for request in requests])
        self.entered.release()
        assert self.gate.acquire(timeout=BOUND_S)
        return super().ingest_many(requests, live=live)


class FaultyStore(TelemetryStore):
    """A store with an error of ours: it fails over spans of one name."""

    def ingest_many(self, requests, *, live=True):
        names = {request.resource_spans[0].scope_spans[0].spans[0].name for request in requests}
        if "poison" in names:
            raise ZeroDivisionError
        return super().ingest_many(requests, live=live)


@pytest.fixture
def intake_of():
    started = []

    def start(store, *, group_items=10, **more):
        intake = Intake(store, group_items=group_items, **more)
        intake.start()
        started.append(intake)
        return intake

    yield start
    for one in started:
        one.stop()


def parcel(*span_ids, **fields):
    request = span_request(*span_ids, **fields)
    return Parcel([request], len(span_ids), request.ByteSize())


def stored(home):
    with TelemetryStore(home) as store:
        groups = metrics(store.database, start_ns=0, end_ns=now_ns()).groups
    return groups[0].counters.spans if groups else 0


def test_a_parcel_that_finds_it_idle_is_stored_alone_and_those_that_come_meanwhile_together(home, intake_of):
    store = GatedStore(home)
    intake = intake_of(store)
    first = intake.offer(parcel(1, 2))
    assert store.entered.acquire(timeout=BOUND_S)
    rest = [intake.offer(parcel(number)) for number in range(3, 8)]
    assert not first.done()
    store.gate.release(2)
    for answer in (first, *rest):
        assert answer.result(BOUND_S) == ()
    assert store.began == [[2], [1] * 5]
    assert stored(home) == 7


def test_a_group_has_no_more_spans_than_it_may(home, intake_of):
    store = GatedStore(home)
    intake = intake_of(store, group_items=5)
    answers = [intake.offer(parcel(1))]
    assert store.entered.acquire(timeout=BOUND_S)
    answers += [intake.offer(parcel(*range(first, first + 3))) for first in (10, 20, 30)]
    answers.append(intake.offer(parcel(40, 41)))
    store.gate.release(10)
    assert [answer.result(BOUND_S) for answer in answers] == [()] * 5
    assert store.began == [[1], [3], [3], [3, 2]]


def test_none_is_answered_before_its_commit(home, intake_of):
    store = GatedStore(home)
    intake = intake_of(store)
    answers = [intake.offer(parcel(1))]
    assert store.entered.acquire(timeout=BOUND_S)
    answers.append(intake.offer(parcel(2)))
    store.gate.release()
    answers[0].result(BOUND_S)
    assert store.entered.acquire(timeout=BOUND_S)
    assert (answers[1].done(), stored(home)) == (False, 1)
    store.gate.release()
    answers[1].result(BOUND_S)
    assert stored(home) == 2


def test_a_parcel_of_several_pieces_is_answered_after_the_last(home, intake_of):
    store = GatedStore(home)
    intake = intake_of(store, group_items=2)
    requests = [span_request(1, 2), span_request(3, 4), span_request(5)]
    answer = intake.offer(Parcel(requests, 5, 100))
    for number in range(3):
        assert store.entered.acquire(timeout=BOUND_S)
        assert (answer.done(), stored(home)) == (False, 2 * number)
        store.gate.release()
    assert answer.result(BOUND_S) == ()
    assert stored(home) == 5


def test_each_parcel_of_a_group_hears_of_its_own_refusals(home, intake_of):
    store = GatedStore(home)
    intake = intake_of(store)
    intake.offer(parcel(1))
    assert store.entered.acquire(timeout=BOUND_S)
    good, bad = intake.offer(parcel(2, 3)), intake.offer(parcel(4, 5, span_id=b"short"))
    store.gate.release(2)
    assert good.result(BOUND_S) == ()
    [refused] = bad.result(BOUND_S)
    assert (refused.reason, refused.count) == ("invalid span id", 2)
    assert intake.state().rejected == {"invalid span id": 2}
    assert (intake.state().accepted, stored(home)) == (3, 3)


def test_while_the_store_cannot_commit_nobody_is_told_otherwise(home, intake_of):
    clock = FakeClock()
    intake = intake_of(TelemetryStore(home), clock=clock)
    text = (home.path / "CURRENT").read_text()
    (home.path / "CURRENT").unlink()
    with pytest.raises(StoreUnavailableError) as caught:
        intake.offer(parcel(1)).result(BOUND_S)
    assert caught.value.reason == "the home is gone"
    assert intake.state().failed == "the home is gone"
    assert failed_lately(intake.state(), clock() + 9 * SECOND_NS, 10)
    assert not failed_lately(intake.state(), clock() + 10 * SECOND_NS, 10)
    (home.path / "CURRENT").write_text(text)
    assert intake.offer(parcel(1)).result(BOUND_S) == ()
    assert not failed_lately(intake.state(), clock(), 10)


def test_an_error_of_ours_costs_only_the_parcel_that_has_it(home, intake_of, monkeypatch, caplog):
    monkeypatch.setattr(guard, "strict", False)
    caplog.set_level(logging.CRITICAL, "ihobs")

    class Both(GatedStore, FaultyStore):
        pass

    store = Both(home)
    intake = intake_of(store)
    intake.offer(parcel(1))
    assert store.entered.acquire(timeout=BOUND_S)
    before, poison, after = (
        intake.offer(parcel(2)),
        intake.offer(parcel(3, name="poison")),
        intake.offer(parcel(4)),
    )
    store.gate.release(10)
    assert (before.result(BOUND_S), after.result(BOUND_S)) == ((), ())
    with pytest.raises(IngestFaultError):
        poison.result(BOUND_S)
    assert store.began == [[1], [1, 1, 1], [1], [1], [1]]
    assert stored(home) == 3


def test_stopping_stores_what_was_offered_and_refuses_the_rest(home, intake_of):
    store = GatedStore(home)
    intake = intake_of(store)
    answers = [intake.offer(parcel(1))]
    assert store.entered.acquire(timeout=BOUND_S)
    answers += [intake.offer(parcel(number)) for number in range(2, 30)]
    stopper = threading.Thread(target=intake.stop)
    stopper.start()
    store.gate.release(100)
    stopper.join()
    assert [answer.result(0) for answer in answers] == [()] * 29
    assert stored(home) == 29
    with pytest.raises(StoreUnavailableError):
        intake.offer(parcel(99)).result(0)


def test_an_empty_parcel_is_answered_at_once(home):
    assert Intake(TelemetryStore(home), group_items=1).offer(Parcel([], 0, 0)).result(0) == ()


def test_its_lag_is_the_age_of_the_oldest_that_waits(home, intake_of):
    clock, store = FakeClock(), GatedStore(home)
    intake = intake_of(store, clock=clock)
    assert intake.state().lag_ns == 0
    intake.offer(parcel(1))
    assert store.entered.acquire(timeout=BOUND_S)
    clock.advance(2)
    last = intake.offer(parcel(2))
    clock.advance(1)
    assert intake.state().lag_ns == 3 * SECOND_NS
    store.gate.release(2)
    last.result(BOUND_S)
    intake.stop()
    assert intake.state().lag_ns == 0
    assert intake.state().commits == 2


def test_a_commit_wakes_the_duties(home, intake_of):
    from ihobs.store.wake import Listener

    with Listener(home) as listener:
        intake = intake_of(TelemetryStore(home))
        intake.offer(parcel(1)).result(BOUND_S)
        assert listener.wait(BOUND_S)


def test_a_rejection_names_the_request_that_held_it(home):
    with TelemetryStore(home) as store:
        result = store.ingest_many([span_request(1), span_request(2, 3, span_id=b"?"), span_request(4, trace_id=b"?")])
    assert set(result.rejections) == {Rejection("invalid span id", 2, 1), Rejection("invalid trace id", 1, 2)}
