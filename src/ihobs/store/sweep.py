"""Remove once a day what nothing refers to any more: shapes, series, and the series of days that are over.

What is unused is looked for in a snapshot, which may take seconds on a large database; the transaction then
removes only what is unused still.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from ihobs.store.retention import BUCKETS_A_DAY, tell_removed

MAX_REMOVED = 20_000
"""Rows of each table removed at one time: about 50 ms."""


class Unused(NamedTuple):
    """Numbers of shapes and series that nothing refers to, and sealed days of which no span is stored."""

    shapes: list[tuple[int]]
    series: list[tuple[int]]
    days: list[tuple[int]]


def find_unused(connection: sqlite3.Connection) -> Unused:
    """Return what can be removed. Reads all spans."""
    shapes = "SELECT id FROM shape WHERE id NOT IN (SELECT shape_id FROM span) LIMIT ?"
    series = (
        "SELECT id FROM series WHERE id NOT IN (SELECT series_id FROM day_series) "
        "AND id NOT IN (SELECT series_id FROM rollup_1h) LIMIT ?"
    )
    days = (
        "SELECT day FROM sealed_day WHERE day IN (SELECT day FROM day_series) "
        "AND day NOT IN (SELECT DISTINCT bucket / :buckets_a_day FROM span) LIMIT :limit"
    )
    return Unused(
        connection.execute(shapes, [MAX_REMOVED]).fetchall(),
        connection.execute(series, [MAX_REMOVED]).fetchall(),
        connection.execute(days, {"buckets_a_day": BUCKETS_A_DAY, "limit": MAX_REMOVED}).fetchall(),
    )


def remove_unused(connection: sqlite3.Connection, unused: Unused, since_ns: int) -> None:
    """Remove what was found unused, but for what traces received since then have come to use.

    A sealed day gets no new spans, and whoever counts under a series has it among the series of its day.
    """
    used = {
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT shape_id FROM trace JOIN span ON trace_no = no WHERE received_ns >= ?", [since_ns]
        )
    }
    shapes = [row for row in unused.shapes if row[0] not in used]
    connection.executemany("DELETE FROM shape WHERE id = ?", shapes)
    connection.executemany("DELETE FROM day_series WHERE day = ?", unused.days)
    connection.executemany(
        "DELETE FROM series WHERE id = ? AND id NOT IN (SELECT series_id FROM day_series)", unused.series
    )
    tell_removed(connection)
