"""Roll-ups and histograms: signed deltas go in, and finer buckets are folded into coarser ones with time.

An instant is kept in exactly one of the fine tables (10 s, then 1 min, then neither) and always in the hour
table. The borders stand in `meta`: what lies before `folded_10s` is no longer in the 10-second table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, HOUR_NS, SECOND_NS
from ihobs.spans.facts import SUMS, Facts, SeriesKey
from ihobs.store.schema import RESOLUTIONS

if TYPE_CHECKING:
    from ihobs.store.series import SeriesNumbers

KEEP_10S_NS = 2 * HOUR_NS
KEEP_1M_NS = 14 * DAY_NS
KEEP_1H_NS = 400 * DAY_NS
"""How long each resolution is kept (design: 2 h, 14 d, 400 d)."""

BUCKET_S = 10
BUCKETS_A_DAY = 86_400 // BUCKET_S
_ADD_SUMS = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
_SUM_NAMES = ", ".join(SUMS)
_SUM_SUMS = ", ".join(f"sum({name})" for name in SUMS)
_FIND_MARKS = ", ".join("?" * len(SUMS))


@dataclass(frozen=True, slots=True)
class Borders:
    """Seconds of the epoch before which the 10-second and the minute table hold nothing."""

    folded_10s: int = 0
    folded_1m: int = 0


class Delta:
    """Differences to add to the roll-ups, gathered over the traces of one transaction."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, SeriesKey], list[int]] = {}
        self.buckets: dict[tuple[int, SeriesKey, int, int], int] = {}

    def add(self, facts: Facts, sign: int = 1) -> None:
        """Add the facts of a trace, or take them back with sign -1."""
        for place, sums in facts.sums.items():
            mine = self.sums.get(place)
            if mine is None:
                self.sums[place] = [sign * value for value in sums]
            else:
                for index, value in enumerate(sums):
                    if value:
                        mine[index] += sign * value
        for spot, count in facts.buckets.items():
            self.buckets[spot] = self.buckets.get(spot, 0) + sign * count


