"""Sums and histograms of a stretch of time, read from one roll-up table, and how such parts add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.facts import CALL_FAMILY, SUMS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

Place = tuple[str, ...]
"""The values of the dimensions that a question groups by."""

SUMS_OF = ", ".join(f"sum({name})" for name in SUMS)
"""The sums of all counters and durations, in SQL."""


class Segment(NamedTuple):
    """A roll-up table, by its resolution, and its buckets [first, end)."""

    table: str
    first: int
    end: int


class Question(NamedTuple):
    """What is asked of every part.

    Attributes:
        by: dimensions. where: (dimension, value) pairs that must hold.
        call_kinds: which kinds count as calls.
        durations: whether histograms are wanted: they are most of the rows.
    """

    by: tuple[str, ...]
    where: tuple[tuple[str, str], ...]
    call_kinds: tuple[str, ...]
    durations: bool

    def condition(self) -> tuple[str, list[str]]:
        """Return the filter in SQL, and the values that it binds."""
        return " AND ".join(("1", *(f"{name} = ?" for name, _ in self.where))), [value for _, value in self.where]

    def kinds(self) -> str:
        """Return `call_kinds` as a list in SQL."""
        return ", ".join(f"'{kind}'" for kind in self.call_kinds)


@dataclass(slots=True)
class Part:
    """Numbers of a stretch of time by group.

    Attributes:
        sums: over all spans. calls: the same sums over calls of the kinds asked for.
        buckets: histogram counts by family and group; calls only of the kinds asked for.
    """

    sums: dict[Place, list[int]] = field(default_factory=dict)
    calls: dict[Place, list[int]] = field(default_factory=dict)
    buckets: dict[tuple[int, Place], dict[int, int]] = field(default_factory=dict)

    def add(self, other: Part) -> None:
        """Add another part, which stays as it is."""
        for mine, theirs in ((self.sums, other.sums), (self.calls, other.calls)):
            for place, values in theirs.items():
                _add_sums(mine, place, values)
        for key, counts in other.buckets.items():
            bucket = self.buckets.setdefault(key, {})
            for position, count in counts.items():
                bucket[position] = bucket.get(position, 0) + count

    def add_sums(self, place: Place, values: Sequence[int], *, chosen: bool) -> None:
        """Add sums of a group; `chosen`: of calls that are asked for."""
        _add_sums(self.sums, place, values)
        if chosen:
            _add_sums(self.calls, place, values)


def read_part(connection: sqlite3.Connection, segment: Segment, question: Question) -> Part:
    """Return the numbers of one segment."""
    part = Part()
    condition, values = question.condition()
    width = len(question.by)
    columns = ", ".join((*question.by, f"kind IN ({question.kinds()}) AS chosen"))
    groups = ", ".join((*question.by, "chosen"))
    rows = connection.execute(
        f"SELECT {columns}, {SUMS_OF} FROM rollup_{segment.table} JOIN series ON series.id = series_id "  # noqa: S608 - our own names
        f"WHERE bucket >= ? AND bucket < ? AND {condition} GROUP BY {groups}",
        [segment.first, segment.end, *values],
    )
    for row in rows:
        place, chosen, sums = row[:width], row[width], row[width + 1 :]
        part.add_sums(place, sums, chosen=bool(chosen))
    if question.durations:
        _read_buckets(connection, segment, question, part)
    return part


def _read_buckets(connection: sqlite3.Connection, segment: Segment, question: Question, part: Part) -> None:
    condition, values = question.condition()
    names = ", ".join(("family", "position", *question.by))
    rows = connection.execute(
        f"SELECT {names}, sum(count) FROM histogram_{segment.table} JOIN series ON series.id = series_id "  # noqa: S608 - our own names
        f"WHERE bucket >= ? AND bucket < ? AND {condition} "
        f"AND (family != {CALL_FAMILY} OR kind IN ({question.kinds()})) GROUP BY {names}",
        [segment.first, segment.end, *values],
    )
    for family, position, *place, count in rows:
        bucket = part.buckets.setdefault((family, tuple(place)), {})
        bucket[position] = bucket.get(position, 0) + count


def _add_sums(sums: dict[Place, list[int]], place: Place, values: Iterable[int]) -> None:
    mine = sums.get(place)
    if mine is None:
        sums[place] = list(values)
    else:
        mine[:] = [a + b for a, b in zip(mine, values, strict=True)]
