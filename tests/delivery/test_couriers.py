"""Threads that send: one errand a receiver at a time, and no flood when something of ours fails."""

from __future__ import annotations

import threading

import pytest
from tests.delivery.waiting import until

from ihobs.delivery.couriers import LONGEST_REST_S, Threads, rest_s
from ihobs.errors import StoreUnavailableError
from ihobs.guard import guard


@pytest.fixture
def done():
    return threading.Semaphore(0)


@pytest.fixture
def threads(done):
    made = Threads(done.release)
    yield made
    made.close()
    assert made.wait(30)


def test_who_is_busy_is_known_until_he_is_done(threads, done):
    go_on = threading.Event()
    threads.run("a", go_on.wait)
    assert (threads.busy(), threads.wait(0)) == ({"a"}, False)
    go_on.set()
    assert done.acquire(timeout=30)
    assert (threads.busy(), threads.wait(0)) == (frozenset(), True)


@pytest.mark.parametrize("error", [StoreUnavailableError("state.db", "disk full"), ZeroDivisionError()])
def test_an_error_of_ours_is_told_and_leaves_the_receiver_in_peace(threads, error, caplog, monkeypatch):
    monkeypatch.setattr(guard, "strict", False)

    def fails():
        raise error

    threads.run("a", fails)
    until(lambda: caplog.records)
    assert threads.busy() == {"a"}


def test_rests_grow_to_five_minutes():
    assert [rest_s(faults) for faults in (1, 2, 3, 9, 10, 100)] == [1, 2, 4, 256, LONGEST_REST_S, LONGEST_REST_S]
