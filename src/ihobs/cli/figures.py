"""The numbers of a group as they are shown: what is not known is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ihobs.model import Counters, Distribution, MetricGroup

NANO_USD = 1e-9


@dataclass(frozen=True, slots=True)
class Seconds:
    """Statistics of durations in seconds; None when there are none."""

    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One group, with the names and the order that `ihobs metrics --json` promises."""

    by: Mapping[str, str | None]
    spans: int
    runs: int | None
    failed_runs: int | None
    error_rate: float | None
    recovered_errors: int
    calls: int
    failed_calls: int
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cost_usd: float | None
    unpriced_calls: int
    usage_missing_calls: int
    run_duration_s: Seconds
    call_duration_s: Seconds
    time_to_first_token_s: Seconds


def figures(group: MetricGroup, *, runs_known: bool) -> Figures:
    """Return what is shown of `group`.

    Args:
        group: as the store counted it.
        runs_known: False when grouped or filtered by something that a run does not have.
    """
    counters = group.counters
    runs = counters.runs if runs_known else None
    failed_runs = counters.failed_runs if runs_known else None
    no_usage = bool(counters.usage_missing_calls and not counters.input_tokens + counters.output_tokens)
    return Figures(
        by=dict(group.by),
        spans=counters.spans,
        runs=runs,
        failed_runs=failed_runs,
        error_rate=failed_runs / runs if runs and failed_runs is not None else None,
        recovered_errors=counters.recovered_errors,
        calls=counters.calls,
        failed_calls=counters.failed_calls,
        input_tokens=None if no_usage else counters.input_tokens,
        output_tokens=None if no_usage else counters.output_tokens,
        cached_input_tokens=None if no_usage else counters.cached_input_tokens,
        cost_usd=cost_usd(counters),
        unpriced_calls=counters.unpriced_calls,
        usage_missing_calls=counters.usage_missing_calls,
        run_duration_s=_seconds(group.run_durations if runs_known else None),
        call_duration_s=_seconds(group.call_durations),
        time_to_first_token_s=_seconds(group.first_tokens),
    )


def cost_usd(counters: Counters) -> float | None:
    """Return the known cost; None when nothing is known of it, 0 only when no call can have cost anything."""
    if not counters.cost_nano_usd and (counters.unpriced_calls or counters.usage_missing_calls):
        return None
    return counters.cost_nano_usd * NANO_USD


def _seconds(durations: Distribution | None) -> Seconds:
    if durations is None:
        return Seconds(None, None, None, None, None)
    return Seconds(
        mean=durations.mean_s(),
        p50=durations.quantile_s(0.5),
        p95=durations.quantile_s(0.95),
        p99=durations.quantile_s(0.99),
        max=durations.max_s(),
    )
