"""What became of each event of an alert: who was told, in which message, by how many attempts, or why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.store.state.alerts import EVENT, event_of

if TYPE_CHECKING:
    import sqlite3

    from ihobs.model import Event
    from ihobs.store.database import Database


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send a message. `outcome`: "delivered", "later", "refused" or "unknown"."""

    number: int
    at_ns: int
    took_ns: int
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Hearing:
    """What became of an event at one receiver.

    Attributes:
        reference: the receiver; empty: nobody was to hear of it.
        route: that led there.
        state: "waiting", "sent", "muted" (it was not to be told) or "dead" (it could not be).
        reason: why it waits or was not told; of what was told, what the receiver said.
        key: of the message that told it, or tries to; empty: none.
        attempts: to send that message.
    """

    reference: str
    route: str
    state: str
    reason: str
    key: str
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """An event of an alert, and what became of it at each receiver. Without hearings it was not looked at yet."""

    event_id: int
    event: Event
    hearings: tuple[Hearing, ...]


def story(database: Database, alert: str, limit: int) -> list[Chapter]:
    """Return the newest `limit` events of `alert`, newest first, each with what became of it."""
    with database.read() as reader:
        rows = reader.execute(
            f"SELECT id, {EVENT} FROM alert_event AS event WHERE alert = ? ORDER BY id DESC LIMIT ?",  # noqa: S608 - constants
            (alert, limit),
        ).fetchall()
        return [Chapter(number, event_of(row), _hearings(reader, number)) for number, *row in rows]


def known_alerts(database: Database) -> dict[str, str]:
    """Return the keys of all alerts that there are or were, each with the name of its rule, as far as it is known."""
    with database.read() as reader:
        rows = reader.execute(
            "SELECT DISTINCT alert, '' FROM alert_event UNION ALL SELECT key, rule FROM alert"
        ).fetchall()
    return dict(rows)


def _hearings(reader: sqlite3.Connection, event_id: int) -> tuple[Hearing, ...]:
    rows = reader.execute(
        """SELECT notice.reference, notice.route, notice.state, notice.reason, coalesce(message.key, ''), message_id
        FROM notice LEFT JOIN message ON message.id = message_id WHERE event_id = ? ORDER BY notice.reference""",
        (event_id,),
    ).fetchall()
    return tuple(
        Hearing(reference, route, state, reason, key, _attempts(reader, message_id))
        for reference, route, state, reason, key, message_id in rows
    )


def _attempts(reader: sqlite3.Connection, message_id: int | None) -> tuple[Attempt, ...]:
    rows = reader.execute(
        "SELECT number, at_ns, took_ns, outcome, detail FROM attempt WHERE message_id = ? ORDER BY number",
        (message_id,),
    ).fetchall()
    return tuple(Attempt(*row) for row in rows)
