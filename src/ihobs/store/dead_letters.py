"""Dead letters: the spans that a destination refuses one by one. Their ids are kept; the spans stay where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ihobs.store.database import Database

MAX_DEAD_LETTERS = 10_000
"""Kept of each destination; the oldest go first. Their spans were counted as lost when they became dead letters."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A span that a destination refuses: where it is stored, and why it was refused. `id` is 0 until it is stored."""

    payload_id: int
    trace_id: bytes
    span_id: bytes
    reason: str
    id: int = 0
    at_ns: int = 0


def keep_dead_letters(connection: sqlite3.Connection, name: str, letters: Sequence[DeadLetter], now_ns: int) -> None:
    """Add the dead letters of a destination inside the running transaction."""
    if not letters:
        return
    connection.executemany(
        "INSERT INTO dead_letter (destination, payload_id, trace_id, span_id, reason, at_ns) VALUES (?, ?, ?, ?, ?, ?)",
        [(name, letter.payload_id, letter.trace_id, letter.span_id, letter.reason, now_ns) for letter in letters],
    )
    connection.execute(
        "DELETE FROM dead_letter WHERE destination = ?1 AND id <= (SELECT id FROM dead_letter "
        "WHERE destination = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        [name, MAX_DEAD_LETTERS],
    )


def letters_to_send(database: Database, name: str, *, limit: int) -> list[DeadLetter]:
    """Return the oldest dead letters of a destination that somebody wants to be sent again."""
    with database.read() as connection:
        rows = connection.execute(
            "SELECT payload_id, trace_id, span_id, reason, id, at_ns FROM dead_letter "
            "WHERE destination = ? AND again ORDER BY id LIMIT ?",
            [name, limit],
        )
        return [DeadLetter(*row) for row in rows]


def newest_dead_letters(database: Database, name: str, *, limit: int) -> list[DeadLetter]:
    """Return the newest dead letters of a destination, newest first."""
    with database.read() as connection:
        rows = connection.execute(
            "SELECT payload_id, trace_id, span_id, reason, id, at_ns FROM dead_letter "
            "WHERE destination = ? ORDER BY id DESC LIMIT ?",
            [name, limit],
        )
        return [DeadLetter(*row) for row in rows]


def ask_again(database: Database, name: str) -> int:
    """Let the dead letters of a destination be sent again; return how many there are."""
    with database.write() as connection:
        return connection.execute("UPDATE dead_letter SET again = 1 WHERE destination = ?", [name]).rowcount
