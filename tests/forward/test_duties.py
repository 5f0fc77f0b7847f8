"""Forwarding as one of the duties, with real threads; waiting is for a condition, never for a time."""

import threading
import time
from dataclasses import replace

import pytest
from tests.forward.backend import HttpBackend, Reply

from ihobs.clock import HOUR_NS, now_ns
from ihobs.config import load
from ihobs.duties import Duties
from ihobs.settings import DestinationSettings
from ihobs.store.forwarding import backlogs
from ihobs.store.state.controls import FORWARD_PAUSED, Setting, clear_control, set_control
from ihobs.store.wake import notify
from ihobs.testing import plugins_of

BOUND_S = 30.0


def until(condition):
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def clock():
    return now_ns


@pytest.fixture
def start(place):
    """Start duties with these destinations, name -> URL, and stop all of them at the end."""
    started = []

    def begin(**destinations):
        given = {name: DestinationSettings("otlp", url) for name, url in destinations.items()}
        settings = replace(load(environ={}).settings, destinations=given)
        started.append(Duties(place.home, settings, plugins_of()))
        assert started[-1].start()
        return started[-1]

    yield begin
    for one in started:
        one.stop()


def put(place, *names):
    place.put(*names)
    notify(place.home)


def test_what_is_committed_is_sent_to_every_destination(place, start, backend):
    other = HttpBackend()
    start(one=backend.url, two=other.url)
    put(place, "a")
    until(lambda: backend.names() == other.names() == {"a": 1})
    other.close()


def test_a_destination_that_hangs_delays_no_other_and_no_duty(place, start, backend):
    released, hanging = threading.Event(), HttpBackend()
    hanging.answer = lambda _: Reply() if released.wait(BOUND_S) else None
    duties = start(hangs=hanging.url, well=backend.url)
    put(place, "a")
    until(lambda: hanging.requests)
    for index in range(3):
        put(place, str(index))
        until(lambda index=index: str(index) in backend.names())
    released.set()
    duties.stop()
    hanging.close()


def test_the_end_sends_what_waits(place, start, backend):
    duties = start(there=backend.url)
    place.put("late")  # nobody is told
    duties.stop()
    assert backend.names() == {"late": 1}


def test_a_process_goes_on_where_the_one_before_it_ended(place, start, backend):
    backend.answer = lambda _: Reply(503)
    duties = start(there=backend.url)
    put(place, "a")
    until(lambda: backend.requests)
    duties.stop()
    put(place, "b")
    backend.answer = lambda _: Reply()
    start(there=backend.url)
    until(lambda: backend.names() == {"a": 1, "b": 1})


def test_the_control_holds_everything_and_lets_it_go_again(place, start, backend):
    start(there=backend.url)
    held = Setting(value=True, owner="test", reason="", expires_ns=now_ns() + HOUR_NS)
    set_control(place.state, FORWARD_PAUSED, held, now_ns())
    put(place, "a")
    until(lambda: place.backlog().spans == 1)
    clear_control(place.state, FORWARD_PAUSED, owner="test", reason="", now_ns=now_ns())
    until(lambda: backend.names() == {"a": 1})


def test_a_destination_that_is_no_longer_configured_waits_and_is_not_counted(place, start, backend):
    start(there=backend.url).stop()
    start().stop()
    put(place, "meanwhile")
    assert not place.backlog().active
    start(there=backend.url)
    until(lambda: backend.names() == {"meanwhile": 1})


def test_in_a_home_that_was_replaced_forwarding_goes_on(place, start, backend):
    start(there=backend.url)
    put(place, "before")
    until(lambda: backend.names() == {"before": 1})
    (place.home.path / "data" / "g0002").mkdir()
    place.home.write_current("g0002")  # as a restore does, here of a database without this destination
    until(lambda: [one.name for one in backlogs(place.store.database)] == ["there"])
    put(place, "after")
    until(lambda: backend.names() == {"before": 1, "after": 1})
