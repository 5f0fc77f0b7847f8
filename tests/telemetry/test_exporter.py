"""Spans reach a real home; while it cannot take them they wait, within a bound."""

from __future__ import annotations

import logging
import shutil
import sqlite3

import pytest
from opentelemetry.context import Context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ihobs.errors import StoreRefusedError, StoreUnavailableError
from ihobs.guard import guard
from ihobs.store.home import Home
from ihobs.store.losses import read_losses
from ihobs.store.query import active_workflows
from ihobs.store.spool import SPOOL, Spool, bring_in
from ihobs.store.telemetry import TelemetryStore
from ihobs.store.wake import Listener
from ihobs.telemetry import backlog as module
from ihobs.telemetry.exporter import StoreExporter
from ihobs.telemetry.places import SCOPE, Place
from ihobs.telemetry.stamps import Encoder

FLOW = Place("flow", "draft")


@pytest.fixture
def home(tmp_path) -> Home:
    return Home.open(tmp_path / "home", create=True)


@pytest.fixture
def store(home):
    with TelemetryStore(home) as opened:
        yield opened


@pytest.fixture
def exporter(home):
    made = StoreExporter(
        lambda: TelemetryStore(home), service=lambda: "svc", open_spool=lambda: Spool(home.path / SPOOL)
    )
    yield made
    made.close()


