"""What a schema cannot say about the rules of a file, by line and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ihobs.documents import At, Document, Finding
from ihobs.quantities import seconds

BUDGET_METRICS = ("budget_used", "budget_forecast")
SHORTEST_PERIOD_S = 28 * 86_400.0
"""Of an objective: in a shorter one the longest window, of three days, would be most of it."""


def rule_findings(document: Document, taken: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with the rules of `document`.

    Args:
        taken: ids of rules that stand elsewhere -> where.
    """
    seen = dict(taken)
    for index, rule in enumerate(document.value.get("rules", ())):
        at: At = ("rules", index)
        name = rule["id"]
        if name in seen:
            where = f" by {seen[name]}" if seen[name] else ""
            yield Finding(document.place((*at, "id")), f"the rule id {name!r} is taken{where}")
        seen[name] = ""
        yield from _subject(document, at, rule)
        yield from _ladder(document, at, rule)
        yield from _budget(document, at, rule)
        if "slo" in rule:
            yield from _objective(document, at, rule)


def _subject(document: Document, at: At, rule: Mapping[str, Any]) -> Iterator[Finding]:
    """Either a metric with a level, or an objective."""
    name, place = rule["id"], document.values.get(at)
    if ("metric" in rule) == ("slo" in rule):
        yield Finding(place, f"rule {name!r} needs either 'metric' or 'slo'")
    elif "metric" in rule and not rule.keys() & {"warning", "critical", "at"}:
        yield Finding(place, f"rule {name!r} needs 'warning' or 'critical'")
    if "no_data_for" in rule and rule.get("on_no_data", "keep") == rule.get("on_error", "keep") == "keep":
        reason = f"rule {name!r} does nothing when there are no data"
        yield Finding(document.place((*at, "no_data_for")), reason, "give 'on_no_data' or 'on_error'")
    if "older_than" in rule and rule.get("metric") != "stuck_runs":
        yield Finding(document.place((*at, "older_than")), f"rule {name!r}: 'older_than' is of the metric stuck_runs")


def _ladder(document: Document, at: At, rule: Mapping[str, Any]) -> Iterator[Finding]:
    """Rungs rise, and are of a budget; what they do not know would be ignored."""
    if "at" not in rule:
        return
    name, place, rungs = rule["id"], document.place((*at, "at")), rule["at"]
    if rule.get("metric", "budget_used") != "budget_used":
        yield Finding(place, f"rule {name!r}: a ladder ('at') is of the metric budget_used", "give 'warning' instead")
    if list(rungs) != sorted(set(rungs)):
        yield Finding(place, f"rule {name!r}: the rungs of 'at' must rise")
    if "critical" in rule and rule["critical"] not in rungs:
        reason = f"rule {name!r}: critical ({rule['critical']}) is no rung of 'at'"
        yield Finding(document.place((*at, "critical")), reason, "it says from which rung on it is critical")
    for key in ("warning", "clear", "for", "keep_firing_for", "on_no_data", "no_data_for"):
        if key in rule:
            yield Finding(document.place((*at, key)), f"rule {name!r}: a ladder has no {key!r}")


def _budget(document: Document, at: At, rule: Mapping[str, Any]) -> Iterator[Finding]:
    if "budget" not in rule:
        return
    name, place, budget = rule["id"], document.place((*at, "budget")), rule["budget"]
    is_burn = rule.get("slo", {}).get("metric") == "cost_per_hour"
    if rule.get("metric") not in BUDGET_METRICS and not is_burn:
        yield Finding(place, f"rule {name!r}: 'budget' is of the metrics {', '.join(BUDGET_METRICS)} and of a cost")
    if ("usd" in budget) == ("tokens" in budget):
        yield Finding(place, f"rule {name!r}: a budget has either 'usd' or 'tokens'")


def _objective(document: Document, at: At, rule: Mapping[str, Any]) -> Iterator[Finding]:
    name, slo = rule["id"], rule["slo"]
    metric, place = slo["metric"], document.values.get((*at, "slo"))
    for key in ("warning", "critical", "window", "stat", "clear"):
        if key in rule:
            hint = "its windows and factors are those of the SRE workbook"
            yield Finding(document.place((*at, key)), f"rule {name!r}: an objective has no {key!r}", hint)
    if metric == "cost_per_hour":
        budget = rule.get("budget", {})
        if "objective" in slo or budget.get("per", "month") != "month" or "usd" not in budget:
            hint = "budget: {usd: 800, per: month}"
            yield Finding(place, f"rule {name!r}: the objective of a cost is a budget a month", hint)
    elif "objective" not in slo:
        yield Finding(place, f"rule {name!r}: key 'objective' is missing", "such as objective: 0.99")
    if (metric == "response_time") != ("slower_than" in slo):
        yield Finding(place, f"rule {name!r}: 'slower_than' belongs to the metric response_time", "slower_than: 8s")
    if "period" in slo and seconds(slo["period"]) < SHORTEST_PERIOD_S:
        yield Finding(document.place((*at, "slo", "period")), f"rule {name!r}: the period is shorter than 28d")
