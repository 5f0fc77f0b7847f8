"""The stored roll-ups one bucket after the other, for whoever replays the past."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.facts import CALL_FAMILY
from ihobs.store.change import read_borders
from ihobs.store.parts import SUMS_OF, Part, Question, Segment
from ihobs.store.schema import RESOLUTIONS

if TYPE_CHECKING:
    import sqlite3

    from ihobs.store.database import Database


class Moment(NamedTuple):
    """One bucket of the roll-ups.

    Attributes:
        end_s: its end, seconds of the epoch. width_s: its length.
        part: its numbers.
    """

    end_s: int
    width_s: int
    part: Part


def hours_only_before_s(database: Database) -> int:
    """Return the second of the epoch before which only hours are kept.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        return read_borders(connection).folded_1m


def fine_from_s(database: Database) -> tuple[int, int]:
    """Return the seconds of the epoch from which buckets of 10 s, and from which minutes are kept.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        borders = read_borders(connection)
    return borders.folded_10s, borders.folded_1m


def moments(database: Database, question: Question, start_s: int, end_s: int) -> Iterator[Moment]:
    """Yield the buckets that end in (start_s, end_s] and hold anything, in order of time, each as fine as it is kept.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        borders = read_borders(connection)
        edges = {"1h": (start_s, borders.folded_1m), "1m": (borders.folded_1m, borders.folded_10s)}
        edges["10s"] = (borders.folded_10s, end_s)
        for table, (first_s, last_s) in edges.items():
            width = RESOLUTIONS[table]
            segment = Segment(table, max(first_s, start_s) // width, min(last_s, end_s) // width)
            if segment.first < segment.end:
                yield from _of_table(connection, segment, question)


def _of_table(connection: sqlite3.Connection, segment: Segment, question: Question) -> Iterator[Moment]:
    width = RESOLUTIONS[segment.table]
    buckets = _histograms(connection, segment, question) if question.durations else {}
    for bucket, part in _sums(connection, segment, question):
        part.buckets = buckets.get(bucket, {})
        yield Moment((bucket + 1) * width, width, part)


def _sums(connection: sqlite3.Connection, segment: Segment, question: Question) -> Iterator[tuple[int, Part]]:
    condition, values = question.condition()
    names = ", ".join((*question.by, f"kind IN ({question.kinds()}) AS chosen"))
    rows = connection.execute(
        f"SELECT bucket, {names}, {SUMS_OF} FROM rollup_{segment.table} JOIN series ON series.id = series_id "  # noqa: S608 - our own names
        f"WHERE bucket >= ? AND bucket < ? AND {condition} "
        f"GROUP BY {', '.join(('bucket', *question.by, 'chosen'))} ORDER BY bucket",
        [segment.first, segment.end, *values],
    )
    chosen = len(question.by) + 1
    for bucket, lines in groupby(rows, itemgetter(0)):
        part = Part()
        for line in lines:
            part.add_sums(tuple(line[1:chosen]), line[chosen + 1 :], chosen=bool(line[chosen]))
        yield bucket, part


def _histograms(
    connection: sqlite3.Connection, segment: Segment, question: Question
) -> dict[int, dict[tuple[int, tuple[str, ...]], dict[int, int]]]:
    condition, values = question.condition()
    names = ", ".join(("bucket", "family", "position", *question.by))
    rows = connection.execute(
        f"SELECT {names}, sum(count) FROM histogram_{segment.table} JOIN series ON series.id = series_id "  # noqa: S608 - our own names
        f"WHERE bucket >= ? AND bucket < ? AND {condition} "
        f"AND (family != {CALL_FAMILY} OR kind IN ({question.kinds()})) GROUP BY {names}",
        [segment.first, segment.end, *values],
    )
    found: dict[int, dict[tuple[int, tuple[str, ...]], dict[int, int]]] = {}
    for bucket, family, position, *place, count in rows:
        found.setdefault(bucket, {}).setdefault((family, tuple(place)), {})[position] = count
    return found
