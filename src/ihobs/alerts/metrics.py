"""What a rule can watch: each metric with its unit, its meaning, and how it is read from the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ihobs.alerts import budget, burn_rate, deliveries, disk, forwarding, quota, stuck
from ihobs.alerts.measurements import Measurements, Sample, Sampler
from ihobs.model import Counters, Distribution, MetricGroup

if TYPE_CHECKING:
    from ihobs.model import Rule

HOUR_S = 3600.0
Unit = Literal["ratio", "s", "usd", "tokens", "per minute", "count", "bytes", "times"]
Read = Callable[[MetricGroup, "Rule"], tuple[float | None, str]]
"""Returns the value of a group of spans and a note."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that a rule can watch.

    Attributes:
        name: as rules name it.
        unit: of its values and thresholds.
        description: one line for people.
        samples: reads it, one sample for each instance of the rule that the window holds.
        absent: what an instance is worth that the window does not hold: 0 for sums; None: not known.
        of_runs: whether it is of runs unless the rule says `of:` what else.
        splits: the only dimensions that a rule on it can be split by; None: those of the spans it counts.
        of_ihobs: it tells how well ihobs sees, not how the orchestrator does.
    """

    name: str
    unit: Unit
    description: str
    samples: Sampler
    absent: float | None = None
    of_runs: bool = False
    splits: tuple[str, ...] | None = None
    of_ihobs: bool = False


def _ratio(part: Callable[[Counters], int], whole: Callable[[Counters], int]) -> Read:
    def read(group: MetricGroup, rule: Rule) -> tuple[float | None, str]:
        count = whole(group.counters)
        return (part(group.counters) / count if count and count >= rule.min_count else None), ""

    return read


def _of_runs_or_calls(runs: Read, calls: Read) -> Read:
    return lambda group, rule: runs(group, rule) if rule.of == "run" else calls(group, rule)


def _duration(group: MetricGroup, rule: Rule) -> tuple[float | None, str]:
    durations = group.run_durations if rule.of == "run" else group.call_durations
    return (_statistic(durations, rule.stat) if durations.count >= rule.min_count else None), ""


def _first_token(group: MetricGroup, rule: Rule) -> tuple[float | None, str]:
    waits = group.first_tokens
    return (_statistic(waits, rule.stat) if waits.count >= rule.min_count else None), ""


def _statistic(durations: Distribution, stat: str) -> float | None:
    if stat == "mean":
        return durations.mean_s()
    if stat == "max":
        return durations.max_s()
    return durations.quantile_s(int(stat.removeprefix("p")) / 100)


def _cost(group: MetricGroup, rule: Rule) -> tuple[float | None, str]:
    """Return USD an hour. With calls whose price is unknown it is a lower bound, and says so."""
    sums = group.counters
    if not sums.unpriced_calls:
        return sums.cost_nano_usd / 1e9 * HOUR_S / rule.window_s, ""
    note = f"at least: {sums.unpriced_calls} calls have no known price"
    return (sums.cost_nano_usd / 1e9 * HOUR_S / rule.window_s if sums.cost_nano_usd else None), note


def _tokens(group: MetricGroup, rule: Rule) -> tuple[float | None, str]:
    sums = group.counters
    note = f"at least: {sums.usage_missing_calls} calls reported no usage" if sums.usage_missing_calls else ""
    return (sums.input_tokens + sums.output_tokens) * HOUR_S / rule.window_s, note


def _throughput(group: MetricGroup, rule: Rule) -> tuple[float | None, str]:
    finished = group.counters.runs if rule.of == "run" else group.counters.calls
    return finished * 60.0 / rule.window_s, ""


def _unpriced(group: MetricGroup, rule: Rule) -> tuple[float | None, str]:  # noqa: ARG001 - one signature for all
    return float(group.counters.unpriced_calls), ""


def _windowed(read: Read) -> Sampler:
    """Return a sampler that reads each group of the rule's window."""

    def samples(measurements: Measurements, rule: Rule) -> list[Sample]:
        found = [Sample(group.by, *read(group, rule)) for group in measurements.of_rule(rule).groups]
        return [sample for sample in found if _speaks(sample)] if rule.by else found

    return samples


def _speaks(sample: Sample) -> bool:
    """Return whether an instance says anything: a window also holds spans that the metric is not about."""
    return sample.value is not None and (sample.value > 0 or any(sample.by.values()))


def _active(measurements: Measurements, rule: Rule) -> list[Sample]:  # noqa: ARG001 - one signature for all
    return [Sample({}, float(measurements.active_workflows()))]


