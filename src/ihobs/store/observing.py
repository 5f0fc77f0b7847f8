"""A database that is only looked at: nothing is made, migrated, checkpointed or written, whatever its state.

For `ihobs doctor`, which must not change what it examines, and must work where the rest of the program refuses to.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from ihobs.errors import StoreRefusedError
from ihobs.store.connections import Opened, schema_version
from ihobs.store.database import Database

if TYPE_CHECKING:
    from ihobs.store.connections import Writer
    from ihobs.store.home import Home

BUSY_TIMEOUT_S = 2.0


class Observed(Database):
    """A database of a home, for reading as it is."""

    def __init__(self, home: Home, name: str) -> None:
        super().__init__(home, name, version=0, migrate=_refuse, busy_timeout_s=BUSY_TIMEOUT_S)

    def _open(self) -> Opened:
        """Open the file as it is. Without a write-ahead log nobody uses it, and SQLite need not make one to look."""
        path = self.home.database(self.name)
        in_use = path.with_name(f"{path.name}-wal").exists()
        uri = f"file:{quote(str(path))}?mode=ro{'' if in_use else '&immutable=1'}"
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
        )
        try:
            return Opened(connection, (str(path), path.stat().st_ino), schema_version(connection))
        except BaseException:
            connection.close()
            raise

    def _open_writer(self) -> Writer:
        raise StoreRefusedError(self.home.database(self.name), "is only looked at")


def version_of(database: Database) -> tuple[int, int]:
    """Return the schema version of a database, and the oldest one that may still write to it.

    Raises:
        StoreUnavailableError: it cannot be read.
    """
    with database.read() as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = 'min_writer'").fetchone()
        return schema_version(connection), int(row[0]) if row else 0


def damage(database: Database, *, whole: bool) -> str:
    """Return what is wrong with the file in SQLite's words; empty when nothing is found.

    Args:
        whole: look at every page; else at the list of tables only.

    Raises:
        StoreUnavailableError: it is so damaged that it cannot be looked at.
    """
    with database.read() as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not whole:
            return ""
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        return "" if found == "ok" else found


def scopes(database: Database) -> list[tuple[str, str]]:
    """Return the (service, instrumentation scope) pairs of the spans that are stored.

    Raises:
        StoreUnavailableError: it cannot be read.
    """
    with database.read() as connection:
        return connection.execute("SELECT DISTINCT service, scope FROM shape ORDER BY service, scope").fetchall()


def _refuse(_: sqlite3.Connection) -> None:
    raise AssertionError("nothing is migrated here")
