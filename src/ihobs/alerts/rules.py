"""The rules in force: asked of the plug-ins, each checked by itself."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ihobs.alerts.burn_rate import OBJECTIVE_METRICS, thresholds
from ihobs.alerts.metrics import METRICS
from ihobs.errors import InvalidInputError
from ihobs.model import DIMENSIONS
from ihobs.store.query import RUN_DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ihobs.alerts.metrics import Metric
    from ihobs.config import Settings
    from ihobs.model import Rule
    from ihobs.plugins import Plugins

BAD_RULE_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a rule with values of the wrong type may end in. It comes from anybody; the others must still stand."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in force.

    Attributes:
        rules: those that can be evaluated.
        refused: (id, why) of those that cannot.
        sources: plug-ins that answered. An alert of any other's rule is left as it is: that the plug-in is
            broken today does not mean that its alert is over.
    """

    rules: tuple[Rule, ...]
    refused: tuple[tuple[str, str], ...] = ()
    sources: frozenset[str] = frozenset()


def collect(plugins: Plugins, settings: Settings) -> RuleSet:
    """Ask the plug-ins for their rules; one that is wrong, or whose id is taken, is refused by itself."""
    rules: dict[str, Rule] = {}
    refused: list[tuple[str, str]] = []
    answers = plugins.call_each("ihobs_rules", settings=settings)
    for answer in answers:
        for rule in answer.value:
            if rule.id in rules:
                refused.append((f"{rule.id} of {answer.plugin}", f"the id is taken by {rules[rule.id].source}"))
                continue
            try:
                complete = completed(rule)
                check(complete)
            except InvalidInputError as error:
                refused.append((rule.id, f"{error.reason}; {error.hint}" if error.hint else error.reason))
            except BAD_RULE_ERRORS as error:
                refused.append((str(rule.id), f"holds a value of the wrong type: {error}"))
            else:
                rules[rule.id] = replace(complete, source=answer.plugin)
    return RuleSet(tuple(rules.values()), tuple(refused), frozenset(answer.plugin for answer in answers))


def completed(rule: Rule) -> Rule:
    """Return a rule with an objective together with its thresholds: the lowest factor of each level."""
    if rule.slo is None or rule.warning is not None or rule.critical is not None:
        return rule
    warning, critical = thresholds(rule.slo.period_s)
    return replace(rule, warning=warning, critical=critical)


def check(rule: Rule) -> None:
    """Refuse a rule that cannot be evaluated, or that could never mean what it says.

    Raises:
        InvalidInputError: with what is wrong and what would be right.
    """
    where = f"rule {rule.id}"
    metric = METRICS.get(rule.metric)
    if metric is None:
        close = difflib.get_close_matches(rule.metric, METRICS, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"use one of {', '.join(METRICS)}"
        raise InvalidInputError(where, f"unknown metric '{rule.metric}'", hint)
    if rule.at:
        _check_rungs(rule, where)
    else:
        _check_levels(rule, where)
    _check_times(rule, where)
    _check_subject(rule, where)
    _check_dimensions(rule, metric, where)


def _check_levels(rule: Rule, where: str) -> None:
    levels = [one for one in (rule.warning, rule.critical) if one is not None]
    if not levels:
        raise InvalidInputError(where, "has no threshold", "give 'warning', 'critical' or both")
    if not all(_is_number(one) and one >= 0 for one in levels):
        raise InvalidInputError(where, "a threshold must be a number, not negative")
    if levels != sorted(levels):
        raise InvalidInputError(where, f"warning {levels[0]} is above critical {levels[1]}", "swap them")
    if not (_is_number(rule.clear_ratio) and 0 < rule.clear_ratio <= 1):
        raise InvalidInputError(where, f"clear {rule.clear_ratio} is not above 0 and at most 1")


def _check_rungs(rule: Rule, where: str) -> None:
    if rule.metric != "budget_used":
        raise InvalidInputError(where, "a ladder is of the metric budget_used", "give 'warning' or 'critical' instead")
    if not all(_is_number(one) and one > 0 for one in rule.at) or list(rule.at) != sorted(set(rule.at)):
        raise InvalidInputError(where, "the rungs must be numbers above 0 that rise")


def _check_times(rule: Rule, where: str) -> None:
    if not (_is_number(rule.window_s) and rule.window_s > 0):
        raise InvalidInputError(where, "the window must be longer than nothing")
    times = [rule.for_s, rule.keep_firing_for_s, 0 if rule.blind_for_s is None else rule.blind_for_s]
    if not (all(map(_is_number, times)) and min(times) >= 0):
        raise InvalidInputError(where, "'for', 'keep_firing_for' and 'no_data_for' must not be negative")
    if rule.limit < 1:
        raise InvalidInputError(where, "the limit of instances must be at least 1")
    if rule.on_no_data not in {"keep", "ok", "fire"} or rule.on_error not in {"keep", "fire"}:
        raise InvalidInputError(where, "'on_no_data' is keep, ok or fire, and 'on_error' is keep or fire")


def _check_subject(rule: Rule, where: str) -> None:
    """What a metric needs beside its name."""
    if (rule.metric == "burn_rate") != (rule.slo is not None):
        raise InvalidInputError(where, "the metric burn_rate and an objective belong together")
    if rule.slo is not None and rule.slo.metric not in OBJECTIVE_METRICS:
        raise InvalidInputError(where, f"no objective can be set for {rule.slo.metric}", ", ".join(OBJECTIVE_METRICS))
    if rule.budget is not None and not rule.budget.limit > 0:
        raise InvalidInputError(where, "a budget must be above 0")


def _check_dimensions(rule: Rule, metric: Metric, where: str) -> None:
    allowed: Sequence[str] = DIMENSIONS if metric.splits is None else metric.splits
    hint = ""
    is_of_quotas = rule.metric in {"budget_used", "budget_forecast"} and rule.budget is None
    if is_of_quotas:
        allowed, hint = ("provider",), "give it a budget of its own"
    is_of_cost = rule.slo is not None and rule.slo.metric == "cost_per_hour"
    if metric.of_runs and rule.of == "run" and not is_of_cost:
        allowed = sorted(RUN_DIMENSIONS)
        hint = "runs have none of their own; ask for calls by 'of: llm', 'of: node' or 'of: tool'"
    for name in rule.by:
        if name not in allowed:
            raise InvalidInputError(where, f"{rule.metric} cannot be split by '{name}'", hint)
    for name in rule.where:
        if name not in allowed or metric.splits is not None or is_of_quotas:
            raise InvalidInputError(where, f"{rule.metric} cannot be narrowed by '{name}'", hint)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
