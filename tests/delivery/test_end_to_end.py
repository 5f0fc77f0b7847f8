"""From a change to a message that a real server has received, by the threads of a real duties process."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.delivery.servers import Answer, Server
from tests.delivery.waiting import until

import ihobs_notifier
from ihobs.clock import now_ns
from ihobs.config import load
from ihobs.duties import Duties
from ihobs.matchers import parse
from ihobs.model import Event
from ihobs.store.state import alerts, silences
from ihobs.store.state.alerts import Evaluation
from ihobs.store.state.silences import Silence
from ihobs.store.wake import notify
from ihobs.testing import plugins_of


@pytest.fixture
def servers():
    with Server() as one, Server() as other:
        yield one, other


@pytest.fixture
def duties(home, servers):
    """Threads that deliver critical alerts to both servers."""
    settings = load(environ={"IHOBS_HOME": str(home.path)}).settings
    receivers = {"one": f"webhook:{servers[0].url}", "other": f"webhook:{servers[1].url}"}
    running = Duties(
        home,
        replace(settings, receivers=receivers),
        plugins_of(notifier=ihobs_notifier),
        receivers={"critical": ["one", "other"]},
    )
    running.start()
    until(lambda: running._delivered_ns and running._evaluated_ns)
    yield running
    for server in servers:
        server.closing.set()
    running.stop()


def fire(home, state, alert, name="alert.firing", level="critical", before="ok"):
    event = Event(name, now_ns(), alert, level, before, f"{alert} is {level}", {"rule": alert})
    alerts.save(state, Evaluation(events=[event]))
    notify(home)


def titles(server):
    return [request.json()["title"] for request in server.requests]


def test_a_receiver_that_hangs_delays_no_other(home, state, duties, servers):
    slow, quick = servers
    slow.script = [Answer(how="hang")]
    fire(home, state, "a")
    until(lambda: titles(quick) == ["a is critical"])
    fire(home, state, "b")
    until(lambda: titles(quick) == ["a is critical", "b is critical"])
    assert titles(slow) == ["a is critical"]


def test_a_receiver_that_fails_is_tried_again_without_being_asked(home, state, duties, servers):
    flaky, quick = servers
    flaky.script = [Answer(500)]
    fire(home, state, "a")
    until(lambda: len(flaky.requests) == 2)
    first, second = flaky.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert titles(quick) == ["a is critical"]


def test_a_silence_that_somebody_ends_elsewhere_is_over_at_once(home, state, duties, servers):
    now = now_ns()
    number = silences.add(state, Silence(0, (parse("rule=a"),), now, now + 10**12, "ann", "deploy"), now)
    fire(home, state, "a")
    fire(home, state, "b")
    until(lambda: titles(servers[0]) == ["b is critical"])
    silences.expire(state, number, now_ns())
    notify(home)
    until(lambda: titles(servers[0]) == ["b is critical", "a is critical"])
