"""How many spans a second become committed and queryable, beside what cannot be done without."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from benchmarks.sample import count, llm_requests, real_requests, spans_of
from benchmarks.table import Table, best_s
from ihobs.spans.decode import read_file
from ihobs.store.home import Home
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

COMMIT_SPANS = 1000
NOTE = """\
One thread, processor time, the best of several runs, 1 000 spans a commit with `synchronous=FULL`. *Parse* is protobuf
alone; *walk* also puts every attribute into a Python tuple; *rows* is `executemany` of rows as wide as ihobs' span
index into an empty table; *limit* is walk and rows, one after the other: no store in Python that looks at attributes
and keeps an index can do with less. *ihobs* parses, normalises, compresses the payload, inserts, counts facts, roll-ups
and histograms, and commits; that all spans can be queried is asserted. *From JSON* reads a file of OTLP/JSON lines as
`ihobs import` does. Goal: 20 000 spans/s from protobuf."""


def run() -> Table:
    samples = {
        "LLM spans of 12 attributes": llm_requests(10_000, batch=100),
        "any-agent (real)": real_requests("any-agent.otlp.pb.gz", copies=5),
        "tau2 (real)": real_requests("tau2.otlp.jsonl.gz", copies=1),
    }
    columns = ("spans", "parse", "walk", "rows", "limit", "ihobs", "of the limit", "from JSON")
    return Table("Ingest, spans/s", NOTE, columns, [_row(name, each) for name, each in samples.items() if each])


def _row(name: str, requests: list[ExportTraceServiceRequest]) -> list[str]:
    total = count(requests)
    bodies = [request.SerializeToString() for request in requests]
    groups = list(_groups(bodies, [count([request]) for request in requests]))
    rows = list(_index_rows(requests))
    parse_s = best_s(lambda: [ExportTraceServiceRequest.FromString(body) for body in bodies])
    walk_s = best_s(lambda: [_walk(ExportTraceServiceRequest.FromString(body)) for body in bodies])
    rows_s = best_s(lambda: _insert(rows))
    ihobs_s = best_s(lambda: _ingest(groups, total), rounds=3)
    json_s = best_s(_json_import(requests, total), rounds=2)
    limit_s = walk_s + rows_s
    rates = [f"{total / seconds:,.0f}" for seconds in (parse_s, walk_s, rows_s, limit_s, ihobs_s)]
    return [name, *rates, f"{limit_s / ihobs_s:.0%}", f"{total / json_s:,.0f}"]


def _walk(request: ExportTraceServiceRequest) -> list[list[tuple[str, object]]]:
    """Return the attributes of each span, as whoever wants to know a span's model must read them."""
    return [[_pair(attribute) for attribute in span.attributes] for span in spans_of(request)]


def _pair(attribute: KeyValue) -> tuple[str, object]:
    value = attribute.value
    name = value.WhichOneof("value")
    return attribute.key, getattr(value, name) if name else None


def _groups(bodies: list[bytes], sizes: list[int]) -> Iterator[list[bytes]]:
    """Gather requests for commits of about COMMIT_SPANS spans."""
    group: list[bytes] = []
    spans = 0
    for body, size in zip(bodies, sizes, strict=True):
        group.append(body)
        spans += size
        if spans >= COMMIT_SPANS:
            yield group
            group, spans = [], 0
    if group:
        yield group


def _ingest(groups: list[list[bytes]], total: int) -> None:
    with _store() as store:
        for group in groups:
            store.ingest_many([ExportTraceServiceRequest.FromString(body) for body in group], live=False)
        _assert_queryable(store, total)


def _json_import(requests: list[ExportTraceServiceRequest], total: int) -> Callable[[], None]:
    """Return what imports a file of JSON lines; the file is written before."""
    directory = tempfile.TemporaryDirectory()
    path = Path(directory.name, "spans.jsonl")
    path.write_text("".join(json_format.MessageToJson(each, indent=None) + "\n" for each in requests))

    def work() -> None:
        with _store() as store:
            group: list[ExportTraceServiceRequest] = []
            spans = 0
            for chunk in read_file(path):
                group.append(chunk.request)
                spans += count([chunk.request])
                if spans >= COMMIT_SPANS:
                    store.ingest_many(group, live=False)
                    group, spans = [], 0
            store.ingest_many(group, live=False)
            _assert_queryable(store, total)

    work.directory = directory  # type: ignore[attr-defined] - lives as long as the work
    return work


def _assert_queryable(store: TelemetryStore, total: int) -> None:
    store.settle(everything=True)  # spans whose parents are not in the file
    found = sum(group.counters.spans for group in metrics(store.database, start_ns=0, end_ns=2**62).groups)
    if found != total:
        raise AssertionError(f"{found} of {total} spans can be queried")


@contextmanager
def _store() -> Iterator[TelemetryStore]:
    with tempfile.TemporaryDirectory() as directory:
        home = Home.open(Path(directory, "home"), create=True)
        with TelemetryStore(home) as store:
            yield store


def _index_rows(requests: list[ExportTraceServiceRequest]) -> Iterator[tuple[object, ...]]:
    """Return rows of 16 columns, as ihobs' span index has."""
    traces: dict[bytes, int] = {}
    for span in (span for request in requests for span in spans_of(request)):
        number = traces.setdefault(span.trace_id, len(traces))
        ids = (number, int.from_bytes(span.span_id, signed=True), int.from_bytes(span.parent_span_id, signed=True))
        start_ns = span.start_time_unix_nano
        yield (*ids, 1, start_ns, span.end_time_unix_nano - start_ns, start_ns // 10**10, 1, 0, 9, 9, 9, 9, 9, 9, 1)


def _insert(rows: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        connection = sqlite3.connect(Path(directory, "rows.db"), isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        columns = ", ".join(f"c{index}" for index in range(2, 16))
        connection.execute(f"CREATE TABLE span (c0, c1, {columns}, PRIMARY KEY (c0, c1)) WITHOUT ROWID")
        insert = f"INSERT INTO span VALUES ({', '.join('?' * 16)})"
        for start in range(0, len(rows), COMMIT_SPANS):
            connection.execute("BEGIN")
            connection.executemany(insert, rows[start : start + COMMIT_SPANS])
            connection.execute("COMMIT")
        connection.close()
