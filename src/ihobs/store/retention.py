"""Forget by receipt: payloads first, then index rows; roll-ups have their own, longer lives.

When a trace's rows go, the days of its spans are sealed: what comes later for such a day is refused, because
it could no longer be told from what was counted before. Every transaction deletes a bounded number of rows,
so that writers get their turn.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, SECOND_NS
from ihobs.spans.normalise import BUCKET_NS
from ihobs.store.forwarding import count_unsent
from ihobs.store.log_tables import forget_logs

if TYPE_CHECKING:
    from ihobs.settings import RetentionSettings

MAX_ROWS = 5_000
"""Rows deleted in one transaction: about 20 ms."""

BUCKETS_A_DAY = DAY_NS // BUCKET_NS
FOREVER_NS = 2**62
VACUUM_PAGES = 2_000
"""Free pages given back in one transaction: 8 MB."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept after their receipt, and how large the telemetry database may grow."""

    payload_ns: int = 7 * DAY_NS
    spans_ns: int = 30 * DAY_NS
    logs_ns: int = 30 * DAY_NS
    max_bytes: int | None = 20_000_000_000


def retention_of(settings: RetentionSettings) -> Retention:
    """Return what the configuration says."""
    return Retention(
        payload_ns=round(settings.payload_s * SECOND_NS),
        spans_ns=round(settings.spans_s * SECOND_NS),
        logs_ns=round((settings.spans_s if settings.logs_s is None else settings.logs_s) * SECOND_NS),
        max_bytes=settings.max_bytes,
    )


def forget_some(connection: sqlite3.Connection, now_ns: int, retention: Retention) -> int:
    """Delete at most about MAX_ROWS rows whose time has passed; return how many (0: nothing left to do)."""
    removed = _forget_payloads(connection, now_ns, before_ns=now_ns - retention.payload_ns, limit=MAX_ROWS)
    removed += _forget_traces(connection, now_ns - retention.spans_ns)
    removed += forget_logs(connection, now_ns - retention.logs_ns, MAX_ROWS)
    if not removed and retention.max_bytes is not None and used_bytes(connection) > retention.max_bytes:
        removed = _forget_oldest(connection, now_ns)
    if removed:
        tell_removed(connection)
    return removed


def give_back(connection: sqlite3.Connection) -> bool:
    """Return some of the free pages to the file system; say whether there are more."""
    connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return bool(connection.execute("PRAGMA freelist_count").fetchone()[0])


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the database without its free pages."""
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


def _forget_oldest(connection: sqlite3.Connection, now_ns: int) -> int:
    """Delete the oldest payloads and log records, or when none is left, the oldest traces; none that came today."""
    today_ns = now_ns // DAY_NS * DAY_NS
    oldest_ns = connection.execute("SELECT coalesce(min(received_ns), ?) FROM payload", [FOREVER_NS]).fetchone()[0]
    if logs := forget_logs(connection, oldest_ns, MAX_ROWS // 10):
        return logs
    removed = _forget_payloads(connection, now_ns, before_ns=FOREVER_NS, limit=MAX_ROWS // 10)
    return removed or _forget_traces(connection, today_ns)


def _forget_payloads(connection: sqlite3.Connection, now_ns: int, *, before_ns: int, limit: int) -> int:
    """Delete the oldest payloads received before `before_ns`; what a destination still waits for is counted."""
    ids = [
        number
        for (number,) in connection.execute(
            "SELECT id FROM payload WHERE received_ns < ? ORDER BY received_ns LIMIT ?", [before_ns, limit]
        )
    ]
    if ids:
        count_unsent(connection, ids, now_ns)
        connection.executemany("DELETE FROM payload WHERE id = ?", ((number,) for number in ids))
    return len(ids)


def _forget_traces(connection: sqlite3.Connection, before_ns: int) -> int:
    """Delete traces received before `before_ns`, oldest first, and seal the days of their spans.

    A trace that an import brought with spans of a day to come stays until that day has passed: sealing it would
    refuse what comes then.
    """
    traces: list[tuple[int]] = []
    rows = 0
    for no, spans in connection.execute(
        "SELECT no, spans FROM trace WHERE received_ns < ? "
        "AND NOT EXISTS (SELECT 1 FROM span WHERE trace_no = no AND bucket >= ?) ORDER BY received_ns LIMIT ?",
        [before_ns, before_ns // BUCKET_NS, MAX_ROWS],
    ):
        if traces and rows + spans > MAX_ROWS:
            break
        traces.append((no,))
        rows += spans
    connection.executemany(
        f"INSERT OR IGNORE INTO sealed_day SELECT DISTINCT bucket / {BUCKETS_A_DAY} FROM span WHERE trace_no = ?",  # noqa: S608 - our own number
        traces,
    )
    connection.executemany("DELETE FROM span WHERE trace_no = ?", traces)
    connection.executemany("DELETE FROM trace WHERE no = ?", traces)
    return rows + len(traces)


def tell_removed(connection: sqlite3.Connection) -> None:
    """Make every process forget the numbers that it remembers."""
    connection.execute(
        "INSERT INTO meta VALUES ('removed', '1') ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1"
    )
