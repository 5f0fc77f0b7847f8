"""The numbers of a rule test: series of what is counted become moments, series of metrics are told as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.alerts.calendars import period_ns
from ihobs.alerts.measurements import Measurements, Sample, Sampler
from ihobs.alerts.notation import STALE, Value
from ihobs.clock import SECOND_NS
from ihobs.model import bucket_index
from ihobs.spans.facts import (
    CALL_FAMILY,
    CALL_NS,
    CALLS,
    COST,
    COUNTERS,
    FIRST_TOKEN_FAMILY,
    FIRST_TOKEN_NS,
    FIRST_TOKENS,
    RUN_FAMILY,
    RUN_NS,
    RUNS,
    SPANS,
    SUMS,
)
from ihobs.store.moments import Moment
from ihobs.store.parts import Part, Place, Question

if TYPE_CHECKING:
    from ihobs.model import Rule

COST_USD = "cost_usd"
DURATIONS: Mapping[str, tuple[int, int, int]] = {
    "run_duration_s": (RUNS, RUN_NS, RUN_FAMILY),
    "call_duration_s": (CALLS, CALL_NS, CALL_FAMILY),
    "first_token_s": (FIRST_TOKENS, FIRST_TOKEN_NS, FIRST_TOKEN_FAMILY),
}
"""Series of durations: what has them, their sum, and their histogram."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a rule test.

    Attributes:
        name: a metric, or what is counted. is_metric: which of the two.
        by: whose.
        values: the first is at the beginning; each stands for the interval before it.
    """

    name: str
    is_metric: bool
    by: Mapping[str, str]
    values: Sequence[Value]


Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Invented:
    """The series of one test, and the time between two values."""

    series: Sequence[Series]
    start_s: int
    interval_s: int

    def read(self, question: Question) -> Iterator[Moment]:
        """Yield what was counted in each interval, as the store would tell it to `question`."""
        length = max((len(one.values) for one in self.series), default=0)
        for index in range(length):
            part = Part()
            for labels, counted in self._counted(index).items():
                _put(part, question, dict(labels), counted)
            if part.sums:
                yield Moment(self.start_s + index * self.interval_s, self.interval_s, part)

    def _counted(self, index: int) -> dict[Labels, dict[str, float]]:
        """Return what was counted in an interval, by whose it is."""
        found: dict[Labels, dict[str, float]] = {}
        for one in self.series:
            value = one.values[index] if index < len(one.values) else None
            if not one.is_metric and isinstance(value, float):
                found.setdefault(tuple(sorted(one.by.items())), {})[one.name] = value
        return found

    def told(self) -> dict[str, Sampler]:
        """Return a sampler for each metric whose values are given."""
        return {one.name: self._sampler(one.name) for one in self.series if one.is_metric}

    def _sampler(self, name: str) -> Sampler:
        mine = [one for one in self.series if one.is_metric and one.name == name]

        def samples(measurements: Measurements, rule: Rule) -> list[Sample]:
            fitting = [one for one in mine if all(one.by.get(key) == value for key, value in rule.where.items())]
            found = []
            for one in fitting:
                value = self._latest(one.values, measurements.now_ns // SECOND_NS, rule.window_s)
                found.append(Sample({key: one.by.get(key) for key in rule.by}, value, epoch=_epoch(measurements, rule)))
            return [sample for sample in found if sample.value is not None] if rule.by else found

        return samples

    def _latest(self, values: Sequence[Value], now_s: int, window_s: float) -> float | None:
        """Return the newest value of the trailing window, unless it is stale."""
        last = (now_s - self.start_s) // self.interval_s
        first = (now_s - window_s - self.start_s) // self.interval_s + 1
        for index in range(min(last, len(values) - 1), max(int(first), 0) - 1, -1):
            value = values[index]
            if value == STALE:
                return None
            if isinstance(value, float):
                return value
        return None


def _epoch(measurements: Measurements, rule: Rule) -> str:
    per = rule.budget.per if rule.budget else "month"
    return str(period_ns(measurements.now_ns, per, measurements.timezone)[0] // SECOND_NS)


def _put(part: Part, question: Question, labels: Mapping[str, str], counted: Mapping[str, float]) -> None:
    """Add what was counted of one group, if the question is about it."""
    if any(labels.get(name, "") != value for name, value in question.where):
        return
    place: Place = tuple(labels.get(name, "") for name in question.by)
    sums = [0] * len(SUMS)
    for name, value in counted.items():
        if name in COUNTERS:
            sums[COUNTERS.index(name)] += round(value)
    sums[COST] += round(counted.get(COST_USD, 0.0) * 1e9)
    sums[FIRST_TOKENS] = sums[CALLS] if "first_token_s" in counted else 0
    chosen = not labels.get("kind") or labels["kind"] in question.call_kinds
    for name, (count, total, family) in DURATIONS.items():
        if name not in counted or not sums[count] or (family == CALL_FAMILY and not chosen):
            continue
        duration_ns = round(counted[name] * SECOND_NS)
        sums[total] += duration_ns * sums[count]
        histogram = part.buckets.setdefault((family, place), {})
        position = bucket_index(duration_ns)
        histogram[position] = histogram.get(position, 0) + sums[count]
    sums[SPANS] = max(sums[SPANS], sums[RUNS] + sums[CALLS], 1)
    part.add_sums(place, sums, chosen=chosen)
