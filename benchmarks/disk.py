"""How many bytes a span takes on disk, beside what its payload alone takes."""

import gzip
import tempfile
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.sample import count, llm_requests, real_requests
from benchmarks.table import Table
from ihobs.store.home import Home
from ihobs.store.payloads import compress
from ihobs.store.telemetry import TelemetryStore

NOTE = """\
Bytes a span. *OTLP* is the protobuf as it came; *gzip -6* and *zstd* are the same, compressed a request: zstd is what
the payload takes, and the limit of what can be kept whole. *ihobs* is the whole database: payload, span index,
traces, series, roll-ups and histograms. Goal: below 300 with batches of 100 spans and more."""


def run() -> Table:
    samples = {f"LLM spans, batches of {batch}": llm_requests(10_000, batch=batch) for batch in (10, 100, 1000)}
    samples["any-agent (real), a trace a request"] = real_requests("any-agent.otlp.pb.gz", copies=5)
    samples["tau2 (real), a trace a request"] = real_requests("tau2.otlp.jsonl.gz", copies=1)
    columns = ("spans", "OTLP", "gzip -6", "zstd", "ihobs", "beside the payload")
    return Table("Disk, bytes a span", NOTE, columns, [_row(name, each) for name, each in samples.items() if each])


def _row(name: str, requests: list[ExportTraceServiceRequest]) -> list[str]:
    spans = count(requests)
    raw = sum(request.ByteSize() for request in requests)
    gzipped = sum(len(gzip.compress(request.SerializeToString(), 6)) for request in requests)
    payload = sum(len(compress(request)) for request in requests)
    stored = _database_bytes(requests)
    sizes = [f"{size / spans:,.0f}" for size in (raw, gzipped, payload, stored)]
    return [name, *sizes, f"{(stored - payload) / spans:,.0f}"]


def _database_bytes(requests: list[ExportTraceServiceRequest]) -> int:
    with tempfile.TemporaryDirectory() as directory:
        home = Home.open(Path(directory, "home"), create=True)
        with TelemetryStore(home) as store:
            for request in requests:
                store.ingest(request, live=False)
            store.settle(everything=True)
            with store.database.read() as connection:
                pages = connection.execute("PRAGMA page_count").fetchone()[0]
                return int(pages * connection.execute("PRAGMA page_size").fetchone()[0])
