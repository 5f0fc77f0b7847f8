"""The metrics of each closed bucket, for plug-ins that react to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.alerts.measurements import BUCKET_NS
from ihobs.clock import SECOND_NS
from ihobs.model import Window
from ihobs.store import query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ihobs.store.database import Database

CLOSE_AFTER_NS = 15 * SECOND_NS
"""How long after its end a bucket is closed: what is exported every half second, and a little late, is in it."""

CATCH_UP_NS = 60 * BUCKET_NS
"""Buckets older than 10 min are not offered any more after the duties stood still."""


def last_closed_ns(now_ns: int) -> int:
    """Return the end of the newest bucket that is closed at `now_ns`."""
    return (now_ns - CLOSE_AFTER_NS) // BUCKET_NS * BUCKET_NS


def next_close_ns(now_ns: int) -> int:
    """Return when the next bucket will be closed."""
    return last_closed_ns(now_ns) + BUCKET_NS + CLOSE_AFTER_NS


def closed(database: Database, after_ns: int, until_ns: int, now_ns: int) -> Iterator[Window]:
    """Yield the windows of the buckets in [after_ns, until_ns) that hold spans, oldest first."""
    for start_ns in range(max(after_ns, until_ns - CATCH_UP_NS), until_ns, BUCKET_NS):
        end_ns = start_ns + BUCKET_NS
        total = query.metrics(database, start_ns=start_ns, end_ns=end_ns).groups
        if total:
            yield Window(
                start_ns=start_ns,
                end_ns=end_ns,
                total=total[0],
                by_workflow=query.metrics(database, start_ns=start_ns, end_ns=end_ns, by=("workflow",)).groups,
                active_workflows=query.active_workflows(database, now_ns=now_ns),
            )
