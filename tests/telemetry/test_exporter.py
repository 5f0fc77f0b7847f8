"""Spans reach a real home; while it cannot take them they wait, within a bound."""

from __future__ import annotations

import logging
import shutil
import sqlite3

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ihobs.errors import StoreUnavailableError
from ihobs.guard import guard
from ihobs.store.home import Home
from ihobs.store.query import active_workflows
from ihobs.store.telemetry import TelemetryStore
from ihobs.store.wake import Listener
from ihobs.telemetry import exporter as module
from ihobs.telemetry.exporter import StoreExporter
from ihobs.telemetry.places import SCOPE, Place

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
    made = StoreExporter(lambda: TelemetryStore(home), service=lambda: "svc")
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
    request = module._encode([(finished("foreign"), FLOW), (own, FLOW), (finished("nowhere"), None)])
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
    store.ingest(module._encode([(finished(), None)]))
    impatient = TelemetryStore(home)
    impatient.database._busy_timeout_s = 0.01
    exporter = StoreExporter(lambda: impatient, service=lambda: "svc")
    with store.database.write(), caplog.at_level(logging.WARNING, "ihobs"):
        exporter.write([(finished(), None)])
        exporter.write([(finished(), None)])
        assert not exporter.force_flush()
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

    exporter = StoreExporter(open_store, service=lambda: "svc")
    exporter.write([(finished(), None)])
    exporter.report_active({"flow": 1})
    assert stored(store) == 0
    exporter.write([])
    assert stored(store) == 1
    exporter.close()


def test_a_home_that_was_removed_is_survived_and_counted(home, finished, caplog):
    exporter = StoreExporter(lambda: TelemetryStore(home), service=lambda: "svc")
    exporter.write([(finished(), None)])
    shutil.rmtree(home.path)
    with caplog.at_level(logging.WARNING, "ihobs"):
        exporter.write([(finished(), None)])
        exporter.close()
    assert "lost 1 spans" in caplog.text


def test_what_waits_is_bounded_and_what_is_lost_is_counted(home, finished, store, monkeypatch):
    monkeypatch.setattr(module, "MAX_KEPT_SPANS", 3)
    down = True

    def open_store():
        if down:
            raise StoreUnavailableError(home.path, "is not there")
        return TelemetryStore(home)

    exporter = StoreExporter(open_store, service=lambda: "svc")
    for _ in range(5):
        exporter.write([(finished(), None)])
    exporter.count_dropped(7)
    down = False
    exporter.write([])
    assert stored(store) == 3
    assert dropped(store) == {"store unavailable": 2, "queue full": 7}
    exporter.write([])
    assert dropped(store) == {"store unavailable": 2, "queue full": 7}
    exporter.close()


class Poisoned(TelemetryStore):
    """A store with a fault of ours, that one request brings to light."""

    def ingest(self, request, *, live=True):
        if request.resource_spans[0].scope_spans[0].spans[0].name == "poison":
            raise ZeroDivisionError
        return super().ingest(request, live=live)


def test_a_fault_of_ours_costs_one_batch_and_not_those_behind_it(home, finished, store, monkeypatch, caplog):
    monkeypatch.setattr(guard, "strict", False)
    exporter = StoreExporter(lambda: Poisoned(home), service=lambda: "svc")
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

    exporter = StoreExporter(open_store, service=lambda: "svc")
    exporter.write([(finished(), None)])
    exporter.after_fork_in_child()
    exporter.write([(finished(), None)])
    exporter.close()
    assert len(opened) == 2
    assert stored(store) == 2
    with opened[0].database.read() as connection:  # the parent's is still open
        assert isinstance(connection, sqlite3.Connection)
    opened[0].close()
