"""How bad an alert is: P1 to P4, by what it measures. Design, and the operators' table of severities.

| severity | when |
|---|---|
| P1 | more than 25 % of the runs fail, nothing succeeds, something about security |
| P2 | more than 15 % fail, `response_time` is critical, a quota is used up |
| P3 | more than 5 % fail, `response_time` has a warning, cost or tokens are critical, a part fails (calls, not runs) |
| P4 | anything else |

A rule can say it itself, by the label `severity`, of what is critical; its warnings are then one step lower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.incident_settings import SEVERITIES, SeverityName

if TYPE_CHECKING:
    from ihobs.model import Level, Of

P1_ERROR_RATIO = 0.25
P2_ERROR_RATIO = 0.15
P3_ERROR_RATIO = 0.05
"""Strictly more than this; exactly 25 % is a P2."""

USED_UP_RATIO = 1.0
"""A quota of which this much is used, or more, is used up."""

_ERROR_RATIOS: Mapping[SeverityName, float] = {"P1": P1_ERROR_RATIO, "P2": P2_ERROR_RATIO, "P3": P3_ERROR_RATIO}

SECURITY = frozenset({"secrets_redacted", "auth_failures"})
COSTS = frozenset({"cost_per_hour", "total_tokens_per_hour", "budget_used", "budget_forecast"})
TRAFFIC = frozenset({"error_rate", "throughput", "response_time"})
"""Metrics of runs of which no data means that nothing ends any more, when their rule says that this is critical."""

LABEL = "severity"


@dataclass(frozen=True, slots=True)
class Observation:
    """What an alert that fires says now.

    Attributes:
        metric: of its rule. value: in the metric's unit; None when it fires because there is no data.
        level: it fires with.
        of: runs or calls.
        label: what the rule itself says of its severity; empty: nothing.
        nothing_succeeds: no run that ended lately succeeded.
    """

    metric: str
    value: float | None
    level: Level
    of: Of = "run"
    label: str = ""
    nothing_succeeds: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A severity, and why, in a few words."""

    severity: SeverityName
    reason: str


def classify(seen: Observation) -> Verdict:
    """Return how bad it is."""
    if seen.metric in SECURITY:
        return Verdict("P1", "a security event")
    if seen.nothing_succeeds:
        return Verdict("P1", "nothing succeeds")
    if seen.label in SEVERITIES:
        return Verdict(seen.label if seen.level == "critical" else lower(seen.label), "as its rule says")
    if seen.of != "run":
        return Verdict("P3" if seen.level == "critical" else "P4", f"only calls ({seen.of}) are affected")
    return _RULES.get(seen.metric, _other)(seen)


def is_worse(one: SeverityName, other: SeverityName) -> bool:
    """Whether `one` is more severe than `other`."""
    return SEVERITIES.index(one) < SEVERITIES.index(other)


def worst(one: SeverityName, other: SeverityName) -> SeverityName:
    """Return the more severe of two."""
    return min(one, other, key=SEVERITIES.index)


def lower(severity: SeverityName) -> SeverityName:
    """Return the next less severe one; P4 stays."""
    return SEVERITIES[min(SEVERITIES.index(severity) + 1, len(SEVERITIES) - 1)]


def level_of(severity: SeverityName) -> Level:
    """Return on which level people are told: P1 and P2 as of critical alerts, the others as of warnings."""
    return "critical" if severity in {"P1", "P2"} else "warning"


def _errors(seen: Observation) -> Verdict:
    if seen.value is None:
        return _silence(seen)
    for severity, ratio in _ERROR_RATIOS.items():
        if seen.value > ratio:
            return Verdict(severity, f"more than {ratio:.0%} of the runs fail")
    return Verdict("P4", f"at most {P3_ERROR_RATIO:.0%} of the runs fail")


def _slow(seen: Observation) -> Verdict:
    if seen.value is None:
        return _silence(seen)
    return Verdict("P2" if seen.level == "critical" else "P3", f"the response time is {seen.level}")


def _quota(seen: Observation) -> Verdict:
    if seen.value is not None and seen.value >= USED_UP_RATIO:
        return Verdict("P2", "a quota is used up")
    return Verdict("P4", "a quota is nearly used up")


def _cost(seen: Observation) -> Verdict:
    return Verdict("P3" if seen.level == "critical" else "P4", f"the cost is {seen.level}")


def _silence(seen: Observation) -> Verdict:
    """Judge that there is no data, from a rule that fires on it."""
    return Verdict("P1", "nothing ends any more") if seen.level == "critical" else Verdict("P3", "no data")


def _other(seen: Observation) -> Verdict:
    if seen.value is None and seen.metric in TRAFFIC:
        return _silence(seen)
    return Verdict("P4", "none of what makes it worse")


_RULES: Mapping[str, Callable[[Observation], Verdict]] = {
    "error_rate": _errors,
    "response_time": _slow,
    "api_quota": _quota,
    **dict.fromkeys(COSTS, _cost),
}
