"""The values that a rule had over an incident, as far back as they are stored, and when what it watches began."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ihobs.alerts.evaluator import timezone_of
from ihobs.alerts.measurements import Measurements
from ihobs.alerts.metrics import METRICS
from ihobs.alerts.timeline import Timeline
from ihobs.clock import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from ihobs.errors import RefusedError
from ihobs.store.moments import fine_from_s, moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ihobs.config import Settings
    from ihobs.model import Rule
    from ihobs.store.database import Database
    from ihobs.store.moments import Moment
    from ihobs.store.parts import Question

OF_THE_MOMENT = frozenset({"active_workflows", "stuck_runs"})
"""Metrics of which nothing but the present is known; as those about ihobs itself."""

LOOK_BACK_NS = 2 * HOUR_NS
"""What began longer before an incident opened than this has another cause, or cannot be told apart from the usual."""

CALM = 3
"""So many minutes in a row on the right side of the threshold: what was before them is another story."""

LONGEST_NS = 32 * DAY_NS
"""How far back numbers are read: a month, for budgets."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The value of one instance of a rule, one point after the other; None where there was no data."""

    rule: Rule
    by: Mapping[str, str | None]
    points: tuple[tuple[int, float | None], ...]


@dataclass(frozen=True)
class Past:
    """What is stored, asked as of any moment between two.

    Args:
        telemetry: the database.
        settings: the configuration, for quotas and the time zone.
        start_ns, end_ns: moments that can be asked for.
    """

    telemetry: Database
    settings: Settings
    start_ns: int
    end_ns: int

    def curve(self, rule: Rule, by: Mapping[str, str | None], step_ns: int) -> Curve:
        """Return the values of a rule's instance, `step_ns` apart.

        Raises:
            RefusedError: nobody keeps them.
            StoreUnavailableError: the database cannot be read.
        """
        check_is_stored(rule)
        timeline = Timeline(self._read)
        moments_ns = range(self.start_ns, self.end_ns + 1, step_ns)
        return Curve(rule, by, tuple((at, self._value(timeline, rule, by, at)) for at in moments_ns))

    def _read(self, question: Question) -> Iterable[Moment]:
        looks_back_ns = LONGEST_NS if question.durations is False and not question.by else DAY_NS
        first_s = (self.start_ns - looks_back_ns) // SECOND_NS
        return moments(self.telemetry, question, first_s, -(-self.end_ns // SECOND_NS) + 3600)

    def _value(self, timeline: Timeline, rule: Rule, by: Mapping[str, str | None], at_ns: int) -> float | None:
        zone = timezone_of(self.settings)
        asked = Measurements(None, at_ns, self.settings.quotas, zone, numbers=timeline)
        samples = METRICS[rule.metric].samples(asked, rule)
        return next((one.value for one in samples if dict(one.by) == dict(by)), METRICS[rule.metric].absent)


def is_stored(rule: Rule) -> bool:
    """Whether the past of what a rule watches is kept."""
    return not METRICS[rule.metric].of_ihobs and rule.metric not in OF_THE_MOMENT


def check_is_stored(rule: Rule) -> None:
    """Refuse a rule whose values nobody keeps.

    Raises:
        RefusedError: it is one.
    """
    if not is_stored(rule):
        raise RefusedError(f"the past of {rule.metric} is not stored", "name another rule with --rule")


def width_ns(telemetry: Database, start_ns: int) -> int:
    """Return how fine numbers are kept from `start_ns` on: 10 s, a minute or an hour.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    tens_s, minutes_s = fine_from_s(telemetry)
    if start_ns >= tens_s * SECOND_NS:
        return 10 * SECOND_NS
    return MINUTE_NS if start_ns >= minutes_s * SECOND_NS else HOUR_NS


def onset_ns(past: Past, rule: Rule, by: Mapping[str, str | None]) -> int | None:
    """Return since when, before `past.end_ns`, each minute by itself was beyond the rule's lowest threshold.

    Minutes without data, and a few good ones in between, change nothing. None: the last minutes were not.
    """
    thresholds = [one for one in (rule.warning, rule.critical, *rule.at) if one is not None]
    if not thresholds:
        return None
    step_ns = max(MINUTE_NS, width_ns(past.telemetry, past.end_ns - LOOK_BACK_NS))
    end_ns = past.end_ns // step_ns * step_ns
    narrow = replace(rule, window_s=step_ns / SECOND_NS, min_count=1)
    found = replace(past, start_ns=end_ns - LOOK_BACK_NS, end_ns=end_ns + step_ns).curve(narrow, by, step_ns)
    first, calm = None, 0
    for at_ns, value in reversed(found.points):
        if value is None:
            continue
        is_bad = value > min(thresholds)
        calm = 0 if is_bad else calm + 1
        if calm >= CALM:
            break
        first = at_ns - step_ns if is_bad else first
    return first
