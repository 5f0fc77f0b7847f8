"""Acknowledgements: somebody has seen an alert, and until when that keeps it quiet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from ihobs.model import Level
    from ihobs.store.database import Database


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An alert that is not repeated, because somebody takes care of it.

    Attributes:
        alert: its key.
        event_id: the newest event of the alert that was acknowledged; when it begins to fire anew, that is news.
        level: of the alert then; when it rises above, that is news.
        author, reason: who, and why; for people.
        at_ns, until_ns: when it was given, and when it ends by itself.
    """

    alert: str
    event_id: int
    level: Level
    author: str
    reason: str
    at_ns: int
    until_ns: int


def give(database: Database, acknowledgement: Acknowledgement) -> None:
    """Store `acknowledgement`, in place of an earlier one of the same alert."""
    one = acknowledgement
    with database.write() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO acknowledgement VALUES (?, ?, ?, ?, ?, ?, ?)",
            (one.alert, one.event_id, one.level, one.author, one.reason, one.at_ns, one.until_ns),
        )


def every(reader: sqlite3.Connection) -> dict[str, Acknowledgement]:
    """Return the acknowledgements by alert, also those that have ended: what ends is told again."""
    rows = reader.execute("SELECT alert, event_id, level, author, reason, at_ns, until_ns FROM acknowledgement")
    return {row[0]: Acknowledgement(*row) for row in rows}


def newest_event(database: Database, alert: str) -> tuple[int, Level] | None:
    """Return the number and the level of the newest event of `alert`; None when there is none."""
    with database.read() as reader:
        row = reader.execute(
            "SELECT id, level FROM alert_event WHERE alert = ? ORDER BY id DESC LIMIT 1", (alert,)
        ).fetchone()
    return None if row is None else (row[0], row[1])
