"""The schema of state.db, as numbered migrations that only ever add.

sqlite-utils runs them; it is imported only when a schema must really be made or changed.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from ihobs.store.database import Database
from ihobs.store.state import action_tables, controls, delivery_tables, incident_tables, run_tables

if TYPE_CHECKING:
    import sqlite_utils

    from ihobs.store.home import Home

VERSION = 7
"""Number of the newest migration; `PRAGMA user_version` of a database that has it."""

MIN_WRITER = 1
"""The oldest version that may still write to a database of this one."""


def open_state(home: Home) -> Database:
    """Return the state database of `home`; it is made when it is first used."""
    return Database(home, "state", version=VERSION, migrate=migrate)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date: each migration in a transaction of its own, with its record."""
    import sqlite_utils
    from sqlite_utils import Migrations

    migrations = Migrations("ihobs_state")
    migrations()(m001_alerts)
    migrations()(m002_controls)
    migrations()(m003_delivery)
    migrations()(m004_incidents)
    migrations()(m005_runs)
    migrations()(m006_actions)
    migrations()(m007_unreviewed)
    migrations.apply(sqlite_utils.Database(connection))


def m001_alerts(database: sqlite_utils.Database) -> None:
    """Create alerts, their history, what is to be delivered, the health of rules, and the view for people."""
    for statement in _M001:
        database.execute(statement)
    database.execute("INSERT INTO meta VALUES ('min_writer', ?)", [str(MIN_WRITER)])


def m002_controls(database: sqlite_utils.Database) -> None:
    """Create controls and the history of their changes."""
    for statement in controls.SCHEMA:
        database.execute(statement)


def m003_delivery(database: sqlite_utils.Database) -> None:
    """Create messages, groups, silences and acknowledgements; what waits to be delivered goes on waiting."""
    for statement in (*delivery_tables.TABLES, *delivery_tables.CARRY_OVER):
        database.execute(statement)


def m004_incidents(database: sqlite_utils.Database) -> None:
    """Create incidents: their timelines, alerts, deadlines and diagnostics, and what was changed lately."""
    for statement in incident_tables.TABLES:
        database.execute(statement)


def m005_runs(database: sqlite_utils.Database) -> None:
    """Create runs of runbooks and their journal, and the view for people."""
    for statement in run_tables.TABLES:
        database.execute(statement)


def m006_actions(database: sqlite_utils.Database) -> None:
    """Create reviews of incidents and action items, and the view for people."""
    for statement in action_tables.TABLES:
        database.execute(statement)


def m007_unreviewed(database: sqlite_utils.Database) -> None:
    """Create the index by which incidents are found that must be reviewed."""
    database.execute(action_tables.UNREVIEWED)


_M001 = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE alert (
        key TEXT PRIMARY KEY, rule TEXT NOT NULL, "by" TEXT NOT NULL, source TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('inactive', 'pending', 'firing', 'resolved')),
        level TEXT NOT NULL CHECK (level IN ('ok', 'warning', 'critical')),
        since_ns INTEGER NOT NULL, value REAL, threshold REAL,
        clocks TEXT NOT NULL) WITHOUT ROWID""",  # clocks: JSON, what the state machine needs to go on
    """CREATE TABLE alert_event (
        id INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL, at_ns INTEGER NOT NULL, name TEXT NOT NULL,
        level TEXT NOT NULL, previous_level TEXT NOT NULL, text TEXT NOT NULL, fields TEXT NOT NULL)""",
    "CREATE INDEX alert_event_alert ON alert_event (alert, id)",
    """CREATE TRIGGER alert_event_is_append_only BEFORE UPDATE ON alert_event
        BEGIN SELECT RAISE(ABORT, 'the history of alerts is append-only'); END""",
    """CREATE TABLE delivery (
        event_id INTEGER NOT NULL REFERENCES alert_event (id) ON DELETE CASCADE, reference TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0, next_ns INTEGER NOT NULL, detail TEXT NOT NULL DEFAULT '',
        finished_ns INTEGER, PRIMARY KEY (event_id, reference)) WITHOUT ROWID""",
    "CREATE INDEX delivery_waiting ON delivery (event_id) WHERE state = 'waiting'",
    "CREATE TABLE rule_health (rule TEXT PRIMARY KEY, error TEXT NOT NULL, since_ns INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE VIEW alerts AS SELECT rule, level, state,
        strftime('%Y-%m-%dT%H:%M:%fZ', since_ns / 1e9, 'unixepoch') AS since, value, threshold, "by" FROM alert""",
)
