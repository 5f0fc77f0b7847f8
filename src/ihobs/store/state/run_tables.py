"""Tables of runs of runbooks in state.db.

The journal is append-only: it is what a resumed run goes by, and the audit.
"""

from __future__ import annotations

TABLES = (
    """CREATE TABLE run (
        id TEXT PRIMARY KEY, runbook TEXT NOT NULL, hash TEXT NOT NULL, lock TEXT NOT NULL,
        definitions TEXT NOT NULL, inputs TEXT NOT NULL, permission TEXT NOT NULL,
        started_by TEXT NOT NULL, reason TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN
            ('running', 'waiting', 'unknown', 'succeeded', 'rescued', 'failed', 'timed_out', 'cancelled')),
        end_state TEXT NOT NULL DEFAULT '', error TEXT, outputs TEXT, cancelled_by TEXT,
        started_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL, finished_ns INTEGER) WITHOUT ROWID""",
    "CREATE INDEX run_lock ON run (lock) WHERE finished_ns IS NULL AND lock != ''",
    "CREATE INDEX run_started ON run (started_ns)",
    """CREATE TABLE run_event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL REFERENCES run (id), path TEXT NOT NULL,
        attempt INTEGER NOT NULL, name TEXT NOT NULL, at_ns INTEGER NOT NULL, fields TEXT NOT NULL)""",
    "CREATE INDEX run_event_run ON run_event (run, seq)",
    """CREATE TRIGGER run_event_is_append_only BEFORE UPDATE ON run_event
        BEGIN SELECT RAISE(ABORT, 'the journal of runs is append-only'); END""",
    """CREATE TRIGGER run_event_is_kept BEFORE DELETE ON run_event
        BEGIN SELECT RAISE(ABORT, 'the journal of runs is append-only'); END""",
    """CREATE VIEW runbook_runs AS SELECT id, runbook, status, end_state, started_by, reason,
        strftime('%Y-%m-%dT%H:%M:%fZ', started_ns / 1e9, 'unixepoch') AS started,
        strftime('%Y-%m-%dT%H:%M:%fZ', finished_ns / 1e9, 'unixepoch') AS finished,
        json_extract(error, '$.message') AS error FROM run""",
)
"""`definitions`, `inputs`, `error`, `outputs` and `fields` are JSON."""
