"""What is shown of a demo, from frames made by hand; the end-to-end test looks at a real one."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ihobs.cli import demo_screen
from ihobs.clock import SECOND_NS
from ihobs.demo.caused import Caused
from ihobs.demo.director import Frame
from ihobs.demo.program import Report
from ihobs.demo.scenario import Course
from ihobs.incidents.record import Record
from ihobs.model import Counters, Distribution, Event, MetricGroup, bucket_index
from ihobs.store.state.alerts import AlertRow
from ihobs.store.state.incidents import Entry, Incident

PLACE = Path(".ihobs-demo")
START_NS = 1_000 * SECOND_NS


def at(seconds):
    return START_NS + round(seconds * SECOND_NS)


def event(name, at_s, level, previous, text):
    fields = {"rule": "error-rate", "unit": "ratio"}
    return Event(name, at(at_s), "error-rate", level, previous, text, fields)


FIRED = event("alert.firing", 13.5, "critical", "ok", "error-rate is 20 %, above 15 %")
CLEARED = event("alert.resolved", 31.0, "ok", "critical", "error-rate is 0 %: resolved, was critical")
INCIDENT = "INC-20270115-120000"


def of_incident(name, at_s, level, previous, text):
    return Event(name, at(at_s), INCIDENT, level, previous, text, {"rule": INCIDENT})


OPENED = of_incident("incident.opened", 13.5, "critical", "ok", f"P2 {INCIDENT} opened: {FIRED.text}")
ENDED = of_incident("incident.resolved", 32.0, "ok", "critical", f"P2 {INCIDENT} resolved by itself after 18.5 s")
CAUSED = Caused(
    Record(
        Incident(INCIDENT, 1, "resolved", "P2", FIRED.text, "alert", "", "", at(13.5), at(13.5), resolved_ns=at(32)),
        (),
        (),
        (),
        (Entry(at(13.5), "opened", "", "opened as P2", {}), Entry(at(32), "resolved", "", "resolved by itself", {})),
    ),
    ("console:", "file:alerts.jsonl"),
)
NUMBERS = MetricGroup(
    {},
    Counters(
        spans=500,
        runs=80,
        failed_runs=10,
        calls=400,
        recovered_errors=30,
        input_tokens=123_456,
        cost_nano_usd=45 * 10**6,
    ),
    Distribution(80, 80 * SECOND_NS // 4, ((bucket_index(SECOND_NS // 4), 80),)),
    Distribution(),
)
NEW = Frame(at(0.2), Course("error-rate", START_NS, 50, phase_ns=START_NS), None, None, 0, ())
FAULTY = Frame(
    at(14),
    replace(NEW.course, phase="fault", normal_ns=at(5), fault_ns=at(11.5), phase_ns=at(11.3)).hear(FIRED),
    NUMBERS,
    NUMBERS,
    3,
    (AlertRow("error-rate", "error-rate", {}, "threshold", "firing", "critical", at(13.5), 0.2, 0.15, "{}"),),
)
DONE = replace(
    FAULTY,
    now_ns=at(31.2),
    done=Report("done", at(31.1), processed=70, failed=10),
    course=replace(FAULTY.course, healthy_ns=at(16), phase="done").hear(OPENED).hear(CLEARED).hear(ENDED),
    incident=CAUSED,
    alerts=(replace(FAULTY.alerts[0], state="resolved", level="ok", value=0.0),),
)


def shown(frames, monkeypatch, *, terminal):
    output = io.StringIO()
    made = Console(file=output, force_terminal=terminal, width=120, height=60, color_system=None, highlight=False)
    monkeypatch.setattr(demo_screen, "console", lambda: made)
    assert demo_screen.show(iter(frames), "errors", PLACE) is frames[-1]
    return output.getvalue()


def test_in_a_pipe_each_thing_that_happens_is_told_once(monkeypatch):
    text = shown([NEW, NEW, FAULTY, FAULTY, DONE], monkeypatch, terminal=False)
    assert text.count("the fault is over") == text.count("40 % of the requests") == 1
    assert "  13.5 s  alert    CRITICAL  error-rate is 20 %, above 15 %, 2.0 s after the fault began\n" in text
    assert "RESOLVED  error-rate is 0 %: resolved, was critical, 15.0 s after the fault ended\n" in text
    assert "\x1b" not in text


def test_in_a_pipe_the_numbers_come_now_and_then(monkeypatch):
    frames = [replace(FAULTY, now_ns=at(14 + n / 10)) for n in range(60)]
    text = shown(frames, monkeypatch, terminal=False)
    line = "runs 80 · failed 10 · error rate 12.5 % · p95 250 ms · tokens 123k · cost $0.0450\n"
    assert text.count(line) == 2


def test_on_a_terminal_the_numbers_and_the_alert_are_beside_each_other(monkeypatch):
    lines = shown([NEW, FAULTY], monkeypatch, terminal=True).splitlines()
    [header] = [line for line in lines if "error rate" in line and "p95" in line][-1:]
    [trailing] = [line for line in lines if "trailing" in line][-1:]
    assert trailing.index("12.5 %") + len("12.5 %") == header.index("error rate") + len("error rate")
    assert any("● error-rate" in line and "critical" in line and "20 %" in line for line in lines)


def test_before_the_first_span_there_are_dashes_and_no_alert(monkeypatch):
    text = shown([NEW], monkeypatch, terminal=True)
    assert "no alert" in text
    assert " - " in text


def test_the_ending_says_how_long_the_alert_took_and_where_to_look(monkeypatch):
    text = shown([DONE], monkeypatch, terminal=False)
    assert "fired 2.0 s after the fault began and cleared 15.0 s after it ended" in text
    assert f"The incident {INCIDENT} (P2) opened 2.0 s after the fault began" in text
    assert "was told to console, file, and was resolved 18.5 s later:" in text.replace("\n", " ").replace("  ", " ")
    assert "   18.5 s  resolved by itself\n" in text
    for command in ("metrics", "traces list --failed", "alerts list", "incidents show latest"):
        assert f"ihobs --config .ihobs-demo/ihobs.yaml {command}" in text


@pytest.mark.parametrize(("failed", "verdict"), [(10, "counted the same"), (9, "counted otherwise!")])
def test_the_ending_compares_the_runs_with_those_that_the_program_counted(monkeypatch, failed, verdict):
    frame = replace(DONE, done=replace(DONE.done, processed=80 - failed, failed=failed))
    assert verdict in shown([frame], monkeypatch, terminal=False)
    assert demo_screen.facts(frame, "errors", PLACE)["ok"] is (failed == 10)


@pytest.mark.parametrize(
    ("course", "verdict"),
    [
        (replace(FAULTY.course, fired=None, phase="done"), "The alert error-rate did not fire."),
        (NEW.course, f"No run was seen in time; see {PLACE / 'logs' / 'insighthub.log'}"),
        (replace(FAULTY.course, phase="done"), "The alert error-rate fired and did not clear in time."),
    ],
)
def test_the_ending_admits_when_the_alert_did_not_do_its_work(monkeypatch, course, verdict):
    frame = replace(FAULTY, course=course)
    assert verdict in shown([frame], monkeypatch, terminal=False)
    assert demo_screen.facts(frame, "errors", PLACE)["ok"] is False


def test_the_facts_are_numbers():
    facts = demo_screen.facts(DONE, "errors", PLACE)
    assert facts["ok"] is True
    assert facts["alert"] == {
        "rule": "error-rate",
        "level": "critical",
        "fired_after_s": pytest.approx(2.0),
        "cleared_after_s": pytest.approx(15.0),
    }
    assert (facts["total"].runs, facts["total"].error_rate) == (80, 0.125)
    kinds = ["start", "normal", "fault", "alert", "incident", "recovery", "alert", "incident"]
    assert [entry["kind"] for entry in facts["story"]] == kinds
    incident = facts["incident"]
    assert (incident["id"], incident["opened_after_s"], incident["resolved_after_s"]) == (INCIDENT, 2.0, 18.5)
    assert [line["text"] for line in incident["timeline"]] == ["opened as P2", "resolved by itself"]


def test_a_demo_whose_incident_did_not_end_is_not_good(monkeypatch):
    frame = replace(DONE, course=replace(DONE.course, ended=None))
    assert demo_screen.facts(frame, "errors", PLACE)["ok"] is False
    assert "and has not ended:" in shown([frame], monkeypatch, terminal=False).replace("\n", " ")
