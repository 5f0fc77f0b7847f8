"""How long an overview of 24 hours takes, however many spans they hold, beside the same answer read from the spans."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.sample import START_NS, llm_requests
from benchmarks.table import Table
from ihobs.clock import DAY_NS, MINUTE_NS
from ihobs.model import MetricsResult
from ihobs.store.home import Home
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

SPANS = [int(text) for text in os.environ.get("IHOBS_BENCH_SPANS", "100000,1000000").split(",")]
KEPT = os.environ.get("IHOBS_BENCH_KEPT")
"""A directory for the homes, which are used again the next time; None: they are made anew."""

BATCH = 2_000
NOW_NS = START_NS // DAY_NS * DAY_NS + 2 * DAY_NS - 37 * MINUTE_NS  # not at a full hour: the ragged ends count too

NOTE = """\
Milliseconds, spans spread evenly over 24 hours and folded as the duties process does. *Overview* is everything that
`ihobs metrics --window 24h` shows, *grouped* the same by model and node. *Warm* is the median of 20 queries on an open
connection; *cold* is the first one of a new connection after the kernel was told to drop the file from memory.
*From the spans* computes runs, tokens, cost and an exact p95 by one scan of the span rows in the same database, warm:
what a store without roll-ups does at best. Goals: 5 ms warm at 1 M spans, 100 ms cold and 10 ms warm at 10 M
(`IHOBS_BENCH_SPANS=10000000` measures that; it takes a quarter of an hour, and `IHOBS_BENCH_KEPT=DIRECTORY` keeps the
home for the next time)."""


def run() -> Table:
    columns = ("spans in 24 h", "overview warm", "cold", "grouped warm", "cold", "from the spans", "of the overview")
    return Table("A query over 24 hours, ms", NOTE, columns, [_row(spans) for spans in SPANS])


def _row(spans: int) -> list[str]:
    with tempfile.TemporaryDirectory() as temporary:
        home = Home.open(Path(KEPT or temporary, f"home-{spans}"), create=True)
        with TelemetryStore(home, clock=lambda: NOW_NS) as store:
            if not metrics(store.database, start_ns=0, end_ns=2**62).groups:
                _fill(store, spans)
            counted = _overview(store).groups[0].counters.spans
            if counted != spans:
                raise AssertionError(f"{counted} of {spans} spans in the window")
            overview, grouped = _warm_ms(lambda: _overview(store)), _warm_ms(lambda: _grouped(store))
            scan = _warm_ms(lambda: _scan(store), rounds=3)
            cold = [_cold_ms(home, query) for query in (_overview, _grouped)]
    times = [f"{ms:,.1f}" for ms in (overview, cold[0], grouped, cold[1], scan)]
    return [f"{spans:,}", *times, f"{scan / overview:,.0f} x"]


def _fill(store: TelemetryStore, spans: int) -> None:
    """Store `spans` spans whose ends are spread over the 24 hours before NOW_NS."""
    step_ns = (DAY_NS - MINUTE_NS) // spans
    for first in range(0, spans, BATCH):
        requests = llm_requests(min(BATCH, spans - first), batch=BATCH)
        for number, span in enumerate(_each(requests), first):
            duration_ns = span.end_time_unix_nano - span.start_time_unix_nano
            span.trace_id = (number // 8 + 1).to_bytes(16)
            span.end_time_unix_nano = NOW_NS - DAY_NS + MINUTE_NS + number * step_ns
            span.start_time_unix_nano = span.end_time_unix_nano - duration_ns
        store.ingest_many(requests, live=False)
    store.maintain()


def _each(requests: list[ExportTraceServiceRequest]) -> Iterator:
    return (
        span for request in requests for resource in request.resource_spans for scope in resource.scope_spans
        for span in scope.spans
    )  # fmt: skip


def _overview(store: TelemetryStore) -> MetricsResult:
    return metrics(store.database, start_ns=NOW_NS - DAY_NS, end_ns=NOW_NS)


def _grouped(store: TelemetryStore) -> MetricsResult:
    return metrics(store.database, start_ns=NOW_NS - DAY_NS, end_ns=NOW_NS, by=("model", "node"))


def _scan(store: TelemetryStore) -> tuple:
    """Return what the overview says, from the span rows."""
    with store.database.read() as connection:
        rows = connection.execute(
            "SELECT flags & 256, input_tokens, output_tokens, cost_nano_usd, duration_ns FROM span WHERE bucket >= ?",
            [(NOW_NS - DAY_NS) // 10_000_000_000],
        ).fetchall()
    runs = sorted(duration for run, *_, duration in rows if run)
    tokens = sum((row[1] or 0) + (row[2] or 0) for row in rows)
    return len(runs), tokens, sum(row[3] or 0 for row in rows), runs[len(runs) * 95 // 100]


def _warm_ms(query: Callable[[], object], *, rounds: int = 20) -> float:
    query()
    return statistics.median(_ms(query) for _ in range(rounds))


def _cold_ms(home: Home, query: Callable[[TelemetryStore], object]) -> float:
    path = home.database("telemetry")
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    with TelemetryStore(home, clock=lambda: NOW_NS) as store:
        return _ms(lambda: query(store))


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000
