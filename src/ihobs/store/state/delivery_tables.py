"""The tables of delivery in state.db, and how what waited in the first version of them is carried over.

- `notice`: an event that a receiver is to hear of, whether it has, in which message, and if not, why not.
- `message`: what is sent, with a key that never changes; `attempt`: how each attempt to send it ended.
- `belief`: what each receiver was last told of an alert that fires. `delivery_group`: when a group was last told.
- `receiver`: how each receiver is. `silence`, `acknowledgement`: who asked for quiet, and why.
"""

from __future__ import annotations

DELIVERED_THROUGH = "delivered_through"
"""Key in `meta`: number of the newest event that was looked at by delivery."""

TABLES = (
    """CREATE TABLE notice (
        event_id INTEGER NOT NULL REFERENCES alert_event (id) ON DELETE CASCADE, reference TEXT NOT NULL,
        route TEXT NOT NULL, group_key TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'muted', 'dead')),
        reason TEXT NOT NULL DEFAULT '', fell_back INTEGER NOT NULL DEFAULT 0,
        message_id INTEGER REFERENCES message (id) ON DELETE SET NULL,
        PRIMARY KEY (event_id, reference)) WITHOUT ROWID""",
    "CREATE INDEX notice_waiting ON notice (event_id) WHERE state = 'waiting'",
    "CREATE INDEX notice_message ON notice (message_id)",
    """CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, reference TEXT NOT NULL,
        route TEXT NOT NULL, group_key TEXT NOT NULL, kind TEXT NOT NULL, level TEXT NOT NULL,
        title TEXT NOT NULL, body TEXT NOT NULL, content TEXT NOT NULL, created_ns INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'dead', 'superseded')),
        reason TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, finished_ns INTEGER,
        superseded_by INTEGER)""",  # content: JSON, which events it tells and which alerts of the group fire
    "CREATE INDEX message_waiting ON message (reference, id) WHERE state = 'waiting'",
    "CREATE INDEX message_dead ON message (finished_ns) WHERE state = 'dead'",
    """CREATE TABLE attempt (
        message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE, number INTEGER NOT NULL,
        at_ns INTEGER NOT NULL, took_ns INTEGER NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (message_id, number)) WITHOUT ROWID""",
    """CREATE TABLE belief (
        reference TEXT NOT NULL, alert TEXT NOT NULL, route TEXT NOT NULL, group_key TEXT NOT NULL,
        level TEXT NOT NULL, event_id INTEGER NOT NULL, at_ns INTEGER NOT NULL,
        PRIMARY KEY (reference, alert)) WITHOUT ROWID""",
    """CREATE TABLE delivery_group (
        reference TEXT NOT NULL, group_key TEXT NOT NULL, opened_ns INTEGER NOT NULL, sent_ns INTEGER NOT NULL,
        level TEXT NOT NULL, peak TEXT NOT NULL, answered TEXT NOT NULL,
        PRIMARY KEY (reference, group_key)) WITHOUT ROWID""",
    """CREATE TABLE receiver (
        reference TEXT PRIMARY KEY, failures INTEGER NOT NULL, since_ns INTEGER NOT NULL, next_ns INTEGER NOT NULL,
        outcome TEXT NOT NULL, detail TEXT NOT NULL, delivered_ns INTEGER) WITHOUT ROWID""",
    """CREATE TABLE silence (
        id INTEGER PRIMARY KEY AUTOINCREMENT, matchers TEXT NOT NULL, starts_ns INTEGER NOT NULL,
        ends_ns INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL, created_ns INTEGER NOT NULL)""",
    """CREATE TABLE acknowledgement (
        alert TEXT PRIMARY KEY, event_id INTEGER NOT NULL, level TEXT NOT NULL, author TEXT NOT NULL,
        reason TEXT NOT NULL, at_ns INTEGER NOT NULL, until_ns INTEGER NOT NULL) WITHOUT ROWID""",
)

CARRY_OVER = (
    """INSERT INTO notice (event_id, reference, route, group_key, state, reason)
        SELECT event_id, reference, '', reference || '/' || alert, state, detail
        FROM delivery JOIN alert_event ON alert_event.id = event_id""",
    """INSERT INTO belief SELECT reference, alert, '', group_key, level, max(event_id), at_ns
        FROM notice JOIN alert_event ON alert_event.id = event_id
        WHERE state = 'sent' AND event_id IN (SELECT max(id) FROM alert_event GROUP BY alert) AND level != 'ok'
        GROUP BY reference, alert""",
    f"INSERT INTO meta SELECT '{DELIVERED_THROUGH}', coalesce(max(id), 0) FROM alert_event",  # noqa: S608 - a constant
)
"""The table `delivery` stays as it is: what was written there is now also in `notice`."""
