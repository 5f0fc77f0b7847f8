"""How far the duties have come, in state.db: so that a new owner goes on where the one before it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ihobs.store.database import Database

DUTIES = "duties"
"""Until when alerts were evaluated by an owner of the duties who ended in good order."""


def reached_ns(database: Database, name: str) -> int | None:
    """Return until when the work called `name` is done; None when it never was."""
    with database.read() as reader:
        row = reader.execute("SELECT value FROM meta WHERE key = ?", [f"reached:{name}"]).fetchone()
    return None if row is None else int(row[0])


def record_reached(database: Database, name: str, until_ns: int) -> None:
    """Store that the work called `name` is done until `until_ns`."""
    with database.write() as writer:
        writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [f"reached:{name}", str(until_ns)])
