"""Metrics of a window, from the roll-ups alone: the number of stored spans does not matter.

Whole hours come from the hour table, and are remembered; the ragged ends from the 10-second and minute tables as
far as these reach back, and by the hour before that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.errors import InvalidInputError
from ihobs.model import CALL_KINDS, DIMENSIONS, Counters, Distribution, MetricGroup, MetricsResult, Of
from ihobs.spans.facts import (
    CALL_FAMILY,
    CALL_NS,
    COUNTERS,
    FIRST_TOKEN_FAMILY,
    FIRST_TOKEN_NS,
    FIRST_TOKENS,
    RUN_FAMILY,
    RUN_NS,
)
from ihobs.store.change import read_borders
from ihobs.store.hours import memory_of
from ihobs.store.parts import Part, Place, Question, Segment, read_part
from ihobs.store.schema import RESOLUTIONS

if TYPE_CHECKING:
    import sqlite3

    from ihobs.store.database import Database
    from ihobs.store.rollups import Borders

WORKER_GONE_AFTER_NS = 15 * SECOND_NS
"""A process whose heartbeat is older than this runs no workflow any more; it beats every 5 s."""

RUN_DIMENSIONS = frozenset({"service", "workflow", "kind"})
"""What a run can be grouped by; grouped by anything else its columns mean nothing."""

KINDS_OF: Mapping[Of, tuple[str, ...]] = {"node": ("node",), "llm": ("llm", "embedding"), "tool": ("tool", "retriever")}
"""Which kinds of calls `of` selects."""

LONG_S = 6 * 3600
"""A window longer than this begins at a full hour: it is read by the hour."""


def metrics(  # noqa: PLR0913 - the window and what narrows it, all by name
    database: Database,
    *,
    start_ns: int,
    end_ns: int,
    by: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    of: Of | None = None,
    durations: bool = True,
) -> MetricsResult:
    """Return the numbers of the window [start_ns, end_ns), one group for each value of the dimensions in `by`.

    The window is widened to whole buckets: 10 s within the last two hours, a minute within two weeks, else an
    hour; a window of more than six hours begins at a full hour. `calls` counts calls to models, tools and
    retrievers; grouped by node it counts the node's own executions, and grouped by kind each kind its own. `of`
    chooses otherwise.

    Args:
        by: dimensions of `ihobs.model.DIMENSIONS`. where: dimension -> the value it must have.
        of: count only these as calls.
        durations: False leaves the buckets of the distributions out, which is quicker; their means stay.

    Raises:
        InvalidInputError: an unknown dimension.
        StoreUnavailableError: the database cannot be read.
    """
    where = where or {}
    for name in (*by, *where):
        if name not in DIMENSIONS:
            raise InvalidInputError(f"'{name}'", "is not a dimension", f"use one of {', '.join(DIMENSIONS)}")
    question = Question(tuple(by), tuple(where.items()), call_kinds(by, of), durations)
    memory = memory_of(database)
    total = Part()
    with database.read() as connection:
        newest = _newest_ns(connection)
        borders = read_borders(connection)
        segments = list(_segments(start_ns, end_ns, borders, newest))
        for segment in segments:
            if segment.table == "1h":
                total.add(memory.read(connection, segment.first, segment.end, question))
            else:
                total.add(read_part(connection, segment, question))
    groups = [group_of(question, place, total) for place in total.sums]
    groups.sort(key=lambda group: -group.counters.spans)
    covered = _covered(segments, end_ns, borders) or (start_ns, end_ns)
    return MetricsResult(*covered, tuple(group for group in groups if group.counters.spans), newest)


def active_workflows(database: Database, *, now_ns: int, service: str | None = None) -> int:
    """Return how many workflows are running now, as the processes that run them say."""
    with database.read() as connection:
        row = connection.execute(
            "SELECT coalesce(sum(active), 0) FROM worker WHERE heartbeat_ns > ? AND (? IS NULL OR service = ?)",
            [now_ns - WORKER_GONE_AFTER_NS, service, service],
        ).fetchone()
    return int(row[0])


def newest_ns(database: Database) -> int | None:
    """Return the end of the newest bucket that holds anything; None when the store is empty."""
    with database.read() as connection:
        return _newest_ns(connection)


def _segments(start_ns: int, end_ns: int, borders: Borders, newest_ns: int | None) -> Iterator[Segment]:
    """Split the window into whole hours and what is left before and after them.

    An hour that holds nothing beyond the window's end is as good as a whole one.
    """
    start_s, end_s = start_ns // SECOND_NS, -(-end_ns // SECOND_NS)
    if end_s <= start_s:
        return
    if start_s < borders.folded_1m or end_s - start_s > LONG_S:
        start_s = start_s // 3600 * 3600
    first, last = -(-start_s // 3600), end_s // 3600
    ends_it = newest_ns is not None and newest_ns // SECOND_NS <= -(-end_s // 10) * 10
    if ends_it or end_s < borders.folded_1m:
        last = -(-end_s // 3600)
    if first >= last:
        yield from _fine(start_s, end_s, borders)
        return
    yield from _fine(start_s, first * 3600, borders)
    yield Segment("1h", first, last)
    if last * 3600 < end_s:
        yield from _fine(last * 3600, end_s, borders)


def _fine(start_s: int, end_s: int, borders: Borders) -> Iterator[Segment]:
    """Split a stretch between the tables that hold it."""
    minutes_end = min(end_s, borders.folded_10s)
    if start_s < minutes_end:
        yield Segment("1m", start_s // 60, -(-minutes_end // 60))
        start_s = minutes_end
    if start_s < end_s:
        yield Segment("10s", start_s // 10, -(-end_s // 10))


def _covered(segments: Sequence[Segment], end_ns: int, borders: Borders) -> tuple[int, int] | None:
    """Return the edges of what was read. An hour that was read because nothing follows ends with the window."""
    if not segments:
        return None
    widths = [RESOLUTIONS[segment.table] for segment in segments]
    edges = [(part.first * width, part.end * width) for part, width in zip(segments, widths, strict=True)]
    start_s, end_s = min(edge[0] for edge in edges), max(edge[1] for edge in edges)
    asked_s = -(-end_ns // SECOND_NS // 10) * 10
    if segments[-1].table == "1h" and borders.folded_1m <= asked_s < end_s:
        end_s = asked_s
    return start_s * SECOND_NS, end_s * SECOND_NS


def call_kinds(by: Sequence[str], of: Of | None) -> tuple[str, ...]:
    """Return the kinds that count as calls."""
    if of is not None and of in KINDS_OF:
        return KINDS_OF[of]
    if "kind" in by:
        return (*CALL_KINDS, "node")
    if "node" in by and not {"model", "provider"}.intersection(by):
        return ("node",)
    return CALL_KINDS


_CALL_FIELDS = [COUNTERS.index(name) for name in ("calls", "failed_calls", "timed_out_calls")]
"""What is counted of the chosen kinds only; recovered errors and retries are of whatever was tried again."""


def group_of(question: Question, place: Place, part: Part) -> MetricGroup:
    """Return the numbers of one group of `part`."""
    total, calls = part.sums[place], part.calls.get(place)
    values = total[: len(COUNTERS)]
    for index in _CALL_FIELDS:
        values[index] = calls[index] if calls else 0
    counters = Counters(*values)
    buckets = part.buckets
    return MetricGroup(
        by={name: value or None for name, value in zip(question.by, place, strict=True)},
        counters=counters,
        run_durations=_distribution(counters.runs, total[RUN_NS], buckets.get((RUN_FAMILY, place))),
        call_durations=_distribution(counters.calls, calls[CALL_NS] if calls else 0, buckets.get((CALL_FAMILY, place))),
        first_tokens=_distribution(
            total[FIRST_TOKENS], total[FIRST_TOKEN_NS], buckets.get((FIRST_TOKEN_FAMILY, place))
        ),
        runs_known=RUN_DIMENSIONS.issuperset(question.by) and all(name in RUN_DIMENSIONS for name, _ in question.where),
    )


def _distribution(count: int, sum_ns: int, buckets: Mapping[int, int] | None) -> Distribution:
    if not buckets:
        return Distribution(count, sum_ns)
    return Distribution(count, sum_ns, tuple(sorted((position, n) for position, n in buckets.items() if n)))


def _newest_ns(connection: sqlite3.Connection) -> int | None:
    for table, width in RESOLUTIONS.items():
        row = connection.execute(f"SELECT max(bucket) FROM rollup_{table}").fetchone()  # noqa: S608 - our own names
        if row[0] is not None:
            return (int(row[0]) + 1) * width * SECOND_NS
    return None
