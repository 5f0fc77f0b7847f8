"""Deadlines are absolute; those in business days go by the calendar, its time zone, and its changes of clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ihobs.clock import HOUR_NS, MINUTE_NS, SECOND_NS
from ihobs.config import load
from ihobs.incident_settings import CalendarSettings, days_of, hours_of
from ihobs.incidents import deadlines
from ihobs.incidents.policy import policy_of
from ihobs.incidents.working_time import WorkingTime
from ihobs.store.state.incidents import Deadline

BERLIN = ZoneInfo("Europe/Berlin")


def ns(text, zone=BERLIN):
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * SECOND_NS


def shown(at_ns, zone=BERLIN):
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).astimezone(zone).strftime("%a %Y-%m-%d %H:%M")


def working(hours="09:00-18:00", days="mon-fri", holidays=(), zone=BERLIN):
    return WorkingTime(CalendarSettings(hours_of(hours), days_of(days), frozenset(holidays)), zone)


@pytest.mark.parametrize(
    ("opened", "due"),
    [
        ("2026-11-23T10:00", "Tue 2026-11-24 18:00"),
        ("2026-11-23T23:59", "Tue 2026-11-24 18:00"),
        ("2026-11-27T10:00", "Mon 2026-11-30 18:00"),  # Friday
        ("2026-11-28T10:00", "Mon 2026-11-30 18:00"),  # Saturday
        ("2026-12-24T10:00", "Mon 2026-12-28 18:00"),  # Thursday before Christmas, which is a Friday
        ("2026-12-31T20:00", "Mon 2027-01-04 18:00"),
    ],
)
def test_the_next_business_day_leaves_out_weekends_and_holidays(opened, due):
    calendar = working(holidays=[date(2026, 12, 25), date(2027, 1, 1)])
    assert shown(calendar.next_business_day_ns(ns(opened))) == due


def test_the_day_is_that_of_the_time_zone():
    at_ns = ns("2026-11-26T23:30", UTC)  # Thursday in UTC, Friday in Tokyo, where the next working day is Monday
    assert shown(working(zone=BERLIN).next_business_day_ns(at_ns)) == "Mon 2026-11-30 18:00"
    assert shown(working(zone=UTC).next_business_day_ns(at_ns), UTC) == "Fri 2026-11-27 18:00"


def test_clocks_that_are_changed_do_not_move_the_end_of_the_day():
    before_summer, before_winter = ns("2026-03-27T12:00"), ns("2026-10-23T12:00")
    assert shown(working().next_business_day_ns(before_summer)) == "Mon 2026-03-30 18:00"
    assert shown(working().next_business_day_ns(before_winter)) == "Mon 2026-10-26 18:00"
    day = working(hours="00:00-24:00", days="sun")
    assert day.working_hours_ns(ns("2026-03-29T00:00"), 23 * HOUR_NS) == ns("2026-03-30T00:00")
    assert day.working_hours_ns(ns("2026-10-25T00:00"), 25 * HOUR_NS) == ns("2026-10-26T00:00")


def test_working_hours_are_counted_only_while_people_work():
    calendar = working()
    assert shown(calendar.working_hours_ns(ns("2026-11-27T17:00"), 2 * HOUR_NS)) == "Mon 2026-11-30 10:00"
    assert shown(calendar.working_hours_ns(ns("2026-11-27T07:00"), HOUR_NS)) == "Fri 2026-11-27 10:00"
    assert shown(calendar.working_hours_ns(ns("2026-11-28T12:00"), 9 * HOUR_NS)) == "Mon 2026-11-30 18:00"
    assert [calendar.is_working(ns(f"2026-11-27T{hour}")) for hour in ("08:59", "09:00", "17:59", "18:00")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not calendar.is_working(ns("2026-11-28T12:00"))


def test_five_working_days_are_a_week():
    assert shown(working().working_days_ns(ns("2026-11-24T12:00"), 5)) == "Tue 2026-12-01 18:00"


def test_a_calendar_on_which_nobody_ever_works_does_not_hang():
    everyday = working(days="mon", holidays=[date.fromordinal(day) for day in range(738_000, 745_000)])
    assert everyday.next_business_day_ns(ns("2026-11-24T12:00")) > ns("2029-01-01T00:00")


def test_days_may_go_over_the_end_of_the_week():
    assert days_of("sat-mon,wed") == {5, 6, 0, 2}
    with pytest.raises(ValueError, match="end after they begin"):
        hours_of("18:00-09:00")


@given(st.integers(0, 4 * 10**9), st.integers(1, 40), st.sampled_from(["Europe/Berlin", "UTC", "America/St_Johns"]))
def test_a_business_day_ends_in_the_future_and_while_people_work(at_s, days, zone):
    calendar = working(zone=ZoneInfo(zone))
    due_ns = calendar.working_days_ns(at_s * SECOND_NS, days)
    assert due_ns > at_s * SECOND_NS
    assert calendar.is_working(due_ns - SECOND_NS)
    assert calendar.working_days_ns(at_s * SECOND_NS, days + 1) > due_ns


NOON = ns("2026-11-27T12:00")
POLICY = policy_of(load(environ={}).settings)


@pytest.mark.parametrize(("severity", "minutes"), [("P1", 5), ("P2", 30), ("P3", 120)])
def test_each_severity_has_its_time(severity, minutes):
    [response] = POLICY.deadlines(severity, NOON)
    assert (response.kind, response.due_ns - NOON, response.state) == ("response", minutes * MINUTE_NS, "running")


def test_p4_has_until_the_next_business_day_and_nothing_must_be_resolved_by_itself():
    [response] = POLICY.deadlines("P4", NOON)
    assert shown(response.due_ns, None) == "Mon 2026-11-30 17:00"  # the machine's own time zone


FIVE_MINUTES = Deadline("response", NOON, NOON + 5 * MINUTE_NS)


@pytest.mark.parametrize(
    ("passed_s", "turn"),
    [(-3600, None), (0, None), (239, None), (240, "at risk"), (299, "at risk"), (300, "breached"), (10**6, "breached")],
)
def test_a_deadline_is_at_risk_after_80_percent_and_breached_after_all_of_it(passed_s, turn):
    assert deadlines.turned(FIVE_MINUTES, NOON + passed_s * SECOND_NS)[1] == turn


def test_each_turn_is_told_once_whatever_the_clock_does():
    one, turn = deadlines.turned(FIVE_MINUTES, NOON + 240 * SECOND_NS)
    assert (turn, deadlines.next_turn_ns(one)) == ("at risk", one.due_ns)
    assert deadlines.turned(one, NOON) == (one, None)  # the clock went back
    assert deadlines.turned(one, NOON + 250 * SECOND_NS) == (one, None)
    breached, turn = deadlines.turned(one, one.due_ns)
    assert (breached.state, turn, deadlines.next_turn_ns(breached)) == ("breached", "breached", None)
    assert deadlines.turned(breached, NOON) == (breached, None)


def test_what_is_met_too_late_stays_breached():
    assert deadlines.met(FIVE_MINUTES, NOON + 60 * SECOND_NS).state == "met"
    late = deadlines.met(FIVE_MINUTES, FIVE_MINUTES.due_ns + 1)
    assert (late.state, late.ended_ns) == ("breached", FIVE_MINUTES.due_ns + 1)
    assert deadlines.met(late, NOON) == late
    assert deadlines.void(late, NOON) == late
    assert deadlines.void(FIVE_MINUTES, NOON).state == "void"


def test_a_deadline_that_runs_is_never_put_off():
    shorter = Deadline("response", NOON + MINUTE_NS, NOON + 2 * MINUTE_NS)
    longer = Deadline("response", NOON + MINUTE_NS, NOON + 9 * MINUTE_NS)
    assert deadlines.sooner(FIVE_MINUTES, shorter) == shorter
    assert deadlines.sooner(FIVE_MINUTES, longer) == FIVE_MINUTES
    answered = deadlines.met(FIVE_MINUTES, NOON)
    assert deadlines.sooner(answered, shorter) == answered
    assert deadlines.sooner(None, shorter) == shorter
