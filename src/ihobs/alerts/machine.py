"""The state machine of one alert: a pure function, without clock, store or query.

Each level (warning, critical) is a track of its own with Prometheus' semantics; the alert's level is the
highest that fires. A level

- begins to hold when the value is strictly above its threshold, and fires once it has held for `for_s`
  (`for_s` of 0 skips pending; one shorter than the time between evaluations fires at the second);
- goes on firing until the value is at or below `clear_ratio` x threshold, and has been so for
  `keep_firing_for_s`. A level that is only pending is dropped by the first value not above the threshold;
- goes back to pending when it has not held for as long as a changed rule now asks.

No data changes neither level nor clocks, unless the rule says after how long it does. Time counts by at most
`MAX_STEP_NS` an evaluation and never backwards: a clock that jumps, or a process that was down, neither fires nor
resolves anything by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ihobs.clock import MINUTE_NS, SECOND_NS

if TYPE_CHECKING:
    from ihobs.model import Level, Rule, State

MAX_STEP_NS = MINUTE_NS
"""How much an evaluation may add to `for` and `keep_firing_for`, however long ago the one before was."""

RESOLVED_KEPT_NS = 15 * MINUTE_NS
"""How long an alert is shown as resolved before it is inactive: Prometheus' `resolvedRetention`."""

Phase = Literal["inactive", "pending", "firing"]
ChangeName = Literal["alert.firing", "alert.level", "alert.resolved"]
Blindness = Literal["", "no data", "error"]


@dataclass(frozen=True, slots=True)
class Track:
    """One level of an alert.

    Attributes:
        phase: where it stands.
        held_ns: for how long its condition has held; counted on while it fires.
        clear_ns: for how long a firing level has been clear; None while it is not.
    """

    phase: Phase = "inactive"
    held_ns: int = 0
    clear_ns: int | None = None


_IDLE = Track()


