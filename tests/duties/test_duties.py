"""The duties on a real home, with real threads; waiting is for a condition, never for a time."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from tests.alerts.orchestrator import Run, request

import ihobs
import ihobs_notifier
import ihobs_threshold
from ihobs.clock import SECOND_NS, now_ns
from ihobs.config import load
from ihobs.duties import Duties
from ihobs.store.home import Home
from ihobs.store.query import metrics
from ihobs.store.spool import SPOOL, Spool
from ihobs.store.state import alerts
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore
from ihobs.store.wake import notify
from ihobs.testing import FakeClock, plugins_of

BOUND_S = 30.0
SETTINGS = load(environ={}).settings


class Listener:
    """A stranger's plug-in that hears everything."""

    def __init__(self):
        self.windows, self.events, self.incidents, self.changed = [], [], [], threading.Condition()

    @ihobs.hookimpl
    def ihobs_window_closed(self, window):
        self._heard(self.windows, window)

    @ihobs.hookimpl
    def ihobs_event(self, event):
        self._heard(self.incidents if event.name.startswith("incident.") else self.events, event)

    def _heard(self, heard, one):
        with self.changed:
            heard.append(one)
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, BOUND_S)


def until(condition):
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def duties(home, listener):
    """Start duties, and stop all of them at the end."""
    started = []

    def start(*, clock=now_ns, receivers=None, settings=SETTINGS, **plugins):
        given = plugins_of(threshold=ihobs_threshold, notifier=ihobs_notifier, listener=listener, **plugins)
        made = Duties(home, settings, given, clock=clock, receivers=receivers)
        if made.start():
            started.append(made)
        return made

    yield start
    for one in started:
        one.stop()


def ingest(home, *runs, clock=now_ns, wake=True):
    with TelemetryStore(home, clock=clock) as store:
        store.ingest(request(clock(), *runs))
    if wake:
        notify(home)


def written(home):
    """The titles of what was delivered of alerts; what was of incidents is left out."""
    path = home.path / "logs" / "alerts.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    titles = [json.loads(line)["title"] for line in lines]
    return [title for title in titles if "INC-" not in title]


def test_failing_runs_become_a_line_in_the_file_and_on_the_console(home, duties, capfd):
    duties()
    ingest(home, *[Run(failed=True) for _ in range(5)])
    until(lambda: written(home))
    assert written(home) == ["error_rate is 100 %, above 15 %"]
    assert "CRITICAL error_rate is 100 %, above 15 %\n" in capfd.readouterr().err


def test_what_clears_is_delivered_too(home, duties):
    duties()
    ingest(home, *[Run(failed=True) for _ in range(5)])
    until(lambda: written(home))
    ingest(home, *[Run() for _ in range(200)])
    until(lambda: len(written(home)) == 2)
    assert written(home)[1] == "error_rate is 2.44 %: resolved, was critical"


def test_a_commit_without_a_datagram_is_noticed(home, duties, listener):
    duties()
    ingest(home, *[Run(failed=True) for _ in range(5)], wake=False)
    listener.wait_for(lambda: listener.events)


def test_plugins_hear_an_event_after_it_is_stored(home, duties):
    stored = []

    class Looks:
        @ihobs.hookimpl
        def ihobs_event(self, event):
            state = open_state(home)
            stored.append((event, alerts.history(state, limit=1)))
            state.close()

    duties(looks=Looks())
    ingest(home, *[Run(failed=True) for _ in range(5)])
    until(lambda: stored)
    [(event, history)] = stored
    assert history == [event]


def test_a_plugin_that_raises_ends_nothing(home, duties, listener):
    class Raises:
        @ihobs.hookimpl
        def ihobs_event(self, event):
            raise RuntimeError(event.name)

    duties(raises=Raises())
    ingest(home, *[Run(failed=True) for _ in range(5)])
    listener.wait_for(lambda: listener.events)
    ingest(home, *[Run() for _ in range(200)])
    listener.wait_for(lambda: len(listener.events) == 2)


def test_only_one_owner_and_the_next_one_goes_on_from_what_is_stored(home, duties, listener):
    first = duties()
    assert Duties.owner(home) == os.getpid()
    assert not Duties(home, SETTINGS, plugins_of()).start()
    ingest(home, *[Run(failed=True) for _ in range(5)])
    listener.wait_for(lambda: listener.events)
    first.stop()
    assert Duties.owner(home) is None
    duties()
    ingest(home, *[Run() for _ in range(200)])
    listener.wait_for(lambda: len(listener.events) == 2)
    assert [event.name for event in listener.events] == ["alert.firing", "alert.resolved"]


