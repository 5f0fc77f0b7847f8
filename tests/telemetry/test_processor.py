"""The processor hands ended spans on: at the threshold, in time, at once when a run fails, and at the end."""

from __future__ import annotations

import logging
import threading

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Status, StatusCode

from ihobs.telemetry import processor as module
from ihobs.telemetry.places import SCOPE, OpenSpans
from ihobs.telemetry.processor import FLUSH_SPANS, IhobsSpanProcessor

from .conftest import until


class Memory:
    """A sink that keeps what it is given, and may be held up."""

    def __init__(self) -> None:
        self.batches, self.active, self.dropped, self.closed = [], [], 0, False
        self.secured, self.is_safe, self.is_ready = [], True, True
        self.open = threading.Event()
        self.open.set()

    @property
    def names(self) -> list[str]:
        return [span.name for batch in self.batches for span, _ in batch]

    def write(self, ended):
        assert self.open.wait(20)
        if ended:
            self.batches.append(list(ended))

    def report_active(self, active):
        self.active.append(dict(active))

    def count_dropped(self, spans):
        self.dropped += spans

    def secure(self, ended=()):
        self.secured += [span.name for span, _ in ended]
        return self.is_safe

    def close(self):
        self.closed = True

    def after_fork_in_child(self):
        self.batches.clear()


class Clock:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def sink() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def processor(sink, clock):
    made = IhobsSpanProcessor(sink, spans=OpenSpans(), clock=clock)
    yield made
    sink.open.set()
    made.shutdown()


@pytest.fixture
def provider(processor):
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(processor)
    return made


@pytest.fixture
def tracer(provider):
    return provider.get_tracer(SCOPE)


@pytest.fixture
def never_in_time(monkeypatch):
    """Nothing is flushed because time passed, so that what flushes is what the test did."""
    monkeypatch.setattr(module, "FLUSH_INTERVAL_S", 3600)


def workflow(tracer, name="w"):
    return tracer.start_span(name, Context(), attributes={"ihobs.kind": "workflow", "ihobs.workflow": name})


def test_spans_are_handed_on_in_the_order_of_their_end(tracer, processor, sink):
    for number in range(10):
        tracer.start_span(str(number)).end()
    assert processor.force_flush()
    assert sink.names == [str(number) for number in range(10)]


def test_spans_are_handed_on_without_being_asked_for(tracer, sink):
    tracer.start_span("lonely").end()
    until(lambda: sink.names == ["lonely"])


@pytest.mark.usefixtures("never_in_time")
def test_a_full_batch_is_handed_on_at_once(tracer, sink):
    for _ in range(FLUSH_SPANS):
        tracer.start_span("s", Context()).end()
    until(lambda: len(sink.names) == FLUSH_SPANS)


@pytest.mark.usefixtures("never_in_time")
def test_a_failed_run_is_handed_on_at_once(tracer, sink):
    span = workflow(tracer)
    span.set_status(Status(StatusCode.ERROR))
    span.end()
    until(lambda: sink.names == ["w"])


@pytest.mark.usefixtures("never_in_time")
def test_a_failed_node_waits_for_the_others(tracer, sink, processor):
    run = workflow(tracer)
    with module.suppress_instrumentation():
        node = tracer.start_span("n", attributes={"ihobs.kind": "node"}, context=_below(run))
    node.set_status(Status(StatusCode.ERROR))
    node.end()
    assert sink.names == []
    assert processor.force_flush()
    assert sink.names == ["n"]


def _below(span):
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(span, Context())


def test_a_place_travels_with_its_span(tracer, processor, sink):
    run = workflow(tracer)
    tracer.start_span("t", _below(run)).end()
    assert processor.force_flush()
    [[(span, place)]] = sink.batches
    assert (span.name, place.workflow) == ("t", "w")


def test_a_full_queue_drops_and_counts_and_never_blocks(tracer, processor, sink, monkeypatch):
    monkeypatch.setattr(module, "MAX_QUEUED_SPANS", 5)
    tracer.start_span("first").end()
    assert processor.force_flush()
    sink.open.clear()
    assert not processor.force_flush(1)
    for _ in range(8):
        tracer.start_span("s").end()
    assert processor.dropped_spans == 3
    sink.open.set()
    assert processor.force_flush()
    assert sink.dropped == 3
    assert len(sink.names) == 6


