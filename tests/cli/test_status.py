"""`ihobs status`: what it finds and ends with; and homes that cannot be used, for all commands that show."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import MINUTE_NS
from ihobs.model import Event
from ihobs.store.losses import note_losses
from ihobs.store.spool import ENDPOINT_SPOOL, SPOOL, Spool
from ihobs.store.state import alerts
from ihobs.store.state.alerts import AlertRow, Evaluation, RuleHealth
from ihobs.store.state.migrations import open_state
from ihobs.testing import FakeClock

COMMANDS = [("metrics",), ("metrics", "--json"), ("traces", "list"), ("traces", "show", "1"), ("status",)]


def read(result):
    return json.loads(result.stdout)


@pytest.fixture
def duties(filled):
    """A real process that holds the lock of the duties; its process id."""
    program = textwrap.dedent("""
        import sys
        from ihobs.store.home import Home
        with Home.open(sys.argv[1]).locked("duties"):
            print("held", flush=True)
            sys.stdin.read()
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program, filled.home.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process.pid
    process.communicate()


def alert(state):
    return AlertRow(f"{state}-rule", f"{state}-rule", {}, "test", state, "critical", 1, 2.0, 1.0, "{}")


def test_a_fresh_home_is_well_and_stays_as_it_is(filled, ihobs):
    result = ihobs("status")
    assert result.exit_code == 0
    assert "no database yet" in result.stdout
    assert "no process: alerts are not evaluated" in result.stdout
    assert "ihobs exec" in result.stdout
    assert not list(filled.home.path.glob("data/*/*"))


def test_it_says_what_is_stored_from_when_and_under_which_settings(filled, ihobs):
    filled.span("old", 1, kind="workflow", ago_s=2 * 86_400)
    filled.span("new", 1, trace=2, kind="workflow").call(2, parent=1, trace=2).store(live=False)
    found = read(ihobs("status", "--json"))
    assert (found["spans"], found["traces"], found["generation"], found["content"]) == (3, 2, "g0001", "mask")
    assert found["oldest"] < found["newest"]
    assert found["home"] == str(filled.home.path)
    assert found["config"] is None
    assert found["databases"]["telemetry"]["bytes"] >= filled.home.database("telemetry").stat().st_size
    assert found["databases"]["state"]["bytes"] is None
    assert (found["alerts"], found["dropped"], found["findings"]) == (None, [], [])


def test_it_names_the_configuration_in_use_and_what_happens_to_contents(filled, ihobs, tmp_path):
    filled.span("job", 1, kind="workflow").store(live=False)
    (tmp_path / "ihobs.yaml").write_text("instrument: {content: mask}\n")
    result = ihobs("status")
    assert "ihobs.yaml" in result.stdout
    assert "masked" in result.stdout
    assert read(ihobs("status", "--json"))["config"] == "ihobs.yaml"


def test_a_watched_program_without_a_duties_process_is_a_finding(filled, ihobs):
    filled.span("job", 1, kind="workflow").store()
    result = ihobs("status")
    assert result.exit_code == 1
    assert "no duties process is alive" in result.stdout


def test_a_program_that_ended_together_with_its_duties_is_no_finding(filled, ihobs):
    from ihobs.config import load
    from ihobs.duties import Duties
    from ihobs.plugins import load as load_plugins

    filled.span("job", 1, kind="workflow").store()
    with Duties(filled.home, load().settings, load_plugins(), receivers={}):
        pass

    assert "no duties process is alive" not in ihobs("status").stdout


def test_a_duties_process_is_named_and_makes_the_finding_go(filled, ihobs, duties):
    filled.span("job", 1, kind="workflow").store()
    result = ihobs("status", "--json")
    assert result.exit_code == 0
    assert read(result)["duties"] == {"alive": True, "pid": duties}
    assert f"process {duties}" in ihobs("status").stdout


def test_running_workflows_are_counted_and_need_a_duties_process(filled, ihobs):
    filled.telemetry.report_active("svc", {"a": 2, "b": 1})
    result = ihobs("status", "--json")
    assert result.exit_code == 1
    assert read(result)["active_workflows"] == 3


def test_an_imported_file_needs_no_duties_process(filled, ihobs):
    filled.span("job", 1, kind="workflow").store(live=False)
    assert ihobs("status").exit_code == 0


def test_an_incident_that_goes_on_is_a_finding(filled, ihobs):
    ihobs("incidents", "open", "search is slow", "--severity", "P2")
    result = ihobs("status", "--json")
    assert result.exit_code == 1
    [one] = read(result)["incidents"]
    assert read(result)["findings"] == ["1 incident not resolved; see 'ihobs incidents list'"]
    assert f"P2 {one['id']} open: search is slow" in ihobs("status").stdout
    ihobs("incidents", "resolve", "latest", "faster now")
    assert ihobs("status").exit_code == 0


def test_firing_alerts_and_rules_that_cannot_be_evaluated_are_findings(filled, ihobs):
    event = Event("alert.firing", 1, "firing-rule", "critical", "ok", "text", {})
    rows = [alert("firing"), alert("pending"), alert("resolved")]
    unhealthy = [RuleHealth("broken-rule", "why", 1)]
    database = open_state(filled.home)
    alerts.save(database, Evaluation(rows, events=[event], unhealthy=unhealthy))
    database.close()
    result = ihobs("status", "--json")
    assert result.exit_code == 1
    assert read(result)["alerts"] == {"firing": 1, "pending": 1, "unhealthy_rules": ["broken-rule"], "dead_letters": 0}
    first, second = read(result)["findings"]
    assert first.startswith("1 alert firing")
    assert "broken-rule" in second


