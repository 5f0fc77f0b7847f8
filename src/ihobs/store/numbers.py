"""Numbered texts: shapes of spans and series of metrics are stored once, and rows refer to their number."""

from __future__ import annotations

import sqlite3
from typing import Generic, TypeVar

from ihobs.spans.facts import SeriesKey
from ihobs.spans.span import Shape

Key = TypeVar("Key", Shape, SeriesKey)

MAX_REMEMBERED = 100_000
"""Entries kept in memory; beyond it the memory starts anew, as the database knows them all."""


class Numbers(Generic[Key]):
    """A table of unique rows of texts, remembered in memory. Rows are never changed once committed.

    What a transaction adds is remembered only by `committed`: a rolled back number may be given again.
    """

    def __init__(self, table: str, kind: type[Key]) -> None:
        self._kind: type[Key] = kind
        columns = kind._fields
        self._select = f"SELECT id FROM {table} WHERE " + " AND ".join(f"{name} = ?" for name in columns)  # noqa: S608 - our own names
        self._insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own names
        self._load = f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?"  # noqa: S608 - our own names
        self._number: dict[Key, int] = {}
        self._key: dict[int, Key] = {}
        self._fresh: dict[Key, int] = {}

    def number(self, connection: sqlite3.Connection, key: Key) -> int:
        """Return the number of `key`, adding it inside the running transaction when it is new."""
        found = self.find(connection, key)
        if found is None:
            found = connection.execute(self._insert, key).lastrowid
            if found is None:  # sqlite3 gives None only for statements that insert nothing
                raise AssertionError(self._insert)
            self._fresh[key] = found
        return found

    def find(self, connection: sqlite3.Connection, key: Key) -> int | None:
        """Return the number of `key`, or None when the table does not hold it."""
        found = self._number.get(key) or self._fresh.get(key)
        if found is None:
            row = connection.execute(self._select, key).fetchone()
            if row:
                found = self._fresh[key] = int(row[0])
        return found

    def key(self, connection: sqlite3.Connection, number: int) -> Key:
        """Return what has `number`."""
        found = self._key.get(number)
        if found is None:
            found = self._key[number] = self._kind(*connection.execute(self._load, [number]).fetchone())
        return found

    def committed(self) -> None:
        """Remember what the transaction added; it is durable now."""
        if len(self._number) > MAX_REMEMBERED:
            self.forget()
        self._number.update(self._fresh)
        self._fresh.clear()

    def rolled_back(self) -> None:
        """Forget what the transaction added."""
        self._fresh.clear()

    def forget(self) -> None:
        """Start anew, as after another process removed rows or the database was replaced."""
        self._number.clear()
        self._key.clear()
        self._fresh.clear()
