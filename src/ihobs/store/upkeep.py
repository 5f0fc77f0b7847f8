"""What happens to stored traces later: missing ancestors are given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.span import ORPHAN, REMOTE_PARENT, Span
from ihobs.store.traces import update_flags

if TYPE_CHECKING:
    import sqlite3

    from ihobs.store.change import Change

SETTLE_AT_MOST = 500
"""Traces settled in one transaction, so that other writers get their turn."""

_WAITING = "SELECT no, trace_id, received_ns FROM trace WHERE waiting AND received_ns <= ? LIMIT ?"


class Settled(NamedTuple):
    """How many traces were settled, and how many of their spans became orphans."""

    traces: int = 0
    orphans: int = 0


def anything_waits(connection: sqlite3.Connection, before_ns: int) -> bool:
    """Return whether a trace that received nothing since `before_ns` waits for ancestors."""
    return connection.execute(_WAITING, [before_ns, 1]).fetchone() is not None


def settle_some(change: Change, before_ns: int) -> Settled:
    """Count some of the traces that wait for ancestors and received nothing since `before_ns`."""
    waiting = change.connection.execute(_WAITING, [before_ns, SETTLE_AT_MOST]).fetchall()
    settled = 0
    for no, trace_id, received_ns in waiting:
        before = change.load(no)
        after, orphans = _orphaned(before)
        update_flags(change.connection, no, orphans)
        change.replace((no, trace_id), before, after, received_ns)
        settled += len(orphans)
    return Settled(len(waiting), settled)


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