def apply_delta(connection: sqlite3.Connection, delta: Delta, series: SeriesNumbers, borders: Borders) -> None:
    """Add `delta` to the tables, inside the running transaction."""
    sums: dict[str, dict[tuple[int, int], list[int]]] = {name: {} for name in RESOLUTIONS}
    for (bucket, key), values in delta.sums.items():
        if not any(values):
            continue
        number = series.number(connection, bucket // BUCKETS_A_DAY, key)
        for table, place in _places(bucket, borders):
            mine = sums[table].get((place, number))
            if mine is None:
                sums[table][place, number] = list(values)
            else:
                mine[:] = [a + b for a, b in zip(mine, values, strict=True)]
    counts: dict[str, dict[tuple[int, int, int, int], int]] = {name: {} for name in RESOLUTIONS}
    for (bucket, key, family, position), count in delta.buckets.items():
        if not count:
            continue
        number = series.number(connection, bucket // BUCKETS_A_DAY, key)
        for table, place in _places(bucket, borders):
            spot = (place, number, family, position)
            counts[table][spot] = counts[table].get(spot, 0) + count
    for table in RESOLUTIONS:
        _add(connection, table, sums[table], counts[table])
    connection.executemany(
        "INSERT INTO hour_change VALUES (?, random()) ON CONFLICT DO UPDATE SET version = excluded.version",
        [(hour,) for hour in {place[0] for place in (*sums["1h"], *counts["1h"])}],
    )


def _places(bucket: int, borders: Borders) -> list[tuple[str, int]]:
    """Return the tables and their buckets that hold the 10-second bucket number `bucket`."""
    second = bucket * BUCKET_S
    places = [("1h", second // RESOLUTIONS["1h"])]
    if second >= borders.folded_10s:
        places.append(("10s", bucket))
    elif second >= borders.folded_1m:
        places.append(("1m", second // RESOLUTIONS["1m"]))
    return places


def _add(
    connection: sqlite3.Connection,
    table: str,
    sums: Mapping[tuple[int, int], list[int]],
    counts: Mapping[tuple[int, int, int, int], int],
) -> None:
    connection.executemany(
        f"INSERT INTO rollup_{table} (bucket, series_id, {_SUM_NAMES}) VALUES (?, ?, {_FIND_MARKS}) "  # noqa: S608 - our own names
        f"ON CONFLICT DO UPDATE SET {_ADD_SUMS}",
        [(*place, *values) for place, values in sums.items()],
    )
    connection.executemany(
        f"INSERT INTO histogram_{table} VALUES (?, ?, ?, ?, ?) "  # noqa: S608 - our own names
        "ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(*spot, count) for spot, count in counts.items()],
    )


def fold(connection: sqlite3.Connection, now_ns: int, borders: Borders) -> Borders:
    """Fold what is old enough one resolution up, drop what no resolution keeps; return the new borders."""
    to_minutes = max(borders.folded_10s, (now_ns - KEEP_10S_NS) // SECOND_NS // 3600 * 3600)
    to_hours = max(borders.folded_1m, (now_ns - KEEP_1M_NS) // SECOND_NS // 3600 * 3600)
    if to_minutes > borders.folded_10s:
        _fold_up(connection, ("10s", "1m"), to_minutes, to_hours)
    if to_hours > borders.folded_1m:
        _drop(connection, "1m", to_hours)
    _drop_hours(connection, (now_ns - KEEP_1H_NS) // SECOND_NS)
    return Borders(to_minutes, to_hours)


def _fold_up(connection: sqlite3.Connection, tables: tuple[str, str], before_s: int, not_before_s: int) -> None:
    """Move what lies before `before_s` up one table, but for what lies before `not_before_s`: hours have it."""
    fine, coarse = tables
    width, wide = RESOLUTIONS[fine], RESOLUTIONS[coarse]
    span = (not_before_s // width, before_s // width)
    connection.execute(
        f"INSERT INTO rollup_{coarse} (bucket, series_id, {_SUM_NAMES}) "  # noqa: S608 - our own names
        f"SELECT bucket * {width} / {wide} AS place, series_id, {_SUM_SUMS} "
        f"FROM rollup_{fine} WHERE bucket >= ? AND bucket < ? GROUP BY place, series_id "
        f"ON CONFLICT DO UPDATE SET {_ADD_SUMS}",
        span,
    )
    connection.execute(
        f"INSERT INTO histogram_{coarse} SELECT bucket * {width} / {wide} AS place, series_id, family, position, "  # noqa: S608 - our own names
        f"sum(count) FROM histogram_{fine} WHERE bucket >= ? AND bucket < ? AND count != 0 "
        "GROUP BY place, series_id, family, position ON CONFLICT DO UPDATE SET count = count + excluded.count",
        span,
    )
    _drop(connection, fine, before_s)


def _drop_hours(connection: sqlite3.Connection, before_s: int) -> None:
    """Drop hours, but not of days whose spans are stored: an import of old files lives as long as its spans.

    Corrections of these spans would otherwise meet nothing that they could correct.
    """
    for table, hour in (("rollup_1h", "bucket"), ("histogram_1h", "bucket"), ("hour_change", "hour")):
        connection.execute(
            f"DELETE FROM {table} WHERE {hour} < ? AND {hour} / 24 NOT IN (SELECT day FROM day_series)",  # noqa: S608 - our own names
            [before_s // RESOLUTIONS["1h"]],
        )


def _drop(connection: sqlite3.Connection, table: str, before_s: int) -> None:
    for kind in ("rollup", "histogram"):
        connection.execute(f"DELETE FROM {kind}_{table} WHERE bucket < ?", [before_s // RESOLUTIONS[table]])  # noqa: S608 - our own names
