"""How much of each provider's limits is used: the configured `quotas:` against what was called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ihobs.alerts.calendars import period_ns
from ihobs.alerts.measurements import BUCKET_NS, Measurements, Sample
from ihobs.clock import MINUTE_NS, SECOND_NS

if TYPE_CHECKING:
    from ihobs.model import Counters, MetricsResult, Rule

Usage = Mapping[str, float]
"""What each provider (in lower case) was used for."""


def samples(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return the highest used fraction of all limits; of each provider's when the rule is by provider.

    A limit a minute is compared with the trailing minute; under a rule with a shorter window, with the pace of
    that window, as providers do that enforce their limits second by second. Without configured quotas, or before
    the first span, there is no data.
    """
    window_ns = min(round(rule.window_s * SECOND_NS), MINUTE_NS)
    fractions = [
        (used.get(provider.lower(), 0.0) / limit, provider, limit_name)
        for limit_name, used in _usages(measurements, window_ns).items()
        for provider, limits in measurements.quotas.items()
        if (limit := limits.get(limit_name))
    ]
    if "provider" in rule.by:
        return [
            _highest({"provider": name}, [one for one in fractions if one[1] == name])
            for name in measurements.quotas
            if name in {one[1] for one in fractions}
        ]
    return [_highest({}, fractions)]


def _highest(by: Mapping[str, str], fractions: list[tuple[float, str, str]]) -> Sample:
    if not fractions:
        return Sample(by, None)
    fraction, provider, limit_name = max(fractions)
    return Sample(by, fraction, f"{provider}: {limit_name}")


def _usages(measurements: Measurements, window_ns: int) -> dict[str, Usage]:
    """Return the usage of each kind of limit that is configured; nothing when the store is empty."""
    asked = {name for limits in measurements.quotas.values() for name in limits}
    usages: dict[str, Usage] = {}
    if not asked or measurements.since(measurements.now_ns - MINUTE_NS, by=("provider",), of="llm").newest_ns is None:
        return usages
    if "requests_per_min" in asked:
        usages["requests_per_min"] = _a_minute(measurements, window_ns, lambda sums: sums.calls)
    if "tokens_per_min" in asked:
        usages["tokens_per_min"] = _a_minute(
            measurements, window_ns, lambda sums: sums.input_tokens + sums.output_tokens
        )
    if "usd_per_month" in asked:
        month = measurements.since(period_ns(measurements.now_ns, "month", measurements.timezone)[0], by=("provider",))
        usages["usd_per_month"] = _by_provider(month, lambda sums: sums.cost_nano_usd / 1e9)
    return usages


def _a_minute(measurements: Measurements, window_ns: int, amount: Callable[[Counters], float]) -> Usage:
    """Return the amounts a minute of the trailing window; of the bucket that it begins in, only the part inside."""
    start_ns = measurements.now_ns - window_ns
    first_ns = start_ns // BUCKET_NS * BUCKET_NS
    everything = _by_provider(measurements.since(start_ns, by=("provider",), of="llm"), amount)
    outside = (start_ns - first_ns) / BUCKET_NS
    first = measurements.since(first_ns, end_ns=first_ns + BUCKET_NS, by=("provider",), of="llm")
    too_early = _by_provider(first, amount) if outside else {}
    return {
        provider: (used - outside * too_early.get(provider, 0.0)) * MINUTE_NS / window_ns
        for provider, used in everything.items()
    }


def _by_provider(result: MetricsResult, amount: Callable[[Counters], float]) -> dict[str, float]:
    used: dict[str, float] = {}
    for group in result.groups:
        provider = (group.by["provider"] or "").lower()
        used[provider] = used.get(provider, 0.0) + amount(group.counters)
    return used
