"""How far each destination is: cursors over the stored requests.

A cursor is the number of a payload: everything up to it was acknowledged, or given up with a count. It moves in one
transaction with what became of those spans. Its store id tells which database the number is of: that of one that was
restored is another, so an acknowledgement from before the restore moves nothing there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.store.dead_letters import keep_dead_letters
from ihobs.store.dropped import count_lost

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from ihobs.store.database import Database
    from ihobs.store.dead_letters import DeadLetter

SCHEMA = (
    """CREATE TABLE destination (
        name TEXT PRIMARY KEY, active INTEGER NOT NULL, fingerprint TEXT NOT NULL, store_id TEXT NOT NULL,
        payload_id INTEGER NOT NULL, received_ns INTEGER NOT NULL,
        sent_spans INTEGER NOT NULL DEFAULT 0, rejected_spans INTEGER NOT NULL DEFAULT 0,
        acknowledged_ns INTEGER, attempts INTEGER NOT NULL DEFAULT 0, next_ns INTEGER NOT NULL DEFAULT 0,
        problem TEXT NOT NULL DEFAULT '', problem_ns INTEGER, paused INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
    """CREATE TABLE dead_letter (
        id INTEGER PRIMARY KEY, destination TEXT NOT NULL, payload_id INTEGER NOT NULL, trace_id BLOB NOT NULL,
        span_id BLOB NOT NULL, reason TEXT NOT NULL, at_ns INTEGER NOT NULL, again INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX dead_letter_destination ON dead_letter (destination, again)",
    "CREATE INDEX payload_spans ON payload (id, spans)",  # what waits is summed without reading a body
)
"""Tables of the telemetry database. `acknowledged_ns` and `problem_ns` are NULL until it happens."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one destination is.

    Attributes:
        payload_id: everything up to it is done with. store_id: the database that this number is of.
        attempts: how often sending has failed since the last success. next_ns: not before then.
        problem: why it cannot be sent to now, or an empty string.
        acknowledged_ns: when it last took something; None: it never did.
        paused: 1 when somebody has to do something first.
    """

    name: str
    store_id: str
    payload_id: int
    attempts: int
    next_ns: int
    problem: str
    acknowledged_ns: int | None
    paused: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored request: its number, when it was received, how many spans it holds, and its compressed bytes."""

    id: int
    received_ns: int
    spans: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of the requests up to `payload_id`, which was received at `received_ns`.

    Attributes:
        sent_spans: acknowledged. rejected_spans: refused by an answer that took the others.
        dead: refused one by one. lost_spans: could not be read any more.
    """

    payload_id: int
    received_ns: int
    sent_spans: int = 0
    rejected_spans: int = 0
    dead: Sequence[DeadLetter] = ()
    lost_spans: int = 0


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A configured destination: a mark that changes with its configuration, and whether a new one begins with all."""

    fingerprint: str
    from_beginning: bool


def store_id(connection: sqlite3.Connection, database: Database) -> str:
    """Return what tells this database from every other, and from itself before it was restored."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()
    return f"{row[0]}@{database.home.generation()}"


def enrol(database: Database, configured: Mapping[str, Enrolment]) -> None:
    """Make the cursors of new destinations, and let those that are no longer configured wait, not counted.

    A destination whose configuration has changed is no longer paused.
    """
    if not configured and not any(one.active for one in backlogs(database)):
        return
    with database.write() as connection:
        current = store_id(connection, database)
        newest = connection.execute(
            "SELECT coalesce(max(id), 0), coalesce(max(received_ns), 0) FROM payload"
        ).fetchone()
        connection.execute("UPDATE destination SET active = 0")
        for name, given in configured.items():
            begins = (0, 0) if given.from_beginning else newest
            connection.execute(
                "INSERT INTO destination (name, active, fingerprint, store_id, payload_id, received_ns) "
                "VALUES (?, 1, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET active = 1",
                [name, given.fingerprint, current, *begins],
            )
            connection.execute(
                "UPDATE destination SET fingerprint = ?1, paused = 0, attempts = 0, next_ns = 0, problem = '', "
                "problem_ns = NULL WHERE name = ?2 AND fingerprint != ?1",
                [given.fingerprint, name],
            )


def read_cursor(database: Database, name: str) -> Cursor | None:
    """Return the cursor of a destination; None when it is not enrolled, as after a restore of an older database.

    In a database that was restored, it goes back to the last payload of which it is sure.
    """
    with database.read() as connection:
        found, current = _cursor(connection, name), store_id(connection, database)
    if found is None or found.store_id == current:
        return found
    with database.write() as connection:
        _adopt(connection, name, store_id(connection, database))
        return _cursor(connection, name)


def _cursor(connection: sqlite3.Connection, name: str) -> Cursor | None:
    row = connection.execute(
        "SELECT name, store_id, payload_id, attempts, next_ns, problem, acknowledged_ns, paused "
        "FROM destination WHERE name = ? AND active",
        [name],
    ).fetchone()
    return None if row is None else Cursor(*row)


def _adopt(connection: sqlite3.Connection, name: str, current: str) -> None:
    """Put a cursor from another database where nothing that came after it, by number or by time, is left out."""
    connection.execute(
        "UPDATE destination SET store_id = ?, payload_id = min(payload_id, coalesce("
        "(SELECT min(id) - 1 FROM payload WHERE payload.received_ns > destination.received_ns), "
        "(SELECT max(id) FROM payload), 0)) WHERE name = ?",
        [current, name],
    )


def stored_after(database: Database, payload_id: int, limit: int) -> list[Stored]:
    """Return the next `limit` requests after one, oldest first."""
    with database.read() as connection:
        rows = connection.execute(
            "SELECT id, received_ns, spans, body FROM payload WHERE id > ? ORDER BY id LIMIT ?", [payload_id, limit]
        )
        return [Stored(*row) for row in rows]


def advance(database: Database, cursor: Cursor, progress: Progress, now_ns: int) -> bool:
    """Move a cursor; return False, and change nothing, when it is no longer where it was: then it is read anew."""
    with database.write() as connection:
        current = store_id(connection, database)
        if cursor.store_id != current:
            return False
        moved = connection.execute(
            "UPDATE destination SET payload_id = ?, received_ns = ?, sent_spans = sent_spans + ?, "
            "rejected_spans = rejected_spans + ? WHERE name = ? AND payload_id = ? AND store_id = ? AND active",
            [
                progress.payload_id,
                progress.received_ns,
                progress.sent_spans,
                progress.rejected_spans,
                cursor.name,
                cursor.payload_id,
                current,
            ],
        ).rowcount
        if moved:
            _record(connection, cursor.name, progress, now_ns)
    return bool(moved)


def _record(connection: sqlite3.Connection, name: str, progress: Progress, now_ns: int) -> None:
    """Store what became of some spans beside the cursor."""
    if progress.sent_spans:
        _take_note_of_success(connection, name, now_ns)
    refused = progress.rejected_spans + len(progress.dead)
    for reason, spans in ((lost_ahead(name), progress.lost_spans), (refused_by(name), refused)):
        if spans:
            count_lost(connection, reason, spans, now_ns)
    keep_dead_letters(connection, name, progress.dead, now_ns)


def _take_note_of_success(connection: sqlite3.Connection, name: str, now_ns: int) -> None:
    """Whatever was wrong with a destination is over when it takes something."""
    connection.execute(
        "UPDATE destination SET acknowledged_ns = ?, attempts = 0, next_ns = 0, problem = '', problem_ns = NULL, "
        "paused = 0 WHERE name = ?",
        [now_ns, name],
    )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing can be sent now, how often in a row that was so, and when to try again."""

    reason: str
    attempts: int
    next_ns: int
    paused: bool = False


def postpone(database: Database, name: str, trouble: Trouble, now_ns: int) -> None:
    """Store why a destination gets nothing now; since when, it remembers from the first time."""
    with database.write() as connection:
        connection.execute(
            "UPDATE destination SET problem = ?, problem_ns = coalesce(problem_ns, ?), attempts = ?, next_ns = ?, "
            "paused = ? WHERE name = ?",
            [trouble.reason, now_ns, trouble.attempts, trouble.next_ns, trouble.paused, name],
        )


def resume(database: Database, name: str) -> bool:
    """Let a destination be tried at once; return whether there is one of that name."""
    with database.write() as connection:
        return bool(
            connection.execute(
                "UPDATE destination SET attempts = 0, next_ns = 0, paused = 0 WHERE name = ? AND active", [name]
            ).rowcount
        )


def lost_ahead(name: str) -> str:
    """Return the reason under which spans are counted that were removed before a destination got them."""
    return f"forward:{name}"


def refused_by(name: str) -> str:
    """Return the reason under which spans are counted that a destination refused."""
    return f"forward:{name}: refused"


def count_unsent(connection: sqlite3.Connection, payload_ids: Sequence[int], now_ns: int) -> None:
    """Count the spans of payloads that are about to be removed, for each destination that has not got them."""
    ids = json.dumps(payload_ids)
    unsent = connection.execute(
        "SELECT name, sum(spans) FROM destination JOIN payload ON payload.id > payload_id "
        "WHERE active AND payload.id IN (SELECT value FROM json_each(?)) GROUP BY name",
        [ids],
    ).fetchall()
    for name, spans in unsent:
        count_lost(connection, lost_ahead(name), spans, now_ns)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How one destination is.

    Attributes:
        active: 1 while it is configured. spans: waiting; with sampling, more than will be sent.
        oldest_ns: when the oldest that waits was received; None: nothing waits.
        sent_spans, rejected_spans: ever. dead_letters: kept. acknowledged_ns: when it last took something.
        problem: why it gets nothing now, or an empty string. problem_ns: since when. next_ns: the next try.
        paused: 1 when somebody has to do something first.
    """

    name: str
    active: int
    spans: int
    oldest_ns: int | None
    sent_spans: int
    rejected_spans: int
    dead_letters: int
    acknowledged_ns: int | None
    problem: str
    problem_ns: int | None
    next_ns: int
    paused: int


def backlogs(database: Database) -> tuple[Backlog, ...]:
    """Return how each destination is that ever was configured, by name.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        rows = connection.execute(
            """SELECT name, active, (SELECT coalesce(sum(spans), 0) FROM payload WHERE id > payload_id),
            (SELECT received_ns FROM payload WHERE id > payload_id ORDER BY id LIMIT 1), sent_spans, rejected_spans,
            (SELECT count(*) FROM dead_letter WHERE destination = name), acknowledged_ns, problem, problem_ns, next_ns,
            paused FROM destination ORDER BY name"""
        ).fetchall()
    return tuple(Backlog(*row) for row in rows)


def stored(database: Database, payload_id: int) -> Stored | None:
    """Return a stored request; None when it is no longer kept."""
    with database.read() as connection:
        row = connection.execute("SELECT id, received_ns, spans, body FROM payload WHERE id = ?", [payload_id])
        found = row.fetchone()
    return None if found is None else Stored(*found)


def settle_again(database: Database, name: str, sent: Sequence[int], reasons: Mapping[int, str], now_ns: int) -> None:
    """Remove the dead letters that were taken after all; those refused again stay, number -> why."""
    with database.write() as connection:
        connection.executemany("DELETE FROM dead_letter WHERE id = ?", [(number,) for number in sent])
        connection.executemany(
            "UPDATE dead_letter SET again = 0, reason = ?, at_ns = ? WHERE id = ?",
            [(reason, now_ns, number) for number, reason in reasons.items()],
        )
        if sent:
            connection.execute("UPDATE destination SET sent_spans = sent_spans + ? WHERE name = ?", [len(sent), name])
            _take_note_of_success(connection, name, now_ns)
