"""Incidents in the duties process: real spans, real threads, real files; also when it is killed while one opens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.alerts.orchestrator import Run, request
from tests.incidents.conftest import settings_of

import ihobs
import ihobs_notifier
import ihobs_threshold
from ihobs.clock import now_ns
from ihobs.duties import Duties
from ihobs.incidents import people
from ihobs.incidents.policy import policy_of
from ihobs.incidents.session import Desk
from ihobs.store.state import incidents
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore
from ihobs.store.wake import notify
from ihobs.testing import plugins_of

BOUND_S = 30.0


def until(condition):
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Hears:
    """A stranger's plug-in that hears of incidents."""

    def __init__(self):
        self.events, self.changed = [], threading.Condition()

    @ihobs.hookimpl
    def ihobs_event(self, event):
        if event.name.startswith("incident."):
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()

    def wait_for(self, name):
        with self.changed:
            assert self.changed.wait_for(lambda: name in [event.name for event in self.events], BOUND_S), name


def ingest(home, *runs):
    with TelemetryStore(home) as store:
        store.ingest(request(now_ns(), *runs))
    notify(home)


def test_from_spans_that_fail_to_an_incident_that_everybody_hears_of(home, tmp_path):
    settings = settings_of(tmp_path, "incidents: {settle: 0s}")
    hears = Hears()
    plugins = plugins_of(threshold=ihobs_threshold, notifier=ihobs_notifier, hears=hears)
    desk = Desk(open_state(home), policy_of(settings))
    with Duties(home, settings, plugins):
        ingest(home, *[Run(failed=True) for _ in range(5)])
        hears.wait_for("incident.opened")
        [one] = incidents.newest(desk.state, 10)
        assert one.severity == "P1"
        directory = home.path / "incidents" / one.id
        until(lambda: len(list(directory.glob("*.json"))) == 7)
        people.acknowledge(desk, one.id, "anna")  # another process would do so
        notify(home)
        hears.wait_for("incident.acknowledged")
        ingest(home, *[Run() for _ in range(200)])
        hears.wait_for("incident.resolved")
    assert [event.name for event in hears.events] == [
        "incident.opened", "incident.acknowledged", "incident.resolved",
    ]  # fmt: skip
    traces = json.loads((directory / "traces.json").read_text())
    assert traces["data"]["errors"]
    lines = (home.path / "logs" / "alerts.jsonl").read_text().splitlines()
    told = [json.loads(line)["title"] for line in lines]
    assert any(title.startswith(f"P1 {one.id} opened") for title in told)
    desk.state.close()


def test_what_a_process_that_was_killed_left_undone_is_done_by_the_next(home, tmp_path):
    settings = settings_of(tmp_path, "")
    desk = Desk(open_state(home), policy_of(settings))
    one = people.open_by_hand(desk, "it fails", "P3", "anna").incident  # and then it was killed
    with Duties(home, settings, plugins_of(notifier=ihobs_notifier)):
        until(lambda: len(list((home.path / "incidents" / one.id).glob("*.json"))) == 7)
    desk.state.close()


WATCHER = """
import os, signal, sys
from ihobs.config import load
from ihobs.incidents.policy import policy_of
from ihobs.incidents.session import Desk, Session
from ihobs.incidents.watch import Watch
from ihobs.store.home import Home
from ihobs.store.state import incidents
from ihobs.store.state.migrations import open_state

owner = Session if sys.argv[2] == "tell" else incidents
real = getattr(owner, sys.argv[2])


def killing(*arguments, **named):
    real(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)


setattr(owner, sys.argv[2], killing)
Watch(Desk(open_state(Home.open(sys.argv[1])), policy_of(load(environ={}).settings))).run({})
"""


@pytest.mark.parametrize("step", ["insert", "expect_parts", "put_deadline", "put_member", "tell", "record_heard"])
def test_a_kill_while_an_alert_opens_one_leaves_nothing_and_the_next_pass_opens_one(world, step):
    world.alert("error_rate", "critical", 0.3, watch=False)
    command = [sys.executable, "-c", WATCHER, str(world.home.path), step]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert world.all() == []
    assert world.told() == []
    world.look()
    assert world.names(world.one().id) == ["opened", "alert.joined"]
    assert [event.name for event in world.told()] == ["incident.opened"]
