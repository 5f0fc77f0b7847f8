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

from benchmarks.sample import REPOSITORY, llm_requests, spans_of
from benchmarks.table import Table

SPANS = 10_000
BATCH = 100
CLIENTS = (1, 4, 16)
OVERLOAD_CLIENTS, OVERLOAD_BATCH, OVERLOAD_REQUESTS = 48, 1000, 3
NOTE = f"""\
`ihobs serve` as a process of its own, with its duties; clients are threads of one other process, each with a
connection that it keeps, which send protobuf of {BATCH} LLM spans of 12 attributes (78 kB) and wait for the answer,
that is for the commit. *bare* is the same HTTP server with nothing behind it but the parser: it keeps no span.
Wall-clock time on a machine whose processors the clients share; *of its processor* is spans for a second of the
server's processor time, which depends less on what else runs. *p50* and *p99* are of a request. *At half load*: so many
clients send at fixed times, together half of the spans/s of the line. *RSS* is the server's, at most. *overload*:
{OVERLOAD_CLIENTS} clients send {OVERLOAD_BATCH} spans a request, more than may wait; spans/s are those that were taken,
*refused* is the part of the requests that were answered 429. Goals: 15 000 spans/s by one process, p99 < 50 ms at half
load, < 150 MB after 100 000 spans."""
COLUMNS = (
    "clients",
    "spans/s",
    "of its processor",
    "p50 ms",
    "p99 ms",
    "p50 ms at half load",
    "p99 ms at half load",
    "refused",
    "RSS MB",
)
BARE = (sys.executable, "-m", "benchmarks.bare_receiver")


@dataclass(frozen=True)
class Line:
    """What so many clients saw: `took_s` of the requests that were taken, and how many were refused."""

    spans_per_s: float
    took_s: Sequence[float]
    refused: int = 0


@dataclass(frozen=True)
class Load:
    """What clients send: each at its time when there is a rate (spans/s), late ones at once."""

    bodies: Sequence[bytes]
    clients: int
    batch: int = BATCH
    rate: float | None = None


def run() -> Table:
    rows = [_steady(str(clients), clients, None) for clients in CLIENTS]
    rows += [_steady(f"{clients}, bare", clients, BARE) for clients in CLIENTS]
    return Table("Receiver", NOTE, COLUMNS, [*rows, _overload()])


def _steady(name: str, clients: int, command: Sequence[str] | None) -> list[str]:
    """Return the line of clients that wait for their answers, at ihobs or at another server."""
    with _server(command) as (port, process):
        if command is None:
            _warm_up(port)
        before_s = _processor_s(process)
        full = _send(port, Load(_bodies(clients), clients))
        per_s = SPANS / (_processor_s(process) - before_s)
        half = _send(port, Load(_bodies(clients + 100), clients, rate=full.spans_per_s / 2))
        rates = [f"{full.spans_per_s:,.0f}", f"{per_s:,.0f}"]
        return [name, *rates, *_cuts(full), *_cuts(half), "0 %", f"{_peak_mb(process):.0f}"]


def _overload() -> list[str]:
    """Return the line of more clients than ihobs can serve, which do not come back when they are refused."""
    requests = OVERLOAD_CLIENTS * OVERLOAD_REQUESTS
    with _server(None) as (port, process):
        _warm_up(port)
        before_s = _processor_s(process)
        bodies = _bodies(500, OVERLOAD_BATCH, requests * OVERLOAD_BATCH)
        line = _send(port, Load(bodies, OVERLOAD_CLIENTS, OVERLOAD_BATCH))
        per_s = len(line.took_s) * OVERLOAD_BATCH / (_processor_s(process) - before_s)
        rates = [f"{line.spans_per_s:,.0f}", f"{per_s:,.0f}"]
        refused = f"{line.refused / requests:.0%}".replace("%", " %")
        name = f"{OVERLOAD_CLIENTS}, overload"
        return [name, *rates, *_cuts(line), "", "", refused, f"{_peak_mb(process):.0f}"]


def _peak_mb(process: psutil.Process) -> float:
    """Return the most memory that a process had, where the system tells it, else what it has."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e6
    return process.memory_info().rss / 1e6


def _warm_up(port: int) -> None:
    """Send some spans and wait until the duties have looked up the price of their models: that happens once."""
    _send(port, Load(_bodies(1000)[:10], 1))
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


def _bodies(seed: int, batch: int = BATCH, spans: int = SPANS) -> list[bytes]:
    """Return requests whose spans end now, under ids that no other seed has."""
    requests = llm_requests(spans, batch=batch)
    last_ns = max(span.end_time_unix_nano for request in requests for span in spans_of(request))
    forward_ns = time.time_ns() - last_ns
    for request in requests:
        for span in spans_of(request):
            span.trace_id = seed.to_bytes(2) + span.trace_id[2:]
            span.start_time_unix_nano += forward_ns
            span.end_time_unix_nano += forward_ns
    return [request.SerializeToString() for request in requests]


@contextlib.contextmanager
def _server(command: Sequence[str] | None) -> Iterator[tuple[int, psutil.Process]]:
    """Run ihobs, or the command of another server that says where it listens, too."""
    with tempfile.TemporaryDirectory() as directory:
        ihobs = (sys.executable, "-m", "ihobs", "--home", str(Path(directory, "home")), "serve", "--port", "0")
        where = directory if command is None else REPOSITORY
        with subprocess.Popen(command or ihobs, cwd=where, stdout=subprocess.PIPE, text=True) as server:
            port = int(re.search(r":(\d+)$", server.stdout.readline().strip())[1])
            try:
                yield port, psutil.Process(server.pid)
            finally:
                server.terminate()


def _send(port: int, load: Load) -> Line:
    """Send all bodies, and return how it went."""
    shares = [load.bodies[index :: load.clients] for index in range(load.clients)]
    pause_s = load.clients * load.batch / load.rate if load.rate else 0.0
    took_s: list[float] = []
    threads = [
        threading.Thread(target=_client, args=(port, share, pause_s, index / load.clients * pause_s, took_s))
        for index, share in enumerate(shares)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    return Line(len(took_s) * load.batch / seconds, took_s, len(load.bodies) - len(took_s))


def _client(port: int, bodies: Sequence[bytes], pause_s: float, offset_s: float, took_s: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    next_s = time.perf_counter() + offset_s
    for body in bodies:
        time.sleep(max(0.0, next_s - time.perf_counter()))
        began = time.perf_counter()
        connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == http.client.OK and not said:
            took_s.append(time.perf_counter() - began)
        elif answer.status != http.client.TOO_MANY_REQUESTS:
            raise AssertionError(answer.status)
        next_s += pause_s
    connection.close()


if __name__ == "__main__":
    print(run().markdown())
