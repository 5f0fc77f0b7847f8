"""How many spans a second `ihobs serve` commits over HTTP, how long a request waits, and how much memory that takes."""

import contextlib
import http.client
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.sample import llm_requests, spans_of
from benchmarks.table import Table

SPANS = 10_000
BATCH = 100
CLIENTS = (1, 4, 16)
NOTE = f"""\
`ihobs serve` as a process of its own, with its duties; clients are threads of one other process, each with a
connection that it keeps, which send protobuf of {BATCH} LLM spans of 12 attributes (78 kB) and wait for the answer,
that is for the commit. Wall-clock time on a machine whose processors the clients share; *of its processor* is spans
for a second of the server's processor time, which depends less on what else runs. *p50* and *p99* are of a request.
*At half load*: so many clients send at fixed times, together half of the spans/s of the line. *RSS* is the server's,
after the line. Goals: 15 000 spans/s by one process, p99 < 50 ms at half load, < 150 MB after 100 000 spans."""
COLUMNS = (
    "clients",
    "spans/s",
    "of its processor",
    "p50 ms",
    "p99 ms",
    "p50 ms at half load",
    "p99 ms at half load",
    "RSS MB",
)


@dataclass(frozen=True)
class Line:
    spans_per_s: float
    took_s: Sequence[float]


def run() -> Table:
    rows = []
    for clients in CLIENTS:
        with _server() as (port, process):
            _warm_up(port)
            before_s = _processor_s(process)
            full = _send(port, _bodies(clients), clients, rate=None)
            per_s = SPANS / (_processor_s(process) - before_s)
            half = _send(port, _bodies(clients + 100), clients, rate=full.spans_per_s / 2)
            rss_mb = process.memory_info().rss / 1e6
        rows.append(
            [str(clients), f"{full.spans_per_s:,.0f}", f"{per_s:,.0f}", *_cuts(full), *_cuts(half), f"{rss_mb:.0f}"]
        )
    return Table("Receiver", NOTE, COLUMNS, rows)


def _warm_up(port: int) -> None:
    """Send some spans and wait until the duties have looked up the price of their models: that happens once."""
    _send(port, _bodies(1000)[:10], 1, rate=None)
    while any(float(line.split()[-1]) for line in _page(port) if line.startswith("ihobs_recent_unpriced_calls{")):
        time.sleep(0.1)


def _page(port: int) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text.splitlines()


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _cuts(line: Line) -> list[str]:
    cuts = statistics.quantiles(line.took_s, n=100)
    return [f"{cuts[49] * 1e3:.1f}", f"{cuts[98] * 1e3:.1f}"]


def _bodies(seed: int) -> list[bytes]:
    """Return requests whose spans end now, under ids that no other seed has."""
    requests = llm_requests(SPANS, batch=BATCH)
    last_ns = max(span.end_time_unix_nano for request in requests for span in spans_of(request))
    forward_ns = time.time_ns() - last_ns
    for request in requests:
        for span in spans_of(request):
            span.trace_id = seed.to_bytes(2) + span.trace_id[2:]
            span.start_time_unix_nano += forward_ns
            span.end_time_unix_nano += forward_ns
    return [request.SerializeToString() for request in requests]


@contextlib.contextmanager
def _server() -> Iterator[tuple[int, psutil.Process]]:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "ihobs", "--home", str(Path(directory, "home")), "serve", "--port", "0"]
        with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True) as server:
            port = int(re.search(r":(\d+)$", server.stdout.readline().strip())[1])
            try:
                yield port, psutil.Process(server.pid)
            finally:
                server.terminate()


def _send(port: int, bodies: Sequence[bytes], clients: int, rate: float | None) -> Line:
    """Send all bodies from so many threads; with a rate (spans/s), each at its time, late ones at once."""
    shares = [bodies[index::clients] for index in range(clients)]
    pause_s = clients * BATCH / rate if rate else 0.0
    took_s: list[float] = []
    threads = [
        threading.Thread(target=_client, args=(port, share, pause_s, index / clients * pause_s, took_s))
        for index, share in enumerate(shares)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Line(len(took_s) * BATCH / (time.perf_counter() - began), took_s)


def _client(port: int, bodies: Sequence[bytes], pause_s: float, offset_s: float, took_s: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    next_s = time.perf_counter() + offset_s
    for body in bodies:
        time.sleep(max(0.0, next_s - time.perf_counter()))
        began = time.perf_counter()
        connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
        answer = connection.getresponse()
        if answer.read() or answer.status != http.client.OK:
            raise AssertionError(answer.status)
        took_s.append(time.perf_counter() - began)
        next_s += pause_s
    connection.close()


if __name__ == "__main__":
    print(run().markdown())