@dataclass(frozen=True, slots=True)
class AlertState:
    """What is known of one alert after an evaluation. Everything that a restart needs is in it.

    Attributes:
        since_ns: when the present state and level began.
        state, level: what people see. `level` is "ok" unless something fires.
        value: of the last evaluation; None when that had no data.
        evaluated_ns: when the clocks were last moved; 0 while none runs.
        warning, critical: the tracks.
        blind_ns: for how long there have been no data, or only errors; counted when the rule says what that means.
        reason: why it fires although no value says so.
        epoch: of a ladder: the period, and the limit, that its rungs belong to. rung: the highest one reached in it.
    """

    since_ns: int
    state: State = "inactive"
    level: Level = "ok"
    value: float | None = None
    evaluated_ns: int = 0
    warning: Track = _IDLE
    critical: Track = _IDLE
    blind_ns: int | None = None
    reason: Blindness = ""
    epoch: str = ""
    rung: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A level that has changed, or the next rung of a ladder on the same level: worth telling someone."""

    name: ChangeName
    level: Level
    previous_level: Level


@dataclass(frozen=True, slots=True)
class Readings:
    """What each level of a rule compares with its threshold, where that is not the value that people see.

    None is no data: the level stays as it is.
    """

    warning: float | None
    critical: float | None


def step(
    before: AlertState, value: float | None, now_ns: int, rule: Rule, readings: Readings | None = None
) -> tuple[AlertState, tuple[Change, ...]]:
    """Return the state after `value` was seen at `now_ns`, and what is to be told; None or NaN is no data.

    Args:
        readings: what is compared instead of `value`.
    """
    if value is None or math.isnan(value):
        return blind(before, "no data", now_ns, rule)
    if readings is None and value == before.value and _stays_calm(before, value, rule):
        return before, ()
    if before.reason:  # it fired because nothing could be seen; now it is the value that counts
        before = replace(before, warning=_IDLE, critical=_IDLE)
    readings = readings or Readings(value, value)
    elapsed_ns = _elapsed_ns(before, now_ns)
    warning = _advance(before.warning, readings.warning, rule.warning, elapsed_ns, rule)
    critical = _advance(before.critical, readings.critical, rule.critical, elapsed_ns, rule)
    state, level = _combine(before, warning, critical, now_ns)
    after = AlertState(
        since_ns=before.since_ns if (state, level) == (before.state, before.level) else now_ns,
        state=state,
        level=level,
        value=value,
        evaluated_ns=now_ns if (warning, critical) != (_IDLE, _IDLE) else 0,
        warning=warning,
        critical=critical,
    )
    return after, changes(before.level, level)


def blind(
    before: AlertState, why: Literal["no data", "error"], now_ns: int, rule: Rule
) -> tuple[AlertState, tuple[Change, ...]]:
    """Return the state after an evaluation that saw nothing, and what is to be told.

    Nothing changes but the value, until it has lasted as long as the rule says; only what is long resolved grows
    old. What was firing because of a value goes on for the same reason when no data is to fire.
    """
    policy = rule.on_no_data if why == "no data" else rule.on_error
    aged = _without_data(before, now_ns)
    if policy == "keep":
        return aged, ()
    blind_ns = 0 if before.blind_ns is None else before.blind_ns + _elapsed_ns(before, now_ns)
    after = replace(aged, blind_ns=blind_ns, evaluated_ns=now_ns)
    if blind_ns < blind_for_ns(rule):
        return after, ()
    if policy == "ok":
        warning, critical, reason = _IDLE, _IDLE, after.reason
    elif before.level != "ok":
        return after, ()
    else:
        fired = Track("firing", _ns(rule.for_s))
        warning, critical = (fired, _IDLE) if rule.warning is not None else (_IDLE, fired)
        reason = why
    state, level = _combine(before, warning, critical, now_ns)
    since_ns = before.since_ns if (state, level) == (before.state, before.level) else now_ns
    after = replace(
        after, since_ns=since_ns, state=state, level=level, warning=warning, critical=critical, reason=reason
    )
    return after, changes(before.level, level)


def next_deadline_ns(state: AlertState, now_ns: int, rule: Rule) -> int | None:
    """Return when a running clock reaches its end if the value stays as it is; None when none runs."""
    if state.value is None:
        rest_ns = None if state.blind_ns is None else blind_for_ns(rule) - state.blind_ns
        return now_ns + rest_ns if rest_ns is not None and rest_ns > 0 else None
    both = [_rest_ns(track, rule) for track in (state.warning, state.critical)]
    running = [rest_ns for rest_ns in both if rest_ns is not None]
    return now_ns + max(0, min(running)) if running else None


def blind_for_ns(rule: Rule) -> int:
    """Return how long no data, or errors, must last before they mean anything."""
    return _ns(rule.for_s if rule.blind_for_s is None else rule.blind_for_s)


def _rest_ns(track: Track, rule: Rule) -> int | None:
    """Return how long the running clock of a level still has to go."""
    if track.phase == "pending":
        return _ns(rule.for_s) - track.held_ns
    return None if track.clear_ns is None else _ns(rule.keep_firing_for_s) - track.clear_ns


def threshold_shown(level: Level, rule: Rule) -> float | None:
    """Return the threshold of the level in force; while all is well, the first one that would be crossed."""
    if level == "critical":
        return rule.critical
    return rule.warning if rule.warning is not None else rule.critical


def changes(before: Level, after: Level) -> tuple[Change, ...]:
    """Return what is to be told when the level `before` became `after`."""
    if before == after:
        return ()
    name: ChangeName = "alert.level"
    if before == "ok":
        name = "alert.firing"
    elif after == "ok":
        name = "alert.resolved"
    return (Change(name, after, before),)


def _stays_calm(before: AlertState, value: float, rule: Rule) -> bool:
    """Return whether nothing is wrong and nothing runs, so that the same value again changes nothing."""
    if before.state != "inactive" or before.evaluated_ns or before.blind_ns is not None:
        return False
    return not any(threshold is not None and value > threshold for threshold in (rule.warning, rule.critical))


def _elapsed_ns(before: AlertState, now_ns: int) -> int:
    return min(max(now_ns - before.evaluated_ns, 0), MAX_STEP_NS) if before.evaluated_ns else 0


def _advance(track: Track, value: float | None, threshold: float | None, elapsed_ns: int, rule: Rule) -> Track:
    if threshold is None:
        return _IDLE
    if value is None:
        return track
    if track.phase != "firing":
        if value <= threshold:
            return _IDLE
        held_ns = 0 if track.phase == "inactive" else track.held_ns + elapsed_ns
        return Track("firing" if held_ns >= _ns(rule.for_s) else "pending", held_ns)
    held_ns = track.held_ns + elapsed_ns
    if value > threshold * rule.clear_ratio:
        is_too_early = value > threshold and held_ns < _ns(rule.for_s)  # the rule was changed: it now asks for more
        return Track("pending" if is_too_early else "firing", held_ns)
    clear_ns = 0 if track.clear_ns is None else track.clear_ns + elapsed_ns
    return Track("firing", held_ns, clear_ns) if clear_ns < _ns(rule.keep_firing_for_s) else _IDLE


def _combine(before: AlertState, warning: Track, critical: Track, now_ns: int) -> tuple[State, Level]:
    if critical.phase == "firing":
        return "firing", "critical"
    if warning.phase == "firing":
        return "firing", "warning"
    if "pending" in (warning.phase, critical.phase):
        return "pending", "ok"
    if before.state == "firing":
        return "resolved", "ok"
    return _aged(before, now_ns), "ok"


def _aged(before: AlertState, now_ns: int) -> State:
    """Return the state of an alert in which nothing holds: resolved for a while, then inactive."""
    is_recent = before.state == "resolved" and now_ns - before.since_ns < RESOLVED_KEPT_NS
    return "resolved" if is_recent else "inactive"


def _without_data(before: AlertState, now_ns: int) -> AlertState:
    """Keep everything but the value; the clocks stand still, and only what is long resolved grows old."""
    after = replace(before, value=None, evaluated_ns=now_ns if before.evaluated_ns else 0)
    if before.state == "resolved" and _aged(before, now_ns) == "inactive":
        return replace(after, state="inactive", since_ns=now_ns)
    return after


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)
