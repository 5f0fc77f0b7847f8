"""Runs that have begun and not ended: their spans are here, and the span of the workflow above them is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, HOUR_NS

if TYPE_CHECKING:
    from ihobs.store.database import Database

FORGOTTEN_AFTER_NS = DAY_NS
"""A run of which nothing was heard for so long is not looked for any more."""

LIVE_NS = HOUR_NS
"""Spans that came later than this after their end were brought in from a file."""


@dataclass(frozen=True, slots=True)
class Unended:
    """A run that goes on.

    Attributes:
        trace_id: hexadecimal.
        service, workflow: whose; of spans that ihobs' own instrumentation has stamped with their workflow.
        start_ns: when the first of its spans that ended began.
        node: the last one that ended in it, or an empty string. node_end_ns: when.
    """

    trace_id: str
    service: str
    workflow: str
    start_ns: int
    node: str
    node_end_ns: int


def unended_runs(database: Database, now_ns: int, started_before_ns: int) -> list[Unended]:
    """Return the runs that began before `started_before_ns` and have not ended, oldest first.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        rows = connection.execute(
            """SELECT trace_id, trace.start_ns, shape.service, shape.workflow, shape.node,
                max(span.start_ns + span.duration_ns) FROM trace
            JOIN span ON span.trace_no = trace.no JOIN shape ON shape.id = span.shape_id
            WHERE received_ns >= ? AND runs = 0 AND trace.start_ns < ? AND received_ns - end_ns < ?
                AND shape.workflow != '' GROUP BY trace.no ORDER BY trace.start_ns""",
            [now_ns - FORGOTTEN_AFTER_NS, started_before_ns, LIVE_NS],
        ).fetchall()
    return [
        Unended(trace_id.hex(), service, workflow, start_ns, node, node_end_ns)
        for trace_id, start_ns, service, workflow, node, node_end_ns in rows
    ]
