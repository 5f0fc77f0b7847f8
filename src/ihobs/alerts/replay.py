"""The rules over a stretch of time, as the duties process would have evaluated them: the same code, another clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from ihobs.alerts.evaluation import Alerts, Found, evaluate
from ihobs.alerts.measurements import Measurements, Numbers, Sampler
from ihobs.clock import SECOND_NS

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.alerts.machine import AlertState
    from ihobs.alerts.rules import RuleSet
    from ihobs.store.state.alerts import RuleHealth

HOUR_S = 3600.0


class Pass(NamedTuple):
    """One evaluation of a replay: when, and what it found."""

    at_ns: int
    found: Found


class Stretch(NamedTuple):
    """Evaluations of [start_ns, end_ns], `step_s` apart.

    `width_s` is the resolution of the numbers: a window of a rule is a multiple of it. Between two of its multiples
    from `start_ns` on numbers do not change, so that alerts are evaluated there only while a clock runs, and once an
    hour: calendar periods end whatever the numbers.
    """

    start_ns: int
    end_ns: int
    step_s: float
    width_s: float


@dataclass(frozen=True)
class Scene:
    """What a replay plays in.

    Attributes:
        numbers: what windows are read from.
        quotas, timezone: as in the configuration.
        told: metrics whose values are told.
    """

    numbers: Numbers
    quotas: Mapping[str, Mapping[str, float]]
    timezone: tzinfo | None
    told: Mapping[str, Sampler] = field(default_factory=dict)


def replay(scene: Scene, rules: RuleSet, stretches: Iterable[Stretch]) -> Iterator[Pass]:
    """Yield the evaluations of `stretches`, each on what the one before it left."""
    alerts: Alerts = {}
    unhealthy: tuple[RuleHealth, ...] = ()
    for stretch in stretches:
        widened = tuple(replace(rule, window_s=_widened(rule.window_s, stretch.width_s)) for rule in rules.rules)
        here = replace(rules, rules=widened)
        now_ns, due = stretch.start_ns, None
        while now_ns <= stretch.end_ns:
            found = evaluate(here, _measurements(scene, now_ns, len(unhealthy)), alerts, unhealthy, due)
            alerts, unhealthy = found.alerts, found.unhealthy
            yield Pass(now_ns, found)
            now_ns, due = _next(now_ns, stretch, alerts)


def _measurements(scene: Scene, now_ns: int, unhealthy: int) -> Measurements:
    return Measurements(
        None,
        now_ns,
        scene.quotas,
        scene.timezone,
        numbers=scene.numbers,
        told=scene.told,
        unhealthy=unhealthy,
    )


def _widened(window_s: float, width_s: float) -> float:
    return math.ceil(window_s / width_s) * width_s


def _next(now_ns: int, stretch: Stretch, alerts: Alerts) -> tuple[int, set[str] | None]:
    """Return when to evaluate next, and which rules: those whose clocks run, or all when numbers may have changed."""
    step_ns = round(stretch.step_s * SECOND_NS)
    width_ns = round(min(stretch.width_s, HOUR_S) * SECOND_NS)
    whole_ns = stretch.start_ns + ((now_ns - stretch.start_ns) // width_ns + 1) * width_ns
    if now_ns + step_ns >= whole_ns:
        return now_ns + step_ns, None
    moving = {alert.rule for alert in alerts.values() if _is_moving(alert.state)}
    return (now_ns + step_ns, moving) if moving else (whole_ns, None)


def _is_moving(state: AlertState) -> bool:
    """Return whether the alert may change although the value does not."""
    if state.state in {"pending", "resolved"} or state.blind_ns is not None:
        return True
    return state.warning.clear_ns is not None or state.critical.clear_ns is not None