def _unhealthy(measurements: Measurements, rule: Rule) -> list[Sample]:  # noqa: ARG001 - one signature for all
    return [Sample({}, float(measurements.unhealthy))]


def _of_ihobs(name: str, unit: Unit, description: str, samples: Sampler, splits: tuple[str, ...] = ()) -> Metric:
    return Metric(name, unit, description, samples, splits=splits, of_ihobs=True)


_error_rate = _of_runs_or_calls(
    _ratio(lambda sums: sums.failed_runs, lambda sums: sums.runs),
    _ratio(lambda sums: sums.failed_calls, lambda sums: sums.calls),
)
_timeout_rate = _of_runs_or_calls(
    _ratio(lambda sums: sums.timed_out_runs, lambda sums: sums.runs),
    _ratio(lambda sums: sums.timed_out_calls, lambda sums: sums.calls),
)
_retry_rate = _ratio(lambda sums: sums.retries, lambda sums: sums.calls)
_recovered_rate = _ratio(lambda sums: sums.recovered_errors, lambda sums: sums.recovered_errors + sums.failed_calls)

_ALL = (
    Metric("error_rate", "ratio", "failed for good / ended", _windowed(_error_rate), of_runs=True),
    Metric("response_time", "s", "duration: the mean, or `stat`", _windowed(_duration), of_runs=True),
    Metric("api_quota", "ratio", "highest used part of the limits in `quotas:`", quota.samples, splits=("provider",)),
    Metric("budget_used", "ratio", "used of the budget of the day, week or month", budget.used),
    Metric("budget_forecast", "ratio", "the same at its end, at the present rate", budget.forecast),
    Metric("burn_rate", "times", "how fast the budget of an objective burns", burn_rate.samples, of_runs=True),
    Metric("cost_per_hour", "usd", "spent in the trailing hour", _windowed(_cost), absent=0.0),
    Metric("total_tokens_per_hour", "tokens", "in and out, in the trailing hour", _windowed(_tokens), absent=0.0),
    Metric("throughput", "per minute", "ended a minute", _windowed(_throughput), absent=0.0, of_runs=True),
    Metric("active_workflows", "count", "running now", _active, splits=()),
    Metric(
        "stuck_runs",
        "count",
        "begun long ago, and not ended",
        stuck.stuck_runs,
        absent=0.0,
        splits=("service", "workflow"),
    ),
    Metric("timeout_rate", "ratio", "timed out / ended", _windowed(_timeout_rate), of_runs=True),
    Metric("retry_rate", "ratio", "attempts after the first / calls", _windowed(_retry_rate)),
    Metric("recovered_rate", "ratio", "failed attempts that a later one made good / all", _windowed(_recovered_rate)),
    Metric("unpriced_calls", "count", "calls whose price is unknown", _windowed(_unpriced), absent=0.0),
    Metric("time_to_first_token", "s", "of streamed answers: the mean, or `stat`", _windowed(_first_token)),
    _of_ihobs("late_spans", "count", "arrived a minute after their end", deliveries.late_spans, ("service",)),
    _of_ihobs("clock_skew", "s", "by how much a sender's clock is off", deliveries.clock_skew, ("service",)),
    _of_ihobs("spans_dropped", "count", "lost before they were stored, or forwarded", deliveries.spans_dropped),
    _of_ihobs("forward_backlog", "count", "spans that wait for a destination", forwarding.backlog, ("destination",)),
    _of_ihobs("forward_lag", "s", "for how long the oldest of them waits", forwarding.lag, ("destination",)),
    _of_ihobs("forward_paused", "count", "destinations that take nothing", forwarding.paused, ("destination",)),
    _of_ihobs("rule_health", "count", "rules that cannot be evaluated", _unhealthy),
    _of_ihobs("disk_used_bytes", "bytes", "taken by the telemetry database", disk.used_bytes),
    _of_ihobs("disk_used_ratio", "ratio", "the same / what it may take", disk.used_ratio),
    _of_ihobs("disk_used_in_7d_ratio", "ratio", "the same, at this rate in a week", disk.used_in_7d_ratio),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""Every metric by its name."""


def shown(value: float | None, unit: Unit) -> str:
    """Return a value of `unit` for people."""
    if value is None:
        return "unknown"
    if unit == "ratio":
        return f"{value * 100:.3g} %"
    if unit == "usd":
        return f"${value:,.2f}" if value >= 1 else f"${value:.3g}"
    if unit in {"tokens", "count"}:
        return f"{value:,.0f}"
    if unit == "bytes":
        return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"  # noqa: PLR2004 - a gigabyte
    if unit == "times":
        return f"{value:.3g}x"
    return f"{value:.3g} s" if unit == "s" else f"{value:.3g}/min"
