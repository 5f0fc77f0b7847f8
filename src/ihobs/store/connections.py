"""Connections to one database file: how they are opened, and what SQLite's errors mean to a user."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ihobs.errors import StoreRefusedError, StoreUnavailableError
from ihobs.store.home import refuse_network_file_system
from ihobs.store.turnstile import Turnstile

if TYPE_CHECKING:
    from ihobs.store.home import Home

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit is an acknowledgement; costs nothing at >= 100 spans a commit
    "PRAGMA wal_autocheckpoint=8000",
    "PRAGMA journal_size_limit=67108864",  # what one long reader or a large fold left behind is given back
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-32768",
    "PRAGMA foreign_keys=ON",
)

Migrate = Callable[[sqlite3.Connection], None]
Identity = tuple[str, int]
"""A file's path and inode: a file that was replaced is another one."""


class Opened(NamedTuple):
    """A connection, the file it was opened on, and the schema version found there."""

    connection: sqlite3.Connection
    identity: Identity
    version: int

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class Writer(NamedTuple):
    """The one connection of this process that writes, and its place in the line of all processes that do."""

    opened: Opened
    turnstile: Turnstile

    def begin(self, timeout_s: float) -> bool:
        """Begin a transaction that holds the write lock; return whether it could within about `timeout_s`."""
        return self.turnstile.wait(self._try_to_begin, timeout_s)

    def _try_to_begin(self) -> bool:
        try:
            self.opened.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            return False
        return True

    def close(self) -> None:
        """Close the connection and leave the line."""
        self.opened.close()
        self.turnstile.close()


class Schema(NamedTuple):
    """The schema that this code writes: its version, and what brings a database to it."""

    version: int
    migrate: Migrate


def open_connection(home: Home, name: str, schema: Schema, busy_timeout_s: float) -> Opened:
    """Open database `name` of the live generation of `home`, making or migrating it when needed.

    Raises:
        StoreUnavailableError: the live generation is missing.
        StoreRefusedError: a newer ihobs wrote it, or it lies on a network file system.
        sqlite3.Error, OSError: it cannot be opened.
    """
    path = home.database(name)
    refuse_network_file_system(path.parent)
    if not path.parent.is_dir():
        raise StoreUnavailableError(path.parent, "the live generation is missing", "restore a backup")
    lock = f"migrate-{name}"
    if not path.exists():
        with home.locked(lock), contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))  # -wal and -shm take these permissions over
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=busy_timeout_s)
    try:
        if schema_version(connection) < schema.version:
            with home.locked(lock), contextlib.closing(_line(home, name)) as line:
                line.wait(lambda: _upgrade(connection, schema), busy_timeout_s)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        if schema_version(connection) > schema.version:
            _check_newer(connection, path, schema.version)
        return Opened(connection, (str(path), path.stat().st_ino), schema_version(connection))
    except BaseException:
        connection.close()
        raise


def open_writer(home: Home, name: str, schema: Schema, busy_timeout_s: float) -> Writer:
    """Open the writer of `name`; see `open_connection`."""
    opened = open_connection(home, name, schema, busy_timeout_s)
    opened.connection.execute("PRAGMA busy_timeout=0")  # it waits at the turnstile instead
    return Writer(opened, _line(home, name))


def _line(home: Home, name: str) -> Turnstile:
    """Return a place in the line of those who write to database `name`."""
    return Turnstile(home.path / "locks" / f"write-{name}")


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the schema version of a database; 0 when it has no schema yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _upgrade(connection: sqlite3.Connection, schema: Schema) -> bool:
    """Make or migrate the schema, unless another process just has; return True: it is done."""
    found = schema_version(connection)
    if found == 0:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # only before the first table
        connection.execute("PRAGMA journal_mode=WAL")
    if found < schema.version:
        schema.migrate(connection)
        connection.execute(f"PRAGMA user_version={schema.version}")
    return True


def _check_newer(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """A newer ihobs made this schema. It is additive, so we may go on unless it says otherwise."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'min_writer'").fetchone()
    if row is None or int(row[0]) > version:
        raise StoreRefusedError(path, "was written by a newer ihobs", "upgrade this one: pip install -U ihobs")


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into one of ours that says what to do."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        raise _translate(error, path) from error
    except OSError as error:
        raise StoreUnavailableError(path, error.strerror or str(error)) from error


LOCKED = ("is locked by another process", "wait for it, or find it with 'ihobs status'")
_REASONS = (
    ("locked", *LOCKED),
    ("full", "the disk is full", "free some space; nothing acknowledged was lost"),
    ("readonly", "cannot be written", "check the permissions of the home"),
    ("read-only", "cannot be written", "check the permissions of the home"),
    ("not a database", "is not a database of ihobs", "move it away, or restore a backup"),
    ("no such table", "is not a database of ihobs", "move it away, or restore a backup"),
    ("malformed", "is damaged", "move it away, or restore a backup"),
    ("unable to open", "cannot be opened", "check that the home exists and its permissions"),
    ("disk I/O", "the disk reports an error", "check the disk and the system log"),
)


def _translate(error: sqlite3.Error, path: Path) -> Exception:
    text = str(error)
    for fragment, reason, hint in _REASONS:
        if fragment in text:
            return StoreUnavailableError(path, reason, hint)
    return error  # an error in our own SQL: not the user's to put right
