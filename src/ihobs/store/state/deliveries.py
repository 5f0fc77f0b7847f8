"""What receivers are still to hear, what they believe, and when their groups were told: read and written in a pass.

A pass of the outbox is one transaction: it looks at the events that are new, and stores for each receiver whether it
is to hear of them, which message tells them, or why none does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.store.state.alerts import EVENT, event_of
from ihobs.store.state.delivery_tables import DELIVERED_THROUGH

if TYPE_CHECKING:
    import sqlite3

    from ihobs.model import Event, Level

MAX_VARIABLES = 500
"""Numbers asked for in one statement."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An event that a receiver is to hear of and has not yet.

    Attributes:
        event_id, reference: together they name it.
        route, group_key: the route that led there, and the group in whose messages it is told.
        reason: why it waits.
        message_id: the message that tells it, and has not arrived yet.
    """

    event_id: int
    reference: str
    route: str
    group_key: str
    reason: str = ""
    message_id: int | None = None


@dataclass(frozen=True, slots=True)
class Belief:
    """What a receiver was last told of an alert that fires: `level`, by the event `event_id`, at `at_ns`."""

    reference: str
    alert: str
    route: str
    group_key: str
    level: Level
    event_id: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class GroupRow:
    """When a receiver was told of a group; the fields are those of `ihobs.delivery.decision.Told`."""

    reference: str
    group_key: str
    opened_ns: int
    sent_ns: int
    level: Level
    peak: Level
    answered: str


def new_events(connection: sqlite3.Connection) -> dict[int, Event]:
    """Return the events that delivery has not looked at yet, by number, oldest first."""
    rows = connection.execute(
        f"SELECT event.id, {EVENT} FROM alert_event AS event WHERE id > ? ORDER BY id",  # noqa: S608 - constants
        (delivered_through(connection),),
    ).fetchall()
    return {number: event_of(row) for number, *row in rows}


def delivered_through(connection: sqlite3.Connection) -> int:
    """Return the number of the newest event that delivery has looked at."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (DELIVERED_THROUGH,)).fetchone()
    return 0 if row is None else int(row[0])


def advance(writer: sqlite3.Connection, event_id: int) -> None:
    """Store that delivery has looked at the events up to `event_id`."""
    writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (DELIVERED_THROUGH, str(event_id)))


def waiting(connection: sqlite3.Connection) -> list[Notice]:
    """Return what receivers have not heard yet, oldest event first."""
    rows = connection.execute(
        """SELECT event_id, reference, route, group_key, reason, message_id FROM notice
        WHERE state = 'waiting' ORDER BY event_id"""
    )
    return [Notice(*row) for row in rows]


def beliefs(connection: sqlite3.Connection) -> list[Belief]:
    """Return what receivers believe to fire."""
    rows = connection.execute("SELECT reference, alert, route, group_key, level, event_id, at_ns FROM belief")
    return [Belief(*row) for row in rows]


def heard(connection: sqlite3.Connection) -> dict[str, dict[str, tuple[str, str]]]:
    """Return who has heard of each alert that is not over, or is to: alert -> reference -> route and group."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    rows = connection.execute(
        """SELECT alert, reference, route, group_key FROM belief
        UNION ALL SELECT event.alert, reference, route, group_key
        FROM notice JOIN alert_event AS event ON event.id = event_id WHERE state = 'waiting'"""
    )
    for alert, reference, *place in rows:
        found.setdefault(alert, {})[reference] = (place[0], place[1])
    return found


def groups(connection: sqlite3.Connection) -> dict[tuple[str, str], GroupRow]:
    """Return when groups were told, by reference and group."""
    rows = connection.execute(
        "SELECT reference, group_key, opened_ns, sent_ns, level, peak, answered FROM delivery_group"
    )
    return {(row[0], row[1]): GroupRow(*row) for row in rows}


def events(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, Event]:
    """Return events by their numbers."""
    found: dict[int, Event] = {}
    for start in range(0, len(numbers), MAX_VARIABLES):
        part = numbers[start : start + MAX_VARIABLES]
        marks = ", ".join("?" * len(part))
        rows = connection.execute(f"SELECT event.id, {EVENT} FROM alert_event AS event WHERE id IN ({marks})", part)  # noqa: S608 - question marks
        found |= {number: event_of(row) for number, *row in rows}
    return found


def firing(connection: sqlite3.Connection) -> list[int]:
    """Return the numbers of the newest events of all alerts that fire."""
    rows = connection.execute(
        "SELECT (SELECT max(id) FROM alert_event WHERE alert = alert.key) FROM alert WHERE level != 'ok'"
    )
    return [number for (number,) in rows if number is not None]


def began(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of the event with which each acknowledged alert last began to fire."""
    rows = connection.execute(
        """SELECT alert, (SELECT max(id) FROM alert_event AS event
            WHERE event.alert = acknowledgement.alert AND name = 'alert.firing') FROM acknowledgement"""
    )
    return {alert: number or 0 for alert, number in rows}


