"""How many stored spans a second are forwarded, beside the SDK's exporter posting the same bytes.

Measured in a process of its own: `python -m benchmarks.forward SINK` prints JSON.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from benchmarks.sample import REPOSITORY, llm_requests
from benchmarks.span_cost import local_sink
from benchmarks.table import Table
from ihobs.clock import now_ns
from ihobs.config import load
from ihobs.forward.destinations import Destination
from ihobs.forward.forwarding import Forwarding
from ihobs.redact.policy import Policy
from ihobs.spans.dialects import shipped_dialects
from ihobs.store.forwarding import Enrolment, backlogs, enrol
from ihobs.store.home import Home
from ihobs.store.redaction import redactor_for
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore

SPANS = 50_000
BATCH = 100
ROUNDS = 3
NOTE = f"""\
{SPANS:,} stored LLM spans of 12 attributes, in requests of {BATCH}, sent with gzip to a sink on the same machine that
answers at once. *SDK, posting only* is its OTLP/HTTP exporter given the bytes of the same requests, one after the
other, without the cost of encoding them; *in requests of 2 MiB* it is given them joined as ihobs joins them. *ihobs*
reads them from the database, joins, compresses, sends, reads the answers and moves its cursor. Processor time of the
sending process, the best of {ROUNDS} runs; in wall-clock time the sink shares this machine's processors. *RSS* is what
the process grew by."""
COLUMNS = ("way", "us a span", "against the SDK", "spans/s (wall)", "requests", "RSS + MB")


def run() -> Table:
    with local_sink() as url:
        command = [sys.executable, "-m", "benchmarks.forward", url]
        out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout
    found = json.loads(out)
    first = next(iter(found.values()))["us"]
    rows = [
        [
            way,
            f"{line['us']:.1f}",
            f"{line['us'] / first:.2f} x",
            f"{line['per_s']:,.0f}",
            f"{line['requests']:,}",
            f"{line['grown_mb']:.0f}",
        ]
        for way, line in found.items()
    ]
    return Table("Forwarding", NOTE, COLUMNS, rows)


class Sending:
    """A home with the spans, and the ways to send them."""

    def __init__(self, path: Path, sink: str) -> None:
        self.sink = sink
        home = Home.open(path, create=True)
        kept = redactor_for(home, Policy(content="keep"), shipped_dialects())
        self.store = TelemetryStore(home, redactor=kept)
        self.state = open_state(home)
        requests = llm_requests(SPANS, batch=BATCH)
        self.store.ingest_many(requests, live=False)
        self.bodies = [request.SerializeToString() for request in requests]
        self.exporter = OTLPSpanExporter(sink, compression=Compression.Gzip)

    def post(self, bodies: list[bytes]) -> int:
        for body in bodies:
            if not self.exporter._client.export(body).success:  # noqa: SLF001 - what `export` does after encoding
                raise AssertionError("the sink did not take it")
        return len(bodies)

    def joined(self) -> list[bytes]:
        size = 2 * 1024 * 1024 // len(self.bodies[0])
        return [b"".join(self.bodies[start : start + size]) for start in range(0, len(self.bodies), size)]

    def forward(self, destination: Destination) -> int:
        enrol(self.store.database, {destination.name: Enrolment("", from_beginning=True)})
        settings = load(environ={}).settings
        forwarding = Forwarding(
            self.store.home, self.store.database, self.state, settings, lambda _name, work: bool(work()), clock=now_ns
        )
        line = forwarding.forwarder(destination, lambda: False)
        while line.turn() is not None:
            pass
        line.close()
        [reached] = [one for one in backlogs(self.store.database) if one.name == destination.name]
        if reached.sent_spans != SPANS:
            raise AssertionError(reached)
        return len(self.joined())


def _measured(work: Callable[[], int]) -> dict[str, float]:
    process = psutil.Process()
    before = process.memory_info().rss
    began_s, began_wall = time.process_time(), time.perf_counter()
    requests = work()
    took_s, took_wall = time.process_time() - began_s, time.perf_counter() - began_wall
    grown = process.memory_info().rss - before
    return {"us": took_s / SPANS * 1e6, "per_s": SPANS / took_wall, "requests": requests, "grown_mb": grown / 1e6}


def _best(work: Callable[[int], int]) -> dict[str, float]:
    lines = [_measured(lambda number=number: work(number)) for number in range(ROUNDS)]
    best = min(lines, key=lambda line: line["us"])
    return {**best, "grown_mb": max(line["grown_mb"] for line in lines)}


def main(sink: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        sending = Sending(Path(directory, "home"), sink)
        there = Destination("there", sink)
        masked, langsmith = replace(there, content="mask"), replace(there, is_langsmith=True)
        sampled = replace(there, sample_ratio=1 - 1e-12)
        found = {
            "SDK, posting only": _best(lambda _: sending.post(sending.bodies)),
            "SDK, posting only, in requests of 2 MiB": _best(lambda _: sending.post(sending.joined())),
            "ihobs, as stored": _best(lambda number: sending.forward(replace(there, name=f"a{number}"))),
            "ihobs, sampled by trace": _best(lambda number: sending.forward(replace(sampled, name=f"s{number}"))),
            "ihobs, to LangSmith": _best(lambda number: sending.forward(replace(langsmith, name=f"l{number}"))),
            "ihobs, contents masked": _best(lambda number: sending.forward(replace(masked, name=f"m{number}"))),
        }
        sending.store.close()
        sending.state.close()
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        print(run().markdown())
