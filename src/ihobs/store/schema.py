"""The telemetry database's schema, as numbered migrations that only ever add.

sqlite-utils runs them; it is imported only when a schema must really be made or changed, so that the
orchestrator's process normally never loads it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from ihobs.spans.facts import SUMS
from ihobs.store import forwarding, log_tables
from ihobs.store.database import Database

if TYPE_CHECKING:
    import sqlite_utils

    from ihobs.store.home import Home

VERSION = 4
"""Number of the newest migration; `PRAGMA user_version` of a database that has it."""

MIN_WRITER = 1
"""The oldest version that may still write to a database of this one."""

RESOLUTIONS = {"10s": 10, "1m": 60, "1h": 3600}
"""Roll-up tables and the width of their buckets in seconds."""


def open_telemetry(home: Home) -> Database:
    """Return the telemetry database of `home`; it is made when it is first used."""
    return Database(home, "telemetry", version=VERSION, migrate=migrate)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date: each migration in a transaction of its own, with its record."""
    import sqlite_utils
    from sqlite_utils import Migrations

    migrations = Migrations("ihobs_telemetry")
    migrations()(m001_spans_and_rollups)
    migrations()(m002_redacted)
    migrations()(m003_forwarding)
    migrations()(m004_logs)
    migrations.apply(sqlite_utils.Database(connection))


def m001_spans_and_rollups(database: sqlite_utils.Database) -> None:
    """Create payloads, the span index, series, roll-ups, histograms, prices and the views."""
    for statement in (*_TABLES, *_rollup_tables(), *_VIEWS):
        database.execute(statement)
    database.execute("INSERT INTO meta VALUES ('min_writer', ?)", [str(MIN_WRITER)])


def m002_redacted(database: sqlite_utils.Database) -> None:
    """Create the counts of what redaction removed."""
    database.execute(
        "CREATE TABLE redacted (reason TEXT PRIMARY KEY, count INTEGER NOT NULL, last_ns INTEGER NOT NULL) "
        "WITHOUT ROWID"
    )


def m003_forwarding(database: sqlite_utils.Database) -> None:
    """Create the cursors of destinations, dead letters, and what tells this database from every other."""
    for statement in forwarding.SCHEMA:
        database.execute(statement)
    database.execute("INSERT INTO meta VALUES ('store_id', lower(hex(randomblob(8))))")


def m004_logs(database: sqlite_utils.Database) -> None:
    """Create the batches of log records, their index, and the counts of those that were lost."""
    for statement in log_tables.SCHEMA:
        database.execute(statement)