@pytest.fixture
def finished():
    """Make finished spans."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(max_span_attributes=4))
    provider.add_span_processor(SimpleSpanProcessor(memory))

    def finished(name="s", scope="somebody", **attributes):
        memory.clear()
        said = {key.replace("_", "."): value for key, value in attributes.items()}
        provider.get_tracer(scope).start_span(name, Context(), attributes=said).end()
        return memory.get_finished_spans()[0]

    return finished


def request_of(ended) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(Encoder().encode(ended))


def stored(store) -> int:
    with store.database.read() as connection:
        return connection.execute("SELECT count(*) FROM span").fetchone()[0]


def dropped(store) -> dict[str, int]:
    with store.database.read() as connection:
        return dict(connection.execute("SELECT reason, spans FROM dropped").fetchall())


def test_a_batch_is_stored_once(exporter, finished, store):
    batch = [(finished(), None), (finished(), None)]
    exporter.write(batch)
    exporter.write(batch)
    exporter.write([])
    assert stored(store) == 2


def test_it_serves_as_an_exporter_of_the_sdk(exporter, finished, store):
    assert exporter.export([finished()]) is SpanExportResult.SUCCESS
    assert exporter.force_flush()
    exporter.shutdown()
    assert stored(store) == 1


def test_spans_are_stamped_with_their_place_unless_they_say_it_themselves(finished):
    own = finished("own", SCOPE, ihobs_workflow="mine")
    request = request_of([(finished("foreign"), FLOW), (own, FLOW), (finished("nowhere"), None)])
    said = {
        span.name: {item.key: item.value.string_value for item in span.attributes}
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert said == {
        "foreign": {"ihobs.workflow": "flow", "ihobs.node": "draft"},
        "own": {"ihobs.workflow": "mine", "ihobs.node": "draft"},
        "nowhere": {},
    }


def test_the_gauge_is_stored(exporter, store, home):
    exporter.report_active({"flow": 3})
    assert active_workflows(store.database, now_ns=store._clock()) == 3
    exporter.report_active({})
    assert active_workflows(store.database, now_ns=store._clock()) == 0


def test_the_duties_are_woken_by_a_commit_only(exporter, finished, home):
    with Listener(home) as listener:
        exporter.write([])
        assert not listener.wait(0)
        exporter.write([(finished(), None)])
        assert listener.wait(0)


def test_spans_wait_while_the_home_is_locked(home, finished, store, caplog):
    store.ingest(request_of([(finished(), None)]))
    impatient = TelemetryStore(home)
    impatient.database._busy_timeout_s = 0.01
    exporter = StoreExporter(lambda: impatient, service=lambda: "svc", open_spool=lambda: Spool(home.path / SPOOL))
    with store.database.write(), caplog.at_level(logging.WARNING, "ihobs"):
        exporter.write([(finished(), None)])
        assert exporter.export([finished()]) is SpanExportResult.FAILURE
    assert len(caplog.records) == 1
    exporter.write([(finished(), None)])
    assert stored(store) == 4
    exporter.close()


def test_spans_wait_until_the_home_can_be_opened(home, finished, store):
    answers = [StoreUnavailableError(home.path, "is not there"), StoreUnavailableError(home.path, "is not there")]

    def open_store():
        if answers:
            raise answers.pop()
        return TelemetryStore(home)

    exporter = StoreExporter(open_store, service=lambda: "svc", open_spool=lambda: Spool(home.path / SPOOL))
    exporter.write([(finished(), None)])
    exporter.report_active({"flow": 1})  # does not ask again in this round
    exporter.write([])
    assert (stored(store), len(answers)) == (0, 0)
    exporter.write([])
    assert stored(store) == 1
    exporter.close()


def test_a_home_that_was_removed_is_survived_and_counted(home, finished, caplog):
    exporter = StoreExporter(
        lambda: TelemetryStore(home), service=lambda: "svc", open_spool=lambda: Spool(home.path / SPOOL)
    )
    exporter.write([(finished(), None)])
    shutil.rmtree(home.path)
    with caplog.at_level(logging.WARNING, "ihobs"):
        exporter.write([(finished(), None)])
        exporter.close()
    assert "lost 1 spans" in caplog.text


class Door:
    """Opens the store, or says that it cannot."""

    def __init__(self, home):
        self.home, self.error = home, None

    def __call__(self):
        if self.error is not None:
            raise self.error
        return TelemetryStore(self.home)


@pytest.fixture
def door(home):
    return Door(home)


@pytest.fixture
def behind_door(door, home):
    """An exporter whose home can be closed and opened."""
    made = StoreExporter(door, service=lambda: "svc", open_spool=lambda: Spool(home.path / SPOOL))
    yield made
    made.close()


def waiting(home) -> int:
    return Spool(home.path / SPOOL).waiting().files


def test_what_does_not_fit_into_memory_waits_on_disk_and_is_stored_later(
    behind_door, door, home, finished, store, monkeypatch
):
    monkeypatch.setattr(module, "MAX_KEPT_SPANS", 3)
    door.error = StoreUnavailableError(home.path, "is locked")
    for _ in range(5):
        behind_door.write([(finished(), None)])
    assert waiting(home) == 1
    door.error = None
    behind_door.write([])
    assert (stored(store), waiting(home), dropped(store)) == (5, 0, {})


def test_without_a_disk_what_waits_is_bounded_and_what_is_lost_is_counted(
    behind_door, door, home, finished, store, monkeypatch
):
    monkeypatch.setattr(module, "MAX_KEPT_SPANS", 3)
    (home.path / SPOOL).write_text("a file in its place")
    door.error = StoreUnavailableError(home.path, "is locked")
    for _ in range(5):
        behind_door.write([(finished(), None)])
    behind_door.count_dropped(7)
    assert not behind_door.secure()
    (home.path / SPOOL).unlink()
    door.error = None
    behind_door.write([])
    assert stored(store) == 3
    assert dropped(store) == {"store unavailable": 2, "queue full": 7}
    behind_door.write([])
    assert dropped(store) == {"store unavailable": 2, "queue full": 7}


def test_a_home_that_only_a_newer_ihobs_may_write_gets_its_spans_by_the_spool_at_once(
    behind_door, door, home, finished, store
):
    door.error = StoreRefusedError(home.path, "was written by a newer ihobs")
    behind_door.write([(finished(), None)])
    behind_door.count_dropped(2)
    behind_door.write([(finished(), None)])
    assert waiting(home) == 1
    assert read_losses(home.path / SPOOL)[0].spans == 2
    assert bring_in(Spool(home.path / SPOOL), store)
    assert (stored(store), dropped(store)) == (2, {"queue full": 2})


def test_what_was_spooled_by_those_before_is_stored_unless_a_duties_process_does_it(behind_door, home, finished, store):
    Spool(home.path / SPOOL).append(request_of([(finished(), None)]).SerializeToString())
    with home.locked("duties"):
        behind_door.write([(finished(), None)])
        assert (stored(store), waiting(home)) == (1, 1)
    behind_door.write([])
    assert (stored(store), waiting(home)) == (2, 0)


def test_the_end_of_a_program_puts_what_the_home_cannot_take_on_disk(behind_door, door, home, finished, caplog):
    door.error = StoreUnavailableError(home.path, "is locked")
    behind_door.write([(finished(), None)])
    with caplog.at_level(logging.WARNING, "ihobs"):
        behind_door.close()
    assert waiting(home) == 1
    assert "lost" not in caplog.text
    assert str(home.path / SPOOL) in caplog.text


def test_it_is_ready_to_secure_from_the_first_batch_on(behind_door, finished):
    assert not behind_door.is_ready
    behind_door.write([(finished(), None)])
    assert behind_door.is_ready
    behind_door.after_fork_in_child()
    assert not behind_door.is_ready


def test_what_is_secured_while_the_worker_hangs_changes_no_number(home, finished, store):
    """The worker stores what another thread has put on disk meanwhile: the same spans, twice."""
    batch = [(finished(), None)]

    class Hanging(TelemetryStore):
        def ingest(self, request, *, live=True):
            assert exporter.secure([(finished(), None)])
            return super().ingest(request, live=live)

    exporter = StoreExporter(lambda: Hanging(home), service=lambda: "svc", open_spool=lambda: Spool(home.path / SPOOL))
    exporter.write(batch)
    exporter.close()
    bring_in(Spool(home.path / SPOOL), store)
    assert stored(store) == 2


class Poisoned(TelemetryStore):
    """A store with a fault of ours, that one request brings to light."""

    def ingest(self, request, *, live=True):
        if request.resource_spans[0].scope_spans[0].spans[0].name == "poison":
            raise ZeroDivisionError
        return super().ingest(request, live=live)


def test_a_fault_of_ours_costs_one_batch_and_not_those_behind_it(home, finished, store, monkeypatch, caplog):
    monkeypatch.setattr(guard, "strict", False)
    exporter = StoreExporter(lambda: Poisoned(home), service=lambda: "svc", open_spool=lambda: Spool(home.path / SPOOL))
    with caplog.at_level(logging.ERROR, "ihobs"):
        exporter.write([(finished("poison"), None)])
        exporter.write([(finished("good"), None)])
    exporter.close()
    assert stored(store) == 1
    assert dropped(store) == {"fault of ihobs": 1}
    assert len(caplog.records) == 1


def test_attributes_lost_to_a_strangers_limit_are_told_once(exporter, finished, caplog):
    long = finished(**{f"a{number}": number for number in range(6)})
    assert long.dropped_attributes == 2
    with caplog.at_level(logging.WARNING, "ihobs"):
        exporter.write([(long, None)])
        exporter.write([(long, None)])
    assert caplog.text.count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT") == 1


def test_a_forked_child_uses_no_connection_of_its_parent(home, finished, store):
    opened = []

    def open_store():
        opened.append(TelemetryStore(home))
        return opened[-1]

    exporter = StoreExporter(open_store, service=lambda: "svc", open_spool=lambda: Spool(home.path / SPOOL))
    exporter.write([(finished(), None)])
    exporter.after_fork_in_child()
    exporter.write([(finished(), None)])
    exporter.close()
    assert len(opened) == 2
    assert stored(store) == 2
    with opened[0].database.read() as connection:  # the parent's is still open
        assert isinstance(connection, sqlite3.Connection)
    opened[0].close()
