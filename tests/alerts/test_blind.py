"""What no data and failed evaluations mean, a longer `for` after a reload, and restarts: the machine alone."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ihobs.alerts.evaluation import Alert, row_of
from ihobs.alerts.evaluator import state_of
from ihobs.alerts.ladder import climb
from ihobs.alerts.machine import AlertState, Change, blind, next_deadline_ns, step
from ihobs.clock import SECOND_NS
from ihobs.model import Rule

START_NS = 1_800_000_000 * SECOND_NS
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes says nothing here; the machine may be busy."""

RULE = Rule(id="errors", metric="error_rate", warning=0.05, critical=0.15)
FIRES = replace(RULE, on_no_data="fire", on_error="fire", blind_for_s=60)


def play(rule, samples, state=None):
    """Return [(state, level, changes)] for samples of (seconds, value); "error" is a failed evaluation."""
    state = state or AlertState(since_ns=START_NS)
    seen = []
    for at_s, value in samples:
        now = START_NS + at_s * SECOND_NS
        state, changes = blind(state, "error", now, rule) if value == "error" else step(state, value, now, rule)
        seen.append((state.state, state.level, [change.name for change in changes]))
    return seen


@pytest.mark.parametrize("nothing", [None, float("nan"), "error"])
def test_nothing_seen_keeps_an_alert_as_it_is_unless_the_rule_says_otherwise(nothing):
    seen = play(RULE, [(0, 0.2), *((30 * turn, nothing) for turn in range(1, 100))])
    assert {state for state, _, _ in seen} == {"firing"}
    assert [names for _, _, names in seen if names] == [["alert.firing"]]


def test_no_data_fires_at_the_lowest_level_after_its_time_and_ends_with_data():
    seen = play(FIRES, [(0, 0.0), (30, None), (60, None), (89, None), (90, None), (120, None), (150, 0.0)])
    assert [level for _, level, _ in seen] == ["ok", "ok", "ok", "ok", "warning", "warning", "ok"]
    assert [names for _, _, names in seen] == [[], [], [], [], ["alert.firing"], [], ["alert.resolved"]]


def test_without_a_time_of_its_own_no_data_obeys_for():
    rule = replace(FIRES, blind_for_s=None, for_s=30)
    assert [level for _, level, _ in play(rule, [(0, None), (29, None), (30, None)])] == ["ok", "ok", "warning"]


def test_data_between_starts_the_clock_anew():
    seen = play(FIRES, [(0, None), (50, None), (55, 0.0), (60, None), (115, None), (120, None)])
    assert [level for _, level, _ in seen] == ["ok", "ok", "ok", "ok", "ok", "warning"]


def test_what_fires_because_of_a_value_goes_on_for_that_reason():
    seen = play(FIRES, [(0, 0.2), (30, None), (200, None), (230, 0.14), (240, 0.13)])
    assert [level for _, level, _ in seen] == ["critical", "critical", "critical", "critical", "warning"]


def test_a_value_in_the_band_does_not_keep_what_fired_for_want_of_data():
    seen = play(FIRES, [(0, None), (60, None), (70, 0.048)])
    assert [level for _, level, _ in seen] == ["ok", "warning", "ok"]


def test_no_data_can_end_an_alert():
    rule = replace(RULE, on_no_data="ok", blind_for_s=60)
    seen = play(rule, [(0, 0.2), (30, None), (60, None), (90, None), (100, None)])
    assert [state for state, _, _ in seen] == ["firing", "firing", "firing", "resolved", "resolved"]


def test_errors_fire_by_their_own_policy():
    only_errors = replace(FIRES, on_no_data="keep")
    assert [level for _, level, _ in play(only_errors, [(0, "error"), (60, "error")])] == ["ok", "warning"]
    assert [level for _, level, _ in play(only_errors, [(0, None), (60, None), (120, None)])] == ["ok"] * 3


def test_down_time_does_not_count_as_no_data():
    seen = play(replace(FIRES, blind_for_s=90), [(0, None), (4000, None), (4010, None), (4030, None)])
    assert [level for _, level, _ in seen] == ["ok", "ok", "ok", "warning"]


