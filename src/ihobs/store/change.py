"""A change of traces inside one transaction: what is read, and the delta that it adds up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ihobs.courtesy import Pause, no_pause
from ihobs.spans.facts import Facts, facts
from ihobs.spans.span import PENDING
from ihobs.store.rollups import Borders, Delta, apply_delta
from ihobs.store.traces import load_spans, mark_runs, write_trace

if TYPE_CHECKING:
    import sqlite3

    from ihobs.spans.span import Shape, Span
    from ihobs.store.numbers import Numbers
    from ihobs.store.pricing import PriceBook
    from ihobs.store.series import SeriesNumbers


@dataclass(slots=True)
class Change:
    """The running transaction with what is remembered of the database.

    Attributes:
        delta: what the roll-ups change by; added when the change is finished.
        pause: called after each trace.
    """

    connection: sqlite3.Connection
    shapes: Numbers[Shape]
    series: SeriesNumbers
    prices: PriceBook
    delta: Delta = field(default_factory=Delta)
    pause: Pause = no_pause

    def load(self, trace_no: int) -> list[Span]:
        """Return all stored spans of a trace."""
        return load_spans(self.connection, trace_no, self.shapes)

    def replace(self, trace: tuple[int, bytes], before: list[Span], after: list[Span], received_ns: int) -> Facts:
        """Let a trace, given by its number and id, consist of `after` instead of `before`; return its facts.

        Pending spans are not counted. Writes the trace's summary and which of the stored spans are runs; the spans'
        own rows are the caller's.
        """
        now = facts(_counted(after))
        if before:
            earlier = facts(_counted(before))
            self.delta.add(earlier, -1)
            mark_runs(self.connection, trace[0], earlier.runs, now.runs & {span.span_id for span in before})
        self.delta.add(now)
        write_trace(self.connection, trace, received_ns, after, now)
        self.pause()
        return now

    def finish(self) -> None:
        """Add the delta to the roll-ups."""
        apply_delta(self.connection, self.delta, self.series, read_borders(self.connection))


def _counted(spans: list[Span]) -> list[Span]:
    return [span for span in spans if not span.flags & PENDING]


def read_borders(connection: sqlite3.Connection) -> Borders:
    """Return from when on the finer roll-ups are kept."""
    query = "SELECT key, value FROM meta WHERE key IN ('folded_10s', 'folded_1m')"
    rows = dict(connection.execute(query).fetchall())
    return Borders(int(rows.get("folded_10s", 0)), int(rows.get("folded_1m", 0)))


def write_borders(connection: sqlite3.Connection, borders: Borders) -> None:
    """Write from when on the finer roll-ups are kept."""
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        [("folded_10s", str(borders.folded_10s)), ("folded_1m", str(borders.folded_1m))],
    )
