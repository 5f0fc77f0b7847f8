"""Log records go the way of the spans: with each flush of the same worker, into the home, to the endpoint, to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ihobs.guard import guard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ihobs.telemetry.logs import LogQueue
    from ihobs.telemetry.processor import Ended, Sink


class RecordSink(Protocol):
    """Where batches of records go: the part of `Sink` that is the same for spans."""

    @property
    def is_ready(self) -> bool:
        """Whether `secure` needs to load nothing."""

    def write(self, ended: Sequence[Any]) -> None:
        """Store a batch, or keep it for the next call."""

    def count_dropped(self, spans: int) -> None:
        """Count what did not fit into the queue."""

    def secure(self, ended: Sequence[Any] = ()) -> bool:
        """Put what is kept, and a batch, where it outlives this process; return whether all of it is there."""

    def close(self) -> None:
        """Hand on what is kept, or secure it, and close."""

    def after_fork_in_child(self) -> None:
        """Leave everything to the parent, and begin anew."""


class SinkWithLogs:
    """The sink of a processor whose worker also takes records.

    Args:
        spans: where spans go. logs: where records go. queue: where those come from.
    """

    def __init__(self, spans: Sink, logs: RecordSink, queue: LogQueue) -> None:
        self._spans, self._logs, self._queue = spans, logs, queue
        self._holds_logs = False

    @property
    def is_ready(self) -> bool:
        """Whether `secure` needs to load nothing."""
        return self._spans.is_ready and (self._logs.is_ready or not self._has_logs())

    def write(self, ended: Sequence[Ended]) -> None:
        """Store a batch of spans, then the records that wait."""
        self._spans.write(ended)
        self._write_logs()

    def report_active(self, active: Mapping[str, int]) -> None:
        """Say how many runs of each workflow are in progress."""
        self._spans.report_active(active)

    def count_dropped(self, spans: int) -> None:
        """Count spans that did not fit into the processor's queue."""
        self._spans.count_dropped(spans)

    def secure(self, ended: Sequence[Ended] = ()) -> bool:
        """Put on disk what is kept of both; return whether all of it is there."""
        is_safe = self._spans.secure(ended)
        if self._has_logs():
            is_safe = self._logs.secure(self._queue.take()) and is_safe
        return is_safe

    def close(self) -> None:
        """Hand on what is kept of both, and close."""
        with guard:
            self._write_logs()
            if self._holds_logs:
                self._logs.close()
        self._spans.close()

    def after_fork_in_child(self) -> None:
        """Leave everything to the parent."""
        self._spans.after_fork_in_child()
        self._logs.after_fork_in_child()
        self._queue.after_fork_in_child()
        self._holds_logs = False

    def _has_logs(self) -> bool:
        return self._holds_logs or bool(len(self._queue))

    def _write_logs(self) -> None:
        """Nothing is opened for a program that logs nothing of that level."""
        dropped = self._queue.take_dropped()
        if dropped:
            self._logs.count_dropped(dropped)
        if self._has_logs() or dropped:
            self._holds_logs = True
            self._logs.write(self._queue.take())
