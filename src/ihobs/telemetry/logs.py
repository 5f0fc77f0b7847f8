"""What the program logs, beside its spans: taken where `logging` hands records to handlers, and sent by our worker.

A handler of our own on the root logger would change the program: `logging.basicConfig()` does nothing when there is
one, warnings of a program that sets nothing up are no longer printed, and `dictConfig` would remove it. So the place
where every logger calls its handlers is wrapped. On the caller's thread a record is formatted, as what its arguments
refer to may change, and put into a bounded queue: no lock, no I/O.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from ihobs.guard import guard
from ihobs.telemetry.langchain import innermost_context

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

MAX_QUEUED_RECORDS = 2_048
"""Records that wait for the worker, which takes them twice a second. More are dropped and counted."""

MAX_MESSAGE_CHARS = 8_192
MAX_STACK_CHARS = 16_384
MAX_EXTRAS = 32
"""Bounds of one record, so that those that wait together stay below about 50 MB, whatever they hold."""

SOON_AT = MAX_QUEUED_RECORDS // 2
"""So many records make the worker come before its time."""

CUT = "... (cut)"

_NOT_OURS_TO_TELL = ("ihobs", "opentelemetry")
"""Loggers whose records would make more of themselves."""

_STANDARD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"))
"""What every record has; the rest is what the program gave as `extra`."""

Scalar = str | bool | int | float


class Taken(NamedTuple):
    """A record as it was on the caller's thread.

    Attributes:
        levelno: of `logging`. logger: its name.
        error: class, message and stack of the exception, or None.
        extras: what the program added: texts, numbers and switches; anything else is left out, as turning it into
            text would run foreign code.
    """

    time_ns: int
    levelno: int
    level: str
    logger: str
    message: str
    place: tuple[str, str, int]
    error: tuple[str, str, str] | None
    extras: Mapping[str, Scalar]
    span: SpanContext


class Worker(Protocol):
    """Who comes for the records."""

    def nudge(self, *, soon: bool) -> None:
        """Come within half a second, or as soon as possible."""


class LogQueue:
    """Records on their way from the callers to the worker.

    Attributes:
        dropped: how many did not fit, since `take_dropped`.
    """

    def __init__(self) -> None:
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Leave what waits to the parent."""
        self._records: deque[Taken] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, taken: Taken) -> None:
        """Add a record, or count it as dropped."""
        if len(self._records) >= MAX_QUEUED_RECORDS:
            self.dropped += 1
        else:
            self._records.append(taken)

    def take(self) -> list[Taken]:
        """Return what waits, oldest first."""
        taken: list[Taken] = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._records.popleft())
        return taken

    def take_dropped(self) -> int:
        """Return how many were dropped since the last time."""
        dropped, self.dropped = self.dropped, 0
        return dropped


class LogTap:
    """Takes the records of all loggers of this process, between `open` and `close`.

    Args:
        queue: where they go.
        worker: is told that there are some.
    """

    def __init__(self, queue: LogQueue, worker: Worker) -> None:
        self._queue, self._worker = queue, worker
        self._least: int | None = None
        self._is_placed = False

    def open(self, level: str) -> None:
        """Take records of this level and above from now on."""
        self._least = logging.getLevelNamesMapping()[level]
        if not self._is_placed:
            self._is_placed = True
            wrapped = _also(self._offered, logging.Logger.callHandlers)
            setattr(logging.Logger, "callHandlers", wrapped)  # noqa: B010 - methods are not assigned to, says mypy

    def close(self) -> None:
        """Take no more. The wrapper stays, as others may have wrapped it since; it does nothing."""
        self._least = None

    def _offered(self, record: logging.LogRecord) -> None:
        """Take a record, if it is one for us. Called on the thread that logs."""
        if self._least is None or record.levelno < self._least:
            return
        with guard:
            if record.name.partition(".")[0] in _NOT_OURS_TO_TELL or not is_instrumentation_enabled():
                return  # the second: our worker at its work
            self._queue.put(_taken(record))
            self._worker.nudge(soon=record.levelno >= logging.ERROR or len(self._queue) >= SOON_AT)


def _also(
    offered: Callable[[logging.LogRecord], None], call_handlers: Callable[[logging.Logger, logging.LogRecord], None]
) -> Callable[[logging.Logger, logging.LogRecord], None]:
    def call_all(logger: logging.Logger, record: logging.LogRecord) -> None:
        offered(record)  # first: a QueueHandler takes the arguments and the exception out of a record
        call_handlers(logger, record)

    return call_all


def _taken(record: logging.LogRecord) -> Taken:
    span = trace.get_current_span(innermost_context()).get_span_context()
    place = (record.pathname, record.funcName or "", record.lineno)
    return Taken(
        round(record.created * 1e9),
        record.levelno,
        record.levelname,
        record.name,
        _cut(_message(record), MAX_MESSAGE_CHARS),
        place,
        _error(record),
        _extras(record),
        span,
    )


def _message(record: logging.LogRecord) -> str:
    """Return the text of a record; without its arguments when those do not fit, which `logging` tells on its own."""
    with contextlib.suppress(Exception):  # foreign code: its error may quote what must not reach our log
        return record.getMessage()
    with contextlib.suppress(Exception):
        return str(record.msg)
    return "(cannot be told)"


def _error(record: logging.LogRecord) -> tuple[str, str, str] | None:
    """Return class, message and stack of a record's exception; the stack's end, where it happened, when it is long."""
    kind, error, trace_back = record.exc_info if isinstance(record.exc_info, tuple) else (None, None, None)
    if kind is None or error is None:
        return None
    told, stack = "", record.exc_text or ""
    with contextlib.suppress(Exception):
        told = str(error)
        stack = stack or "".join(traceback.format_exception(kind, error, trace_back))
    return kind.__qualname__, _cut(told, MAX_MESSAGE_CHARS), stack[-MAX_STACK_CHARS:]


def _extras(record: logging.LogRecord) -> dict[str, Scalar]:
    extras: dict[str, Scalar] = {}
    for key, value in vars(record).items():
        if key not in _STANDARD and type(value) in (str, bool, int, float):
            extras[key] = _cut(value, MAX_MESSAGE_CHARS) if isinstance(value, str) else value
            if len(extras) >= MAX_EXTRAS:
                break
    return extras


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[:chars] + CUT
