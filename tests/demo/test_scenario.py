from dataclasses import replace

import pytest

from ihobs.clock import SECOND_NS
from ihobs.demo.scenario import FAULT_AT_MOST_S, INCIDENT_AT_MOST_S, SHOWN_S, START_AT_MOST_S, Course
from ihobs.model import Event


def s(seconds):
    return round(seconds * SECOND_NS)


def event(name, at_s, *, rule="error-rate", level="critical"):
    return Event(name, s(at_s), rule, level, "ok", f"{rule} is {level}", {"rule": rule, "unit": "ratio"})


START = Course("error-rate", started_ns=s(100), limit_s=50, phase_ns=s(100))
NORMAL = replace(START, phase="normal", phase_ns=s(105), normal_ns=s(105))
FAULT = replace(NORMAL, phase="fault", phase_ns=s(111), fault_ns=s(111.2))
RECOVERY = replace(FAULT.hear(event("alert.firing", 113)), phase="recovery", phase_ns=s(115), healthy_ns=s(115.5))


def next_phase(course, at_s):
    return course.next_phase(s(at_s), normal_s=6.0)


def test_the_fault_comes_after_six_normal_seconds():
    assert next_phase(NORMAL, 110.9) == "normal"
    assert next_phase(NORMAL, 111.0) == "fault"


def test_nothing_happens_before_the_first_run_is_seen():
    assert next_phase(START, 130) == "starting"


def test_the_fault_ends_when_its_alert_has_been_shown_for_a_while():
    fired = FAULT.hear(event("alert.firing", 113))
    assert fired.fired_after_s == pytest.approx(1.8)
    assert next_phase(fired, 113 + SHOWN_S - 0.1) == "fault"
    assert next_phase(fired, 113 + SHOWN_S) == "recovery"


def test_a_fault_without_an_alert_ends_some_time_and_then_the_demo_is_over():
    assert next_phase(FAULT, 111.2 + FAULT_AT_MOST_S - 0.1) == "fault"
    assert next_phase(FAULT, 111.2 + FAULT_AT_MOST_S) == "recovery"
    assert next_phase(replace(FAULT, phase="recovery", healthy_ns=s(132)), 132) == "done"


def test_the_demo_is_over_when_the_alert_has_cleared():
    assert next_phase(RECOVERY, 140) == "recovery"
    cleared = RECOVERY.hear(event("alert.resolved", 128.5, level="ok"))
    assert cleared.cleared_after_s == pytest.approx(13.0)
    assert next_phase(cleared, 129) == "done"


def incident(name, at_s, text, subject="INC-1"):
    return Event(f"incident.{name}", s(at_s), subject, "critical", "ok", text, {"rule": subject})


def test_the_demo_waits_for_the_end_of_the_incident_that_the_alert_caused():
    opened = RECOVERY.hear(incident("opened", 113, "P2 INC-1 opened: error-rate is critical"))
    cleared = opened.hear(event("alert.resolved", 128.5, level="ok"))
    assert (cleared.opened_after_s, cleared.ended_after_s) == (pytest.approx(1.8), None)
    assert next_phase(cleared, 129) == "recovery"
    other = cleared.hear(incident("resolved", 129, "P3 INC-2 resolved", "INC-2"))
    assert next_phase(other, 129) == "recovery"
    ended = cleared.hear(incident("resolved", 129.5, "P2 INC-1 resolved"))
    assert (next_phase(ended, 129.5), ended.ended_after_s) == ("done", pytest.approx(16.5))
    assert next_phase(cleared, 128.5 + INCIDENT_AT_MOST_S) == "done"


@pytest.mark.parametrize("course", [NORMAL, FAULT, RECOVERY])
def test_the_demo_gives_up_some_time_after_the_first_run(course):
    assert next_phase(course, 154.9) != "done"
    assert next_phase(course, 155) == "done"


def test_a_program_that_shows_no_run_is_given_up():
    assert next_phase(START, 100 + START_AT_MOST_S - 0.1) == "starting"
    assert next_phase(START, 100 + START_AT_MOST_S) == "done"


def test_only_the_watched_alert_after_the_fault_counts():
    for other in (event("alert.firing", 113, rule="cost"), event("alert.firing", 111)):
        assert FAULT.hear(other).fired is None
        assert FAULT.hear(other).events == (other,)
    assert NORMAL.hear(event("alert.firing", 113)).fired is None


def test_only_the_first_firing_counts_and_a_flap_during_the_fault_clears_nothing():
    course = FAULT
    for one in (event("alert.firing", 112), event("alert.resolved", 113), event("alert.firing", 114)):
        course = course.hear(one)
    assert (course.fired.at_ns, course.cleared) == (s(112), None)


def test_an_alert_that_never_fired_cannot_clear():
    silent = replace(RECOVERY, fired=None, events=())
    assert silent.hear(event("alert.resolved", 120, level="ok")).cleared is None
