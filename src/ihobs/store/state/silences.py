"""Silences: what nobody is to be told of for a while, who said so, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.matchers import Matcher, parse

if TYPE_CHECKING:
    import sqlite3

    from ihobs.store.database import Database


@dataclass(frozen=True, slots=True)
class Silence:
    """A stretch of time in which alerts whose labels fit all `matchers` are not told.

    Attributes:
        id: its number; 0 until it is stored.
        starts_ns, ends_ns: from when, and until when; one that has ended is kept.
        author, reason: who, and why; for people.
    """

    id: int
    matchers: tuple[Matcher, ...]
    starts_ns: int
    ends_ns: int
    author: str
    reason: str


def add(database: Database, silence: Silence, now_ns: int) -> int:
    """Store `silence` and return its number."""
    with database.write() as writer:
        return insert(writer, silence, now_ns)


def insert(writer: sqlite3.Connection, silence: Silence, now_ns: int) -> int:
    """Store `silence` in a transaction that is under way, and return its number."""
    matchers = json.dumps([str(one) for one in silence.matchers])
    number = writer.execute(
        """INSERT INTO silence (matchers, starts_ns, ends_ns, author, reason, created_ns)
        VALUES (?, ?, ?, ?, ?, ?)""",
        (matchers, silence.starts_ns, silence.ends_ns, silence.author, silence.reason, now_ns),
    ).lastrowid
    return number or 0


def expire(database: Database, number: int, now_ns: int) -> bool:
    """End a silence now; return False when there is none of this number, or it has ended already."""
    with database.write() as writer:
        return bool(
            writer.execute(
                "UPDATE silence SET ends_ns = ?1, starts_ns = min(starts_ns, ?1) WHERE id = ?2 AND ends_ns > ?1",
                (now_ns, number),
            ).rowcount
        )


def not_ended(reader: sqlite3.Connection, now_ns: int) -> list[Silence]:
    """Return the silences that are in force or will be."""
    rows = reader.execute(f"{_SELECT} WHERE ends_ns > ? ORDER BY id", (now_ns,)).fetchall()
    return [_silence(row) for row in rows]


def newest(database: Database, limit: int) -> list[Silence]:
    """Return the newest `limit` silences, those that have ended too, newest first."""
    with database.read() as reader:
        rows = reader.execute(f"{_SELECT} ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    return [_silence(row) for row in rows]


_SELECT = "SELECT id, matchers, starts_ns, ends_ns, author, reason FROM silence"


def _silence(row: tuple[int, str, int, int, str, str]) -> Silence:
    number, matchers, starts_ns, ends_ns, author, reason = row
    return Silence(number, tuple(map(parse, json.loads(matchers))), starts_ns, ends_ns, author, reason)
