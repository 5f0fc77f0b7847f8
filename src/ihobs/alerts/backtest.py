"""Rules over the stored past: when each would have fired, for how long, and how often people would have been told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ihobs.alerts.metrics import METRICS
from ihobs.alerts.replay import Scene, Stretch, replay
from ihobs.alerts.rules import RuleSet
from ihobs.alerts.timeline import Timeline
from ihobs.clock import DAY_NS, SECOND_NS
from ihobs.store.moments import Moment, hours_only_before_s, moments

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.alerts.evaluation import Found
    from ihobs.alerts.machine import AlertState
    from ihobs.model import Event, Level, Rule
    from ihobs.store.database import Database
    from ihobs.store.parts import Question

STEP_S = 60.0
HOUR_S = 3600.0
RANKS: Mapping[Level, int] = {"ok": 0, "warning": 1, "critical": 2}
LONGEST_BURN_NS = 3 * DAY_NS
OF_THE_MOMENT = ("active_workflows", "stuck_runs")
NOT_STORED = "its metric is known for the present only"
MONTH_NS = 31 * DAY_NS


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that an alert would have fired.

    Attributes:
        alert: its key.
        start_ns, end_ns: from its first level to its end; None: it would still fire.
        level: the highest it reached.
        text: what would have been told first.
    """

    alert: str
    start_ns: int
    end_ns: int | None
    level: Level
    text: str


@dataclass(slots=True)
class Course:
    """What one rule would have done.

    Attributes:
        rule: its id.
        firings: in order of time.
        told: levels that would have been told because they rose.
        firing_ns: how long it would have fired in all; of several instances at once, counted once.
        levels: for each slot of the picture the worst level; None: there was no data.
        error: why it could not be evaluated, or None.
    """

    rule: str
    firings: list[Firing] = field(default_factory=list)
    told: int = 0
    firing_ns: int = 0
    levels: list[Level | None] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Backtest:
    """The courses of all rules over one stretch of time.

    Attributes:
        start_ns, end_ns: the stretch.
        hours_only_before_ns: before it only hours are stored, and no window is shorter.
        courses: by rule.
    """

    start_ns: int
    end_ns: int
    hours_only_before_ns: int
    courses: Mapping[str, Course]

    def a_week(self, course: Course) -> float:
        """Return how often a week a level would have been told because it rose."""
        return course.told / max((self.end_ns - self.start_ns) / (7 * DAY_NS), 1e-9)


@dataclass(frozen=True, slots=True)
class Past:
    """Where and when to look.

    Attributes:
        database: the telemetry database.
        start_ns, end_ns: the stretch; it begins at a full hour.
        quotas, timezone: as in the configuration.
        slots: how many slots the picture has.
    """

    database: Database
    start_ns: int
    end_ns: int
    quotas: Mapping[str, Mapping[str, float]]
    timezone: tzinfo | None
    slots: int = 60


def backtest(past: Past, rules: RuleSet) -> Backtest:
    """Return what `rules` would have done.

    A rule is evaluated once a minute: what fires between two evaluations of the duties process may be missing.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    step_ns = round(STEP_S * SECOND_NS)
    hour_ns = round(HOUR_S * SECOND_NS)
    start_ns, end_ns = past.start_ns // hour_ns * hour_ns, past.end_ns // step_ns * step_ns
    past = replace(past, start_ns=start_ns, end_ns=end_ns)
    border_ns = hours_only_before_s(past.database) * SECOND_NS
    fine_ns = min(max(border_ns, start_ns), end_ns)
    stretches = [
        Stretch(start_ns, fine_ns - step_ns, STEP_S, HOUR_S),
        Stretch(fine_ns, end_ns, STEP_S, STEP_S),
    ]
    reads_s = (start_ns - max(map(_looks_back_ns, rules.rules), default=0)) // SECOND_NS

    def read(question: Question) -> Iterable[Moment]:
        return moments(past.database, question, reads_s, end_ns // SECOND_NS)

    scene = Scene(Timeline(read), past.quotas, past.timezone)
    watching = {rule.id: _Watching(past, Course(rule.id)) for rule in rules.rules if _is_stored(rule)}
    played = RuleSet(tuple(rule for rule in rules.rules if rule.id in watching), sources=rules.sources)
    for now_ns, found in replay(scene, played, stretches):
        _show(now_ns, found, watching)
    courses = {
        rule.id: watching[rule.id].finished() if rule.id in watching else Course(rule.id, error=NOT_STORED)
        for rule in rules.rules
    }
    courses |= {name: Course(name, error=why) for name, why in rules.refused if name not in courses}
    return Backtest(start_ns, end_ns, border_ns, courses)


def _is_stored(rule: Rule) -> bool:
    """Return whether the roll-ups tell the past of a rule's metric."""
    return not METRICS[rule.metric].of_ihobs and rule.metric not in OF_THE_MOMENT


