"""Alerts in state.db: the present state of each, what changed, who is told, and which rules cannot be evaluated.

An evaluation is saved whole: new states and events, in one transaction. A process that dies before it has evaluated
nothing; after it, nothing is lost: delivery finds the events that it has not looked at.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihobs.model import Event, Level, State

if TYPE_CHECKING:
    from ihobs.store.database import Database


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert as it is stored.

    Attributes:
        key: unique; the rule's id, followed by the instance when the rule has several.
        by: values of the rule's dimensions.
        source: the plug-in that brought the rule.
        since_ns: when the present state and level began.
        value: of the last evaluation; None when it had no data. threshold: in force, or the next to be crossed.
        clocks: what the state machine needs to go on, as it wrote it (JSON).
    """

    key: str
    rule: str
    by: Mapping[str, str | None]
    source: str
    state: State
    level: Level
    since_ns: int
    value: float | None
    threshold: float | None
    clocks: str


@dataclass(frozen=True, slots=True)
class RuleHealth:
    """A rule that cannot be evaluated: why, and since when."""

    rule: str
    error: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one pass over the rules changed.

    Attributes:
        rows: alerts that are new or differ from what is stored. gone: keys of those to be forgotten.
        events: what happened, oldest first; `subject` is the alert's key.
        unhealthy: every rule that could not be evaluated; None: as before.
    """

    rows: Sequence[AlertRow] = ()
    gone: Sequence[str] = ()
    events: Sequence[Event] = ()
    unhealthy: Sequence[RuleHealth] | None = None

    def __bool__(self) -> bool:
        return bool(self.rows or self.gone or self.events) or self.unhealthy is not None


def load(database: Database) -> dict[str, AlertRow]:
    """Return all stored alerts by key."""
    with database.read() as reader:
        rows = reader.execute(
            'SELECT key, rule, "by", source, state, level, since_ns, value, threshold, clocks FROM alert ORDER BY key'
        ).fetchall()
    return {key: AlertRow(key, rule, json.loads(by), *rest) for key, rule, by, *rest in rows}


def unhealthy_rules(database: Database) -> list[RuleHealth]:
    """Return the rules that could not be evaluated the last time."""
    with database.read() as reader:
        rows = reader.execute("SELECT rule, error, since_ns FROM rule_health ORDER BY rule").fetchall()
    return [RuleHealth(*row) for row in rows]


def save(database: Database, evaluation: Evaluation) -> None:
    """Store an evaluation, in one transaction."""
    if not evaluation:
        return
    with database.write() as writer:
        writer.executemany(
            "INSERT OR REPLACE INTO alert VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_values, evaluation.rows)
        )
        writer.executemany("DELETE FROM alert WHERE key = ?", ((key,) for key in evaluation.gone))
        for event in evaluation.events:
            insert_event(writer, event)
        if evaluation.unhealthy is not None:
            _replace_health(writer, evaluation.unhealthy)


def history(database: Database, *, limit: int, alert: str | None = None) -> list[Event]:
    """Return the newest `limit` events, newest first; of one alert when its key is given."""
    with database.read() as reader:
        rows = reader.execute(
            f"SELECT {EVENT} FROM alert_event AS event WHERE ?1 IS NULL OR alert = ?1 ORDER BY id DESC LIMIT ?2",  # noqa: S608 - a constant
            (alert, limit),
        ).fetchall()
    return [event_of(row) for row in rows]


EVENT = "event.name, event.at_ns, event.alert, event.level, event.previous_level, event.text, event.fields"
"""Columns of `alert_event AS event`, as `event_of` reads them."""


def event_of(row: Sequence[Any]) -> Event:
    """Return the event of a row of `EVENT`."""
    name, at_ns, alert, level, previous_level, text, fields = row
    return Event(name, at_ns, alert, level, previous_level, text, json.loads(fields))


def _values(row: AlertRow) -> tuple[object, ...]:
    by = json.dumps(dict(row.by), sort_keys=True)
    return row.key, row.rule, by, row.source, row.state, row.level, row.since_ns, row.value, row.threshold, row.clocks


def insert_event(writer: sqlite3.Connection, event: Event) -> int:
    """Store `event` in the history, from where it is delivered; return its number."""
    number = writer.execute(
        """INSERT INTO alert_event (name, at_ns, alert, level, previous_level, text, fields)
        VALUES (?, ?, ?, ?, ?, ?, ?)""",
        (
            event.name,
            event.at_ns,
            event.subject,
            event.level,
            event.previous_level,
            event.text,
            json.dumps(dict(event.fields)),
        ),
    ).lastrowid
    return number or 0


def _replace_health(writer: sqlite3.Connection, unhealthy: Sequence[RuleHealth]) -> None:
    writer.execute("DELETE FROM rule_health")
    writer.executemany(
        "INSERT INTO rule_health VALUES (?, ?, ?)", [(one.rule, one.error, one.since_ns) for one in unhealthy]
    )
