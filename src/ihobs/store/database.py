"""One SQLite database of the home: one writer connection a process, and a few readers.

A transaction checks, after it has the write lock, that its file is still the live one: the home may have been
restored (another generation), deleted, replaced or migrated meanwhile.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ihobs.errors import StoreUnavailableError
from ihobs.store.connections import (
    LOCKED,
    Identity,
    Migrate,
    Opened,
    Schema,
    Writer,
    open_connection,
    open_writer,
    schema_version,
    translated,
)
from ihobs.store.forking import Gate

if TYPE_CHECKING:
    from ihobs.store.home import Home

BUSY_TIMEOUT_S = 10.0
"""How long a writer waits for others. Transactions hold the lock for milliseconds; a fold for about 0.1 s."""

MAX_IDLE_READERS = 4
"""Readers kept open for the next one who reads."""


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
        self.home, self.name = home, name
        self._schema, self._busy_timeout_s = Schema(version, migrate), busy_timeout_s
        self._path = home.path / f"{name}.db"  # for errors: without the generation, which people do not choose
        self._unusable = ""
        self._gate = Gate(self.close, self._forked)
        self.opened = 0
        """How many times the writer was opened: what is remembered of the rows holds for one opening."""
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._local = threading.local()
        self._writer: Writer | None = None
        self._watcher: Opened | None = None
        self._idle: list[Opened] = []
        self._idle_lock = threading.Lock()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep this process's other threads from writing for the body, which may hold a `write`."""
        with self._gate.use(), self._lock:
            yield

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run the body in one transaction that holds the write lock; commit at its end, roll back when it raises.

        Raises:
            StoreUnavailableError: locked for too long, disk full, read-only, damaged or gone.
        """
        with self.alone(), translated(self._path):
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
            writer = self._open_writer()
            if not writer.begin(self._busy_timeout_s):
                raise StoreUnavailableError(self._path, *LOCKED)
            try:
                live = self._is_live(writer.opened)
            except BaseException:
                writer.opened.connection.execute("ROLLBACK")  # the home may come back, and not locked by us
                raise
            if live:
                return writer.opened.connection
            writer.opened.connection.execute("ROLLBACK")
            self._close_writer()
        raise StoreUnavailableError(self.home.path, "the home keeps changing", "try again")

    def _is_live(self, opened: Opened) -> bool:
        """Return whether a connection inside a transaction is on the live file, and the schema as it was."""
        return opened.identity == self._live_identity() and opened.version == schema_version(opened.connection)

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a reader: a consistent snapshot for the length of the body, and of what it reads inside.

        Raises:
            StoreUnavailableError: as `write`.
        """
        outer: Opened | None = getattr(self._local, "reader", None)
        if outer is not None:
            yield outer.connection
            return
        with self._gate.use(), translated(self._path):
            reader = self._take_reader()
            try:
                reader.connection.execute("BEGIN")
                self._local.reader = reader
                yield reader.connection
            finally:
                self._local.reader = None
                self._put_back(reader)

    def _take_reader(self) -> Opened:
        """Return a reader of the live file, one that is idle if possible."""
        identity = self._live_identity()
        while True:
            with self._idle_lock:
                reader = self._idle.pop() if self._idle else None
            if reader is None:
                return self._open()
            if reader.identity == identity:
                return reader
            reader.close()

    def _put_back(self, reader: Opened) -> None:
        if reader.connection.in_transaction:
            reader.connection.execute("ROLLBACK")
        with self._idle_lock:
            if len(self._idle) < MAX_IDLE_READERS:
                self._idle.append(reader)
                return
        reader.close()

    @contextlib.contextmanager
    def idle(self) -> Iterator[sqlite3.Connection]:
        """Give the writer outside any transaction, for pragmas that make their own.

        Raises:
            StoreUnavailableError: as `write`.
        """
        with self.alone(), translated(self._path):
            yield self._open_writer().opened.connection

    def data_version(self) -> int:
        """Return a number that changes when somebody commits.

        Raises:
            StoreUnavailableError: as `write`.
        """
        with self.alone(), translated(self._path):
            if self._watcher is None or self._watcher.identity != self._live_identity():
                self._close_watcher()
                self._watcher = self._open()
            return int(self._watcher.connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close all connections but readers in use; the next use opens again."""
        with self._lock:
            self._close_writer()
            self._close_watcher()
            while self._idle:
                self._idle.pop().close()

    def _open_writer(self) -> Writer:
        if self._writer is None:
            self._refuse_what_was_inherited()
            self._writer = open_writer(self.home, self.name, self._schema, self._busy_timeout_s)
            self.opened += 1
        return self._writer

    def _open(self) -> Opened:
        self._refuse_what_was_inherited()
        return open_connection(self.home, self.name, self._schema, self._busy_timeout_s)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _close_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _live_identity(self) -> Identity | None:
        """Return the identity of the live file; None when it is not there."""
        path = self.home.database(self.name)
        try:
            return str(path), path.stat().st_ino
        except FileNotFoundError:
            return None

    def _forked(self, torn: bool) -> None:
        """Begin anew in a forked child; when it was forked inside a transaction, refuse to work."""
        if torn:
            if self._writer is not None:
                self._writer.turnstile.close()
            _leaked.append((self._writer, self._watcher, self._idle, self._local))
            self._unusable = "was in use when this process was forked"
        self._reset()

    def _refuse_what_was_inherited(self) -> None:
        if self._unusable:
            raise StoreUnavailableError(self._path, self._unusable, "fork while no thread writes, or spawn")


_leaked: list[object] = []
"""What a child that was forked inside a transaction inherited and must never close or use."""
