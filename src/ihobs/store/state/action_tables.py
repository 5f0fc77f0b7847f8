"""The tables of reviews and action items in state.db, and the view for people.

- `incident_review`: one row for each incident that must be reviewed, or was.
- `incident_action`: what is to be done so that it does not happen again; who, until when, and what proves it.
"""

from __future__ import annotations

TABLES = (
    """CREATE TABLE incident_review (
        incident TEXT PRIMARY KEY REFERENCES incident (id), asked_ns INTEGER, due_ns INTEGER, chase_ns INTEGER,
        written_ns INTEGER, author TEXT NOT NULL, answers TEXT NOT NULL, impact TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX incident_review_chase ON incident_review (chase_ns) WHERE chase_ns IS NOT NULL",
    """CREATE TABLE incident_action (
        id INTEGER PRIMARY KEY AUTOINCREMENT, incident TEXT NOT NULL REFERENCES incident (id), text TEXT NOT NULL,
        owner TEXT NOT NULL, priority TEXT NOT NULL CHECK (priority IN ('high', 'medium', 'low')),
        due_ns INTEGER NOT NULL, question TEXT NOT NULL, test TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'done', 'dropped')), created_ns INTEGER NOT NULL,
        chase_ns INTEGER, closed_ns INTEGER, closed_by TEXT NOT NULL, outcome TEXT NOT NULL)""",
    "CREATE INDEX incident_action_incident ON incident_action (incident, id)",
    "CREATE INDEX incident_action_chase ON incident_action (chase_ns) WHERE chase_ns IS NOT NULL",
    """CREATE VIEW incident_actions AS SELECT id, incident, state, priority, owner, text,
        strftime('%Y-%m-%dT%H:%M:%fZ', due_ns / 1e9, 'unixepoch') AS due,
        strftime('%Y-%m-%dT%H:%M:%fZ', closed_ns / 1e9, 'unixepoch') AS closed,
        nullif(test, '') AS test, nullif(outcome, '') AS outcome FROM incident_action""",
)

UNREVIEWED = "CREATE INDEX incident_unreviewed ON incident (id) WHERE state = 'resolved' AND severity IN ('P1', 'P2')"
"""For the question that every pass asks: lesser incidents stay resolved, and there may be many."""
