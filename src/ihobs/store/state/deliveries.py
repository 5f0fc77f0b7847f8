"""What is still to be delivered: one row for each receiver of each event, written together with the event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ihobs.store.state.alerts import event_of

if TYPE_CHECKING:
    from ihobs.model import Event
    from ihobs.store.database import Database

MAX_AT_ONCE = 100
"""Deliveries of one receiver looked at in one go; those beyond follow in the next."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that a receiver has not got yet.

    Attributes:
        event_id: number of the event; with `reference` it names this delivery for ever.
        reference: the receiver, as the configuration names it.
        attempts: how often it was tried. next_ns: not before then.
        event: what to tell.
    """

    event_id: int
    reference: str
    attempts: int
    next_ns: int
    event: Event


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt to deliver ended.

    Attributes:
        state: "sent"; "waiting": to be tried again at `next_ns`; "dead": given up.
        detail: why, or by which way; for people.
    """

    state: Literal["sent", "waiting", "dead"]
    at_ns: int
    next_ns: int
    detail: str = ""


def waiting(database: Database) -> list[Delivery]:
    """Return what is to be delivered, oldest event first, whether it is due or not."""
    with database.read() as reader:
        rows = reader.execute(
            """SELECT event_id, reference, attempts, next_ns, name, at_ns, alert, level, previous_level, text, fields
            FROM (SELECT *, row_number() OVER (PARTITION BY reference ORDER BY event_id) AS place
                FROM delivery WHERE state = 'waiting')
            JOIN alert_event ON id = event_id WHERE place <= ? ORDER BY event_id""",
            (MAX_AT_ONCE,),
        ).fetchall()
    return [
        Delivery(event_id, reference, attempts, next_ns, event_of(event))
        for event_id, reference, attempts, next_ns, *event in rows
    ]


def record(database: Database, delivery: Delivery, attempt: Attempt) -> None:
    """Store how an attempt ended. Until then the delivery counts as not made, and is made again after a crash."""
    finished_ns = None if attempt.state == "waiting" else attempt.at_ns
    with database.write() as writer:
        writer.execute(
            """UPDATE delivery SET state = ?, attempts = attempts + 1, next_ns = ?, detail = ?, finished_ns = ?
            WHERE event_id = ? AND reference = ?""",
            (
                attempt.state,
                attempt.next_ns,
                attempt.detail,
                finished_ns,
                delivery.event_id,
                delivery.reference,
            ),
        )
