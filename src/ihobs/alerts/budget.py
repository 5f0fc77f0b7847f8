"""What is used of budgets, and when they end at the present rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.alerts.calendars import moment_shown, period_ns
from ihobs.alerts.measurements import Measurements, Sample
from ihobs.clock import SECOND_NS
from ihobs.model import Budget, Counters, MetricsResult

if TYPE_CHECKING:
    from ihobs.model import MetricGroup, Rule


@dataclass(frozen=True, slots=True)
class _Used:
    """A budget and what is used of it.

    Attributes:
        by: whose. name: for people.
        budget: what may be used.
        start_ns, end_ns: its period.
        used: since the period began. a_second: at the present rate.
        unpriced: calls whose price is not known, so that more is used than that.
    """

    by: Mapping[str, str | None]
    name: str
    budget: Budget
    start_ns: int
    end_ns: int
    used: float
    a_second: float
    unpriced: int

    @property
    def ratio(self) -> float:
        return self.used / self.budget.limit

    @property
    def epoch(self) -> str:
        """The period and the limit: of another one, the rungs of a ladder are other rungs."""
        return f"{self.start_ns // SECOND_NS}/{self.budget.limit:g} {self.budget.unit}"

    def at_end_ratio(self, now_ns: int) -> float:
        """Return which part would be used at the end of the period."""
        return (self.used + self.a_second * (self.end_ns - now_ns) / SECOND_NS) / self.budget.limit

    def ends_ns(self, now_ns: int) -> int | None:
        """Return when nothing is left; None when that is not within the period."""
        left = self.budget.limit - self.used
        if left <= 0:
            return now_ns
        if not self.a_second or self.at_end_ratio(now_ns) < 1:
            return None
        return now_ns + round(left / self.a_second * SECOND_NS)


def used(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return which part of each budget is used; without `by:`, of the one that is used most."""
    found = [Sample(one.by, one.ratio, _spent(one), epoch=one.epoch) for one in _budgets(measurements, rule)]
    return found if rule.by else [_highest(found)]


def forecast(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return which part would be used at the end of the period, and when the budget ends if it does before.

    The rate is that of the rule's window; one of more than six hours is read from a full hour on.
    """
    found = [
        Sample(one.by, one.at_end_ratio(measurements.now_ns), _end(one, measurements), epoch=one.epoch)
        for one in _budgets(measurements, rule)
    ]
    return found if rule.by else [_highest(found)]


def _highest(samples: list[Sample]) -> Sample:
    best = max(samples, key=lambda one: one.value or 0.0, default=None)
    return Sample({}, None) if best is None else Sample({}, best.value, best.note, epoch=best.epoch)


def _spent(one: _Used) -> str:
    amount = f"{_shown(one.used, one.budget)} of {_shown(one.budget.limit, one.budget)} a {one.budget.per}"
    return f"{one.name}{amount}{_unknown(one)}"


def _end(one: _Used, measurements: Measurements) -> str:
    ends_ns = one.ends_ns(measurements.now_ns)
    if ends_ns is None:
        return f"{one.name}the {one.budget.per} ends before its budget{_unknown(one)}"
    if ends_ns == measurements.now_ns:
        return f"{one.name}the budget of the {one.budget.per} is used up{_unknown(one)}"
    when = moment_shown(ends_ns, measurements.timezone)
    return f"{one.name}the budget of the {one.budget.per} ends {when}{_unknown(one)}"


def _unknown(one: _Used) -> str:
    return f"; {one.unpriced} calls have no known price" if one.unpriced else ""


def _shown(amount: float, budget: Budget) -> str:
    return f"${amount:,.2f}" if budget.unit == "usd" else f"{amount:,.0f} tokens"


def _budgets(measurements: Measurements, rule: Rule) -> Iterator[_Used]:
    """Yield the rule's own budget, for each of its instances, or else those of `quotas:`."""
    if rule.budget is not None:
        yield from _own(measurements, rule, rule.budget)
        return
    for provider, limits in measurements.quotas.items():
        usd = limits.get("usd_per_month")
        if usd:
            yield from _of_provider(measurements, rule, provider, Budget(usd))


def _own(measurements: Measurements, rule: Rule, budget: Budget) -> Iterator[_Used]:
    where = tuple(sorted(rule.where.items()))
    start_ns, end_ns = period_ns(measurements.now_ns, budget.per, measurements.timezone)
    period = measurements.since(start_ns, by=rule.by, where=where)
    if period.newest_ns is None:
        return
    rates = _rates(measurements, rule, budget, measurements.trailing(rule, rule.window_s))
    groups = list(period.groups)
    for group in groups:
        place = tuple(group.by.values())
        amount, unpriced = _amount(group.counters, budget), group.counters.unpriced_calls
        yield _Used(group.by, "", budget, start_ns, end_ns, amount, rates.get(place, 0.0), unpriced)
    if not groups and not rule.by:
        yield _Used({}, "", budget, start_ns, end_ns, 0.0, rates.get((), 0.0), 0)


def _of_provider(measurements: Measurements, rule: Rule, provider: str, budget: Budget) -> Iterator[_Used]:
    """Yield what a provider's calls cost; its name in `quotas:` may be written otherwise than in the spans."""
    start_ns, end_ns = period_ns(measurements.now_ns, budget.per, measurements.timezone)
    period = measurements.since(start_ns, by=("provider",))
    if period.newest_ns is None:
        return
    window = measurements.since(measurements.now_ns - round(rule.window_s * SECOND_NS), by=("provider",))
    mine = [group for group in period.groups if _is_of(group, provider)]
    a_second = sum(
        rate
        for (name,), rate in _rates(measurements, rule, budget, window).items()
        if (name or "").lower() == provider.lower()
    )
    amount = sum(_amount(group.counters, budget) for group in mine)
    unpriced = sum(group.counters.unpriced_calls for group in mine)
    yield _Used({"provider": provider}, f"{provider}: ", budget, start_ns, end_ns, amount, a_second, unpriced)


def _is_of(group: MetricGroup, provider: str) -> bool:
    return (group.by["provider"] or "").lower() == provider.lower()


def _rates(
    measurements: Measurements, rule: Rule, budget: Budget, window: MetricsResult
) -> dict[tuple[str | None, ...], float]:
    """Return what each group of a window uses a second."""
    covered_s = max((measurements.now_ns - window.start_ns) / SECOND_NS, min(rule.window_s, 1.0))
    return {tuple(group.by.values()): _amount(group.counters, budget) / covered_s for group in window.groups}


def _amount(sums: Counters, budget: Budget) -> float:
    return sums.cost_nano_usd / 1e9 if budget.unit == "usd" else float(sums.input_tokens + sums.output_tokens)
