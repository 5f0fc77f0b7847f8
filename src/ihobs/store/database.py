"""One SQLite database of the home: one writer connection a process, a reader for each thread.

A transaction checks, after it has the write lock, that its file is still the live one: the home may have been
restored (another generation), deleted or replaced meanwhile. After a fork the child uses none of the
parent's connections: it leaks them (closing one would drop the parent's locks) and opens its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ihobs.errors import StoreRefusedError, StoreUnavailableError
from ihobs.store.home import Home, refuse_network_file_system
from ihobs.store.turnstile import Turnstile

BUSY_TIMEOUT_S = 10.0
"""How long a writer waits for another one. Transactions hold the lock for milliseconds; a fold for about 0.1 s."""

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit is an acknowledgement; costs nothing at >= 100 spans a commit
    "PRAGMA wal_autocheckpoint=8000",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-32768",
    "PRAGMA foreign_keys=ON",
)

Migrate = Callable[[sqlite3.Connection], None]


class _Opened(NamedTuple):
    """A connection, the (path, inode) of the file it was opened on, and the schema version found there."""

    connection: sqlite3.Connection
    identity: tuple[str, int]
    version: int


class _Writer(NamedTuple):
    """The one connection of this process that writes, and its place in the line of all processes that do."""

    connection: sqlite3.Connection
    identity: tuple[str, int]
    version: int
    turnstile: Turnstile

    def close(self) -> None:
        self.connection.close()
        self.turnstile.close()


class Database:
    """A database of the live generation, opened lazily, safe for threads and forks.

    Args:
        home: the home.
        name: "telemetry" or "state".
        version: the schema version that this code writes, kept in `PRAGMA user_version`.
        migrate: brings a connection's schema to `version`; called under a lock, at most once an opening.
    """

    def __init__(
        self, home: Home, name: str, *, version: int, migrate: Migrate, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self.home, self.name, self._version, self._migrate = home, name, version, migrate
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.RLock()
        self._local = threading.local()
        self._writer: _Writer | None = None
        self.opened = 0
        """How many times the writer was opened: what is remembered of the rows holds for one opening."""
        _databases.add(self)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep this process's other threads from writing for the body, which may hold a `write`."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run the body in one transaction that holds the write lock; commit at its end, roll back when it raises.

        Raises:
            StoreUnavailableError: locked for too long, disk full, read-only, damaged or gone.
        """
        with self._lock, self._translated():
            connection = self._begin()
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _begin(self) -> sqlite3.Connection:
        """Return the writer inside a transaction on the live file."""
        for _ in range(3):
            writer = self._writer = self._writer or self._open_writer()
            if not writer.turnstile.wait(lambda: _has_begun(writer.connection), self._busy_timeout_s):  # noqa: B023 - called at once
                raise StoreUnavailableError(f"{self.home.path / self.name}.db", *_LOCKED)
            try:
                live = writer.identity == self._live_identity() and writer.version == _version(writer.connection)
            except BaseException:
                writer.connection.execute("ROLLBACK")  # the home is gone; it may come back, and not locked by us
                raise
            if live:
                return writer.connection
            writer.connection.execute("ROLLBACK")
            self._close_writer()
        raise StoreUnavailableError(self.home.path, "the home keeps changing", "try again")

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's reader: a consistent snapshot for the length of the body.

        Raises:
            StoreUnavailableError: as `write`.
        """
        with self._translated():
            opened: _Opened | None = getattr(self._local, "reader", None)
            if opened is not None and opened.connection.in_transaction:
                yield opened.connection  # inside another `read` of this thread: the same snapshot
                return
            if opened is None or opened.identity != self._live_identity():
                self._close_reader()
                opened = self._local.reader = self._open()
            reader = opened.connection
            reader.execute("BEGIN")
            try:
                yield reader
            finally:
                reader.execute("ROLLBACK")

    def exclusive(self) -> contextlib.AbstractContextManager[object]:
        """Keep this process's other threads from writing for the length of the body; it may write itself."""
        return self._lock

    @contextlib.contextmanager
    def idle(self) -> Iterator[sqlite3.Connection]:
        """Give the writer outside any transaction, for pragmas that make their own.

        Raises:
            StoreUnavailableError: as `write`.
        """
        with self._lock, self._translated():
            self._writer = self._writer or self._open_writer()
            yield self._writer.connection

    def data_version(self) -> int:
        """Return a number that changes when another connection commits (PRAGMA data_version of this thread)."""
        with self.read() as reader:
            pass
        return int(reader.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the writer and this thread's reader; the next use opens again."""
        with self._lock:
            self._close_writer()
        self._close_reader()

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _close_reader(self) -> None:
        reader: _Opened | None = getattr(self._local, "reader", None)
        if reader is not None:
            reader.connection.close()
            self._local.reader = None

    def _live_identity(self) -> tuple[str, int] | None:
        """Return (path, inode) of the live file; None when it is not there."""
        path = self.home.database(self.name)
        try:
            return str(path), path.stat().st_ino
        except FileNotFoundError:
            return None

    def _open_writer(self) -> _Writer:
        opened = self._open()
        opened.connection.execute("PRAGMA busy_timeout=0")  # it waits at the turnstile instead
        self.opened += 1
        return _Writer(*opened, Turnstile(self.home.path / "locks" / f"write-{self.name}"))

    def _open(self) -> _Opened:
        path = self.home.database(self.name)
        refuse_network_file_system(path.parent)
        if not path.parent.is_dir():
            raise StoreUnavailableError(path.parent, "the live generation is missing", "restore a backup")
        connection = self._connect(path)
        try:
            found = _version(connection)
            if found < self._version:
                with self.home.locked(f"migrate-{self.name}"):
                    self._upgrade(connection)
            elif found > self._version:
                self._check_newer(connection, path)
            return _Opened(connection, (str(path), path.stat().st_ino), _version(connection))
        except BaseException:
            connection.close()
            raise

    def _connect(self, path: Path) -> sqlite3.Connection:
        if not path.exists():
            with self.home.locked(f"migrate-{self.name}"), contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))  # -wal and -shm take these permissions over
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=self._busy_timeout_s)
        try:
            if _version(connection) == 0:
                with self.home.locked(f"migrate-{self.name}"):
                    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # only before the first table
                    connection.execute("PRAGMA journal_mode=WAL")
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        if _version(connection) < self._version:
            self._migrate(connection)
            connection.execute(f"PRAGMA user_version={self._version}")

    def _check_newer(self, connection: sqlite3.Connection, path: Path) -> None:
        """A newer ihobs made this schema. It is additive, so we may go on unless it says otherwise."""
        row = connection.execute("SELECT value FROM meta WHERE key = 'min_writer'").fetchone()
        if row is None or int(row[0]) > self._version:
            raise StoreRefusedError(path, "was written by a newer ihobs", "upgrade this one: pip install -U ihobs")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn SQLite's and the system's errors into one of ours that says what to do."""
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            raise _translate(error, self.home.path / self.name) from error
        except OSError as error:
            raise StoreUnavailableError(self.home.path, error.strerror or str(error)) from error

    def _after_fork_in_child(self) -> None:
        if self._writer is not None:
            self._writer.turnstile.close()
        _leaked.append((self._writer, self._local))
        self._lock, self._local, self._writer = threading.RLock(), threading.local(), None


_LOCKED = ("is locked by another process", "wait for it, or find it with 'ihobs status'")
_REASONS = (
    ("locked", *_LOCKED),
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
            return StoreUnavailableError(f"{path}.db", reason, hint)
    return error  # an error in our own SQL: not the user's to put right


def _has_begun(connection: sqlite3.Connection) -> bool:
    """Try to begin a transaction that holds the write lock; return whether it began."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        return False
    return True


def _version(connection: sqlite3.Connection) -> int:
    """Return the schema version of a database; 0 when it has no schema yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_leaked: list[object] = []
"""What a forked child inherited and must never close or use."""


def _after_fork_in_child() -> None:
    for database in list(_databases):
        database._after_fork_in_child()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_after_fork_in_child)
