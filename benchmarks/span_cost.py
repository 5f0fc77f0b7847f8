"""What a span costs the program that is watched: in the caller's thread, and in its whole process.

Measured in processes of their own: `python -m benchmarks.span_cost SINK WAY...` prints JSON.
"""

import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from benchmarks.sample import llm_attributes
from benchmarks.table import Table
from ihobs.guard import guard

ROUNDS = 5
SMALL_BURST, SMALL_BURSTS = 96, 100
"""A small burst ends before the exporters' own threads wake up, so that the caller is measured alone."""

LARGE_BURST, LARGE_BURSTS = 1000, 5
SPANS_A_TRACE = 8

NOTE = """\
Microseconds a span of 12 attributes, given when the span starts; traces of 8 spans, one around the others. *Caller* is
processor time of the thread that makes the spans: all ways take turns in one process, bursts of 96, the median.
*Process* is that of all threads until everything is delivered, to a sink on the same machine over OTLP/HTTP, or
redacted, committed and counted in the home: a process for each way, 5 bursts of 1 000, the best of 5 runs. The limit of
the caller is an SDK whose processor only puts spans into a list: whatever delivers them later must keep them. That of
the process is the SDK's own way out, OTLP/HTTP. Goals: 2 us added in the caller, 1.1 times SDK + OTLP/HTTP in the
process, 30 us for our decorator."""

WAYS = {
    "sdk": "SDK alone, spans thrown away",
    "list": "SDK + a list",
    "otlp": "SDK + OTLP/HTTP exporter",
    "ihobs": "SDK + ihobs",
    "llm": "`with ihobs.llm(...)`, same attributes",
}

Start = Callable[[dict], AbstractContextManager[object]]
"""Starts a span with these attributes; it ends with the block."""


def run() -> Table:
    with local_sink() as url:
        callers = _measured(url, *WAYS)
        runs = [{way: _measured(url, way)[way] for way in WAYS} for _ in range(ROUNDS)]
    processes = {way: min(each[way] for each in runs) for way in WAYS}
    rows = []
    for way, label in WAYS.items():
        added = "" if way in ("sdk", "list") else f"{callers[way] - callers['list']:+.1f}"
        ratio = "" if way in ("sdk", "list") else f"{processes[way] / processes['otlp']:.2f}"
        rows.append([label, f"{callers[way]:.1f}", added, f"{processes[way]:.1f}", ratio])
    columns = ("way", "caller", "beside a list", "process", "of SDK + OTLP/HTTP")
    return Table("A span in the program that is watched, us", NOTE, columns, rows)


@contextlib.contextmanager
def local_sink() -> Iterator[str]:
    """Run an HTTP server that forgets what it is sent; yield the URL for traces."""
    sink = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{sink.server_address[1]}/v1/traces"
    finally:
        sink.shutdown()


class _Sink(BaseHTTPRequestHandler):
    """Takes what is posted and forgets it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _measured(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.span_cost", *arguments]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return answer


def measure_callers(ways: list[str], sink: str, home: Path) -> dict[str, float]:
    """Return the median cost of a span in the calling thread, in us, for ways that take turns."""
    made = {way: set_up(way, sink, home) for way in ways}
    attributes = _attributes(SMALL_BURST)
    taken_ns: dict[str, list[int]] = {way: [] for way in ways}
    for _ in range(SMALL_BURSTS):
        for way, (start, flush) in made.items():
            taken_ns[way].append(_burst(start, attributes))
            flush()
    return {way: statistics.median(each) / SMALL_BURST / 1000 for way, each in taken_ns.items()}


def measure_process(way: str, sink: str, home: Path) -> dict[str, float]:
    """Return the cost of a span in all threads until it is delivered, in us."""
    start, flush = set_up(way, sink, home)
    attributes = _attributes(LARGE_BURST)
    _burst(start, attributes)  # imports, threads, connections, the schema
    flush()
    start_ns = time.process_time_ns()
    for _ in range(LARGE_BURSTS):
        _burst(start, attributes)
        flush()
    return {way: (time.process_time_ns() - start_ns) / LARGE_BURST / LARGE_BURSTS / 1000}


def _attributes(count: int) -> list[dict]:
    chance = random.Random(3)
    return [llm_attributes(chance) for _ in range(count)]


def _burst(start: Start, attributes: list[dict]) -> int:
    start_ns = time.thread_time_ns()
    for first in range(0, len(attributes), SPANS_A_TRACE):
        outer, *inner = attributes[first : first + SPANS_A_TRACE]
        with start(outer):
            for each in inner:
                with start(each):
                    pass
    return time.thread_time_ns() - start_ns


class _List(SpanProcessor):
    """Keeps spans, and forgets them when asked to deliver them."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self._spans.clear()
        return timeout_millis > 0


def set_up(way: str, sink: str, home: Path) -> tuple[Start, Callable[[], None]]:
    """Return what starts a span, and what waits until all are delivered."""
    if way in ("ihobs", "llm"):
        return set_up_ihobs(way, home)
    provider = TracerProvider()
    if way == "list":
        provider.add_span_processor(_List())
    elif way == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=sink), max_queue_size=2 * LARGE_BURST))
    return _starter(provider.get_tracer("benchmark")), lambda: _check(provider.force_flush(60_000))


def set_up_ihobs(way: str, home: Path) -> tuple[Start, Callable[[], None]]:
    import ihobs

    handle = ihobs.instrument(home=home, service="benchmark")

    def start_llm(attributes: dict) -> AbstractContextManager[object]:
        return ihobs.llm("chat", attributes=attributes)

    start = start_llm if way == "llm" else _starter(trace.get_tracer("benchmark"))
    return start, lambda: _check(handle.enabled and handle.flush(60) and not guard.errors)


def _starter(tracer: trace.Tracer) -> Start:
    def start(attributes: dict) -> AbstractContextManager[object]:
        return tracer.start_as_current_span("chat", attributes=attributes)

    return start


def _check(delivered: bool) -> None:
    if not delivered:
        raise AssertionError("not everything was delivered")


def stored_spans(home: Path) -> int:
    """Return how many spans of a home can be queried."""
    from ihobs.store.home import Home
    from ihobs.store.query import metrics
    from ihobs.store.telemetry import TelemetryStore

    with TelemetryStore(Home.open(home)) as store:
        return sum(group.counters.spans for group in metrics(store.database, start_ns=0, end_ns=2**62).groups)


def main(sink: str, *ways: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        measured = (
            measure_callers(list(ways), sink, Path(name)) if ways[1:] else measure_process(*ways, sink, Path(name))
        )
        print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
