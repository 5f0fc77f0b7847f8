"""From parcels to commits, by one thread: what waits together shares a transaction, and none is answered before it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.errors import StoreUnavailableError
from ihobs.guard import guard
from ihobs.spans.batch import Rejection
from ihobs.spans.signals import SPANS, Signal
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from ihobs.store.home import Home
    from ihobs.store.ingest import IngestResult
    from ihobs.web.decoding import Parcel

Answer = Future[tuple[Rejection, ...]]
"""Says, after the commit, what of a parcel was refused."""

JOIN_S = 30.0
"""How long `stop` waits for the last commits: longer than the store waits for its lock."""


class IngestFaultError(Exception):
    """An error of ours kept a parcel from being stored; it was logged where it happened."""


@dataclass(frozen=True, slots=True)
class IntakeState:
    """What an intake says about itself.

    Attributes:
        accepted, duplicates: spans, or log records, since the start.
        rejected: reason -> how many since the start; those that could not be decoded are not among them.
        commits: transactions since the start. commit_ns: how long they took together.
        lag_ns: how long the oldest request that waits has waited; 0 when none does.
        failed: why the last transaction failed, or an empty string. failed_ns: when.
    """

    accepted: int
    duplicates: int
    rejected: dict[str, int]
    commits: int
    commit_ns: int
    lag_ns: int
    failed: str
    failed_ns: int


@dataclass(slots=True, eq=False)
class _Waiting:
    """A parcel some of whose pieces are not committed yet."""

    since_ns: int
    left: int
    answer: Answer = field(default_factory=Future)
    rejections: list[Rejection] = field(default_factory=list)
    error: Exception | None = None


class _Piece(NamedTuple):
    """A request that is stored as a whole, and the parcel it is from."""

    request: Any
    items: int
    parcel: _Waiting


class Store(Protocol):
    """What takes requests: a TelemetryStore, or its `logs`."""

    @property
    def home(self) -> Home:
        """Where it is."""

    def ingest_many(self, requests: Sequence[Any]) -> IngestResult:
        """Store requests in one transaction."""

    def close(self) -> None:
        """Close the connections of this thread."""


class Intake:
    """Stores parcels in the order in which they were offered, between `start` and `stop`.

    A parcel that finds the thread idle is stored at once, alone; those that come meanwhile are stored together,
    up to `group_items` spans or log records a transaction.

    Args:
        store: used by the thread of the intake only.
        group_items: most spans that requests which share a transaction have together.
        signal: what the requests hold.
        clock: tells the time.
    """

    def __init__(self, store: Store, *, group_items: int, signal: Signal = SPANS, clock: Clock = now_ns) -> None:
        self._store, self._group_items, self._signal, self._clock = store, group_items, signal, clock
        self._changed = threading.Condition()
        self._queue: deque[_Piece] = deque()
        self._taken: list[_Piece] = []
        self._open = False
        self._thread: threading.Thread | None = None
        self._accepted = self._duplicates = self._commits = self._commit_ns = 0
        self._rejected: dict[str, int] = {}
        self._failed, self._failed_ns = "", 0

    def start(self) -> None:
        """Begin to store."""
        self._open = True
        self._thread = threading.Thread(target=self._run, name=f"ihobs-ingest-{self._signal.items}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Store what was offered, and end. What is offered later is refused."""
        with self._changed:
            self._open = False
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            self._thread = None

    def offer(self, parcel: Parcel) -> Answer:
        """Put a parcel into the queue; return what will say, after its commit, what became of it.

        The answer's error is a StoreUnavailableError when the store cannot commit now, and an IngestFaultError
        when ihobs failed. Either way sending it again counts nothing twice.
        """
        waiting = _Waiting(self._clock(), len(parcel.requests))
        if not parcel.requests:
            waiting.answer.set_result(())
            return waiting.answer
        pieces = [_Piece(request, self._signal.count(request), waiting) for request in parcel.requests]
        with self._changed:
            if self._open:
                self._queue.extend(pieces)
                self._changed.notify()
                return waiting.answer
        waiting.answer.set_exception(StoreUnavailableError(self._store.home.path, "ihobs is being stopped"))
        return waiting.answer

    def state(self) -> IntakeState:
        """Return how it is now."""
        with self._changed:
            since = [piece.parcel.since_ns for piece in (*self._taken[:1], *([self._queue[0]] if self._queue else []))]
            return IntakeState(
                self._accepted,
                self._duplicates,
                dict(self._rejected),
                self._commits,
                self._commit_ns,
                max(0, self._clock() - min(since)) if since else 0,
                self._failed,
                self._failed_ns,
            )

    def _run(self) -> None:
        try:
            while group := self._take():
                self._commit(group)
        finally:
            with self._changed:
                self._open = False
                left = {piece.parcel for piece in (*self._taken, *self._queue)}
                self._queue.clear()
            for parcel in left:  # none, unless this thread ends by an error
                if not parcel.answer.done():
                    parcel.answer.set_exception(IngestFaultError())
            self._store.close()

    def _take(self) -> list[_Piece]:
        """Wait for pieces, and return as many as may share a transaction; none when it is time to end."""
        with self._changed:
            self._taken = []
            self._changed.wait_for(lambda: self._queue or not self._open)
            items = 0
            while self._queue and (not items or items + self._queue[0].items <= self._group_items):
                piece = self._queue.popleft()
                self._taken.append(piece)
                items += piece.items
            return self._taken

    def _commit(self, pieces: Sequence[_Piece]) -> None:
        """Store pieces in one transaction; when that fails by a fault of ours, each by itself, to spare the others."""
        result, began_ns = None, self._clock()
        with guard:
            try:
                result = self._store.ingest_many([piece.request for piece in pieces])
            except StoreUnavailableError as error:
                self._fail(pieces, error, error.reason)
                return
        if result is not None:
            self._succeed(pieces, result, began_ns)
        elif len(pieces) > 1:
            for piece in pieces:
                self._commit([piece])
        else:
            self._fail(pieces, IngestFaultError(), "an error of ihobs, see its log")

    def _succeed(self, pieces: Sequence[_Piece], result: IngestResult, began_ns: int) -> None:
        with self._changed:
            self._accepted += result.accepted
            self._duplicates += result.duplicates
            self._commits += 1
            self._commit_ns += max(0, self._clock() - began_ns)
            self._failed = ""
            for rejection in result.rejections:
                self._rejected[rejection.reason] = self._rejected.get(rejection.reason, 0) + rejection.count
        for rejection in result.rejections:
            pieces[rejection.request].parcel.rejections.append(rejection)
        for piece in pieces:
            self._finish(piece)
        if result.accepted and self._signal is SPANS:  # no rule looks at logs
            notify(self._store.home)

    def _fail(self, pieces: Sequence[_Piece], error: Exception, reason: str) -> None:
        with self._changed:
            self._failed, self._failed_ns = reason, self._clock()
        for piece in pieces:
            self._finish(piece, error=error)

    @staticmethod
    def _finish(piece: _Piece, *, error: Exception | None = None) -> None:
        """Count a piece of a parcel as done; answer when it was the last one."""
        parcel = piece.parcel
        parcel.left -= 1
        parcel.error = parcel.error or error
        if parcel.left or not parcel.answer.set_running_or_notify_cancel():
            return
        if parcel.error is not None:
            parcel.answer.set_exception(parcel.error)
        else:
            parcel.answer.set_result(tuple(parcel.rejections))


def failed_lately(state: IntakeState, now_ns: int, within_s: float) -> bool:
    """Return whether the last transaction failed, and not long ago."""
    return bool(state.failed) and 0 <= now_ns - state.failed_ns < within_s * SECOND_NS