def test_more_than_a_batch_is_handed_on_in_batches(tracer, processor, sink, monkeypatch):
    monkeypatch.setattr(module, "MAX_BATCH_SPANS", 4)
    sink.open.clear()
    for _ in range(10):
        tracer.start_span("s").end()
    sink.open.set()
    assert processor.force_flush()
    assert max(len(batch) for batch in sink.batches) <= 4
    assert len(sink.names) == 10


def test_unsampled_spans_are_not_recorded(processor, sink):
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.get_tracer("x").start_span("s").end()
    assert processor.force_flush()
    assert sink.names == []


def test_the_gauge_is_told_when_it_changes(tracer, processor, sink):
    run = workflow(tracer)
    assert processor.force_flush()
    assert sink.active == [{"w": 1}]
    assert processor.force_flush()
    assert sink.active == [{"w": 1}]
    run.end()
    assert processor.force_flush()
    assert sink.active == [{"w": 1}, {}]


@pytest.mark.usefixtures("never_in_time")
def test_the_gauge_beats_while_something_runs(tracer, processor, sink, clock):
    run = workflow(tracer)
    assert processor.force_flush()
    for seconds in (1, 4, 6, 11):
        clock.ns = seconds * 10**9
        assert processor.force_flush()
    assert sink.active == [{"w": 1}] * 3
    run.end()


def test_shutdown_hands_on_what_is_left_and_closes(tracer, processor, sink):
    run = workflow(tracer)
    tracer.start_span("s").end()
    processor.shutdown()
    assert sink.names == ["s"]
    assert sink.closed
    assert sink.active[-1:] in ([{}], [])
    run.end()
    assert processor.dropped_spans == 1
    processor.shutdown()


@pytest.mark.parametrize("is_safe", [True, False])
def test_an_end_that_takes_too_long_puts_what_waits_on_disk_or_says_that_it_is_lost(
    tracer, processor, sink, monkeypatch, caplog, is_safe
):
    monkeypatch.setattr(module, "SHUTDOWN_TIMEOUT_S", 0.01)
    monkeypatch.setattr(module, "LAST_TIMEOUT_S", 0.01)
    sink.open.clear()
    sink.is_safe = is_safe
    tracer.start_span("taken by the worker, which hangs").end()
    processor.force_flush(20)
    tracer.start_span("waiting").end()
    with caplog.at_level(logging.ERROR, "ihobs"):
        processor.shutdown()
    assert sink.secured[-1] == "waiting"
    assert ("gave up" in caplog.text) == (not is_safe)


def test_a_worker_that_is_still_loading_at_the_end_is_waited_for_and_keeps_what_waits(
    tracer, processor, sink, monkeypatch
):
    """An import on another thread would wait for the worker's, perhaps for ever."""
    monkeypatch.setattr(module, "SHUTDOWN_TIMEOUT_S", 0.01)
    sink.open.clear()
    sink.is_ready = False
    tracer.start_span("s").end()
    threading.Timer(0.05, sink.open.set).start()
    processor.shutdown()
    assert sink.names == ["s"]
    assert sink.secured == []


def test_a_flush_says_whether_what_it_flushed_is_safe(tracer, processor, sink):
    tracer.start_span("s").end()
    assert processor.force_flush()
    sink.is_safe = False
    assert not processor.force_flush()


def test_a_forked_child_starts_with_an_empty_queue(tracer, processor, sink):
    sink.open.clear()
    tracer.start_span("the parent's").end()
    processor.after_fork_in_child()
    sink.open.set()
    tracer.start_span("the child's").end()
    assert processor.force_flush()
    assert "the child's" in sink.names
    processor.shutdown()
    assert sink.names.count("the parent's") <= 1


def test_flushing_before_the_first_span_is_done_at_once(processor):
    assert processor.force_flush(0)
