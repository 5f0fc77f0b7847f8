"""What was seen when an incident opened is frozen: whole, once, also by one that is killed; or it says why not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from tests.alerts.orchestrator import Run, request

import ihobs
from ihobs.incidents import diagnostics, people
from ihobs.incidents.diagnostics import Diagnostics
from ihobs.incidents.noticing import notice
from ihobs.incidents.opening import PARTS
from ihobs.incidents.seen import PIECES
from ihobs.store.state import incidents
from ihobs.store.state.controls import FORWARD_PAUSED, Setting, set_control
from ihobs.store.telemetry import TelemetryStore


@pytest.fixture
def seeing(world):
    """A home in which runs fail, and what collects the pieces."""
    with TelemetryStore(world.home, clock=world.clock) as store:
        runs = [Run(failed=number < 6, ended_ago_s=60.0 + number) for number in range(10)]
        store.ingest(request(world.clock(), *runs))
        store.settle(everything=True)
        yield Diagnostics(world.home, store.database, world.state, world.clock)


def read(world, incident, name):
    return json.loads((world.home.path / "incidents" / incident / f"{name}.json").read_text())


def states(world, incident):
    return {one.name: (one.state, one.detail) for one in world.of(incidents.parts, incident)}


def test_every_piece_that_is_expected_can_be_collected():
    assert set(PARTS) == set(PIECES)


def test_all_of_it_is_frozen_and_says_when(world, seeing):
    people.note_deployment(world.desk, "ci", "release 7")
    set_control(world.state, FORWARD_PAUSED, Setting(True, "anna", "costs", world.clock() + 10**12), world.clock())
    world.alert("error_rate", "critical", 0.6)
    one = world.one().id
    world.clock.advance(2)
    assert seeing.complete() == len(PARTS)
    assert set(states(world, one).values()) == {("done", f"incidents/{one}/{name}.json") for name in PARTS}
    assert world.names(one)[-1] == "diagnostics"
    assert seeing.complete() == 0
    traces, metrics = read(world, one, "traces"), read(world, one, "metrics")
    assert (traces["incident"], traces["opened"], traces["late_s"]) == (one, "2027-01-15T12:00:00.000Z", 2.0)
    assert traces["data"]["failing_nodes"][0]["failed_calls"] == 6
    assert {example["failed_runs"] for example in traces["data"]["failed_examples"]} == {1}
    assert traces["data"]["models"][0]["model"] == "gpt-4o-mini"
    assert metrics["data"]["hour"]["failed_runs"] == 6
    assert len(metrics["data"]["minutes"]) == 60
    assert read(world, one, "health")["data"]["success_ratio"] == 0.4
    assert [held["name"] for held in read(world, one, "controls")["data"]["set"]] == [FORWARD_PAUSED]
    assert [noted["text"] for noted in read(world, one, "changes")["data"]["noted"]] == ["release 7"]
    assert read(world, one, "system")["data"]["disk_free_bytes"] > 0
    assert {path.stat().st_mode & 0o777 for path in (world.home.path / "incidents" / one).iterdir()} == {0o600}


def test_versions_that_spans_tell_of_stand_among_the_changes(world, seeing):
    with TelemetryStore(world.home, clock=world.clock) as store:
        for ago_s, version in ((3000, "1.4"), (1000, "1.4"), (60, "1.5")):
            world.clock.advance(-ago_s)
            message = request(world.clock(), Run())
            message.resource_spans[0].resource.attributes.add(key="service.version").value.string_value = version
            store.ingest(message)
            world.clock.advance(ago_s)
    world.alert("error_rate", "critical", 0.6)
    seeing.complete()
    found = read(world, world.one().id, "changes")["data"]["versions"]
    assert [(one["service"], one["version"]) for one in found] == [("insighthub", "1.4"), ("insighthub", "1.5")]
    assert found[1]["seen_ns"] == world.clock() - 60 * 10**9


def test_what_is_frozen_stays_as_it_was(world, seeing):
    world.alert("error_rate", "critical", 0.6)
    seeing.complete()
    before = read(world, world.one().id, "traces")
    with world.state.write() as writer:
        writer.execute("UPDATE incident_part SET state = 'waiting'")
    world.clock.advance(100)
    seeing.complete()
    assert read(world, world.one().id, "traces") == before


def test_a_piece_that_cannot_be_had_says_why_and_the_others_are_there(world, seeing):
    world.alert("error_rate", "critical", 0.6)
    one = world.one().id
    with seeing.telemetry.write() as writer:
        writer.execute("DROP TABLE log_record")
    seeing.complete()
    found = states(world, one)
    assert found.pop("logs")[0] == "missing"
    assert {state for state, _ in found.values()} == {"done"}
    [line] = [entry for entry in world.of(incidents.timeline, one) if entry.name == "diagnostics"]
    assert line.text == "diagnostics are frozen: 6 of 7 parts; missing: logs"


def test_a_directory_that_cannot_be_written_is_a_reason(world, seeing):
    world.alert("error_rate", "critical", 0.6)
    (world.home.path / "incidents").write_text("not a directory")
    seeing.complete()
    assert {state for state, _ in states(world, world.one().id).values()} == {"missing"}
    assert all(detail for _, detail in states(world, world.one().id).values())


COLLECTOR = """
import os, signal, sys
from ihobs.config import load
from ihobs.incidents import diagnostics, opening, people
from ihobs.incidents.diagnostics import Diagnostics
from ihobs.incidents.policy import policy_of
from ihobs.incidents.session import Desk, Session
from ihobs.store.home import Home
from ihobs.store.schema import open_telemetry
from ihobs.store.state import incidents
from ihobs.store.state.migrations import open_state

