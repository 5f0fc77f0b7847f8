"""What happens to stored traces later: missing ancestors are given up, prices become known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.span import ORPHAN, REMOTE_PARENT, Span
from ihobs.store.traces import update_flags

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

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


def unpriced_models(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the (provider, model) pairs of calls to models that no price is known for."""
    return connection.execute(
        "SELECT DISTINCT provider, model FROM shape WHERE kind IN ('llm', 'embedding') AND model != '' AND "
        "NOT EXISTS (SELECT 1 FROM price WHERE price.provider = shape.provider AND price.model = shape.model)"
    ).fetchall()


def reprice(change: Change, pairs: Sequence[tuple[str, str]]) -> int:
    """Price the stored calls of these (provider, model) pairs anew; return how many cost something else now."""
    changed = 0
    for no, trace_id, received_ns in _traces_of(change.connection, pairs):
        before = change.load(no)
        after = [change.prices.priced(span) for span in before]
        new = [span for span, was in zip(after, before, strict=True) if span.cost_nano_usd != was.cost_nano_usd]
        if new:
            change.connection.executemany(
                "UPDATE span SET cost_nano_usd = ? WHERE trace_no = ? AND span_id = ?",
                [(span.cost_nano_usd, no, span.span_id) for span in new],
            )
            change.replace((no, trace_id), before, after, received_ns)
            changed += len(new)
    return changed


def _traces_of(connection: sqlite3.Connection, pairs: Sequence[tuple[str, str]]) -> list[tuple[int, bytes, int]]:
    """Return (number, id, received_ns) of the traces with calls to one of the (provider, model) pairs."""
    shapes = [
        row[0]
        for pair in pairs
        for row in connection.execute("SELECT id FROM shape WHERE provider = ? AND model = ?", pair)
    ]
    marks = ", ".join("?" * len(shapes))
    return connection.execute(
        f"SELECT DISTINCT no, trace_id, received_ns FROM span JOIN trace ON no = trace_no WHERE shape_id IN ({marks})",  # noqa: S608 - only marks
        shapes,
    ).fetchall()
