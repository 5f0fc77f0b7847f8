"""The forecast of the disk, against what really becomes of a store that goes on as it did."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.alerts.disk import Disk
from ihobs.alerts.measurements import Measurements
from ihobs.alerts.metrics import METRICS
from ihobs.clock import DAY_NS, HOUR_NS, SECOND_NS
from ihobs.errors import StoreUnavailableError
from ihobs.model import Rule
from ihobs.store.forecast import forecast, free_bytes
from ihobs.store.home import Home
from ihobs.store.retention import Retention
from ihobs.store.telemetry import TelemetryStore
from ihobs.testing import FakeClock

AMPLE = 10**15
RETENTION = Retention(payload_ns=2 * DAY_NS, spans_ns=4 * DAY_NS, max_bytes=None)
chance = random.Random(5)


class Program:
    """Sends 20 spans with 20 kB of texts sixteen times a day, and is looked after as the duties do."""

    def __init__(self, path, clock, retention=RETENTION):
        self.store = TelemetryStore(Home.open(path, create=True), clock=clock, retention=retention)
        self.clock, self.retention = clock, retention

    def send(self, *, live=True, spans=20, text_bytes=1000):
        request = ExportTraceServiceRequest()
        found = request.resource_spans.add().scope_spans.add().spans
        end_ns = self.clock() - SECOND_NS
        trace_id = chance.randbytes(16)
        for _ in range(spans):
            times = {"start_time_unix_nano": end_ns - SECOND_NS, "end_time_unix_nano": end_ns}
            span = found.add(trace_id=trace_id, span_id=chance.randbytes(8), name="s", **times)
            span.attributes.add(key="input.blob").value.bytes_value = chance.randbytes(text_bytes)
        assert self.store.ingest(request, live=live).accepted == spans

    def run(self, days):
        for step in range(round(days * 16)):
            self.send()
            if step % 4 == 0:
                self.store.maintain()
            self.clock.advance(5400)
        self.store.maintain()

    def forecast(self, *, free_bytes=AMPLE, **retention):
        kept = replace(self.retention, **retention)
        return forecast(self.store.database, now_ns=self.clock(), retention=kept, free_bytes=free_bytes)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def program(tmp_path, clock):
    made = Program(tmp_path / "home", clock)
    yield made
    made.store.close()


def test_what_was_forecast_comes_true(program):
    """A day of history; a week later as much is forgotten as comes in."""
    program.run(1)
    early = program.forecast()
    assert early.growth_bytes_a_day == pytest.approx(16 * 20_500, rel=0.3)
    program.run(7)
    late = program.forecast()
    assert late.used_bytes == pytest.approx(early.in_a_week_bytes, rel=0.25)
    assert late.used_bytes == pytest.approx(late.settles_at_bytes, rel=0.15)
    assert late.used_bytes > 1.5 * early.used_bytes


def test_the_day_on_which_a_limit_is_reached_is_the_one_on_which_it_is_reached(program):
    program.run(1)
    found = program.forecast(max_bytes=round(program.forecast().used_bytes * 1.5))
    assert found.limited_by == "max_bytes"
    program.run((found.full_ns - program.clock()) / DAY_NS)
    assert program.forecast().used_bytes == pytest.approx(found.limit_bytes, rel=0.1)


def test_a_limit_above_what_retention_leaves_is_never_reached(program):
    program.run(1)
    settles = program.forecast().settles_at_bytes
    assert program.forecast(max_bytes=round(settles * 1.01)).full_ns is None
    assert program.forecast(max_bytes=round(settles * 0.99)).full_ns > program.clock()


def test_a_limit_that_is_passed_is_full_now(program):
    program.run(0.5)
    assert program.forecast(max_bytes=1000).full_ns == program.clock()


def test_the_file_system_is_the_limit_when_it_has_less_left(program):
    program.run(0.5)
    found = program.forecast(max_bytes=AMPLE, free_bytes=50_000)
    assert found.limited_by == "file system"
    assert found.used_bytes + 50_000 <= found.limit_bytes
    assert 0 < found.full_ns - program.clock() < 6 * HOUR_NS
    assert program.forecast(max_bytes=AMPLE, free_bytes=AMPLE - 1).limited_by == "max_bytes"


def test_nothing_is_foretold_from_less_than_an_hour(program):
    for _ in range(2):
        found = program.forecast()
        assert (found.growth_bytes_a_day, found.full_ns, found.in_a_week_bytes) == (None, None, None)
        assert found.used_bytes > 0
        program.send()
        program.clock.advance(1000)


def test_imports_take_room_but_do_not_go_on(program):
    program.run(1)
    before = program.forecast()
    for _ in range(16):
        program.send(live=False)
    after = program.forecast()
    assert after.used_bytes > before.used_bytes + 16 * 20_000
    assert after.growth_bytes_a_day == pytest.approx(before.growth_bytes_a_day, rel=0.1)
    assert after.settles_at_bytes == pytest.approx(before.settles_at_bytes, rel=0.15)


def test_a_few_rows_stand_for_many(program, monkeypatch):
    program.run(3)
    exact = program.forecast()
    monkeypatch.setattr("ihobs.store.forecast.SAMPLES", 20)
    few = program.forecast()
    assert few.growth_bytes_a_day == pytest.approx(exact.growth_bytes_a_day, rel=0.1)
    assert few.settles_at_bytes == pytest.approx(exact.settles_at_bytes, rel=0.1)


def test_rules_read_it(program):
    program.run(1)
    found = program.forecast(max_bytes=10**7)
    disk = Disk(program.store.database, replace(RETENTION, max_bytes=10**7))
    measurements = Measurements(program.store.database, program.clock(), {}, None, disk.forecast)
    values = {
        name: METRICS[name].samples(measurements, Rule("r", name))
        for name in ("disk_used_bytes", "disk_used_ratio", "disk_used_in_7d_ratio")
    }
    [[used], [ratio], [week]] = values.values()
    assert used.value == found.used_bytes
    assert (ratio.value, week.value) == (found.used_bytes / 10**7, found.in_a_week_bytes / 10**7)
    assert week.note == "of retention.max_bytes"


def test_it_is_read_now_and_then(program):
    disk = Disk(program.store.database, RETENTION)
    first = disk.forecast(program.clock())
    program.send(spans=500)
    assert disk.forecast(program.clock() + 29 * SECOND_NS) is first
    assert disk.forecast(program.clock() + 30 * SECOND_NS).used_bytes > first.used_bytes


def test_a_file_system_that_is_gone_is_no_crash(tmp_path):
    assert free_bytes(tmp_path) > 0
    with pytest.raises(StoreUnavailableError) as caught:
        free_bytes(tmp_path / "gone")
    assert caught.value.path == str(tmp_path / "gone")
