"""How fast an error budget burns, over pairs of a long and a short window.

The pairs, and the part of the budget that each may burn, are those of the SRE workbook, chapter "Alerting on SLOs",
for a budget of 30 days: both windows must burn faster than the pair's factor, so that an alert is neither raised by a
short burst nor kept by one that is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from ihobs.alerts.machine import Readings
from ihobs.alerts.measurements import Measurements, Sample
from ihobs.clock import SECOND_NS

if TYPE_CHECKING:
    from ihobs.model import MetricGroup, Objective, Rule

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0

OBJECTIVE_METRICS = ("error_rate", "response_time", "cost_per_hour")


class Pair(NamedTuple):
    """Two windows, and the part of the budget that may burn in the long one."""

    level: Literal["warning", "critical"]
    long_s: float
    short_s: float
    part: float

    def factor(self, period_s: float) -> float:
        """Return how many times as fast as allowed the budget of `period_s` may burn."""
        return self.part * period_s / self.long_s


PAIRS = (
    Pair("critical", HOUR_S, 5 * MINUTE_S, 0.02),
    Pair("critical", 6 * HOUR_S, 30 * MINUTE_S, 0.05),
    Pair("warning", DAY_S, 2 * HOUR_S, 0.10),
    Pair("warning", 3 * DAY_S, 6 * HOUR_S, 0.10),
)
"""For 30 days the factors are 14.4, 6, 3 and 1."""


def thresholds(period_s: float) -> tuple[float, float]:
    """Return the lowest factor of each level, warning and critical: what is shown as the thresholds."""
    factors = {level: min(one.factor(period_s) for one in PAIRS if one.level == level) for level in _LEVELS}
    return factors["warning"], factors["critical"]


_LEVELS = ("warning", "critical")


@dataclass(frozen=True, slots=True)
class _Burn:
    """A pair of windows as it burns now.

    Attributes:
        excess: the burn rate over the factor, of the window in which it is lower; None: not known.
        rate: of the long window.
    """

    pair: Pair
    factor: float
    excess: float | None
    rate: float | None


def samples(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return how many times as fast as allowed the budget burns: of the pair of windows that is worst."""
    if rule.slo is None:
        return []
    slo = rule.slo
    lengths = sorted({length for pair in PAIRS for length in (pair.long_s, pair.short_s)})
    rates = {length: _rates(measurements, rule, slo, length) for length in lengths}
    places = rates[lengths[-1]]
    return [_sample(slo, dict(zip(rule.by, place, strict=True)), rates, place) for place in places]


Place = tuple[str | None, ...]


def _rates(measurements: Measurements, rule: Rule, slo: Objective, length_s: float) -> dict[Place, float | None]:
    """Return the burn rate of a trailing window for each instance; None when it holds too little."""
    window = measurements.trailing(rule, length_s, durations=slo.metric == "response_time")
    covered_s = max((measurements.now_ns - window.start_ns) / SECOND_NS, length_s)
    least = rule.min_count if length_s >= HOUR_S else 1
    return {tuple(group.by.values()): _rate(group, rule, slo, covered_s, least) for group in window.groups}


def _rate(group: MetricGroup, rule: Rule, slo: Objective, covered_s: float, least: int) -> float | None:
    if slo.metric == "cost_per_hour":
        allowed = (rule.budget.limit if rule.budget else 0.0) / slo.period_s * covered_s
        return group.counters.cost_nano_usd / 1e9 / allowed if allowed else None
    bad, total = _bad(group, rule, slo)
    return None if total < least or slo.objective is None else bad / total / (1.0 - slo.objective)


def _bad(group: MetricGroup, rule: Rule, slo: Objective) -> tuple[int, int]:
    """Return how many runs (or calls) were not as the objective wants them, and how many there were."""
    sums = group.counters
    if slo.metric == "error_rate":
        return (sums.failed_runs, sums.runs) if rule.of == "run" else (sums.failed_calls, sums.calls)
    durations = group.run_durations if rule.of == "run" else group.call_durations
    return durations.above(slo.slower_than_s or 0.0), durations.count


def _sample(
    slo: Objective, by: dict[str, str | None], rates: dict[float, dict[Place, float | None]], place: Place
) -> Sample:
    burns = [_burn(pair, slo, rates[pair.long_s].get(place), rates[pair.short_s].get(place)) for pair in PAIRS]
    known = [burn for burn in burns if burn.excess is not None]
    if not known:
        return Sample(by, None)
    worst = max(known, key=_severity)
    warning, critical = (_reading([burn for burn in burns if burn.pair.level == level], slo) for level in _LEVELS)
    return Sample(by, worst.rate or 0.0, _note(worst, slo), Readings(warning, critical))


def _severity(burn: _Burn) -> tuple[bool, float]:
    """Return the order in which pairs are shown: one that makes the alert critical goes before all others."""
    excess = burn.excess or 0.0
    return excess > 1 and burn.pair.level == "critical", excess


def _burn(pair: Pair, slo: Objective, long_rate: float | None, short_rate: float | None) -> _Burn:
    """Return how a pair burns. Where only one window is known, it tells nothing unless it is below the factor."""
    factor = pair.factor(slo.period_s)
    known = [rate / factor for rate in (long_rate, short_rate) if rate is not None]
    excess = min(known, default=None)
    if len(known) == 1 and known[0] > 1:
        excess = None
    return _Burn(pair, factor, excess, long_rate if long_rate is not None else short_rate)


def _reading(burns: list[_Burn], slo: Objective) -> float | None:
    """Return what a level compares with its threshold; None when a pair that is not known might exceed it."""
    known = [burn.excess for burn in burns if burn.excess is not None]
    worst = max(known, default=None)
    if worst is None or (worst <= 1 and len(known) < len(burns)):
        return None
    return worst * thresholds(slo.period_s)[_LEVELS.index(burns[0].pair.level)]


def _note(burn: _Burn, slo: Objective) -> str:
    text = f"over {_span(burn.pair.long_s)} and {_span(burn.pair.short_s)}, {burn.factor:.3g}x is the limit"
    if not burn.rate or burn.rate <= 1:
        return text
    return f"{text}; the budget of {_span(slo.period_s)} would last {_span(slo.period_s / burn.rate)}"


def _span(seconds: float) -> str:
    for unit_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.3g} {unit}"
    return f"{seconds:.3g} s"
