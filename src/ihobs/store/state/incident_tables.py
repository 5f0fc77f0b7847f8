"""The tables of incidents in state.db, and the view for people.

- `incident`: one row for each, as it is now. `incident_event`: all that happened to it; nothing of it ever changes.
- `incident_alert`: the alerts that belong to it. `incident_deadline`: until when somebody must respond, or resolve it.
- `incident_part`: what was seen when it opened, piece by piece; a piece that is missing says why.
- `happening`: what was changed lately, by whom: deployments, versions, the configuration.
"""

from __future__ import annotations

HEARD_THROUGH = "reached:incidents"
"""Key in `meta`: number of the newest event of the history of alerts that incidents have heard."""

TABLES = (
    """CREATE TABLE incident (
        id TEXT PRIMARY KEY, version INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'mitigated', 'resolved', 'reviewed', 'closed')),
        severity TEXT NOT NULL CHECK (severity IN ('P1', 'P2', 'P3', 'P4')),
        title TEXT NOT NULL, origin TEXT NOT NULL CHECK (origin IN ('alert', 'person')), author TEXT NOT NULL,
        join_key TEXT NOT NULL, began_ns INTEGER NOT NULL, opened_ns INTEGER NOT NULL,
        acknowledged_ns INTEGER, mitigated_ns INTEGER, resolved_ns INTEGER, reopened INTEGER NOT NULL,
        lead TEXT NOT NULL, comms TEXT NOT NULL, scribe TEXT NOT NULL, resolution TEXT NOT NULL,
        merged_into TEXT REFERENCES incident (id), bridge TEXT NOT NULL,
        chain TEXT NOT NULL, chain_from_ns INTEGER NOT NULL, chain_told INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX incident_state ON incident (state, resolved_ns)",
    """CREATE TABLE incident_event (
        id INTEGER PRIMARY KEY AUTOINCREMENT, incident TEXT NOT NULL REFERENCES incident (id),
        at_ns INTEGER NOT NULL, name TEXT NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL,
        details TEXT NOT NULL)""",  # author: empty when it was ihobs; details: JSON
    "CREATE INDEX incident_event_incident ON incident_event (incident, id)",
    """CREATE TRIGGER incident_event_is_append_only BEFORE UPDATE ON incident_event
        BEGIN SELECT RAISE(ABORT, 'the timeline of an incident is append-only'); END""",
    """CREATE TRIGGER incident_event_is_kept BEFORE DELETE ON incident_event
        BEGIN SELECT RAISE(ABORT, 'the timeline of an incident is append-only'); END""",
    """CREATE TABLE incident_alert (
        incident TEXT NOT NULL REFERENCES incident (id), alert TEXT NOT NULL, joined_ns INTEGER NOT NULL,
        cleared_ns INTEGER, PRIMARY KEY (incident, alert)) WITHOUT ROWID""",
    "CREATE INDEX incident_alert_alert ON incident_alert (alert)",
    """CREATE TABLE incident_deadline (
        incident TEXT NOT NULL REFERENCES incident (id), kind TEXT NOT NULL CHECK (kind IN ('response', 'resolution')),
        started_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'met', 'breached', 'void')),
        warned INTEGER NOT NULL, ended_ns INTEGER, PRIMARY KEY (incident, kind)) WITHOUT ROWID""",
    "CREATE INDEX incident_deadline_running ON incident_deadline (due_ns) WHERE state = 'running'",
    """CREATE TABLE incident_part (
        incident TEXT NOT NULL REFERENCES incident (id), name TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'missing')), detail TEXT NOT NULL,
        at_ns INTEGER, PRIMARY KEY (incident, name)) WITHOUT ROWID""",
    "CREATE INDEX incident_part_waiting ON incident_part (incident) WHERE state = 'waiting'",
    """CREATE TABLE happening (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
        author TEXT NOT NULL)""",
    "CREATE INDEX happening_at ON happening (at_ns)",
    """CREATE VIEW incidents AS SELECT id, severity, state, title,
        strftime('%Y-%m-%dT%H:%M:%fZ', opened_ns / 1e9, 'unixepoch') AS opened,
        strftime('%Y-%m-%dT%H:%M:%fZ', acknowledged_ns / 1e9, 'unixepoch') AS acknowledged,
        strftime('%Y-%m-%dT%H:%M:%fZ', resolved_ns / 1e9, 'unixepoch') AS resolved,
        (resolved_ns - opened_ns) / 1e9 AS resolved_after_s, nullif(lead, '') AS lead, merged_into FROM incident""",
)