def test_the_time_of_no_data_is_a_deadline():
    state, _ = step(AlertState(since_ns=START_NS), None, START_NS, FIRES)
    assert next_deadline_ns(state, START_NS, FIRES) == START_NS + 60 * SECOND_NS


def test_a_longer_for_puts_a_firing_alert_back_to_pending_as_prometheus_does():
    """TestFiringAlertResetToPendingOnHoldDurationIncrease of prometheus/prometheus, rules/alerting_test.go."""
    state = AlertState(since_ns=START_NS)
    for at_s in (0, 60):
        state, _ = step(state, 1.0, START_NS + at_s * SECOND_NS, replace(RULE, for_s=60))
    assert state.state == "firing"
    longer, seen = replace(RULE, for_s=180), []
    for at_s in (90, 120, 150, 180):
        state, changes = step(state, 1.0, START_NS + at_s * SECOND_NS, longer)
        seen.append((state.state, changes))
    assert seen == [
        ("pending", (Change("alert.resolved", "ok", "critical"),)),
        ("pending", ()),
        ("pending", ()),
        ("firing", (Change("alert.firing", "critical", "ok"),)),
    ]


def test_a_shorter_for_fires_at_the_next_evaluation():
    state = AlertState(since_ns=START_NS)
    for at_s in (0, 60):
        state, _ = step(state, 1.0, START_NS + at_s * SECOND_NS, replace(RULE, for_s=600))
    state, _ = step(state, 1.0, START_NS + 70 * SECOND_NS, replace(RULE, for_s=30))
    assert state.state == "firing"


LADDER = Rule(id="budget", metric="budget_used", at=(0.5, 0.8, 1.0))


@unhurried
@given(st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["november", "december"])), max_size=30))
def test_each_rung_is_told_at_most_once_in_each_period(samples):
    samples = sorted(samples, key=lambda sample: sample[1], reverse=True)
    state, told = AlertState(since_ns=START_NS), []
    for turn, (value, epoch) in enumerate(samples):
        state, changes = climb(state, value, epoch, START_NS + turn, LADDER)
        told += [(epoch, state.rung) for change in changes if change.level != "ok"]
        assert state.level == ("ok" if state.rung is None else "critical" if state.rung == 1.0 else "warning")
    assert len(told) == len(set(told))


def test_a_rung_is_told_when_it_is_reached_and_another_limit_begins_anew():
    state, seen = AlertState(since_ns=START_NS), []
    for value, epoch in [(0.5, "800"), (0.9, "800"), (0.7, "800"), (None, ""), (1.0, "800"), (0.6, "1600")]:
        state, changes = climb(state, value, epoch, START_NS, LADDER)
        seen.append((state.rung, [(change.name, change.level) for change in changes]))
    assert seen == [
        (0.5, [("alert.firing", "warning")]),
        (0.8, [("alert.level", "warning")]),
        (0.8, []),
        (0.8, []),
        (1.0, [("alert.level", "critical")]),
        (0.5, [("alert.level", "warning")]),
    ]


@unhurried
@given(
    st.lists(
        st.tuples(
            st.integers(1, 90),
            st.one_of(st.none(), st.just("error"), st.floats(0, 0.4, allow_nan=False)),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.sampled_from([RULE, FIRES, replace(FIRES, for_s=45, keep_firing_for_s=90), replace(RULE, on_no_data="ok")]),
)
def test_a_restart_at_any_point_gives_the_same_events_as_none(samples, rule):
    """A restart is what the database keeps of an alert: its row, and back."""
    forgetful = steady = AlertState(since_ns=START_NS)
    now = START_NS
    for after_s, value, restarts in samples:
        now += after_s * SECOND_NS
        steps = [
            blind(state, "error", now, rule) if value == "error" else step(state, value, now, rule)
            for state in (steady, forgetful)
        ]
        assert steps[0] == steps[1]
        steady = forgetful = steps[0][0]
        if restarts:
            row = row_of(Alert("errors", "errors", {}, "threshold", forgetful, 0.05))
            forgetful = state_of(row)
            assert asdict(forgetful) == asdict(steady)
            assert json.loads(row.clocks)["evaluated_ns"] == steady.evaluated_ns
