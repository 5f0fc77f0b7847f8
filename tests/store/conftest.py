import os
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import HOUR_NS, SECOND_NS
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore

NOW_NS = 1_800_000_000 * SECOND_NS


class SteppedClock:
    """A clock that moves only when told."""

    def __init__(self, now_ns=NOW_NS):
        self.now_ns = now_ns

    def __call__(self):
        return self.now_ns

    def forward(self, ns):
        self.now_ns += ns


class Build:
    """Makes OTLP requests in few words: times are seconds before now."""

    now_ns = NOW_NS

    def span(self, request, span_id, *, parent=0, trace=1, ago_s=60.0, took_s=1.0, name="s", **more):
        scope_name = more.pop("scope", "test")
        attributes = more.pop("attributes", {})
        failed, remote = more.pop("failed", False), more.pop("remote", False)
        assert not more
        resource = request.resource_spans.add()
        service = resource.resource.attributes.add(key="service.name")
        service.value.string_value = "svc"
        scope = resource.scope_spans.add()
        scope.scope.name = scope_name
        end_ns = self.now_ns - round(ago_s * SECOND_NS)
        span = scope.spans.add(
            trace_id=trace.to_bytes(16, "big"),
            span_id=span_id.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            end_time_unix_nano=end_ns,
            start_time_unix_nano=end_ns - round(took_s * SECOND_NS),
            flags=0x300 if remote else 0x100,
        )
        if failed:
            span.status.code = 2
        for key, value in attributes.items():
            entry = span.attributes.add(key=key)
            kind = {int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            setattr(entry.value, kind, value)
        return span

    def request(self, *spans):
        request = ExportTraceServiceRequest()
        for span_id, more in spans:
            self.span(request, span_id, **more)
        return request


@pytest.fixture
def build():
    return Build()


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home", create=True)


@pytest.fixture
def store(home, clock):
    with TelemetryStore(home, clock=clock) as opened:
        yield opened


@pytest.fixture
def everything():
    """Return all numbers of a store by group, as plain data, to compare stores with each other."""
    from ihobs.model import DIMENSIONS
    from ihobs.store import query

    def read(store):
        found = query.metrics(store.database, start_ns=0, end_ns=NOW_NS + 48 * HOUR_NS, by=DIMENSIONS)
        return {
            tuple(group.by.values()): (group.counters, group.run_durations, group.call_durations, group.first_tokens)
            for group in found.groups
        }

    return read


@pytest.fixture(scope="session")
def traces_dir():
    """The folder of real traces: $IHOBS_TRACES, or shared/traces beside the checkout."""
    path = Path(os.environ.get("IHOBS_TRACES") or Path(__file__).parents[2].parent / "shared" / "traces")
    if not path.is_dir():
        pytest.skip(f"the real traces are not at {path}; set IHOBS_TRACES")
    return path


SUMMED = "SELECT * FROM (SELECT bucket, {names}, {sums} FROM rollup_{table} JOIN series ON series.id = series_id)"
COUNTED = (
    "SELECT bucket, {names}, family, position, sum(count) AS count FROM histogram_{table} "
    "JOIN series ON series.id = series_id GROUP BY bucket, {names}, family, position HAVING sum(count) != 0"
)
SPANS = (
    "SELECT trace_id, span_id, parent_id, span.start_ns, duration_ns, bucket, flags, attempt_key, span.input_tokens, "
    "span.output_tokens, cached_input_tokens, span.cost_nano_usd, first_token_ns, shape.service, scope, name, kind, "
    "shape.workflow, node, provider, model, error FROM span JOIN trace ON no = trace_no "
    "JOIN shape ON shape.id = shape_id"
)
TRACES = (
    "SELECT trace_id, start_ns, end_ns, spans, failed_spans, runs, failed_runs, workflow, service, input_tokens, "
    "output_tokens, cost_nano_usd, unpriced_calls, waiting FROM trace"
)


@pytest.fixture(scope="session")
def ledger():
    """Return all that a store holds, integer for integer, but for numbers that only the order of arrival gave."""
    from ihobs.model import DIMENSIONS
    from ihobs.spans.facts import SUMS
    from ihobs.store.schema import RESOLUTIONS

    def read(store):
        names, found = ", ".join(DIMENSIONS), {}
        with store.database.read() as connection:
            for table in RESOLUTIONS:
                words = {"table": table, "names": names, "sums": ", ".join(SUMS)}
                rows = connection.execute(SUMMED.format(**words)).fetchall()
                found[f"sums {table}"] = sorted(row for row in rows if any(row[1 + len(DIMENSIONS) :]))
                found[f"counts {table}"] = sorted(connection.execute(COUNTED.format(**words)).fetchall())
            found["spans"] = sorted(connection.execute(SPANS).fetchall(), key=repr)
            found["traces"] = sorted(connection.execute(TRACES).fetchall())
        return found

    return read
