"""Metrics of a window, from the roll-ups alone: the number of stored spans does not matter.

Whole hours come from the hour table; the ragged ends from the 10-second and minute tables as far as these
reach back, and by the hour before that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.errors import InvalidInputError
from ihobs.model import CALL_KINDS, DIMENSIONS, Counters, Distribution, MetricGroup, MetricsResult, Of
from ihobs.spans.facts import CALL_FAMILY, CALL_NS, RUN_FAMILY, RUN_NS, SUMS
from ihobs.store.change import read_borders
from ihobs.store.schema import RESOLUTIONS

if TYPE_CHECKING:
    from ihobs.store.database import Database
    from ihobs.store.rollups import Borders

WORKER_GONE_AFTER_NS = 15 * SECOND_NS
"""A process whose heartbeat is older than this runs no workflow any more; it beats every 5 s."""

RUN_DIMENSIONS = frozenset({"service", "workflow", "kind"})
"""What a run can be grouped by; grouped by anything else its columns mean nothing."""

KINDS_OF: Mapping[Of, tuple[str, ...]] = {"node": ("node",), "llm": ("llm", "embedding"), "tool": ("tool", "retriever")}
"""Which kinds of calls `of` selects."""

Segment = tuple[str, int, int]
"""A table (its resolution) and its buckets [first, end)."""


def metrics(
    database: Database,
    *,
    start_ns: int,
    end_ns: int,
    by: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    of: Of | None = None,
) -> MetricsResult:
    """Return the numbers of the window [start_ns, end_ns), one group for each value of the dimensions in `by`.

    The window is widened to whole buckets: 10 s within the last two hours, a minute within two weeks, else an
    hour. `calls` counts calls to models, tools and retrievers; grouped by node it counts the node's own
    executions, and grouped by kind each kind its own. `of` chooses otherwise.

    Args:
        by: dimensions of `ihobs.model.DIMENSIONS`. where: dimension -> the value it must have.
        of: count only these as calls.

    Raises:
        InvalidInputError: an unknown dimension.
        StoreUnavailableError: the database cannot be read.
    """
    for name in (*by, *(where or {})):
        if name not in DIMENSIONS:
            raise InvalidInputError(f"'{name}'", "is not a dimension", f"use one of {', '.join(DIMENSIONS)}")
    with database.read() as connection:
        segments = list(_segments(start_ns, end_ns, read_borders(connection)))
        condition, values = _condition(where or {})
        sums = _sums(connection, segments, by, condition, values)
        calls = _sums(connection, segments, by, f"{condition} AND kind IN ({_call_kinds(by, of)})", values)
        buckets = _buckets(connection, segments, by, (condition, _call_kinds(by, of)), values)
        newest = _newest_ns(connection)
    runs_known = RUN_DIMENSIONS.issuperset((*by, *(where or {})))
    groups = [_group(by, place, total, calls.get(place), buckets, runs_known) for place, total in sums.items()]
    groups.sort(key=lambda group: -group.counters.spans)
    covered = _covered(segments) or (start_ns, end_ns)
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


def _segments(start_ns: int, end_ns: int, borders: Borders) -> Iterator[Segment]:
    """Split the window into whole hours and what is left before and after them."""
    start_s, end_s = start_ns // SECOND_NS, -(-end_ns // SECOND_NS)
    if end_s <= start_s:
        return
    start_s = start_s if start_s >= borders.folded_1m else start_s // 3600 * 3600
    first, last = -(-start_s // 3600), end_s // 3600
    if end_s < borders.folded_1m:
        last = -(-end_s // 3600)
    if first >= last:
        yield from _fine(start_s, end_s, borders)
        return
    yield from _fine(start_s, first * 3600, borders)
    yield ("1h", first, last)
    if last * 3600 < end_s:
        yield from _fine(last * 3600, end_s, borders)


def _fine(start_s: int, end_s: int, borders: Borders) -> Iterator[Segment]:
    """Split a stretch between the tables that hold it."""
    minutes_end = min(end_s, borders.folded_10s)
    if start_s < minutes_end:
        yield ("1m", start_s // 60, -(-minutes_end // 60))
        start_s = minutes_end
    if start_s < end_s:
        yield ("10s", start_s // 10, -(-end_s // 10))


def _covered(segments: Sequence[Segment]) -> tuple[int, int] | None:
    if not segments:
        return None
    edges = [(first * RESOLUTIONS[table], end * RESOLUTIONS[table]) for table, first, end in segments]
    return min(edge[0] for edge in edges) * SECOND_NS, max(edge[1] for edge in edges) * SECOND_NS


def _condition(where: Mapping[str, str]) -> tuple[str, list[str]]:
    return " AND ".join(("1", *(f"{name} = ?" for name in where))), list(where.values())


def _call_kinds(by: Sequence[str], of: Of | None) -> str:
    """Return the kinds that count as calls, as an SQL list."""
    if of is not None and of in KINDS_OF:
        kinds: Iterable[str] = KINDS_OF[of]
    elif "kind" in by:
        kinds = (*CALL_KINDS, "node")
    elif "node" in by and not {"model", "provider"}.intersection(by):
        kinds = ("node",)
    else:
        kinds = CALL_KINDS
    return ", ".join(f"'{kind}'" for kind in kinds)


def _sums(
    connection: sqlite3.Connection, segments: Sequence[Segment], by: Sequence[str], condition: str, values: list[str]
) -> dict[tuple[str, ...], list[int]]:
    """Return the sums of each group."""
    result: dict[tuple[str, ...], list[int]] = {}
    columns = ", ".join((*by, *(f"sum({name})" for name in SUMS)))
    group = f"GROUP BY {', '.join(by)}" if by else ""
    for table, first, end in segments:
        rows = connection.execute(
            f"SELECT {columns} FROM rollup_{table} JOIN series ON series.id = series_id "  # noqa: S608 - our own names
            f"WHERE bucket >= ? AND bucket < ? AND {condition} {group}",
            [first, end, *values],
        )
        for row in rows:
            place, sums = row[: len(by)], row[len(by) :]
            if sums[0] is None:
                continue
            mine = result.setdefault(place, [0] * len(SUMS))
            mine[:] = [a + b for a, b in zip(mine, sums, strict=True)]
    return result


def _buckets(
    connection: sqlite3.Connection,
    segments: Sequence[Segment],
    by: Sequence[str],
    conditions: tuple[str, str],
    values: list[str],
) -> dict[tuple[int, tuple[str, ...]], dict[int, int]]:
    """Return histogram counts by (family, group); calls only of the kinds that count as calls."""
    result: dict[tuple[int, tuple[str, ...]], dict[int, int]] = {}
    names = ", ".join(("family", "position", *by))
    condition, kinds = conditions
    for table, first, end in segments:
        rows = connection.execute(
            f"SELECT {names}, sum(count) FROM histogram_{table} JOIN series ON series.id = series_id "  # noqa: S608 - our own names
            f"WHERE bucket >= ? AND bucket < ? AND {condition} "
            f"AND (family = {RUN_FAMILY} OR kind IN ({kinds})) GROUP BY {names}",
            [first, end, *values],
        )
        for family, position, *place, count in rows:
            mine = result.setdefault((family, tuple(place)), {})
            mine[position] = mine.get(position, 0) + count
    return result


_CALL_FIELDS = frozenset({"calls", "failed_calls", "timed_out_calls"})
"""What is counted of the chosen kinds only; recovered errors and retries are of whatever was tried again."""


def _group(
    by: Sequence[str],
    place: tuple[str, ...],
    total: list[int],
    calls: list[int] | None,
    buckets: Mapping[tuple[int, tuple[str, ...]], Mapping[int, int]],
    runs_known: bool,
) -> MetricGroup:
    calls = calls or [0] * len(SUMS)
    counters = Counters(
        **{
            entry.name: (calls if entry.name in _CALL_FIELDS else total)[index]
            for index, entry in enumerate(fields(Counters))
        }
    )
    return MetricGroup(
        by={name: value or None for name, value in zip(by, place, strict=True)},
        counters=counters,
        run_durations=_distribution(counters.runs, total[RUN_NS], buckets.get((RUN_FAMILY, place), {})),
        call_durations=_distribution(counters.calls, calls[CALL_NS], buckets.get((CALL_FAMILY, place), {})),
        runs_known=runs_known,
    )


def _distribution(count: int, sum_ns: int, buckets: Mapping[int, int]) -> Distribution:
    return Distribution(count, sum_ns, tuple(sorted((position, n) for position, n in buckets.items() if n)))


def _newest_ns(connection: sqlite3.Connection) -> int | None:
    for table, width in RESOLUTIONS.items():
        row = connection.execute(f"SELECT max(bucket) FROM rollup_{table}").fetchone()  # noqa: S608 - our own names
        if row[0] is not None:
            return (int(row[0]) + 1) * width * SECOND_NS
    return None
