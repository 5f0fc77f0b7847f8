"""The numbers of series, at most so many a day: what comes beyond counts under `_other`.

A day's set of series only grows, so what was counted under a series is corrected under the same one.
"""

from __future__ import annotations

import sqlite3

from ihobs.spans.facts import SeriesKey
from ihobs.store.numbers import Numbers

MAX_SERIES_A_DAY = 5_000
"""Series that one day of events may use (design 2); a normal installation uses tens."""

OTHER = "_other"


class SeriesNumbers:
    """Numbers of series by (day of the event, key), remembered in step with the database."""

    def __init__(self, max_a_day: int = MAX_SERIES_A_DAY) -> None:
        self._max_a_day = max_a_day
        self._numbers: Numbers[SeriesKey] = Numbers("series", SeriesKey)
        self._known: dict[tuple[int, SeriesKey], int] = {}
        self._fresh: dict[tuple[int, SeriesKey], int] = {}

    def number(self, connection: sqlite3.Connection, day: int, key: SeriesKey) -> int:
        """Return the number under which `key` counts on `day`, adding it inside the running transaction."""
        place = (day, key)
        found = self._known.get(place) or self._fresh.get(place)
        if found is None:
            found = self._fresh[place] = self._admitted(connection, day, key)
        return found

    def _admitted(self, connection: sqlite3.Connection, day: int, key: SeriesKey) -> int:
        number = self._numbers.find(connection, key)
        if number is not None and self._uses(connection, day, number):
            return number
        used = connection.execute("SELECT count(*) FROM day_series WHERE day = ?", [day]).fetchone()[0]
        if used >= self._max_a_day:
            key = SeriesKey(OTHER, OTHER, OTHER, key.kind, OTHER, OTHER)
        number = self._numbers.number(connection, key)
        connection.execute("INSERT OR IGNORE INTO day_series VALUES (?, ?)", [day, number])
        return number

    @staticmethod
    def _uses(connection: sqlite3.Connection, day: int, number: int) -> bool:
        query = "SELECT 1 FROM day_series WHERE day = ? AND series_id = ?"
        return connection.execute(query, [day, number]).fetchone() is not None

    def committed(self) -> None:
        """Remember what the transaction added."""
        self._numbers.committed()
        self._known.update(self._fresh)
        self._fresh.clear()

    def rolled_back(self) -> None:
        """Forget what the transaction added."""
        self._numbers.rolled_back()
        self._fresh.clear()

    def forget(self) -> None:
        """Start anew."""
        self._numbers.forget()
        self._known.clear()
        self._fresh.clear()
