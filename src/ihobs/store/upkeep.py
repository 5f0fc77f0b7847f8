"""What happens to stored traces later: missing ancestors are given up, and what is left of large traces counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.span import ORPHAN, REMOTE_PARENT, Span
from ihobs.store.large import not_pending
from ihobs.store.traces import clear_pending, update_flags

if TYPE_CHECKING:
    import sqlite3

    from ihobs.store.change import Change

SETTLE_AT_MOST = 500
"""Traces settled in one transaction, so that other writers get their turn."""

SETTLE_SPANS = 20_000
"""No further trace is settled in a transaction that has read so many spans: about 0.4 s."""

_WAITING = (
    "SELECT no, trace_id, received_ns FROM trace WHERE waiting AND (received_ns <= :before_ns OR "
    "(counted < spans AND counted_ns <= :before_ns)) ORDER BY received_ns LIMIT :limit"
)


class Settled(NamedTuple):
    """What one transaction settled: how many spans became orphans, and whether there may be more to settle."""

    orphans: int
    more: bool


def anything_waits(connection: sqlite3.Connection, before_ns: int) -> bool:
    """Return whether a trace waits since `before_ns`: for ancestors, or to be counted."""
    return connection.execute(_WAITING, {"before_ns": before_ns, "limit": 1}).fetchone() is not None


def settle_some(change: Change, before_ns: int) -> Settled:
    """Count some of the traces that wait; their missing ancestors are given up when nothing came since `before_ns`."""
    waiting = change.connection.execute(_WAITING, {"before_ns": before_ns, "limit": SETTLE_AT_MOST}).fetchall()
    settled = done = read = 0
    for no, trace_id, received_ns in waiting:
        before = change.load(no)
        clear_pending(change.connection, no)
        after, orphans = _orphaned(not_pending(before)) if received_ns <= before_ns else (not_pending(before), [])
        update_flags(change.connection, no, orphans)
        change.replace((no, trace_id), before, after, received_ns)
        settled, done, read = settled + len(orphans), done + 1, read + len(before)
        if read >= SETTLE_SPANS:
            break
    return Settled(settled, more=done < len(waiting) or done == SETTLE_AT_MOST)


def _orphaned(spans: list[Span]) -> tuple[list[Span], list[Span]]:
    """Return the spans with those marked whose parent is missing, and the marked ones alone."""
    known = {span.span_id for span in spans}
    result, orphans = [], []
    for span in spans:
        if span.parent_id is not None and span.parent_id not in known and not span.flags & (REMOTE_PARENT | ORPHAN):
            orphan = span._replace(flags=span.flags | ORPHAN)
            orphans.append(orphan)
            result.append(orphan)
        else:
            result.append(span)
    return result, orphans
