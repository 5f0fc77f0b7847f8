"""The one way in: requests become payloads, rows and signed deltas, in one transaction.

A commit is the acknowledgement. A span that is known already is not stored and not counted again; of a request
that is known in part, only the new spans are stored.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, SECOND_NS, Clock, now_ns
from ihobs.spans.batch import Batch, Incoming, Rejection, only, read_batch
from ihobs.spans.dialects import shipped_dialects
from ihobs.spans.facts import Facts, facts
from ihobs.spans.normalise import BUCKET_NS, Receipt
from ihobs.spans.span import ORPHAN, REMOTE_PARENT, Shape, Span
from ihobs.store.numbers import Numbers
from ihobs.store.payloads import compress
from ihobs.store.pricing import PriceBook
from ihobs.store.retention import Retention, forget_some, give_back, sweep
from ihobs.store.rollups import Borders, Delta, apply_delta, fold
from ihobs.store.schema import open_telemetry
from ihobs.store.series import SeriesNumbers
from ihobs.store.traces import (
    find_traces,
    insert_spans,
    load_spans,
    mark_runs,
    next_trace_no,
    update_flags,
    write_trace,
)

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from ihobs.spans.price import Price
    from ihobs.store.home import Home

ORPHAN_AFTER_NS = 30 * SECOND_NS
"""How long after its last span a trace waits for ancestors that are missing."""

WORKER_GONE_AFTER_NS = 15 * SECOND_NS
"""A process whose heartbeat is older than this runs no workflow any more; it beats every 5 s."""

SETTLE_AT_MOST = 500
"""Traces settled in one transaction, so that other writers get their turn."""

BUCKETS_A_DAY = DAY_NS // BUCKET_NS


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of some spans.

    Attributes:
        accepted: stored and counted. duplicates: known before, or twice in the same requests.
        rejections: refused, by reason, most frequent first.
    """

    accepted: int = 0
    duplicates: int = 0
    rejections: tuple[Rejection, ...] = ()

    @property
    def rejected(self) -> int:
        """How many spans were refused."""
        return sum(rejection.count for rejection in self.rejections)


