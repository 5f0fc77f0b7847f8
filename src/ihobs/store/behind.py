"""The traces behind a number: those of a window that made it what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from ihobs.clock import HOUR_NS
from ihobs.store.trace_query import SUMMARY, TraceSummary, summary_of

if TYPE_CHECKING:
    from ihobs.store.database import Database

Worst = Literal["failed", "slow", "dear", "large"]
"""What makes a trace worse than another: it failed (newest first), it took longer, cost more, used more tokens."""

_ORDER: Mapping[Worst, str] = {
    "failed": "end_ns DESC",
    "slow": "end_ns - start_ns DESC",
    "dear": "cost_nano_usd DESC",
    "large": "input_tokens + output_tokens DESC",
}
_OF_TRACES = ("service", "workflow")
LATE_NS = HOUR_NS
"""Traces received so long after their end are not looked for: receipt is what the index knows."""


def traces_behind(
    database: Database, between_ns: tuple[int, int], where: Mapping[str, str], worst: Worst, limit: int
) -> list[TraceSummary]:
    """Return the worst traces that ended in [between_ns[0], between_ns[1]), worst first.

    Args:
        where: dimension -> the value that the trace, or one of its spans, must have.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    conditions, texts = ["NOT ? OR failed_spans > 0"], list[object]([worst == "failed"])
    of_spans = {name: value for name, value in where.items() if name not in _OF_TRACES}
    for name in _OF_TRACES:
        if name in where:
            conditions.append(f"{name} = ?")
            texts.append(where[name])
    if of_spans:
        matches = " AND ".join(f"shape.{name} = ?" for name in of_spans)
        conditions.append(
            f"EXISTS (SELECT 1 FROM span JOIN shape ON shape.id = shape_id WHERE trace_no = trace.no AND {matches})"  # noqa: S608 - our own names
        )
        texts += of_spans.values()
    start_ns, end_ns = between_ns
    with database.read() as connection:
        rows = connection.execute(
            f"SELECT {SUMMARY} FROM trace WHERE received_ns >= ? AND received_ns < ? AND end_ns >= ? AND end_ns < ? "  # noqa: S608 - our own names
            f"AND {' AND '.join(f'({one})' for one in conditions)} ORDER BY {_ORDER[worst]} LIMIT ?",
            [start_ns, end_ns + LATE_NS, start_ns, end_ns, *texts, limit],
        ).fetchall()
    return [summary_of(row) for row in rows]
