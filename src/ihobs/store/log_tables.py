"""The tables of log records, and how their oldest rows go."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

SCHEMA = (
    """CREATE TABLE log_batch (
        id INTEGER PRIMARY KEY, received_ns INTEGER NOT NULL, digest BLOB, records INTEGER NOT NULL,
        body BLOB NOT NULL)""",  # zstd of an ExportLogsServiceRequest
    "CREATE INDEX log_batch_received ON log_batch (received_ns)",
    "CREATE UNIQUE INDEX log_batch_digest ON log_batch (digest) WHERE digest IS NOT NULL",
    """CREATE TABLE log_record (
        batch_id INTEGER NOT NULL, position INTEGER NOT NULL, time_ns INTEGER NOT NULL, severity INTEGER NOT NULL,
        service TEXT NOT NULL, trace_id BLOB, PRIMARY KEY (batch_id, position)) WITHOUT ROWID""",
    "CREATE INDEX log_record_time ON log_record (time_ns)",
    "CREATE INDEX log_record_trace ON log_record (trace_id) WHERE trace_id IS NOT NULL",
    """CREATE TABLE log_dropped (reason TEXT PRIMARY KEY, records INTEGER NOT NULL, last_ns INTEGER NOT NULL)
        WITHOUT ROWID""",
)


def forget_logs(connection: sqlite3.Connection, before_ns: int, max_records: int) -> int:
    """Delete batches received before `before_ns`, oldest first, up to about so many records; return how many."""
    batches: list[tuple[int]] = []
    records = 0
    for number, count in connection.execute(
        "SELECT id, records FROM log_batch WHERE received_ns < ? ORDER BY received_ns LIMIT ?", [before_ns, max_records]
    ):
        if batches and records + count > max_records:
            break
        batches.append((number,))
        records += count
    connection.executemany("DELETE FROM log_record WHERE batch_id = ?", batches)
    connection.executemany("DELETE FROM log_batch WHERE id = ?", batches)
    return records