class TelemetryStore:
    """Spans and their numbers in one home. Safe for threads and forks; cheap to make."""

    def __init__(self, home: Home, *, clock: Clock = now_ns, retention: Retention | None = None) -> None:
        self.home = home
        self.database = open_telemetry(home)
        self._clock = clock
        self._retention = retention or Retention()
        self._dialects = shipped_dialects()
        self._swept_day = 0
        self._shapes: Numbers[Shape] = Numbers("shape", Shape)
        self._series = SeriesNumbers()
        self._prices = PriceBook()
        self._seen: tuple[int, str] = (0, "")

    def ingest(self, request: ExportTraceServiceRequest, *, live: bool = True) -> IngestResult:
        """Store and count the spans of one request; see `ingest_many`."""
        return self.ingest_many([request], live=live)

    def ingest_many(self, requests: Sequence[ExportTraceServiceRequest], *, live: bool = True) -> IngestResult:
        """Store and count the spans of `requests` in one transaction.

        Args:
            requests: what came in; not changed.
            live: from a running program. Imported spans (False) count in their own minute and raise no alert.

        Raises:
            StoreUnavailableError: nothing of it was stored.
        """
        receipt = Receipt(self._clock(), live)
        batch = read_batch(requests, self._dialects, receipt)
        if not batch.traces:
            return IngestResult(rejections=_rejections(batch))
        bodies = [compress(request) for request in requests]
        result = IngestResult()

        def store(connection: sqlite3.Connection) -> None:
            nonlocal result
            result = self._store(connection, batch, requests, bodies, receipt)

        self._transact(store)
        return result

    def _transact(self, body: Callable[[sqlite3.Connection], None]) -> None:
        """Run `body` in a transaction, keeping what is remembered of the database in step with it."""
        try:
            with self.database.write() as connection:
                self._refresh(connection)
                body(connection)
        except BaseException:
            self._shapes.rolled_back()
            self._series.rolled_back()
            raise
        self._shapes.committed()
        self._series.committed()

    def _refresh(self, connection: sqlite3.Connection) -> None:
        """Forget what is remembered when the database was replaced, or rows were removed."""
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        seen = (self.database.opened, meta.get("removed", ""))
        if seen != self._seen:
            self._shapes.forget()
            self._series.forget()
            self._prices.forget()
            self._seen = seen
        self._prices.refresh(connection, meta.get("prices", ""))

    def _store(
        self,
        connection: sqlite3.Connection,
        batch: Batch,
        requests: Sequence[ExportTraceServiceRequest],
        bodies: list[bytes],
        receipt: Receipt,
    ) -> IngestResult:
        """Store a batch inside the transaction."""
        _refuse_sealed(connection, batch)
        known = find_traces(connection, list(batch.traces))
        old = {no: load_spans(connection, no, self._shapes) for no in known.values()}
        number = next_trace_no(connection)
        fresh: dict[bytes, tuple[int, list[Incoming]]] = {}
        duplicates = 0
        for trace_id, entries in batch.traces.items():
            no = known.get(trace_id)
            if no is None:
                no, number = number, number + 1
            seen = {span.span_id for span in old.get(no, ())}
            new = _first_of_each(entries, seen)
            duplicates += len(entries) - len(new)
            if new:
                fresh[trace_id] = (no, [entry._replace(span=self._prices.priced(entry.span)) for entry in new])
        accepted = sum(len(entries) for _, entries in fresh.values())
        if accepted:
            payload_ids = _store_payloads(connection, fresh, requests, bodies, batch, receipt)
            self._count(connection, fresh, old, payload_ids, receipt)
        return IngestResult(accepted, duplicates, _rejections(batch))

    def _count(
        self,
        connection: sqlite3.Connection,
        fresh: Mapping[bytes, tuple[int, list[Incoming]]],
        old: Mapping[int, list[Span]],
        payload_ids: Mapping[int, int],
        receipt: Receipt,
    ) -> None:
        """Insert the new spans and add what they change."""
        delta = Delta()
        rows: list[tuple[int, int, Span]] = []
        runs: dict[int, set[int]] = {}
        for trace_id, (no, entries) in fresh.items():
            before = old.get(no, [])
            spans = before + [entry.span for entry in entries]
            after = self._replace(connection, (no, trace_id), before, spans, delta, receipt.received_ns)
            runs[no] = after.runs
            rows += [(no, payload_ids[entry.request], entry.span) for entry in entries]
        insert_spans(connection, rows, runs, self._shapes)
        apply_delta(connection, delta, self._series, read_borders(connection))

    def _replace(
        self,
        connection: sqlite3.Connection,
        trace: tuple[int, bytes],
        before: list[Span],
        spans: list[Span],
        delta: Delta,
        received_ns: int,
    ) -> Facts:
        """Put into `delta` what a trace's facts change by, and rewrite its summary."""
        after = facts(spans)
        if before:
            earlier = facts(before)
            delta.add(earlier, -1)
            mark_runs(connection, trace[0], earlier.runs, after.runs & {span.span_id for span in before})
        delta.add(after)
        write_trace(connection, trace, received_ns, spans, after)
        return after

    def settle(self, *, everything: bool = False) -> int:
        """Count what waits for ancestors that do not come: those spans are orphans now.

        Args:
            everything: at once, as at the end of an import; else only traces that were quiet for 30 s.

        Returns:
            How many spans became orphans.
        """
        settled = 0
        while True:
            count, traces = self._settle_some(everything=everything)
            settled += count
            if traces < SETTLE_AT_MOST:
                return settled

    def _settle_some(self, *, everything: bool) -> tuple[int, int]:
        before_ns = 2**62 if everything else self._clock() - ORPHAN_AFTER_NS
        query = "SELECT no, trace_id, received_ns FROM trace WHERE waiting AND received_ns <= ? LIMIT ?"
        with self.database.read() as connection:
            if not connection.execute(query, [before_ns, 1]).fetchone():
                return 0, 0
        settled = traces = 0

        def body(connection: sqlite3.Connection) -> None:
            nonlocal settled, traces
            delta = Delta()
            waiting = connection.execute(query, [before_ns, SETTLE_AT_MOST]).fetchall()
            for no, trace_id, received_ns in waiting:
                before = load_spans(connection, no, self._shapes)
                spans, orphans = _orphaned(before)
                update_flags(connection, no, orphans)
                self._replace(connection, (no, trace_id), before, spans, delta, received_ns)
                settled += len(orphans)
            apply_delta(connection, delta, self._series, read_borders(connection))
            traces = len(waiting)

        self._transact(body)
        return settled, traces

    def unpriced_models(self) -> list[tuple[str, str]]:
        """Return the (provider, model) pairs of calls to models that no price is known for."""
        with self.database.read() as connection:
            return connection.execute(
                "SELECT DISTINCT provider, model FROM shape WHERE kind IN ('llm', 'embedding') AND model != '' AND "
                "NOT EXISTS (SELECT 1 FROM price WHERE price.provider = shape.provider AND price.model = shape.model)"
            ).fetchall()

    def add_prices(self, prices: Sequence[Price]) -> int:
        """Add or replace prices and apply them to all stored calls of these models.

        Returns:
            How many calls got another price.
        """
        changed = 0
        pairs = sorted({(price.provider, price.model) for price in prices})

        def body(connection: sqlite3.Connection) -> None:
            nonlocal changed
            self._prices.add(connection, prices)
            changed = self._reprice(connection, pairs)

        if prices:
            self._transact(body)
        return changed

    def _reprice(self, connection: sqlite3.Connection, pairs: Sequence[tuple[str, str]]) -> int:
        """Price the stored calls of `pairs` anew."""
        delta, changed = Delta(), 0
        for trace_no, trace_id, received_ns in _traces_of(connection, pairs):
            before = load_spans(connection, trace_no, self._shapes)
            spans = [self._prices.priced(span) for span in before]
            new = [span for span, was in zip(spans, before, strict=True) if span.cost_nano_usd != was.cost_nano_usd]
            if new:
                connection.executemany(
                    "UPDATE span SET cost_nano_usd = ? WHERE trace_no = ? AND span_id = ?",
                    [(span.cost_nano_usd, trace_no, span.span_id) for span in new],
                )
                self._replace(connection, (trace_no, trace_id), before, spans, delta, received_ns)
                changed += len(new)
        apply_delta(connection, delta, self._series, read_borders(connection))
        return changed

    def maintain(self) -> None:
        """Fold roll-ups and forget what is too old; returns quickly when there is nothing to do."""
        now = self._clock()
        self._fold(now)
        removed = 0

        def forget(connection: sqlite3.Connection) -> None:
            nonlocal removed
            removed = forget_some(connection, now, self._retention)

        while True:
            self._transact(forget)
            if not removed:
                break
            with self.database.idle() as connection:
                give_back(connection)
        if now // DAY_NS > self._swept_day:
            self._transact(sweep)
            self._swept_day = now // DAY_NS

    def _fold(self, now: int) -> None:

        def body(connection: sqlite3.Connection) -> None:
            borders = fold(connection, now, read_borders(connection))
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                [("folded_10s", str(borders.folded_10s)), ("folded_1m", str(borders.folded_1m))],
            )
            connection.execute("DELETE FROM worker WHERE heartbeat_ns < ?", [now - DAY_NS])

        self._transact(body)

    def report_active(self, service: str, active: Mapping[str, int], *, worker: str | None = None) -> None:
        """Say which workflows this process runs now (name -> how many), replacing what it said before."""
        name = worker or str(os.getpid())
        now = self._clock()
        with self.database.write() as connection:
            connection.execute("DELETE FROM worker WHERE id = ? AND service = ?", [name, service])
            connection.executemany(
                "INSERT INTO worker VALUES (?, ?, ?, ?, ?)",
                [(name, service, workflow, count, now) for workflow, count in active.items()],
            )

    def record_dropped(self, reason: str, spans: int) -> None:
        """Count spans that were lost before they could be stored, and why and when the last ones were."""
        with self.database.write() as connection:
            connection.execute(
                "INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET spans = spans + excluded.spans, "
                "last_ns = excluded.last_ns",
                [reason, spans, self._clock()],
            )

    def close(self) -> None:
        """Close the connections of this thread; the next use opens them again."""
        self.database.close()

    def __enter__(self) -> TelemetryStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_borders(connection: sqlite3.Connection) -> Borders:
    """Return from when on the finer roll-ups are kept."""
    rows = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('folded_10s', 'folded_1m')").fetchall())
    return Borders(int(rows.get("folded_10s", 0)), int(rows.get("folded_1m", 0)))


