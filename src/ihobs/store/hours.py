"""Closed hours, read once: what they add up to is remembered until something in them changes.

Every transaction that changes an hour gives it a new random version (`hour_change`), so a memory is right as long
as the versions are the same, in whatever process, and in a restored database too.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING

from ihobs.store.parts import Part, Question, Segment, read_part

if TYPE_CHECKING:
    import sqlite3

    from ihobs.store.database import Database

MAX_HOURS = 96
"""Longer windows are read in one go: remembering each of their hours would cost more than it saves."""

MAX_MEMORIES = 2_000
"""Hours and windows remembered for a database; the least recently used are forgotten."""

Versions = tuple[tuple[int, int], ...]


class HourMemory:
    """What closed hours of one database add up to, by question."""

    def __init__(self) -> None:
        self._parts: OrderedDict[tuple[Question, Versions], Part] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, connection: sqlite3.Connection, first: int, end: int, question: Question) -> Part:
        """Return the numbers of the hours [first, end). The part is shared: it must not be changed."""
        if end - first > MAX_HOURS:
            return read_part(connection, Segment("1h", first, end), question)
        query = "SELECT hour, version FROM hour_change WHERE hour >= ? AND hour < ? ORDER BY hour"
        versions: Versions = tuple(connection.execute(query, [first, end]).fetchall())
        whole = self._get(question, versions)
        if whole is None:
            whole = Part()
            for version in versions:
                hour = self._get(question, (version,))
                if hour is None:
                    hour = read_part(connection, Segment("1h", version[0], version[0] + 1), question)
                    self._put(question, (version,), hour)
                whole.add(hour)
            self._put(question, versions, whole)
        return whole

    def _get(self, question: Question, versions: Versions) -> Part | None:
        with self._lock:
            part = self._parts.get((question, versions))
            if part is not None:
                self._parts.move_to_end((question, versions))
            return part

    def _put(self, question: Question, versions: Versions, part: Part) -> None:
        with self._lock:
            self._parts[question, versions] = part
            while len(self._parts) > MAX_MEMORIES:
                self._parts.popitem(last=False)


_memories: weakref.WeakKeyDictionary[Database, HourMemory] = weakref.WeakKeyDictionary()


def memory_of(database: Database) -> HourMemory:
    """Return the memory that belongs to `database`."""
    return _memories.setdefault(database, HourMemory())
