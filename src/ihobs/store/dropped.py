"""The losses that the telemetry database tells of; `ihobs.store.health` reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


def count_lost(connection: sqlite3.Connection, reason: str, spans: int, now_ns: int) -> None:
    """Add to the losses, inside the running transaction."""
    connection.execute(
        "INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET spans = spans + excluded.spans, "
        "last_ns = excluded.last_ns",
        [reason, spans, now_ns],
    )