def _rejections(batch: Batch) -> tuple[Rejection, ...]:
    return tuple(Rejection(*item) for item in sorted(batch.rejected.items(), key=lambda item: -item[1]))


def _refuse_sealed(connection: sqlite3.Connection, batch: Batch) -> None:
    """Take out spans of days whose rows were dropped: they could be counted twice."""
    sealed = {row[0] for row in connection.execute("SELECT day FROM sealed_day")}
    if not sealed:
        return
    for trace_id, entries in list(batch.traces.items()):
        kept = [entry for entry in entries if entry.span.bucket // BUCKETS_A_DAY not in sealed]
        if len(kept) < len(entries):
            batch.reject("sealed day", len(entries) - len(kept))
            batch.traces[trace_id] = kept
            if not kept:
                del batch.traces[trace_id]


def _first_of_each(entries: Sequence[Incoming], seen: set[int]) -> list[Incoming]:
    """Return the entries whose span is not in `seen`, the first of each id; `seen` grows."""
    new = []
    for entry in entries:
        if entry.span.span_id not in seen:
            seen.add(entry.span.span_id)
            new.append(entry)
    return new


def _store_payloads(
    connection: sqlite3.Connection,
    fresh: Mapping[bytes, tuple[int, list[Incoming]]],
    requests: Sequence[ExportTraceServiceRequest],
    bodies: list[bytes],
    batch: Batch,
    receipt: Receipt,
) -> dict[int, int]:
    """Store the requests that brought something new, cut down to what is new; return their payload ids."""
    positions: dict[int, set[int]] = {}
    for _, entries in fresh.values():
        for entry in entries:
            positions.setdefault(entry.request, set()).add(entry.position)
    ids: dict[int, int] = {}
    for request, kept in positions.items():
        whole = len(kept) == batch.span_counts[request]
        body = bodies[request] if whole else compress(only(requests[request], kept))
        cursor = connection.execute(
            "INSERT INTO payload (received_ns, live, spans, body) VALUES (?, ?, ?, ?)",
            [receipt.received_ns, receipt.live, len(kept), body],
        )
        ids[request] = int(cursor.lastrowid or 0)
    return ids


def _orphaned(spans: list[Span]) -> tuple[list[Span], list[Span]]:
    """Return the spans with those marked whose parent is missing, and the marked ones alone."""
    known = {span.span_id for span in spans}
    result, orphans = [], []
    for span in spans:
        if span.parent_id is not None and span.parent_id not in known and not span.flags & (REMOTE_PARENT | ORPHAN):
            span = span._replace(flags=span.flags | ORPHAN)  # noqa: PLW2901 - the marked one takes its place
            orphans.append(span)
        result.append(span)
    return result, orphans


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
