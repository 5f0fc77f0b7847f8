"""The spool: OTLP requests on disk, because the home could not be written or the endpoint not be reached.

Every process appends to files of its own, `<pid>-<start>.otlp.pb`, in the form that `ihobs import` reads: requests one
after another, each behind its length. A request is safe when `append` returns; a process that is killed in the middle
leaves a cut tail, which nobody was told is safe. Who hands a file on claims it first, by a lock that the kernel frees,
and removes it after its last request was taken. So a request may be handed on twice, and never not at all: spans that
are known are not counted again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from ihobs.clock import MINUTE_NS, Clock, now_ns
from ihobs.errors import StoreUnavailableError
from ihobs.guard import guard, log
from ihobs.store.losses import move_losses

if TYPE_CHECKING:
    from ihobs.store.ingest import IngestResult

SPOOL = "spool"
"""The directory of the home for what goes into its own database."""

ENDPOINT_SPOOL = "spool/endpoint"
"""The one for what goes to an endpoint, `IHOBS_ENDPOINT`."""

LOG_SPOOL = "spool/logs"
ENDPOINT_LOG_SPOOL = "spool/endpoint-logs"
"""Those for log records."""

SignalName = Literal["spans", "logs"]
"""What the requests of a spool hold: the names of `ihobs.spans.signals.SIGNALS`."""

MAX_SPOOL_BYTES = 256 * 1024 * 1024
"""Bound of all files together: hours of a busy orchestrator. The oldest file goes first."""

FILE_BYTES = 4 * 1024 * 1024
"""A file this long is followed by another: what is dropped, or handed on in one go, is about this much."""

GROUP_SPANS = 1000
GROUP_BYTES = 2 * 1024 * 1024
"""Requests are handed on together up to these: one transaction, or one message, for many small requests."""

LIVE_WITHIN_NS = MINUTE_NS
"""Spans that waited longer count in their own minute, as imported ones do, and raise no alert."""

LOST_BY_FAULT = "fault of ihobs"

_NAME = re.compile(r"\d+-(\d+)\.otlp\.pb")
_CONTINUES = 0x80
"""The bit of a varint's byte that says that another follows."""


class Group(NamedTuple):
    """Some requests of one file, how many spans, or log records, they hold, and when that file was last written."""

    requests: Sequence[Any]
    spans: int
    written_ns: int


class Taker(Protocol):
    """Takes what waits: a TelemetryStore, or its `logs`."""

    def ingest_many(self, requests: Sequence[Any], *, live: bool = True) -> IngestResult:
        """Store requests in one transaction."""

    def record_dropped(self, reason: str, spans: int, /) -> None:
        """Count what was lost."""


Deliver = Callable[[Group], bool]
"""Takes a group; returns whether it is done with. False: not now."""


class Waiting(NamedTuple):
    """What waits in a spool: how many files and bytes, and since when; None: nothing does."""

    files: int = 0
    size_bytes: int = 0
    since_ns: int | None = None


