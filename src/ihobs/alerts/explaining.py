"""Why an alert is as it is: its value over time against its thresholds, and the traces behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.alerts.evaluation import instance_key
from ihobs.alerts.metrics import METRICS
from ihobs.alerts.replay import Scene, Stretch, replay
from ihobs.alerts.rules import RuleSet
from ihobs.alerts.timeline import Timeline
from ihobs.clock import SECOND_NS
from ihobs.store.behind import Worst, traces_behind
from ihobs.store.moments import Moment, fine_from_s, moments

if TYPE_CHECKING:
    from ihobs.alerts.backtest import Past
    from ihobs.model import Level, Rule
    from ihobs.store.parts import Question
    from ihobs.store.trace_query import TraceSummary

FINE_S, COARSE_S, HOURS_S = 10.0, 60.0, 3600.0
TRACES = 5

_WORST: Mapping[str, Worst] = {
    "response_time": "slow",
    "time_to_first_token": "slow",
    "cost_per_hour": "dear",
    "budget_used": "dear",
    "budget_forecast": "dear",
    "total_tokens_per_hour": "large",
    "throughput": "slow",
}
"""Which traces are behind a metric; behind all others it is those that failed."""


@dataclass(frozen=True, slots=True)
class Point:
    """An alert at a moment: the value, and the level that the rule would have had if it began with these points."""

    at_ns: int
    value: float | None
    level: Level


def points(past: Past, rule: Rule, by: Mapping[str, str | None]) -> list[Point]:
    """Return an instance's value over the stretch, as finely as its numbers are kept.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    start_s = past.start_ns // SECOND_NS
    fine_s, minutes_s = fine_from_s(past.database)
    step_s = FINE_S if start_s >= fine_s else COARSE_S if start_s >= minutes_s else HOURS_S
    start_s = round(start_s // step_s * step_s)
    end_s = round(math.ceil(past.end_ns / SECOND_NS / step_s) * step_s)  # the bucket that is open now is in, too
    look_back_s = max(
        round(rule.window_s), 3 * 86_400 if rule.slo else 0, 31 * 86_400 if "budget" in rule.metric else 0
    )

    def read(question: Question) -> Iterable[Moment]:
        return moments(past.database, question, start_s - look_back_s, end_s)

    scene = Scene(Timeline(read), past.quotas, past.timezone)
    stretch = Stretch(start_s * SECOND_NS, end_s * SECOND_NS, step_s, step_s)
    key, found = instance_key(rule, by), []
    for now_ns, each in replay(scene, RuleSet((rule,)), [stretch]):
        alert = each.alerts.get(key)
        found.append(Point(now_ns, alert.state.value if alert else None, alert.state.level if alert else "ok"))
    return found


def traces(past: Past, rule: Rule, by: Mapping[str, str | None]) -> list[TraceSummary]:
    """Return the traces of the stretch that made the alert what it is, worst first.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    if METRICS[rule.metric].of_ihobs:
        return []
    where = {**rule.where, **{name: value for name, value in by.items() if value is not None}}
    metric = rule.slo.metric if rule.slo else rule.metric
    return traces_behind(past.database, (past.start_ns, past.end_ns), where, _WORST.get(metric, "failed"), TRACES)
