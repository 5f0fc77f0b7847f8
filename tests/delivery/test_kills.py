"""The process that delivers is killed between any two of its steps: at least once, and under the same key."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from tests.delivery.servers import Answer, Server
from tests.delivery.waiting import until

import ihobs_notifier
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.sending import Sender
from ihobs.testing import plugins_of

PROGRAM = """
import os, signal, sys
import ihobs_notifier
from ihobs.delivery import outbox as module
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.outbox import Outbox
from ihobs.delivery.policy import Policy, logs
from ihobs.delivery.sending import Sender
from ihobs.store.home import Home
from ihobs.store.state import deliveries, messages
from ihobs.store.state.migrations import open_state
from ihobs.testing import FakeClock, plugins_of

path, url, point, now = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dies_after(function):
    def both(*arguments, **named):
        function(*arguments, **named)
        die()
    return both

if point == "events taken in": deliveries.advance = die
if point == "message made, not committed": messages.make = dies_after(messages.make)
if point == "message committed": Outbox._send = die
if point == "sent, not recorded": Sender.send = dies_after(Sender.send)
if point == "recorded, not committed": messages.note = die
if point == "recorded": Outbox._send = dies_after(Outbox._send)

home, clock = Home.open(path), FakeClock(int(now))
policy = Policy({"critical": [f"webhook:{url}"]}, logs(home))
sender = Sender(plugins_of(notifier=ihobs_notifier), Addresses(home, {}), clock)
Outbox(open_state(home), policy, sender, clock).deliver()
"""


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def watched(world, server):
    """The same home, where alerts go to a webhook."""
    plugins = plugins_of(notifier=ihobs_notifier)
    world.outbox.sender = Sender(plugins, Addresses(world.home, {}), world.clock)
    world.configure(channels={"critical": (f"webhook:{server.url}/in",)})
    return world


def command(world, server, point):
    arguments = [str(world.home.path), f"{server.url}/in", point, str(world.clock())]
    return [sys.executable, "-c", PROGRAM, *arguments]


@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("events taken in", 1),
        ("message made, not committed", 1),
        ("message committed", 1),
        ("sent, not recorded", 2),
        ("recorded, not committed", 2),
        ("recorded", 1),
    ],
)
def test_a_kill_at_any_point_loses_nothing_and_changes_no_key(watched, server, point, times):
    watched.set("errors", "critical")
    ended = subprocess.run(command(watched, server, point), check=False)
    assert ended.returncode == -signal.SIGKILL
    watched.deliver()
    assert len(server.requests) == times
    [(key, state)] = watched.rows("message", "key, state")
    assert {request.headers["Idempotency-Key"] for request in server.requests} == {key}
    assert (state, watched.rows("notice", "state")) == ("sent", [("sent",)])


def test_a_kill_while_the_receiver_is_about_to_answer(watched, server):
    server.script = [Answer(how="hang")]
    watched.set("errors", "critical")
    with subprocess.Popen(command(watched, server, "none")) as program:
        until(lambda: server.requests)
        program.kill()
    watched.deliver()
    first, second = server.requests
    assert (first.headers["Idempotency-Key"], first.body) == (second.headers["Idempotency-Key"], second.body)


def test_an_hour_without_the_receiver_ends_with_one_message_a_group(watched, server):
    ways = [Answer(500), Answer(how="reset"), Answer(429, headers={"Retry-After": "20"}), Answer(503)]
    turns = iter(range(10_000))
    server.respond = lambda _: replace(ways[next(turns) % len(ways)])
    for alert in ("errors", "cost", "slow"):
        watched.set(alert, "critical")
    for minute in range(60):
        next_ns = watched.deliver()
        watched.set("errors", "ok" if minute % 2 else "critical")
        watched.clock.now_ns = min(next_ns or watched.clock() + 60 * 10**9, watched.clock() + 60 * 10**9)
    while_down = len(server.requests)
    server.respond = lambda _: Answer(200)
    watched.after(400)
    watched.after(400)
    after = [request.json() for request in server.requests[while_down:]]
    assert sorted(one["group"].split('"')[1] for one in after) == ["cost", "errors", "slow"]
    assert {one["group"].split('"')[1]: one["status"] for one in after}["errors"] == "resolved"
    assert watched.rows("notice", "DISTINCT state", 1)[-1:] == [("sent",)]
    assert while_down < 60