_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE payload (
        id INTEGER PRIMARY KEY AUTOINCREMENT, received_ns INTEGER NOT NULL, live INTEGER NOT NULL,
        spans INTEGER NOT NULL, body BLOB NOT NULL)""",  # zstd of an ExportTraceServiceRequest; ids never come again
    "CREATE INDEX payload_received ON payload (received_ns)",
    """CREATE TABLE shape (
        id INTEGER PRIMARY KEY, service TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
        workflow TEXT NOT NULL, node TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, error TEXT NOT NULL,
        UNIQUE (service, scope, name, kind, workflow, node, provider, model, error))""",
    """CREATE TABLE trace (
        no INTEGER PRIMARY KEY, trace_id BLOB NOT NULL UNIQUE, received_ns INTEGER NOT NULL,
        start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, spans INTEGER NOT NULL, failed_spans INTEGER NOT NULL,
        runs INTEGER NOT NULL, failed_runs INTEGER NOT NULL, workflow TEXT NOT NULL, service TEXT NOT NULL,
        input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_nano_usd INTEGER NOT NULL,
        unpriced_calls INTEGER NOT NULL, waiting INTEGER NOT NULL,
        counted INTEGER NOT NULL, counted_ns INTEGER NOT NULL)""",  # spans of a large trace are counted in portions
    "CREATE INDEX trace_received ON trace (received_ns)",
    "CREATE INDEX trace_waiting ON trace (received_ns) WHERE waiting",
    """CREATE TABLE span (
        trace_no INTEGER NOT NULL, span_id INTEGER NOT NULL, parent_id INTEGER, payload_id INTEGER NOT NULL,
        start_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL, bucket INTEGER NOT NULL, flags INTEGER NOT NULL,
        attempt_key INTEGER, input_tokens INTEGER, output_tokens INTEGER, cached_input_tokens INTEGER,
        cache_write_tokens INTEGER, reasoning_tokens INTEGER, cost_nano_usd INTEGER, first_token_ns INTEGER,
        shape_id INTEGER NOT NULL, PRIMARY KEY (trace_no, span_id)) WITHOUT ROWID""",
    """CREATE TABLE series (
        id INTEGER PRIMARY KEY, service TEXT NOT NULL, workflow TEXT NOT NULL, node TEXT NOT NULL, kind TEXT NOT NULL,
        provider TEXT NOT NULL, model TEXT NOT NULL, UNIQUE (service, workflow, node, kind, provider, model))""",
    """CREATE TABLE price (
        provider TEXT NOT NULL, model TEXT NOT NULL, from_ns INTEGER NOT NULL, above_input_tokens INTEGER NOT NULL,
        input_pico_usd INTEGER NOT NULL, cached_input_pico_usd INTEGER NOT NULL,
        cache_write_pico_usd INTEGER NOT NULL, output_pico_usd INTEGER NOT NULL, source TEXT NOT NULL,
        PRIMARY KEY (provider, model, from_ns, above_input_tokens)) WITHOUT ROWID""",
    # days (since the epoch) of which index rows were dropped: later spans of them are refused
    "CREATE TABLE sealed_day (day INTEGER PRIMARY KEY)",
    """CREATE TABLE worker (
        id TEXT NOT NULL, service TEXT NOT NULL, workflow TEXT NOT NULL, active INTEGER NOT NULL,
        heartbeat_ns INTEGER NOT NULL, PRIMARY KEY (id, service, workflow)) WITHOUT ROWID""",
    # a random number for each hour that holds something, another one after every change: see store/hours.py
    "CREATE TABLE hour_change (hour INTEGER PRIMARY KEY, version INTEGER NOT NULL)",
    # delays of live spans by the minute of their receipt, on a logarithmic scale: see `arrivals`
    """CREATE TABLE arrival (
        minute INTEGER NOT NULL, service TEXT NOT NULL, position INTEGER NOT NULL, late INTEGER NOT NULL,
        spans INTEGER NOT NULL, PRIMARY KEY (minute, service, position, late)) WITHOUT ROWID""",
    # which series a day of events uses: beyond a bound, further ones count as "_other"
    """CREATE TABLE day_series (day INTEGER NOT NULL, series_id INTEGER NOT NULL, PRIMARY KEY (day, series_id))
        WITHOUT ROWID""",
    "CREATE TABLE dropped (reason TEXT PRIMARY KEY, spans INTEGER NOT NULL, last_ns INTEGER NOT NULL) WITHOUT ROWID",
)


def _rollup_tables() -> list[str]:
    """Return the statements for the three resolutions. `bucket` is the epoch's seconds over the width."""
    sums = ", ".join(f"{name} INTEGER NOT NULL" for name in SUMS)
    statements = []
    for name in RESOLUTIONS:
        statements += [
            f"""CREATE TABLE rollup_{name} (bucket INTEGER NOT NULL, series_id INTEGER NOT NULL, {sums},
                PRIMARY KEY (bucket, series_id)) WITHOUT ROWID""",
            f"""CREATE TABLE histogram_{name} (
                bucket INTEGER NOT NULL, series_id INTEGER NOT NULL, family INTEGER NOT NULL, position INTEGER NOT NULL,
                count INTEGER NOT NULL, PRIMARY KEY (bucket, series_id, family, position)) WITHOUT ROWID""",
        ]
    return statements


_VIEWS = (
    # One row for each run. Stable: datasette and sqlite3 may be pointed at these.
    """CREATE VIEW runs AS
        SELECT lower(hex(trace.trace_id)) AS trace_id, shape.service, coalesce(nullif(shape.workflow, ''), shape.name)
            AS workflow, datetime(span.start_ns / 1000000000, 'unixepoch') AS started_utc, span.start_ns,
            span.duration_ns / 1e9 AS duration_s, (span.flags & 4) != 0 AS failed, nullif(shape.error, '') AS error,
            trace.spans, trace.input_tokens, trace.output_tokens, trace.cost_nano_usd / 1e9 AS cost_usd
        FROM span JOIN shape ON shape.id = span.shape_id JOIN trace ON trace.no = span.trace_no
        WHERE span.flags & 256""",
    """CREATE VIEW metrics AS
        SELECT datetime(bucket * 3600, 'unixepoch') AS hour_utc, service, workflow, node, kind, provider, model,
            spans, runs, failed_runs, calls, failed_calls, recovered_errors, retries, input_tokens, output_tokens,
            cached_input_tokens, cost_nano_usd / 1e9 AS cost_usd, unpriced_calls, usage_missing_calls,
            run_duration_ns / 1e9 AS run_duration_s_sum, call_duration_ns / 1e9 AS call_duration_s_sum,
            first_token_calls, first_token_ns / 1e9 AS first_token_s_sum
        FROM rollup_1h JOIN series ON series.id = series_id""",
)
