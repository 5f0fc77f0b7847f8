"""Turn the configuration into rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ihobs import Rule, hookimpl

if TYPE_CHECKING:
    from ihobs.config import Settings

STANDARD: Mapping[str, tuple[float, str]] = {
    "error_rate": (300.0, "Runs fail for good."),
    "response_time": (300.0, "Runs take long on average."),
    "api_quota": (60.0, "A provider's limit is nearly used up."),
    "cost_per_hour": (3600.0, "The last hour was expensive."),
    "total_tokens_per_hour": (3600.0, "The last hour used many tokens."),
    "clock_skew": (300.0, "A service's clock is off: its spans count in the wrong minute."),
    "rule_health": (60.0, "A rule cannot be evaluated: what it watches is not watched."),
    "spans_dropped": (300.0, "Spans were lost before they could be stored, or before a destination got them."),
    "forward_lag": (60.0, "Spans wait for a destination; 'ihobs destinations status' says why."),
    "forward_paused": (60.0, "A destination takes nothing until somebody puts it right."),
}
"""The standard rules: window in seconds, and what a firing one means."""

OF_DESTINATIONS = frozenset({"forward_lag", "forward_paused"})
"""Standard rules that are split by destination, and left out where there is none."""

FORECAST_S: Mapping[str, float] = {"day": 3600.0, "week": 86_400.0, "month": 86_400.0}
"""Over how long a forecast looks back for its rate, by the period of its budget."""


@hookimpl
def ihobs_rules(settings: Settings) -> list[Rule]:
    """Return the standard rules that have a threshold, then the configured ones."""
    return [*_standard(settings), *map(_configured, settings.rules)]


def _standard(settings: Settings) -> list[Rule]:
    return [
        Rule(
            id=metric,
            metric=metric,
            warning=levels.get("warning"),
            critical=levels.get("critical"),
            window_s=STANDARD[metric][0],
            summary=STANDARD[metric][1],
            for_s=60.0 if metric == "rule_health" else 0.0,
            by=("destination",) if metric in OF_DESTINATIONS else (),
        )
        for metric, levels in settings.thresholds.items()
        if levels and metric in STANDARD and (settings.destinations or metric not in OF_DESTINATIONS)
    ]


def _configured(fields: Mapping[str, Any]) -> Rule:
    """Return a rule of `rules:`; its window is an hour when its metric's name says so.

    The rate of a forecast is that of a part of its period: long enough for the quiet hours of a day to be in it.
    """
    metric = fields.get("metric", "budget_used" if "at" in fields else "")
    window_s = STANDARD.get(metric, (300.0, ""))[0]
    if metric == "budget_forecast":
        window_s = FORECAST_S[fields["budget"].per if fields.get("budget") else "month"]
    return Rule(**{"metric": metric, "window_s": window_s, **fields})
