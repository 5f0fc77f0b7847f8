"""Rules as `ihobs.yaml` and rule files write them, in the names and units of `ihobs.model.Rule`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ihobs.model import Budget, Objective
from ihobs.quantities import seconds

BURN_RATE = "burn_rate"
"""The metric of a rule with an objective."""


def _objective(given: Mapping[str, Any]) -> Objective:
    times = {"slower_than": "slower_than_s", "period": "period_s"}
    fields: dict[str, Any] = {
        times.get(key, key): seconds(item) if key in times else item for key, item in given.items()
    }
    return Objective(**fields)


def _budget(given: Mapping[str, Any]) -> Budget:
    per = given.get("per", "month")
    return Budget(given["usd"], "usd", per) if "usd" in given else Budget(given["tokens"], "tokens", per)


_FIELDS: Mapping[str, tuple[str, Callable[[Any], object]]] = {
    "at": ("at", tuple),
    "budget": ("budget", _budget),
    "by": ("by", tuple),
    "clear": ("clear_ratio", float),
    "for": ("for_s", seconds),
    "keep_firing_for": ("keep_firing_for_s", seconds),
    "no_data_for": ("blind_for_s", seconds),
    "older_than": ("older_than_s", seconds),
    "slo": ("slo", _objective),
    "window": ("window_s", seconds),
}


def rules_of(value: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, object], ...]:
    """Return the rules of a file with the field names and units of `ihobs.model.Rule`."""
    return tuple(_renamed(rule) for rule in value)


def _renamed(rule: Mapping[str, Any]) -> Mapping[str, object]:
    renamed: dict[str, object] = {"metric": BURN_RATE} if "slo" in rule else {}
    for key, item in rule.items():
        field, convert = _FIELDS.get(key, (key, _same))
        renamed[field] = convert(item)
    return renamed


def _same(value: object) -> object:
    return value
