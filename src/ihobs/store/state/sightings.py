"""What incidents read of alerts: what is new in their history, and the values of those that fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.store.state.alerts import EVENT, event_of

if TYPE_CHECKING:
    import sqlite3

    from ihobs.model import Event


def newest_event_id(reader: sqlite3.Connection) -> int:
    """Return the number of the newest event in the history of alerts; 0 when there is none."""
    return int(reader.execute("SELECT coalesce(max(id), 0) FROM alert_event").fetchone()[0])


def events_after(reader: sqlite3.Connection, number: int) -> list[Event]:
    """Return the events after the one of this number, oldest first."""
    rows = reader.execute(f"SELECT {EVENT} FROM alert_event AS event WHERE id > ? ORDER BY id", (number,))  # noqa: S608 - constants
    return [event_of(row) for row in rows]


def firing_values(reader: sqlite3.Connection) -> dict[str, float | None]:
    """Return the present values of the alerts that fire; None: there was no data."""
    return dict(reader.execute("SELECT key, value FROM alert WHERE level != 'ok'").fetchall())


def newest_of(reader: sqlite3.Connection, alert: str) -> Event | None:
    """Return the newest event of an alert."""
    row = reader.execute(
        f"SELECT {EVENT} FROM alert_event AS event WHERE alert = ? ORDER BY id DESC LIMIT 1",  # noqa: S608 - constants
        (alert,),
    ).fetchone()
    return None if row is None else event_of(row)