path, target, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
home = Home.open(path)
state = open_state(home)
owner, name = {
    "insert": (incidents, "insert"),
    "entry": (incidents, "add_entry"),
    "expect": (incidents, "expect_parts"),
    "tell": (Session, "tell"),
    "fsync": (os, "fsync"),
    "link": (os, "link"),
    "unlink": (os, "unlink"),
    "finish": (incidents, "finish_part"),
}[target]
real, calls = getattr(owner, name), 0


def killing(*arguments, **named):
    global calls
    calls += 1
    if calls > count:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)


setattr(owner, name, killing)
desk = Desk(state, policy_of(load(environ={}).settings))
people.open_by_hand(desk, "it fails", "P1", "anna")
Diagnostics(home, open_telemetry(home), state).complete()
"""

STEPS = [
    *(("insert", 0), ("entry", 0), ("expect", 0), ("tell", 0)),
    *(("fsync", 0), ("link", 0), ("link", 6), ("finish", 0), ("finish", 6)),
]


def run(world, target, count):
    return subprocess.run(
        [sys.executable, "-c", COLLECTOR, str(world.home.path), target, str(count)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("target", "count"), STEPS)
def test_a_kill_at_any_step_of_opening_leaves_one_incident_and_all_of_its_pieces(world, seeing, target, count):
    killed = run(world, target, count)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = people.open_by_hand(world.desk, "it fails", "P1", "anna")  # whoever tries again finds it, or opens it
    assert again.changed == (target in {"insert", "entry", "expect", "tell"})
    seeing.complete()
    one = world.one().id
    assert {state for state, _ in states(world, one).values()} == {"done"}
    for name in PARTS:
        assert read(world, one, name)["part"] == name
    assert {path.suffix for path in (world.home.path / "incidents" / one).iterdir()} == {".json"}
    assert world.names(one) == ["opened", "diagnostics"]
    assert [event.name for event in world.told()] == ["incident.opened"]


def test_two_collectors_at_once_leave_one_of_each(world, seeing, monkeypatch):
    world.alert("error_rate", "critical", 0.6)
    real, other = diagnostics._write_once, []

    def late(file, text, beside):
        if not other:  # another process is faster
            other.append(file)
            Diagnostics(world.home, seeing.telemetry, world.state, world.clock).complete()
        real(file, text, beside)

    monkeypatch.setattr(diagnostics, "_write_once", late)
    seeing.complete()
    assert world.names(world.one().id).count("diagnostics") == 1
    assert {state for state, _ in states(world, world.one().id).values()} == {"done"}


def test_what_changed_in_the_configuration_is_noticed_by_name_alone(world, make_world):
    assert notice(world.state, world.settings, 1) == []
    assert notice(world.state, world.settings, 2) == []
    other = make_world("quotas: {openai: {usd_per_month: 4711}}\ncalendar: {holidays: [2026-12-25, 2026-12-26]}")
    assert notice(world.state, other.settings, 3) == ["changed in the configuration: calendar, quotas"]
    assert notice(world.state, other.settings, 4, version="9.0") == [f"ihobs {ihobs.__version__} became 9.0"]
    with world.state.read() as reader:
        assert "4711" not in str(reader.execute("SELECT value FROM meta").fetchall())


NOTICER = """
import sys
from pathlib import Path
from ihobs.config import load
from ihobs.incidents.noticing import notice
from ihobs.store.home import Home
from ihobs.store.state.migrations import open_state

print(notice(open_state(Home.open(sys.argv[1])), load(Path(sys.argv[2]), environ={}).settings, 1))
"""


def test_the_order_of_a_set_is_no_change(world):
    command = [sys.executable, "-c", NOTICER, str(world.home.path)]
    path = world.home.path.parent / "ihobs.yaml"
    path.write_text("calendar: {holidays: [2026-12-24, 2026-12-25, 2026-12-26, 2026-12-31]}")
    for seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True, env=environ)
        assert done.stdout == "[]\n"
