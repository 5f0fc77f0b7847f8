"""The state machine of one alert, by tables and by properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ihobs.alerts.machine import AlertState, Change, next_deadline_ns, step, threshold_shown
from ihobs.clock import SECOND_NS
from ihobs.model import Rule

START_NS = 1_800_000_000 * SECOND_NS
RANK = {"ok": 0, "warning": 1, "critical": 2}


def rule(**changes):
    return replace(Rule(id="errors", metric="error_rate", warning=0.05, critical=0.15), **changes)


def run(given_rule, samples, state=None):
    """Return [(state, level, names of changes)] for samples of (seconds since the start, value)."""
    state = state or AlertState(since_ns=START_NS)
    seen = []
    for at_s, value in samples:
        state, changes = step(state, value, START_NS + round(at_s * SECOND_NS), given_rule)
        seen.append((state.state, state.level, [change.name for change in changes]))
    return seen


def states(given_rule, samples):
    return [state for state, _, _ in run(given_rule, samples)]


def levels(given_rule, samples):
    return [level for _, level, _ in run(given_rule, samples)]


@pytest.mark.parametrize(
    ("value", "level"), [(0.0, "ok"), (0.05, "ok"), (0.0501, "warning"), (0.15, "warning"), (0.1501, "critical")]
)
def test_a_threshold_must_be_exceeded_not_only_reached(value, level):
    assert levels(rule(), [(0, value)]) == [level]


@pytest.mark.parametrize(
    ("for_s", "every_s", "expected"),
    [
        pytest.param(0, 30, ["firing", "firing", "firing"], id="for 0 skips pending"),
        pytest.param(10, 30, ["pending", "firing", "firing"], id="for < interval fires at the second"),
        pytest.param(30, 30, ["pending", "firing", "firing"], id="for = interval fires at the second"),
        pytest.param(31, 30, ["pending", "pending", "firing"], id="for > interval fires at the first past it"),
        pytest.param(90, 30, ["pending", "pending", "pending"], id="long for stays pending"),
    ],
)
def test_for_is_as_in_prometheus(for_s, every_s, expected):
    samples = [(i * every_s, 1.0) for i in range(3)]
    assert states(rule(for_s=for_s), samples) == expected


def test_a_pending_alert_is_dropped_by_one_good_value_and_starts_anew():
    samples = [(0, 1.0), (30, 1.0), (60, 0.0), (90, 1.0), (120, 1.0), (150, 1.0)]
    assert states(rule(for_s=60), samples) == ["pending", "pending", "inactive", "pending", "pending", "firing"]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param(
            [(0, 1.0), (30, 0.0), (60, 0.0), (90, 0.0)],
            ["firing", "firing", "firing", "resolved"],
            id="holds a firing alert",
        ),
        pytest.param(
            [(0, 1.0), (30, 0.0), (60, 1.0), (90, 0.0), (120, 0.0), (150, 0.0)],
            ["firing", "firing", "firing", "firing", "firing", "resolved"],
            id="true again resets the hold",
        ),
    ],
)
def test_keep_firing_for_is_as_in_prometheus(samples, expected):
    assert states(rule(keep_firing_for_s=60), samples) == expected


def test_keep_firing_for_does_not_hold_a_pending_alert():
    samples = [(0, 1.0), (30, 0.0)]
    assert states(rule(for_s=60, keep_firing_for_s=600), samples) == ["pending", "inactive"]


def test_a_level_is_left_at_the_clear_threshold_and_not_before():
    samples = [(0, 0.16), (1, 0.14), (2, 0.1351), (3, 0.135), (4, 0.046), (5, 0.045)]
    assert levels(rule(), samples) == ["critical", "critical", "critical", "warning", "warning", "ok"]


def test_changes_tell_rise_fall_and_end_once_each():
    names = [names for _, _, names in run(rule(), [(0, 0.1), (1, 0.1), (2, 0.2), (3, 0.1), (4, 0.0), (5, 0.0)])]
    assert names == [["alert.firing"], [], ["alert.level"], ["alert.level"], ["alert.resolved"], []]


def test_a_change_says_from_where_to_where():
    state, _ = step(AlertState(since_ns=START_NS), 0.1, START_NS, rule())
    _, changes = step(state, 0.2, START_NS + SECOND_NS, rule())
    assert changes == (Change("alert.level", "critical", "warning"),)


def test_since_is_when_the_present_state_and_level_began():
    state = AlertState(since_ns=START_NS)
    begun = []
    for at_s, value in [(1, 0.1), (2, 0.1), (3, 0.2), (4, 0.2), (5, 0.0), (6, 0.0)]:
        state, _ = step(state, value, START_NS + at_s * SECOND_NS, rule())
        begun.append((state.since_ns - START_NS) // SECOND_NS)
    assert begun == [1, 1, 3, 3, 5, 5]


def test_each_level_has_a_clock_of_its_own():
    samples = [(0, 0.1), (30, 0.1), (60, 0.2), (90, 0.2), (120, 0.2)]
    assert levels(rule(for_s=60), samples) == ["ok", "ok", "warning", "warning", "critical"]


def test_a_resolved_alert_becomes_inactive_after_a_quarter_of_an_hour():
    samples = [(0, 1.0), (10, 0.0), (909, 0.0), (910, 0.0)]
    assert states(rule(), samples) == ["firing", "resolved", "resolved", "inactive"]


def test_a_resolved_alert_that_gets_no_data_becomes_inactive_too():
    assert states(rule(), [(0, 1.0), (10, 0.0), (910, None)]) == ["firing", "resolved", "inactive"]


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_no_data_keeps_a_firing_alert_and_says_that_the_value_is_unknown(nothing):
    state, _ = step(AlertState(since_ns=START_NS), 1.0, START_NS, rule())
    after, changes = step(state, nothing, START_NS + 3600 * SECOND_NS, rule())
    assert (after.state, after.level, after.value, changes) == ("firing", "critical", None, ())


def test_time_without_data_does_not_count_towards_for():
    samples = [(0, 1.0), (30, None), (60, None), (90, 1.0), (120, 1.0)]
    assert states(rule(for_s=60), samples) == ["pending", "pending", "pending", "pending", "firing"]


def test_down_time_counts_for_one_minute_at_most():
    assert states(rule(for_s=61), [(0, 1.0), (7200, 1.0), (7201, 1.0)]) == ["pending", "pending", "firing"]


def test_a_clock_that_goes_back_does_not_count():
    assert states(rule(for_s=60), [(0, 1.0), (-3600, 1.0), (-3541, 1.0), (-3540, 1.0)]) == [
        *["pending"] * 3,
        "firing",
    ]


def test_a_level_whose_threshold_is_taken_away_ends():
    state, _ = step(AlertState(since_ns=START_NS), 1.0, START_NS, rule())
    after, changes = step(state, 1.0, START_NS + SECOND_NS, rule(critical=None))
    assert (after.level, [change.name for change in changes]) == ("warning", ["alert.level"])


def test_infinity_is_a_value():
    assert levels(rule(), [(0, float("inf"))]) == ["critical"]


def test_the_deadline_is_when_the_running_clock_ends():
    waiting = rule(for_s=60, keep_firing_for_s=120)
    pending, _ = step(AlertState(since_ns=START_NS), 1.0, START_NS, waiting)
    assert next_deadline_ns(pending, START_NS, waiting) == START_NS + 60 * SECOND_NS
    firing, _ = step(pending, 1.0, START_NS + 60 * SECOND_NS, waiting)
    assert next_deadline_ns(firing, START_NS + 60 * SECOND_NS, waiting) is None
    clearing, _ = step(firing, 0.0, START_NS + 70 * SECOND_NS, waiting)
    assert next_deadline_ns(clearing, START_NS + 70 * SECOND_NS, waiting) == START_NS + 190 * SECOND_NS


@pytest.mark.parametrize(
    ("level", "thresholds", "shown"),
    [
        ("ok", {}, 0.05),
        ("warning", {}, 0.05),
        ("critical", {}, 0.15),
        ("ok", {"warning": None}, 0.15),
    ],
)
def test_the_threshold_shown_is_the_one_in_force_or_the_next(level, thresholds, shown):
    assert threshold_shown(level, rule(**thresholds)) == shown


values = st.one_of(st.none(), st.floats(0, 1, allow_nan=False))
samples_of_anything = st.lists(st.tuples(st.floats(0.05, 200), values), max_size=40)


def at_growing_times(gaps):
    now_s, samples = 0.0, []
    for gap_s, value in gaps:
        now_s += gap_s
        samples.append((now_s, value))
    return samples


@st.composite
def rules(draw):
    warning, critical = sorted([draw(st.floats(0, 1)), draw(st.floats(0, 1))])
    return rule(
        warning=draw(st.sampled_from([warning, None])),
        critical=critical,
        clear_ratio=draw(st.floats(0, 1)),
        for_s=draw(st.sampled_from([0.0, 1.0, 60.0, 300.0])),
        keep_firing_for_s=draw(st.sampled_from([0.0, 1.0, 60.0, 300.0])),
    )


@given(rules(), samples_of_anything)
def test_the_changes_told_add_up_to_the_level(given_rule, gaps):
    state, told = AlertState(since_ns=START_NS), "ok"
    for at_s, value in at_growing_times(gaps):
        state, changes = step(state, value, START_NS + round(at_s * SECOND_NS), given_rule)
        for change in changes:
            assert change.previous_level == told != change.level
            told = change.level
        assert told == state.level
        assert (state.state == "firing") == (state.level != "ok")


@given(rules(), samples_of_anything, st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_inside_the_hysteresis_band_a_firing_level_never_flaps(given_rule, before, band):
    """Once it fires, values in (clear, threshold] change nothing, whatever they are."""
    low, high = given_rule.critical * given_rule.clear_ratio, given_rule.critical
    assume(low < high)
    state, samples = AlertState(since_ns=START_NS), at_growing_times(before)
    now_s = samples[-1][0] if samples else 0.0
    samples += [(now_s + 60 * i, 2.0) for i in range(1, 8)]  # for is 300 s at most
    for at_s, value in samples:
        state, _ = step(state, value, START_NS + round(at_s * SECOND_NS), given_rule)
    assert state.level == "critical"
    now_s = samples[-1][0]
    for fraction in band:
        now_s += 10
        inside = high - fraction * (high - low)
        value = inside if inside > low else high
        state, changes = step(state, value, START_NS + round(now_s * SECOND_NS), given_rule)
        assert (state.level, changes) == ("critical", ())


@given(rules(), samples_of_anything, st.lists(st.floats(0.05, 100_000), max_size=20))
def test_no_data_never_resolves_and_never_fires(given_rule, before, silence):
    state, now_s = AlertState(since_ns=START_NS), 0.0
    for at_s, value in at_growing_times(before):
        state, _ = step(state, value, START_NS + round(at_s * SECOND_NS), given_rule)
        now_s = at_s
    level, tracks = state.level, (state.warning, state.critical)
    for gap_s in silence:
        now_s += gap_s
        state, changes = step(state, None, START_NS + round(now_s * SECOND_NS), given_rule)
        assert (state.level, state.warning, state.critical, changes) == (level, *tracks, ())


@given(rules(), samples_of_anything, st.floats(0, 1), st.floats(0, 1))
def test_a_lower_threshold_never_gives_a_lower_level(given_rule, gaps, down_warning, down_critical):
    lower = replace(
        given_rule,
        warning=None if given_rule.warning is None else given_rule.warning * down_warning,
        critical=given_rule.critical * down_critical,
    )
    samples = at_growing_times(gaps)
    for strict_level, lax_level in zip(levels(lower, samples), levels(given_rule, samples), strict=True):
        assert RANK[strict_level] >= RANK[lax_level]