def test_lost_spans_are_a_finding_for_a_day_and_shown_for_ever(filled, ihobs):
    filled.telemetry.record_dropped("queue full", 7)
    result = ihobs("status", "--json")
    assert result.exit_code == 1
    assert [(loss["reason"], loss["spans"]) for loss in read(result)["dropped"]] == [("queue full", 7)]
    assert "7 spans lost (queue full)" in read(result)["findings"][0]


def test_spans_lost_long_ago_are_no_finding(tmp_path, ihobs):
    from ihobs.store.home import Home
    from ihobs.store.telemetry import TelemetryStore

    with TelemetryStore(Home.open(tmp_path / "home", create=True), clock=FakeClock()) as store:
        store.record_dropped("queue full", 7)
    result = ihobs("status")
    assert result.exit_code == 0
    assert "7 spans (queue full), the last at 2026-01-01 00:00:00 UTC" in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_home_they_end_with_3_and_say_how_to_make_one(ihobs, command):
    result = ihobs(*command)
    assert result.exit_code == 3
    assert "no home" in result.stderr
    assert "ihobs init" in result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_of_a_newer_version_is_refused_with_5(filled, ihobs, command):
    filled.span("job", 1, kind="workflow").store()
    filled.telemetry.close()
    with sqlite3.connect(filled.home.database("telemetry")) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'min_writer'")
    connection.close()
    result = ihobs(*command)
    assert result.exit_code == 5
    assert "written by a newer ihobs" in result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_newer_database_that_allows_it_is_still_read(filled, ihobs, command):
    filled.span("job", 1, trace=1 << 124, kind="workflow").store(live=False)
    filled.telemetry.close()
    with sqlite3.connect(filled.home.database("telemetry")) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert ihobs(*command).exit_code == 0


@pytest.mark.parametrize("damage", ["overwritten", "cut off", "scrambled"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_damaged_database_ends_with_6(filled, ihobs, command, damage):
    for trace in range(1, 40):
        filled.span(f"job-{trace}", 1, trace=trace << 120, kind="workflow")
    filled.store()
    filled.telemetry.close()
    path = filled.home.database("telemetry")
    content = path.read_bytes()
    if damage == "overwritten":
        path.write_bytes(b"this is no database at all\n" * 1000)
    elif damage == "cut off":
        path.write_bytes(content[: 5 * 4096])
    else:
        path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    result = ihobs(*command)
    assert result.exit_code == 6, result.output
    assert re.search(r"telemetry\.db: (is damaged|is not a database of ihobs)", result.stderr)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_home_that_may_not_be_read_ends_with_6(filled, ihobs, command):
    filled.span("job", 1, kind="workflow").store()
    filled.telemetry.close()
    assert ihobs(*command).exit_code in {0, 1, 3}  # everything is imported now
    filled.home.path.chmod(0)
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(65_534)  # root may read everything
        result = ihobs(*command)
    finally:
        if before == 0:
            os.seteuid(before)
        filled.home.path.chmod(0o700)
    assert result.exit_code == 6
    assert "Permission denied" in result.stderr


def append_spans(directory, number=1):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(span_id=number.to_bytes(8, "big"), trace_id=b"1" * 16)
    Spool(directory, clock=lambda: time.time_ns() - 2 * MINUTE_NS).append(request.SerializeToString())


def test_what_waits_on_disk_for_too_long_is_a_finding(filled, ihobs):
    append_spans(filled.home.path / SPOOL)
    result = ihobs("status")
    assert result.exit_code == 1
    assert "1 file, " in result.stdout
    assert "for a duties process" in result.stdout
    found = read(ihobs("status", "--json"))
    assert found["spool"]["files"] == 1
    assert found["spool"]["bytes"] > 0
    since = found["spool"]["since"][:19].replace("T", " ")
    assert found["findings"] == [f"spans wait in {filled.home.path / SPOOL} since {since} UTC"]


def test_losses_that_no_database_tells_of_are_shown_with_the_others(filled, ihobs):
    filled.telemetry.record_dropped("queue full", 3)
    note_losses(filled.home.path / SPOOL, {"store unavailable": 4}, time.time_ns())
    found = read(ihobs("status", "--json"))
    assert {loss["reason"]: loss["spans"] for loss in found["dropped"]} == {"queue full": 3, "store unavailable": 4}
    assert "4 spans (store unavailable)" in ihobs("status").stdout


class TestOfAnEndpoint:
    @pytest.fixture
    def directory(self, filled, monkeypatch):
        monkeypatch.setenv("IHOBS_ENDPOINT", "http://127.0.0.1:1")
        (filled.home.path / ENDPOINT_SPOOL).mkdir(parents=True)
        return filled.home.path / ENDPOINT_SPOOL

    def test_nothing_that_waits_is_well(self, directory, ihobs):
        result = ihobs("status")
        assert result.exit_code == 0
        assert "http://127.0.0.1:1 gets the spans" in result.stdout
        assert "nothing" in result.stdout
        assert read(ihobs("status", "--json"))["spool"]["since"] is None

    def test_what_waits_and_what_was_lost_are_findings(self, directory, ihobs):
        append_spans(directory)
        note_losses(directory, {"the endpoint answers 401": 4}, time.time_ns())
        result = ihobs("status", "--json")
        assert result.exit_code == 1
        assert len(read(result)["findings"]) == 2
        assert "4 spans (the endpoint answers 401)" in ihobs("status").stdout

    def test_it_needs_no_home(self, tmp_path, ihobs, monkeypatch):
        monkeypatch.setenv("IHOBS_ENDPOINT", "http://127.0.0.1:1")
        assert ihobs("status").exit_code == 0
        assert not (tmp_path / "home").exists()
