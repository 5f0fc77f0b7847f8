"""When the disk is full at the present rate, with what retention will have taken away by then.

Nothing is measured over time: the receipts that are kept tell the rate. Of many rows a few hundred, evenly
spread, stand for all, so that asking costs milliseconds whatever the database holds.
"""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple

from ihobs.clock import DAY_NS, HOUR_NS
from ihobs.errors import StoreUnavailableError
from ihobs.store.retention import used_bytes

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from ihobs.store.database import Database
    from ihobs.store.retention import Retention

RATE_OVER_NS = 7 * DAY_NS
"""The rate is the mean over this long, so that nights and week-ends are in it; less where there is less."""

RATE_AFTER_NS = HOUR_NS
"""From less than this no rate is told."""

EMPTY_BYTES = 131_072
"""What a database without spans takes: its tables' first pages."""

SAMPLES = 256
STEPS = 512
"""Into how many parts the way to the last expiry is cut; within one, the level is taken as a straight line."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the telemetry database takes on the disk, and will take.

    Attributes:
        used_bytes: now, without free pages.
        limit_bytes: what it may take: `retention.max_bytes`, or what the file system has left if that is less.
        limited_by: which of the two.
        growth_bytes_a_day: what running programs add; None: they have not for long enough to tell.
        full_ns: when the limit is reached at this rate; None: never, or not known.
        in_a_week_bytes, settles_at_bytes: what it would take in seven days, and when as much is forgotten as
            comes in, if there were no limit; None: not known.
    """

    used_bytes: int
    limit_bytes: int
    limited_by: Literal["max_bytes", "file system"]
    growth_bytes_a_day: float | None = None
    full_ns: int | None = None
    in_a_week_bytes: float | None = None
    settles_at_bytes: float | None = None


def free_bytes(path: Path) -> int:
    """Return what the file system of `path` has left for us.

    Raises:
        StoreUnavailableError: it does not say.
    """
    try:
        return shutil.disk_usage(path).free
    except OSError as error:
        raise StoreUnavailableError(path, (error.strerror or str(error)).lower()) from error


def forecast(database: Database, *, now_ns: int, retention: Retention, free_bytes: int) -> Forecast:
    """Return what the database will take.

    Args:
        retention: what is forgotten, and when.
        free_bytes: what the file system has left.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        used = used_bytes(connection)
        room = _file_bytes(connection) + free_bytes
        receipts, traces = _receipts(connection), _traces(connection)
    by_max = retention.max_bytes is not None and retention.max_bytes <= room
    limit = retention.max_bytes if by_max and retention.max_bytes is not None else room
    plain = Forecast(used, limit, "max_bytes" if by_max else "file system")
    since_ns = max(now_ns - RATE_OVER_NS, min((each.at_ns for each in receipts if each.live), default=now_ns))
    if now_ns - since_ns < RATE_AFTER_NS:
        return plain
    live = [each for each in receipts if each.live and each.at_ns >= since_ns]
    index_bytes = max(0.0, used - EMPTY_BYTES - sum(each.size_bytes for each in receipts))
    span_bytes = index_bytes / (sum(each.spans for each in traces) or 1)
    parts = (
        _Part(
            [(each.at_ns, each.size_bytes) for each in receipts],
            sum(each.size_bytes for each in live) / (now_ns - since_ns),
            retention.payload_ns,
        ),
        _Part(
            [(each.at_ns, each.spans * span_bytes) for each in traces],
            sum(each.spans for each in live) * span_bytes / (now_ns - since_ns),
            retention.spans_ns,
        ),
    )
    return _projected(plain, parts, now_ns)


class _Receipt(NamedTuple):
    """Some rows that one row stands for: when they came in, and what they hold."""

    at_ns: int
    size_bytes: float
    spans: float
    live: bool


class _Part:
    """Something that grows at a rate and is forgotten at an age.

    Args:
        held: (received, bytes) of what there is. rate: bytes a nanosecond. keep_ns: the age.
    """

    def __init__(self, held: Iterable[tuple[int, float]], rate: float, keep_ns: int) -> None:
        rows = sorted(held)
        self.rate, self.keep_ns = rate, keep_ns
        self._at_ns = [at_ns for at_ns, _ in rows]
        self._up_to = [0.0, *accumulate(size for _, size in rows)]

    def size_bytes(self, now_ns: int, later_ns: int) -> float:
        """Return what it takes `later_ns` from now."""
        gone = self._up_to[bisect_left(self._at_ns, now_ns + later_ns - self.keep_ns)]
        return self._up_to[-1] - gone + self.rate * min(later_ns, self.keep_ns)


def _projected(plain: Forecast, parts: Sequence[_Part], now_ns: int) -> Forecast:
    """Return the forecast with the future in it: the parts, corrected so that today's size is what it is."""
    off = plain.used_bytes - sum(part.size_bytes(now_ns, 0) for part in parts)

    def level(later_ns: int) -> float:
        return off + sum(part.size_bytes(now_ns, later_ns) for part in parts)

    horizon_ns = max(part.keep_ns for part in parts)
    return Forecast(
        used_bytes=plain.used_bytes,
        limit_bytes=plain.limit_bytes,
        limited_by=plain.limited_by,
        growth_bytes_a_day=sum(part.rate for part in parts) * DAY_NS,
        full_ns=_reached_ns([(now_ns + ns, level(ns)) for ns in _steps(horizon_ns)], plain.limit_bytes),
        in_a_week_bytes=level(7 * DAY_NS),
        settles_at_bytes=level(horizon_ns),
    )


def _steps(horizon_ns: int) -> Iterable[int]:
    return (horizon_ns * step // STEPS for step in range(STEPS + 1))


def _reached_ns(levels: Sequence[tuple[int, float]], limit_bytes: int) -> int | None:
    """Return when a line through `levels` (time, bytes) reaches the limit first; None: it does not."""
    before_ns, before = levels[0]
    for at_ns, level in levels:
        if level >= limit_bytes:
            part = (limit_bytes - before) / (level - before) if level > before else 0.0
            return before_ns + round(max(0.0, part) * (at_ns - before_ns))
        before_ns, before = at_ns, level
    return None


def _file_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the database's file, with the free pages that it will use first."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)


def _receipts(connection: sqlite3.Connection) -> list[_Receipt]:
    """Return the payloads, a few standing for all."""
    query = "SELECT received_ns, length(body), spans, live FROM payload WHERE id >= ? ORDER BY id LIMIT 1"
    first, last = connection.execute("SELECT min(id), max(id) FROM payload").fetchone()
    return _sample(connection, query, first, last)


def _traces(connection: sqlite3.Connection) -> list[_Receipt]:
    """Return the traces, a few standing for all; what they take in bytes is not known."""
    query = "SELECT received_ns, 0, spans, 0 FROM trace WHERE no >= ? ORDER BY no LIMIT 1"
    first, last = connection.execute("SELECT min(no), max(no) FROM trace").fetchone()
    return _sample(connection, query, first, last)


def _sample(connection: sqlite3.Connection, query: str, first: int | None, last: int | None) -> list[_Receipt]:
    """Return rows at even distances in [first, last], each as heavy as those that it stands for.

    Numbers are given out in turn and taken away from the oldest, so that there are hardly any gaps.
    """
    if first is None or last is None:
        return []
    rows = last - first + 1
    taken = min(rows, SAMPLES)
    weight = rows / taken
    found = (connection.execute(query, [first + rows * index // taken]).fetchone() for index in range(taken))
    return [_Receipt(at_ns, size * weight, spans * weight, bool(live)) for at_ns, size, spans, live in found]
