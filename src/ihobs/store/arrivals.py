"""How long after their end live spans arrive, by service: the clocks of senders, and late deliveries, seen from here.

Unlike metrics, this goes by the minute of receipt and is never corrected: what counts is that a span came.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, MINUTE_NS, SECOND_NS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from ihobs.spans.span import Span
    from ihobs.store.database import Database

LATE_NS = MINUTE_NS
"""A live span that arrives later than this after its end is late: its window may have been judged without it."""

KEEP_NS = DAY_NS
MAX_SERVICES = 50
"""Services told apart in one transaction; the others count together."""

OTHER = "_other"
_STEPS = 8
"""Positions for each doubling of a delay, so that a median is within 5 %."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Live spans of one service that were received in a window.

    Attributes:
        spans: how many. late: how many arrived more than a minute after their end.
        median_delay_s: from end to receipt. Below zero the sender's clock is ahead of ours by at least so much;
            far above a few seconds it is behind, or deliveries wait.
    """

    service: str
    spans: int
    late: int
    median_delay_s: float


def note_arrivals(connection: sqlite3.Connection, spans: Iterable[Span], received_ns: int) -> None:
    """Count live spans that are new, inside the running transaction that stores them."""
    counts: Counter[tuple[str, int, bool]] = Counter()
    services: set[str] = set()
    for span in spans:
        delay_ns = received_ns - span.start_ns - span.duration_ns
        service = span.shape.service
        if service not in services:
            if len(services) < MAX_SERVICES:
                services.add(service)
            else:
                service = OTHER
        counts[service, _position(delay_ns), delay_ns > LATE_NS] += 1
    connection.executemany(
        "INSERT INTO arrival VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET spans = spans + excluded.spans",
        [(received_ns // MINUTE_NS, *place, count) for place, count in counts.items()],
    )


def arrivals(database: Database, *, start_ns: int, end_ns: int) -> list[Arrivals]:
    """Return how the live spans arrived that were received in the window, widened to whole minutes, by service.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        rows = connection.execute(
            "SELECT service, position, late, sum(spans) FROM arrival WHERE minute >= ? AND minute < ? "
            "GROUP BY service, position, late ORDER BY service, position",
            [start_ns // MINUTE_NS, -(-end_ns // MINUTE_NS)],
        ).fetchall()
    by_service: dict[str, list[tuple[int, bool, int]]] = {}
    for service, *rest in rows:
        by_service.setdefault(service, []).append((rest[0], bool(rest[1]), rest[2]))
    return [_summary(service, counted) for service, counted in by_service.items()]


def forget_arrivals(connection: sqlite3.Connection, now_ns: int) -> None:
    """Drop what was received too long ago to be of use."""
    connection.execute("DELETE FROM arrival WHERE minute < ?", [(now_ns - KEEP_NS) // MINUTE_NS])


def _summary(service: str, counted: list[tuple[int, bool, int]]) -> Arrivals:
    spans = sum(count for _, _, count in counted)
    seen = 0
    median = 0
    for position, _, count in counted:
        seen += count
        if 2 * seen >= spans:
            median = position
            break
    return Arrivals(service, spans, sum(count for _, late, count in counted if late), _delay_s(median))


def _position(delay_ns: int) -> int:
    """Return the place of a delay on a scale that is logarithmic both ways from 0 (less than a millisecond)."""
    milliseconds = abs(delay_ns) * 1000 // SECOND_NS
    steps = math.ceil(_STEPS * math.log2(milliseconds + 1))
    return steps if delay_ns >= 0 else -steps


def _delay_s(position: int) -> float:
    """Return the delay that stands for a position."""
    if position == 0:
        return 0.0
    milliseconds = 2 ** ((abs(position) - 0.5) / _STEPS) - 1
    return math.copysign(milliseconds / 1000, position)
