"""The ladder of a budget: each rung is told once in a period, when it is reached.

What was used of a budget only grows until the period ends, so a ladder has no hysteresis: within one period, and for
one limit, its level only rises. A new period, or a new limit, begins at its foot. Pure, as `machine`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from ihobs.alerts.machine import AlertState, Change, changes

if TYPE_CHECKING:
    from ihobs.model import Level, Rule


def climb(
    before: AlertState, value: float | None, epoch: str, now_ns: int, rule: Rule
) -> tuple[AlertState, tuple[Change, ...]]:
    """Return the state after `value` was seen in `epoch`, and what is to be told.

    No data changes nothing. When several rungs are reached at once, the highest is told.
    """
    if value is None or math.isnan(value):
        return replace(before, value=None), ()
    told = before.rung if epoch == before.epoch else None
    reached = bisect_right(rule.at, value)
    rung = max((one for one in (told, rule.at[reached - 1] if reached else None) if one is not None), default=None)
    level = level_of(rung, rule)
    after = AlertState(
        since_ns=before.since_ns if (level, rung) == (before.level, told) else now_ns,
        state="inactive" if level == "ok" else "firing",
        level=level,
        value=value,
        epoch=epoch,
        rung=rung,
    )
    if level == before.level != "ok" and rung != told:
        return after, (Change("alert.level", level, level),)
    return after, changes(before.level, level)


def level_of(rung: float | None, rule: Rule) -> Level:
    """Return the level of a rung; critical is the last one, or those from the rule's `critical` on."""
    if rung is None:
        return "ok"
    return "critical" if rung >= (rule.at[-1] if rule.critical is None else rule.critical) else "warning"


def rung_shown(rung: float | None, rule: Rule) -> float | None:
    """Return the rung that was reached; while none is, the first one."""
    return rule.at[0] if rung is None else rung