class Spool:
    """The files of one directory. Safe for threads and processes; a forked child makes its own.

    Args:
        directory: made when something is put there; the one above it must exist.
        max_bytes: bound of all files together.
        clock: tells the time.
        redact: takes secrets out of a request before it is written; None when they are out already.
        signal: what the requests hold. Two signals never share a directory: nobody could tell them apart.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = MAX_SPOOL_BYTES,
        clock: Clock = now_ns,
        redact: Callable[[bytes], bytes] | None = None,
        signal: SignalName = "spans",
    ) -> None:
        self._signal: SignalName = signal
        self.directory, self._max_bytes, self._clock, self._redact = directory, max_bytes, clock, redact
        self._lock = threading.Lock()
        self._current: Path | None = None
        self._started_ns = 0

    def append(self, request: bytes) -> int:
        """Put a request on disk for good; return how many spans of older ones were dropped to make room.

        Raises:
            StoreUnavailableError: it could not be written, and nothing of it was.
        """
        if self._redact is not None:
            request = self._redact(request)
        record = _varint(len(request)) + request
        if len(record) > self._max_bytes:
            raise StoreUnavailableError(self.directory, f"a request of {len(request)} bytes is too large")
        with self._lock, self._translated():
            self.directory.mkdir(mode=0o700, exist_ok=True)
            dropped = self._make_room(len(record))
            descriptor = self._open_for_append()
            try:
                _write(descriptor, record)
            finally:
                _unlock_and_close(descriptor)
        return dropped

    def drain(self, deliver: Deliver, *, files: int | None = None) -> bool:
        """Hand on what waits, the oldest file first, each at most in groups of about GROUP_SPANS.

        Args:
            deliver: takes the requests.
            files: stop after so many.

        Returns:
            Whether nothing waits any more, but for files that another process is handing on.

        Raises:
            StoreUnavailableError: a file cannot be read or removed.
        """
        with self._translated():
            for path in self._files():
                if files == 0:
                    return False
                with _claimed(path) as stream:
                    if stream is None:
                        continue
                    if not self._hand_on(path, stream, deliver):
                        return False
                    path.unlink(missing_ok=True)
                    files = None if files is None else files - 1
        return True

    def waiting(self) -> Waiting:
        """Return how much waits.

        Raises:
            StoreUnavailableError: the directory cannot be read.
        """
        with self._translated():
            files = self._files()
            size_bytes = sum(map(_size_bytes, files))
        return Waiting(len(files), size_bytes, _start_ns(files[0])) if files else Waiting()

    def _hand_on(self, path: Path, stream: BufferedReader, deliver: Deliver) -> bool:
        """Hand on a whole file; return whether all of it was taken."""
        written_ns = os.fstat(stream.fileno()).st_mtime_ns
        group: list[Any] = []
        spans = size_bytes = 0
        for request, count in _requests(path, stream, self._signal):
            group.append(request)
            spans, size_bytes = spans + count, size_bytes + request.ByteSize()
            if spans >= GROUP_SPANS or size_bytes >= GROUP_BYTES:
                if not deliver(Group(group, spans, written_ns)):
                    return False
                group, spans, size_bytes = [], 0, 0
        return not group or deliver(Group(group, spans, written_ns))

    def _files(self) -> list[Path]:
        """Return the files, oldest first."""
        try:
            found = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        return sorted(found, key=_start_ns)

    def _make_room(self, needed_bytes: int) -> int:
        """Remove the oldest files until there is room; return how many spans were in them."""
        files = [(path, _size_bytes(path)) for path in self._files()]
        too_many_bytes = sum(size for _, size in files) + needed_bytes - self._max_bytes
        dropped = 0
        for path, size in files:
            if too_many_bytes <= 0:
                break
            with _claimed(path) as stream:
                if stream is not None:
                    dropped += sum(spans for _, spans in _requests(path, stream, self._signal))
                    path.unlink(missing_ok=True)
                    too_many_bytes -= size
        return dropped

    def _open_for_append(self) -> int:
        """Return a descriptor of this process's current file, locked; of a new one when that is full or taken."""
        path = self._current
        while True:
            if path is None:
                path = self._new_file()
            descriptor = _open_locked(path, os.O_WRONLY | os.O_APPEND)
            if descriptor is not None:
                if os.fstat(descriptor).st_size < FILE_BYTES:
                    self._current = path
                    return descriptor
                _unlock_and_close(descriptor)
            path = None

    def _new_file(self) -> Path:
        """Make a file that nobody else will write to, later than those before it, and its name durable."""
        self._started_ns = max(self._started_ns + 1, self._clock())
        while True:
            path = self.directory / f"{os.getpid()}-{self._started_ns}.otlp.pb"
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except FileExistsError:  # by a process of the same number, in another container
                self._started_ns += 1
                continue
            directory = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
            return path

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailableError(self.directory, error.strerror or str(error)) from error


def bring_in(spool: Spool, store: Taker, *, clock: Clock = now_ns, files: int | None = None) -> bool:
    """Store and count what waits in `spool`, and record what was lost; return whether nothing waits any more.

    Raises:
        StoreUnavailableError: a file cannot be read, or the home not be written; what was not stored still waits.
    """
    unavailable: list[StoreUnavailableError] = []

    def deliver(group: Group) -> bool:
        with guard:
            try:
                store.ingest_many(group.requests, live=clock() - group.written_ns <= LIVE_WITHIN_NS)
            except StoreUnavailableError as error:
                unavailable.append(error)
                return False
            return True
        store.record_dropped(LOST_BY_FAULT, group.spans)
        return True  # an error of ours costs these spans, not those behind them

    is_empty = spool.drain(deliver, files=files)
    for error in unavailable:
        raise error
    move_losses(spool.directory, store.record_dropped)
    return is_empty


def _requests(path: Path, stream: BufferedReader, name: SignalName) -> Iterator[tuple[Any, int]]:
    """Yield the requests of a file and how many spans each holds; of a cut tail the spans that are whole."""
    from ihobs.spans.otlp_protobuf import read_delimited  # slow: not before they are needed
    from ihobs.spans.signals import SIGNALS

    signal = SIGNALS[name]
    for decoded in read_delimited(stream, MAX_SPOOL_BYTES, signal):
        for rejected in decoded.rejections:
            log.warning("%s: %s: %s", path, rejected.where, rejected.reason)
        spans = signal.count(decoded.request)
        if spans:
            yield decoded.request, spans


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[BufferedReader | None]:
    """Hold the lock of a file for the body and yield it open; None when somebody else has it, or it is gone."""
    descriptor = _open_locked(path, os.O_RDONLY)
    if descriptor is None:
        yield None
        return
    try:
        with open(descriptor, "rb", closefd=False) as stream:
            yield stream
    finally:
        _unlock_and_close(descriptor)


def _open_locked(path: Path, flags: int) -> int | None:
    """Return a descriptor that holds the lock of a file; None when somebody else has it, or it is gone."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink:
        return descriptor
    _unlock_and_close(descriptor)  # whoever had it before us removed it
    return None


def _unlock_and_close(descriptor: int) -> None:
    """Give a file back. Closing alone would leave the lock with a child that was forked meanwhile."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _write(descriptor: int, record: bytes) -> None:
    """Append a record and make it durable; when that fails, leave the file as it was."""
    before_bytes = os.fstat(descriptor).st_size
    try:
        rest = memoryview(record)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before_bytes)
        raise


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # handed on meanwhile
        return 0


def _start_ns(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _varint(value: int) -> bytes:
    """Return an unsigned integer, seven bits a byte, least significant first."""
    parts = bytearray()
    while value >= _CONTINUES:
        parts.append(value & 0x7F | _CONTINUES)
        value >>= 7
    parts.append(value)
    return bytes(parts)