def insert(writer: sqlite3.Connection, notices: Iterable[Notice]) -> None:
    """Store notices that wait; those that are known stay as they are."""
    writer.executemany(
        """INSERT OR IGNORE INTO notice (event_id, reference, route, group_key, state, reason)
        VALUES (?, ?, ?, ?, 'waiting', ?)""",
        ((one.event_id, one.reference, one.route, one.group_key, one.reason) for one in notices),
    )


def insert_unrouted(writer: sqlite3.Connection, event_ids: Iterable[int], reason: str) -> None:
    """Store that nobody is to hear of events."""
    writer.executemany(
        "INSERT OR IGNORE INTO notice (event_id, reference, route, group_key, state, reason) "
        "VALUES (?, '', '', '', 'muted', ?)",
        ((number, reason) for number in event_ids),
    )


def hold(writer: sqlite3.Connection, reference: str, reasons: Mapping[int, str]) -> None:
    """Store why events wait."""
    writer.executemany(
        "UPDATE notice SET reason = ? WHERE event_id = ? AND reference = ? AND state = 'waiting'",
        ((reason, number, reference) for number, reason in reasons.items()),
    )


def drop(writer: sqlite3.Connection, reference: str, reasons: Mapping[int, str]) -> None:
    """Store why events will not be told."""
    writer.executemany(
        "UPDATE notice SET state = 'muted', reason = ? WHERE event_id = ? AND reference = ? AND state = 'waiting'",
        ((reason, number, reference) for number, reason in reasons.items()),
    )


def fall_back(writer: sqlite3.Connection, reference: str, others: Mapping[str, tuple[str, str]], reason: str) -> bool:
    """Let `others` (reference -> route and group) hear what `reference` cannot be told; return whether that is new."""
    rows = writer.execute(
        "SELECT event_id FROM notice WHERE reference = ? AND state = 'waiting' AND NOT fell_back", (reference,)
    ).fetchall()
    for other, (route, group_key) in others.items():
        insert(writer, [Notice(number, other, route, group_key, reason) for (number,) in rows])
    writer.execute("UPDATE notice SET fell_back = 1 WHERE reference = ? AND state = 'waiting'", (reference,))
    return bool(rows)


def forget(writer: sqlite3.Connection, before_ns: int, limit: int) -> int:
    """Forget at most `limit` events of alerts from before `before_ns`, with who was told; return how many.

    What somebody still waits for, believes or takes care of stays.
    """
    forgotten = writer.execute(
        "DELETE FROM alert_event WHERE id IN (SELECT id FROM alert_event WHERE at_ns < ? "
        "AND id NOT IN (SELECT event_id FROM notice WHERE state = 'waiting') "
        "AND id NOT IN (SELECT event_id FROM belief) AND id NOT IN (SELECT event_id FROM acknowledgement) "
        "ORDER BY id LIMIT ?)",
        (before_ns, limit),
    )
    return forgotten.rowcount
