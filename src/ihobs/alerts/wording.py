"""Alerts in words: one line for people, and the facts for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.alerts.metrics import METRICS, shown
from ihobs.model import Event

if TYPE_CHECKING:
    from ihobs.alerts.machine import Change
    from ihobs.alerts.metrics import Unit
    from ihobs.model import Rule
    from ihobs.store.state.alerts import AlertRow


def event(row: AlertRow, change: Change, at_ns: int, rule: Rule | None, note: str) -> Event:
    """Return the event of `change`; `rule` is None when it was taken away."""
    facts: dict[str, str | int | float | bool | None] = {
        "rule": row.rule,
        "state": row.state if rule else "inactive",
        "since_ns": row.since_ns,
        "value": row.value,
        "threshold": row.threshold,
        "note": note,
        **{f"by.{name}": value for name, value in row.by.items()},
    }
    if rule:
        facts |= {"metric": rule.metric, "unit": METRICS[rule.metric].unit, "summary": rule.summary}
        facts |= {f"label.{name}": value for name, value in rule.labels.items()}
    return Event(
        name=change.name,
        at_ns=at_ns,
        subject=row.key,
        level=change.level,
        previous_level=change.previous_level,
        text=_text(row, change, rule, note),
        fields=facts,
    )


def _text(row: AlertRow, change: Change, rule: Rule | None, note: str) -> str:
    """Return e.g. `error_rate (workflow=import) is 42 %, above 15 %`."""
    where = ", ".join(f"{name}={value if value is not None else 'unknown'}" for name, value in sorted(row.by.items()))
    name = f"{row.rule} ({where})" if where else row.rule
    unit: Unit = METRICS[rule.metric].unit if rule else "count"
    text = f"{name} is {shown(row.value, unit)}" if rule else name
    if change.level == "ok":
        text += f": resolved, was {change.previous_level}"
    elif change.previous_level == "critical":
        text += ": warning, was critical"
    else:
        text += f", above {shown(row.threshold, unit)}"
    return f"{text} ({note})" if note else text