def test_the_duties_of_a_process_that_was_killed_are_taken_over(home, duties, listener):
    program = """
import sys, time, ihobs_threshold
from ihobs.config import load
from ihobs.duties import Duties
from ihobs.store.home import Home
from ihobs.testing import plugins_of
print(Duties(Home.open(sys.argv[1]), load(environ={}).settings, plugins_of(t=ihobs_threshold)).start(), flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(home.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        assert Duties.owner(home) == other.pid
        other.kill()
    duties()
    assert Duties.owner(home) == os.getpid()
    ingest(home, *[Run(failed=True) for _ in range(5)])
    listener.wait_for(lambda: listener.events)


def test_stopping_evaluates_and_delivers_once_more(home, duties):
    class Slow:
        """A plug-in that makes the first pass last until the duties are stopped."""

        reached, go_on = threading.Event(), threading.Event()

        @ihobs.hookimpl
        def ihobs_event(self, event):
            self.reached.set()
            assert self.go_on.wait(BOUND_S)

    slow = Slow()
    running = duties(slow=slow)
    ingest(home, *[Run(failed=True) for _ in range(5)])
    assert slow.reached.wait(BOUND_S)
    ingest(home, *[Run() for _ in range(200)])
    stopper = threading.Thread(target=running.stop)
    stopper.start()
    slow.go_on.set()
    stopper.join()
    assert [title.split(":")[-1] for title in written(home)] == [
        "error_rate is 100 %, above 15 %",
        " resolved, was critical",
    ]


def test_stopping_twice_or_before_starting_is_no_error(home, duties):
    Duties(home, SETTINGS, plugins_of()).stop()
    running = duties()
    running.stop()
    running.stop()


def test_in_a_with_statement_the_duties_are_left_to_their_owner(home, duties):
    with Duties(home, SETTINGS, plugins_of()) as first:
        assert Duties.owner(home) == os.getpid()
        with Duties(home, SETTINGS, plugins_of()) as second:
            assert second is not first
        assert Duties.owner(home) == os.getpid()
    assert Duties.owner(home) is None


def test_stopping_leaves_no_thread_and_no_socket(home, duties):
    running = duties()
    running.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ihobs-")]
    assert not (home.path / "locks" / "wake.sock").exists()


def test_receivers_of_ones_own_take_the_place_of_the_channels(home, duties):
    heard = []

    class Receives:
        @ihobs.hookimpl
        def ihobs_notify(self, notification, receiver):
            heard.append((receiver, notification.level))
            return True

    duties(receivers={"critical": ["demo:"]}, receives=Receives())
    ingest(home, *[Run(failed=True) for _ in range(5)])
    until(lambda: heard)
    assert set(heard) == {("demo:", "critical")}  # of the alert, and soon of the incident that it opens


def test_a_receiver_that_hangs_delays_no_evaluation(home, duties, listener):
    release = threading.Event()

    class Hangs:
        @ihobs.hookimpl
        def ihobs_notify(self, notification, receiver):
            return release.wait(BOUND_S) or None

    duties(hangs=Hangs())
    ingest(home, *[Run(failed=True) for _ in range(5)])
    listener.wait_for(lambda: listener.events)
    ingest(home, *[Run() for _ in range(200)])
    listener.wait_for(lambda: len(listener.events) == 2)
    release.set()


def test_prices_are_filled_and_orphans_counted_without_being_asked(home, duties):
    clock = FakeClock(now_ns())
    duties(clock=clock)
    with TelemetryStore(home, clock=clock) as store:
        orphan = request(clock(), Run(workflow="", input_tokens=1_000_000, output_tokens=0))
        del orphan.resource_spans[0].scope_spans[0].spans[1]  # the run never comes
        store.ingest(orphan)
        clock.advance(31)

        def numbers():
            groups = metrics(store.database, start_ns=clock() - 60 * SECOND_NS, end_ns=clock()).groups
            return groups[0].counters

        until(lambda: numbers().cost_nano_usd == 150_000_000 and numbers().runs == 1)


def cost_nano_usd(home):
    with TelemetryStore(home) as store:
        groups = metrics(store.database, start_ns=0, end_ns=now_ns()).groups
    return groups[0].counters.cost_nano_usd if groups else None


def test_a_model_that_is_first_seen_later_gets_its_price_beside_one_that_has_none(home, duties):
    duties()
    ingest(home, Run(input_tokens=1_000_000, output_tokens=0), Run(model="no-such-model"))
    until(lambda: cost_nano_usd(home) == 150_000_000)
    ingest(home, Run(model="gpt-4o", input_tokens=1_000_000, output_tokens=0))
    until(lambda: cost_nano_usd(home) == 2_650_000_000)


def test_a_program_that_ends_at_once_has_a_cost(home, duties):
    clock = FakeClock(now_ns())
    running = duties(clock=clock)
    until(lambda: running._maintained_ns is not None)  # the first round of upkeep has found nothing to price
    running._stopping.set()
    ingest(home, Run(input_tokens=1_000_000, output_tokens=0))
    running.stop()
    assert cost_nano_usd(home) == 150_000_000


def spooled(home, number):
    Spool(home.path / SPOOL).append(request(now_ns(), *[Run(failed=True)] * number).SerializeToString())


def runs_in(home):
    with TelemetryStore(home) as store:
        groups = metrics(store.database, start_ns=0, end_ns=now_ns() + SECOND_NS).groups
    return groups[0].counters.runs if groups else 0


def test_what_programs_could_not_store_is_brought_in_and_raises_alerts(home, duties):
    duties()
    spooled(home, 5)
    until(lambda: written(home))
    assert runs_in(home) == 5
    assert Spool(home.path / SPOOL).waiting().files == 0


def test_stopping_brings_in_what_a_program_left_at_its_end(home, duties, monkeypatch):
    monkeypatch.setattr("ihobs.duties.SETTLE_S", 60)
    started = duties()
    until(lambda: home.database("telemetry").exists())
    spooled(home, 2)
    started.stop()
    assert runs_in(home) == 2


def test_payloads_are_kept_as_long_as_the_configuration_says(home, duties):
    clock = FakeClock(now_ns())
    kept_an_hour = replace(SETTINGS, retention=replace(SETTINGS.retention, payload_s=3600.0))
    ingest(home, Run(), clock=clock)

    def payloads():
        with TelemetryStore(home).database.read() as connection:
            return connection.execute("SELECT count(*) FROM payload").fetchone()[0]

    assert payloads() == 1
    clock.advance(3599)
    first = duties(clock=clock, settings=kept_an_hour)
    first.stop()
    assert payloads() == 1
    clock.advance(2)
    duties(clock=clock, settings=kept_an_hour)
    until(lambda: payloads() == 0)


def test_each_closed_bucket_with_spans_is_heard_once(home, duties, listener):
    clock = FakeClock(1_800_000_000 * SECOND_NS)
    running = duties(clock=clock)
    until(lambda: running._offered_ns is not None)
    for _ in range(3):
        clock.advance(10)
        ingest(home, Run(workflow="a"), Run(workflow="b", failed=True), clock=clock)
    clock.advance(15)
    notify(home)
    listener.wait_for(lambda: len(listener.windows) == 3)
    running.stop()
    duties(clock=clock)
    clock.advance(10)
    ingest(home, Run(), clock=clock)
    clock.advance(30)
    notify(home)
    listener.wait_for(lambda: len(listener.windows) == 4)
    starts = [(window.start_ns - 1_800_000_000 * SECOND_NS) // SECOND_NS for window in listener.windows]
    assert starts == [0, 10, 20, 50]
    first = listener.windows[0]
    assert (first.total.counters.runs, first.total.counters.failed_runs) == (2, 1)
    assert {group.by["workflow"]: group.counters.failed_runs for group in first.by_workflow} == {"a": 0, "b": 1}


def test_an_error_of_the_store_is_said_once_and_survived(home, duties, listener, caplog):
    caplog.set_level(logging.WARNING, "ihobs.duties")
    current = home.path / "CURRENT"
    text = current.read_text(encoding="ascii")
    duties()
    ingest(home, Run())
    current.unlink()
    until(lambda: any("evaluate" in record.getMessage() for record in caplog.records))
    current.write_text(text, encoding="ascii")
    ingest(home, *[Run(failed=True) for _ in range(5)])
    listener.wait_for(lambda: listener.events)
    assert len([record for record in caplog.records if record.getMessage().startswith("evaluate")]) == 1


def test_a_home_that_is_imported_into_raises_no_alert_for_last_week(home, duties, listener):
    with TelemetryStore(home) as store:
        store.ingest(request(now_ns(), *[Run(failed=True, ended_ago_s=7 * 86_400) for _ in range(20)]), live=False)
    running = duties()
    until(lambda: running._offered_ns is not None)
    running.stop()
    assert (listener.events, written(home)) == ([], [])


def test_the_orchestrators_process_never_loads_the_duties():
    program = "import sys, ihobs, ihobs.store.wake; print([name for name in sys.modules if 'alerts' in name])"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert found == "[]\n"


def test_home_owner_is_nobody_before_anybody_started(tmp_path):
    assert Duties.owner(Home.open(tmp_path / "h", create=True)) is None
