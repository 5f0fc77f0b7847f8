"""Our span processor: names the place of every span, keeps the gauge of running workflows, and hands ended spans on.

The SDK's BatchSpanProcessor cannot be told to flush at once, and its worker is private, so this one is our own,
with the same semantics: a bounded queue, a daemon thread, batches. The caller's path (`on_start`, `on_end`)
takes no lock and does no I/O: a dict, a deque and, when a flush is due, one put on a SimpleQueue (which is
reentrant: a signal handler or a destructor may end a span too).
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode, TraceFlags

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.guard import guard, log
from ihobs.telemetry.langchain import is_retold
from ihobs.telemetry.places import OpenSpans, Place, open_spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context

FLUSH_INTERVAL_S = 0.5
FLUSH_SPANS = 128
MAX_BATCH_SPANS = 1024
MAX_QUEUED_SPANS = 16_384
"""Ended spans that wait for the worker: about 10 s of 1 500 spans/s. More are dropped and counted."""

HEARTBEAT_NS = 5 * SECOND_NS
"""The gauge is repeated this often while anything runs, so that a process that died can be told from a busy one."""

SHUTDOWN_TIMEOUT_S = 8.0
"""How long the end of the program may wait for the last flush; then what is left goes to disk. Who stops a container
gives it 10 s."""

LAST_TIMEOUT_S = 7.0
"""How much longer it may wait when they cannot go there: the disk is full, or the worker is still loading."""

Ended = tuple[ReadableSpan, Place | None]


class Sink(Protocol):
    """Where batches go. Called on the worker thread only; never raises what the store may raise."""

    def write(self, ended: Sequence[Ended]) -> None:
        """Store a batch, or keep it for the next call."""

    def report_active(self, active: Mapping[str, int]) -> None:
        """Say how many runs of each workflow are in progress."""

    def count_dropped(self, spans: int) -> None:
        """Count spans that did not fit into the queue."""

    def secure(self, ended: Sequence[Ended] = ()) -> bool:
        """Put what is kept, and `ended`, where it outlives this process; return whether all of it is there.

        Called on another thread only when the worker hangs, and it is ready.
        """

    @property
    def is_ready(self) -> bool:
        """Whether `secure` needs to load nothing: an import may wait for ever for a worker that hangs in it."""

    def close(self) -> None:
        """Hand on what is kept, or secure it, and close."""

    def after_fork_in_child(self) -> None:
        """Leave everything to the parent, and begin anew."""


class _Flush(threading.Event):
    """Set when a flush that somebody waits for is over.

    Attributes:
        is_safe: what had ended is stored, or on disk.
    """

    is_safe = False


class IhobsSpanProcessor(SpanProcessor):
    """Queues ended spans for a sink.

    Attributes:
        dropped_spans: how many did not fit into the queue, or ended after `shutdown`.
    """

    def __init__(self, sink: Sink, *, spans: OpenSpans = open_spans, clock: Clock = now_ns) -> None:
        self._sink, self._open, self._clock = sink, spans, clock
        self._queue: deque[Ended] = deque()
        self._wake: SimpleQueue[_Flush | None] = SimpleQueue()
        self._wake_pending = False
        self._worker: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = False
        self._reported: dict[str, int] = {}
        self._reported_ns = 0
        self.dropped_spans = 0
        self._told_dropped_spans = 0
        _processors.add(self)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - SDK's signature
        """Note where the span stands. Called by the SDK on the caller's thread."""
        with guard:
            self._open.opened(span)
            if self._worker is None:
                self._start_worker()

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span. Called by the SDK on the caller's thread."""
        with guard:
            context = span.context
            if context is None:
                return
            span_id = context.span_id
            place, is_run = self._open.closed(span_id)
            if not context.trace_flags & TraceFlags.SAMPLED or span_id in self._open.inherited or is_retold(span):
                return
            waiting = len(self._queue)
            if self._closed or waiting >= MAX_QUEUED_SPANS:
                self.dropped_spans += 1
                return
            self._queue.append((span, place))
            is_due = waiting >= FLUSH_SPANS - 1 or (is_run and span.status.status_code is StatusCode.ERROR)
            if is_due and not self._wake_pending:
                self._wake_pending = True
                self._wake.put(None)
            if self._worker is None:
                self._start_worker()

    def nudge(self, *, soon: bool) -> None:
        """Have the worker call the sink within FLUSH_INTERVAL_S, or soon: something waits there beside the spans.

        Called on the thread of whoever puts it there.
        """
        if self._closed:
            return
        if soon and not self._wake_pending:
            self._wake_pending = True
            self._wake.put(None)
        if self._worker is None:
            self._start_worker()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything that ended before this call is stored, or on disk; False when it took too long.

        Safe in a signal handler: takes no lock that the interrupted code may hold.
        """
        if self._worker is None:
            return not self._queue
        done = _Flush()
        self._wake.put(done)
        return done.wait(timeout_millis / 1000) and done.is_safe

    def rescue(self) -> bool:
        """Put on disk what waits, while the worker hangs; return whether all of it is there.

        For the end of the program, when a flush took too long: the home may be locked, or a name not be resolved.
        """
        if not self._sink.is_ready:
            return False
        waiting: list[Ended] = []
        with contextlib.suppress(IndexError):
            while True:
                waiting.append(self._queue.popleft())
        return self._sink.secure(waiting)

    def shutdown(self) -> None:
        """Flush and stop; spans that end later are dropped. Called by the SDK at exit, and by our handle."""
        if self._closed:
            return
        self._closed = True
        worker = self._worker
        if worker is not None:
            self._wake.put(None)
            worker.join(SHUTDOWN_TIMEOUT_S)
            if worker.is_alive() and not self.rescue():
                worker.join(LAST_TIMEOUT_S)
                if worker.is_alive():
                    log.error("ihobs gave up storing the last spans after %.0f s", SHUTDOWN_TIMEOUT_S + LAST_TIMEOUT_S)
        elif self._queue:  # no thread could be started any more
            self._work()

    def _start_worker(self) -> None:
        # RuntimeError: out of threads, or the interpreter is ending. The next span tries again; the queue is bounded.
        with self._starting, contextlib.suppress(RuntimeError):
            if self._worker is None and not self._closed:
                worker = threading.Thread(target=self._work, name="ihobs-flush", daemon=True)
                worker.start()
                self._worker = worker

    def _work(self) -> None:
        """Flush whenever woken, and every FLUSH_INTERVAL_S; the last time after `shutdown`."""
        with suppress_instrumentation():  # our own database work must not make spans
            while not self._closed:
                asked = self._sleep()
                self._flush()
                if asked:
                    self._answer(asked)
            self._flush()
            with guard:
                self._sink.close()

    def _answer(self, asked: Sequence[_Flush]) -> None:
        """Tell those who wait for a flush whether what they wait for outlives this process."""
        is_safe = False
        with guard:
            is_safe = self._sink.secure()
        for flush in asked:
            flush.is_safe = is_safe
            flush.set()

    def _sleep(self) -> list[_Flush]:
        """Wait for a reason to flush; return those who wait for its end."""
        asked: list[_Flush] = []
        with contextlib.suppress(Empty):
            item = self._wake.get(timeout=FLUSH_INTERVAL_S)
            while True:
                if item is not None:
                    asked.append(item)
                item = self._wake.get_nowait()
        self._wake_pending = False
        return asked

    def _flush(self) -> None:
        with guard:
            for _ in range(len(self._queue) // MAX_BATCH_SPANS + 1):
                batch = [self._queue.popleft() for _ in range(min(MAX_BATCH_SPANS, len(self._queue)))]
                self._sink.write(batch)
            self._report_dropped()
            self._report_active()

    def _report_dropped(self) -> None:
        dropped = self.dropped_spans - self._told_dropped_spans
        if dropped:
            self._sink.count_dropped(dropped)
            self._told_dropped_spans += dropped

    def _report_active(self) -> None:
        """Tell the gauge when it changed, and every HEARTBEAT_NS while anything runs."""
        active = {} if self._closed else self._open.active()
        now = self._clock()
        if active != self._reported or (active and abs(now - self._reported_ns) >= HEARTBEAT_NS):
            self._sink.report_active(active)
            self._reported, self._reported_ns = active, now

    def after_fork_in_child(self) -> None:
        """Begin anew in a forked child: what was queued or open is the parent's to record."""
        self._sink.after_fork_in_child()
        self._queue.clear()
        self._wake = SimpleQueue()
        self._wake_pending = False
        self._starting = threading.Lock()
        self._worker = None
        self._reported, self._reported_ns = {}, 0
        self.dropped_spans = self._told_dropped_spans = 0


_processors: weakref.WeakSet[IhobsSpanProcessor] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    open_spans.forked()
    for processor in list(_processors):
        processor.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
