"""The rules in force: asked of the plug-ins, each checked by itself."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
                check(rule)
            except InvalidInputError as error:
                refused.append((rule.id, f"{error.reason}; {error.hint}" if error.hint else error.reason))
            except BAD_RULE_ERRORS as error:
                refused.append((str(rule.id), f"holds a value of the wrong type: {error}"))
            else:
                rules[rule.id] = replace(rule, source=answer.plugin)
    return RuleSet(tuple(rules.values()), tuple(refused), frozenset(answer.plugin for answer in answers))


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
    _check_numbers(rule, where)
    _check_dimensions(rule, metric, where)


def _check_numbers(rule: Rule, where: str) -> None:
    thresholds = [one for one in (rule.warning, rule.critical) if one is not None]
    if not thresholds:
        raise InvalidInputError(where, "has no threshold", "give 'warning', 'critical' or both")
    if not all(_is_number(one) and one >= 0 for one in thresholds):
        raise InvalidInputError(where, "a threshold must be a number, not negative")
    if thresholds != sorted(thresholds):
        raise InvalidInputError(where, f"warning {thresholds[0]} is above critical {thresholds[1]}", "swap them")
    if not (_is_number(rule.window_s) and rule.window_s > 0):
        raise InvalidInputError(where, "the window must be longer than nothing")
    if not (
        _is_number(rule.for_s) and _is_number(rule.keep_firing_for_s) and min(rule.for_s, rule.keep_firing_for_s) >= 0
    ):
        raise InvalidInputError(where, "'for' and 'keep_firing_for' must not be negative")
    if not (_is_number(rule.clear_ratio) and 0 < rule.clear_ratio <= 1):
        raise InvalidInputError(where, f"clear {rule.clear_ratio} is not above 0 and at most 1")


def _check_dimensions(rule: Rule, metric: Metric, where: str) -> None:
    allowed: Sequence[str] = DIMENSIONS if metric.splits is None else metric.splits
    hint = ""
    if metric.of_runs and rule.of == "run":
        allowed = sorted(RUN_DIMENSIONS)
        hint = "runs have none of their own; ask for calls by 'of: llm', 'of: node' or 'of: tool'"
    for name in rule.by:
        if name not in allowed:
            raise InvalidInputError(where, f"{rule.metric} cannot be split by '{name}'", hint)
    for name in rule.where:
        if name not in allowed or metric.splits is not None:
            raise InvalidInputError(where, f"{rule.metric} cannot be narrowed by '{name}'", hint)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
