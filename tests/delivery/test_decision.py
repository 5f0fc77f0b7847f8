"""The decision about a group as a function: what holds for every course of alerts and times."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihobs.clock import SECOND_NS
from ihobs.delivery.decision import Mute, Standing, Timing, Told, after, decide

TIMING = Timing(round(0.3 * SECOND_NS), 60 * SECOND_NS, 3600 * SECOND_NS)
LEVELS = st.sampled_from(["ok", "warning", "critical"])
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), LEVELS, st.booleans(), st.integers(0, 40_000)), min_size=1, max_size=60
)


class Course:
    """One receiver hears of one group: time passes by milliseconds, and it is looked at whenever it says so."""

    def __init__(self):
        self.now, self.number, self.told = 1000 * SECOND_NS, 0, None
        self.alerts, self.sent, self.dropped = {}, [], []

    def change(self, name, level, mute):
        known = self.alerts.get(name, Standing(name, "ok", "ok"))
        if known.level != level:
            self.number += 1
            joined = known.joined_ns if known.waiting else self.now
            known = replace(known, level=level, waiting=(*known.waiting, self.number), joined_ns=joined)
        self.alerts[name] = replace(known, mute=Mute("quiet") if mute else None)

    def look(self):
        decision = decide(list(self.alerts.values()), self.told, TIMING, self.now)
        if decision.kind:
            events = [number for one in decision.say for number in one.waiting]
            self.sent.append((self.now, decision.kind, decision.level, events))
            self.told = after(self.told, decision.level, "", TIMING, self.now)
            for one in decision.say:
                self.alerts[one.alert] = replace(one, told=one.level, waiting=())
        for number in decision.dropped:
            self.dropped.append(number)
            self._forget(number)
        return decision

    def _forget(self, number):
        for name, one in self.alerts.items():
            self.alerts[name] = replace(one, waiting=tuple(each for each in one.waiting if each != number))

    def until(self, end):
        """Let time pass up to `end`, looking whenever a decision asked for it."""
        for _ in range(200):
            decision = self.look()
            if decision.kind or decision.dropped:
                continue
            if decision.next_ns is None or decision.next_ns > end:
                break
            assert decision.next_ns > self.now, "it asks to look again at once, and does nothing"
            self.now = decision.next_ns
        self.now = max(self.now, end)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_every_change_is_told_once_in_its_order_or_dropped_with_a_reason(steps):
    course = Course()
    for name, level, mute, pause_ms in steps:
        course.change(name, level, mute)
        course.until(course.now + pause_ms * 1_000_000)
    for name in list(course.alerts):
        course.alerts[name] = replace(course.alerts[name], mute=None)
    course.until(course.now + 120 * SECOND_NS)
    told = [number for _, _, _, events in course.sent for number in events]
    assert sorted([*told, *course.dropped]) == list(range(1, course.number + 1))
    for name in "abc":
        assert course.alerts.get(name, Standing(name, "ok", "ok")).waiting == ()


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_there_is_one_message_an_interval_but_for_what_joins_at_once_and_what_rises(steps):
    course = Course()
    for name, level, mute, pause_ms in steps:
        course.change(name, level, mute)
        course.until(course.now + pause_ms * 1_000_000)
    moments = [at for at, _, _, _ in course.sent]
    for at in moments:
        within = [each for each in moments if at <= each < at + TIMING.group_interval_ns]
        assert len(within) <= 4  # the first, what joined within group_wait, rises to warning and to critical


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_nobody_is_left_to_believe_that_what_is_over_still_fires(steps):
    course = Course()
    for name, level, mute, pause_ms in steps:
        course.change(name, level, mute)
        course.until(course.now + pause_ms * 1_000_000)
    course.until(course.now + 120 * SECOND_NS)
    for one in course.alerts.values():
        assert one.level != "ok" or one.told == "ok"


@pytest.mark.parametrize(
    ("told", "joined_s", "level", "due_s"),
    [
        (None, 0, "warning", 0),
        (Told(100, 100, "warning", "warning"), 100.1, "warning", 100.3),
        (Told(100, 100, "warning", "warning"), 101, "warning", 160),
        (Told(100, 100.3, "warning", "warning"), 100.31, "warning", 160.3),
        (Told(100, 100, "warning", "warning"), 101, "critical", 101),
        (Told(100, 160, "ok", "critical"), 161, "critical", 220),  # it was critical a moment ago: no hurry
        (Told(100, 160, "ok", "warning"), 161, "critical", 161),
    ],
)
def test_when_news_may_be_told(told, joined_s, level, due_s):
    def ns(seconds):
        return round(seconds * SECOND_NS)

    told = told and replace(told, opened_ns=ns(told.opened_ns), sent_ns=ns(told.sent_ns))
    now = ns(joined_s)
    one = Standing("a", level, "ok", (1,), joined_ns=now)
    decision = decide([one], told, TIMING, now)
    assert (decision.kind == "change") == (ns(due_s) <= now)
    if decision.kind is None:
        assert decision.next_ns == ns(due_s)
        assert decision.held[1].startswith("grouped")
