"""The telemetry database of a home: the one way in, and its upkeep.

Requests become payloads, rows and signed deltas in one transaction. A commit is the acknowledgement. A span that
is known already is not stored and not counted again; of a request that is known in part, only the new spans are
stored.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from ihobs.clock import DAY_NS, HOUR_NS, SECOND_NS, Clock, now_ns
from ihobs.courtesy import Pause, no_pause
from ihobs.redact.logs import protect_log
from ihobs.redact.policy import Policy
from ihobs.spans.batch import read_batch
from ihobs.spans.dialects import shipped_dialects
from ihobs.spans.normalise import Receipt
from ihobs.spans.span import Shape
from ihobs.store.arrivals import forget_arrivals
from ihobs.store.change import Change, read_borders, write_borders
from ihobs.store.dropped import count_lost
from ihobs.store.ingest import Delivery, IngestResult, rejections, store_delivery
from ihobs.store.logs import LogStore
from ihobs.store.notices import write_notices
from ihobs.store.numbers import Numbers
from ihobs.store.payloads import compress
from ihobs.store.pricing import PriceBook, by_model, write_origin
from ihobs.store.redaction import redactor_for
from ihobs.store.repricing import Repriced, begin, next_step, take
from ihobs.store.retention import Retention, forget_some, give_back
from ihobs.store.rollups import fold
from ihobs.store.schema import open_telemetry
from ihobs.store.series import SeriesNumbers
from ihobs.store.sweep import find_unused, remove_unused
from ihobs.store.upkeep import anything_waits, settle_some

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from ihobs.redact.message import Redactor
    from ihobs.spans.dialects import Dialects
    from ihobs.spans.price import Price
    from ihobs.store.home import Home
    from ihobs.store.pricing import Rates

Answer = TypeVar("Answer")

ORPHAN_AFTER_NS = 30 * SECOND_NS
"""How long after its last span a trace waits for ancestors that are missing."""

FOREVER_NS = 2**62


class TelemetryStore:
    """Spans and their numbers in one home. Safe for threads and forks; cheap to make.

    Attributes:
        logs: the log records of the same database.
    """

    def __init__(
        self,
        home: Home,
        *,
        clock: Clock = now_ns,
        retention: Retention | None = None,
        dialects: Dialects | None = None,
        redactor: Redactor | None = None,
        pause: Pause = no_pause,
    ) -> None:
        protect_log()
        self.home = home
        self.database = open_telemetry(home)
        self._clock, self._pause = clock, pause
        self._retention = retention or Retention()
        self._dialects = dialects or shipped_dialects()
        self._redactor = redactor or redactor_for(home, Policy(), self._dialects)
        self.logs = LogStore(self.database, self._redactor, clock=clock)
        self._shapes: Numbers[Shape] = Numbers("shape", Shape)
        self._series = SeriesNumbers()
        self._prices = PriceBook()
        self._seen: tuple[int, str] = (0, "")
        self._swept_day = 0

    def ingest(self, request: ExportTraceServiceRequest, *, live: bool = True) -> IngestResult:
        """Store and count the spans of one request; see `ingest_many`."""
        return self.ingest_many([request], live=live)

    def ingest_many(self, requests: Sequence[ExportTraceServiceRequest], *, live: bool = True) -> IngestResult:
        """Store and count the spans of `requests` in one transaction.

        Args:
            requests: what came in; redacted in place.
            live: from a running program. Imported spans (False) count in their own minute and raise no alert.

        Raises:
            StoreUnavailableError: nothing of it was stored.
        """
        receipt = Receipt(self._clock(), live)
        batch = read_batch(requests, self._dialects, receipt, self._redactor, self._pause)
        if not batch.traces and not (batch.rejected and live):
            return IngestResult(rejections=rejections(batch))
        delivery = Delivery(requests, [compress(request) for request in requests], batch, receipt)

        def store(change: Change) -> IngestResult:
            result = store_delivery(change, delivery)
            for rejection in result.rejections if live else ():  # whoever imports is told at once
                count_lost(change.connection, f"refused: {rejection.reason}", rejection.count, receipt.received_ns)
            return result

        return self._change(store)

    def settle(self, *, everything: bool = False) -> int:
        """Count what waits for ancestors that do not come: those spans are orphans now.

        Args:
            everything: at once, as at the end of an import; else only traces that were quiet for 30 s.

        Returns:
            How many spans became orphans.
        """
        before_ns = FOREVER_NS if everything else self._clock() - ORPHAN_AFTER_NS
        with self.database.read() as connection:
            if not anything_waits(connection, before_ns):
                return 0
        orphans = 0
        while True:
            settled = self._change(lambda change: settle_some(change, before_ns))
            orphans += settled.orphans
            if not settled.more:
                return orphans

    def add_prices(self, prices: Sequence[Price]) -> int:
        """Let the models of `prices` cost that, and what is stored of them too; return how many calls changed."""
        self.replace_prices(by_model(prices))
        return self.reprice()

    def replace_prices(self, rates: Rates, *, since_ns: int = 0, origin: str = "") -> None:
        """Let models cost what `rates` says, for calls that began at `since_ns` or later.

        It holds for what comes in from now on; `reprice` brings it to what is stored.

        Args:
            rates: all prices of each model; none: it has no price.
            since_ns: before it, the prices that they had stay.
            origin: the version of the price list that the table follows now, or an empty string.
        """

        def apply(change: Change) -> None:
            if rates:
                priced_before = change.prices.replace(change.connection, rates, since_ns)
                begin(change.connection, rates.keys(), priced_before, since_ns)
            if origin:
                write_origin(change.connection, origin)

        self._change(apply)

    def reprice(self) -> int:
        """Price all stored calls anew whose prices were replaced; return how many cost something else now."""
        calls = 0
        while (done := self.reprice_some()) is not None:
            calls += done.calls
        return calls

    def reprice_some(self) -> Repriced | None:
        """Take the next step of that in a transaction of its own; return None when there is none."""
        with self.database.read() as connection:
            step = next_step(connection)
        return None if step is None else self._change(lambda change: take(change, step))

    def maintain(self) -> None:
        """Fold roll-ups and forget what is too old; returns quickly when there is nothing to do."""
        now = self._clock()
        with self.database.write() as connection:
            write_borders(connection, fold(connection, now, read_borders(connection)))
            forget_arrivals(connection, now)
            connection.execute("DELETE FROM worker WHERE heartbeat_ns < ?", [now - DAY_NS])
        while True:
            with self.database.write() as connection:
                removed = forget_some(connection, now, self._retention)
            with self.database.write() as connection:
                more = give_back(connection)
            if not removed and not more:
                break
        if now // DAY_NS > self._swept_day:
            self._sweep(now)
            self._swept_day = now // DAY_NS

    def _sweep(self, now_ns: int) -> None:
        """Remove what nothing refers to; looked for before the transaction, as it may take seconds."""
        with self.database.read() as connection:
            unused = find_unused(connection)
        if any(unused):
            with self.database.write() as connection:
                remove_unused(connection, unused, now_ns - HOUR_NS)

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

    def note(self, service: str, noticed: Mapping[str, str]) -> None:
        """Keep what a program notices of itself, replacing what it noticed before; see `ihobs.store.notices`."""
        write_notices(self.database, service, noticed, self._clock())

    def record_dropped(self, reason: str, spans: int) -> None:
        """Count spans that were lost before they could be stored, and why and when the last ones were."""
        with self.database.write() as connection:
            count_lost(connection, reason, spans, self._clock())

    def close(self) -> None:
        """Close the connections of this thread; the next use opens them again."""
        self.database.close()

    def __enter__(self) -> TelemetryStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _change(self, body: Callable[[Change], Answer]) -> Answer:
        """Run `body` in a transaction, keeping what is remembered of the database in step with it."""
        with self.database.alone():
            try:
                with self.database.write() as connection:
                    self._refresh(connection)
                    change = Change(connection, self._shapes, self._series, self._prices, pause=self._pause)
                    answer = body(change)
                    change.finish()
            except BaseException:
                self._shapes.rolled_back()
                self._series.rolled_back()
                self._prices.forget()
                raise
            self._shapes.committed()
            self._series.committed()
        return answer

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