def _looks_back_ns(rule: Rule) -> int:
    """Return how far back the numbers of a rule reach: its window, those of a burn rate, or a calendar month."""
    window_ns = round(rule.window_s * SECOND_NS)
    if rule.slo is not None:
        return max(window_ns, LONGEST_BURN_NS)
    return max(window_ns, MONTH_NS) if rule.metric in {"budget_used", "budget_forecast", "api_quota"} else window_ns


def _show(now_ns: int, found: Found, watching: Mapping[str, _Watching]) -> None:
    """Let each rule's watcher see what a pass found of it."""
    for sick in found.unhealthy:
        watching[sick.rule].fail(sick.error)
    for event in found.events:
        watching[str(event.fields["rule"])].take(event)
    of_rules: dict[str, list[AlertState]] = {name: [] for name in watching}
    for alert in found.alerts.values():
        of_rules[alert.rule].append(alert.state)
    for name, states in of_rules.items():
        watching[name].note(now_ns, states)


class _Watching:
    """Turns the passes of one rule into its course."""

    def __init__(self, past: Past, course: Course) -> None:
        self._past, self._course = past, course
        self._open: dict[str, Firing] = {}
        self._fires_since_ns: int | None = None
        self._known: set[int] = set()
        self._worst: dict[int, Level] = {}

    def fail(self, error: str) -> None:
        """Take in that the rule cannot be evaluated."""
        self._course.error = error

    def take(self, event: Event) -> None:
        """Take in what would have been told."""
        key, is_rise = event.subject, RANKS[event.level] > RANKS[event.previous_level]
        is_rung = event.level == event.previous_level
        self._course.told += is_rise or is_rung
        if key not in self._open and event.level != "ok":
            self._open[key] = Firing(key, event.at_ns, None, event.level, event.text)
        elif event.level == "ok" and key in self._open:
            self._course.firings.append(replace(self._open.pop(key), end_ns=event.at_ns))
        elif key in self._open and RANKS[event.level] > RANKS[self._open[key].level]:
            self._open[key] = replace(self._open[key], level=event.level)

    def note(self, now_ns: int, states: Iterable[AlertState]) -> None:
        """Draw the worst level of this moment, and count the time."""
        if self._open and self._fires_since_ns is None:
            self._fires_since_ns = now_ns
        elif not self._open and self._fires_since_ns is not None:
            self._course.firing_ns += now_ns - self._fires_since_ns
            self._fires_since_ns = None
        length_ns = max(1, self._past.end_ns - self._past.start_ns)
        slot = min(self._past.slots - 1, (now_ns - self._past.start_ns) * self._past.slots // length_ns)
        for state in states:
            if state.value is not None:
                self._known.add(slot)
            if RANKS[state.level] > RANKS[self._worst.get(slot, "ok")]:
                self._worst[slot] = state.level

    def finished(self) -> Course:
        """Return the course when all passes were seen."""
        course = self._course
        if self._fires_since_ns is not None:
            course.firing_ns += self._past.end_ns - self._fires_since_ns
        course.firings = sorted([*course.firings, *self._open.values()], key=lambda one: one.start_ns)
        slots = range(self._past.slots)
        course.levels = [self._worst.get(slot, "ok" if slot in self._known else None) for slot in slots]
        return course
