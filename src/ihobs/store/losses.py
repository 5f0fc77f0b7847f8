"""Losses that could not be written into the database, beside the spool: `lost.json`, reason -> spans and when.

A loss is told even when what caused it, a locked home or a full disk, also keeps it out of the database. Whoever
brings the spool in moves the losses into the database; where there is none (`IHOBS_ENDPOINT`), they stay here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ihobs.errors import StoreUnavailableError

FILE = "lost.json"


@dataclass(frozen=True, slots=True)
class Loss:
    """Spans that were lost before they could be stored: why, how many, and when the last of them were."""

    reason: str
    spans: int
    last_ns: int


def note_losses(directory: Path, spans_by_reason: Mapping[str, int], now_ns: int) -> None:
    """Add losses to those in `directory`, which is made when missing; the one above it must exist.

    Raises:
        StoreUnavailableError: they could not be written, and none was.
    """
    with _translated(directory):
        directory.mkdir(mode=0o700, exist_ok=True)
        with _locked(directory):
            noted = {loss.reason: loss for loss in read_losses(directory)}
            for reason, spans in spans_by_reason.items():
                before = noted[reason].spans if reason in noted else 0
                noted[reason] = Loss(reason, before + spans, now_ns)
            _replace(directory, noted)


def read_losses(directory: Path) -> tuple[Loss, ...]:
    """Return the losses in `directory`, most spans first.

    Raises:
        StoreUnavailableError: they cannot be read.
    """
    with _translated(directory):
        try:
            text = (directory / FILE).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return ()
    found = (Loss(reason, spans, last_ns) for reason, (spans, last_ns) in json.loads(text).items())
    return tuple(sorted(found, key=lambda loss: (-loss.spans, loss.reason)))


def move_losses(directory: Path, record: Callable[[str, int], None]) -> int:
    """Give each loss (reason, spans) to `record` and forget it; return how many spans that were.

    Raises:
        StoreUnavailableError: they cannot be read, or as `record`; what was not recorded stays.
    """
    if not (directory / FILE).exists():
        return 0
    with _translated(directory), _locked(directory):
        left = {loss.reason: loss for loss in read_losses(directory)}
        spans = 0
        try:
            for loss in tuple(left.values()):
                record(loss.reason, loss.spans)
                spans += left.pop(loss.reason).spans
        finally:
            _replace(directory, left)
    return spans


def _replace(directory: Path, losses: Mapping[str, Loss]) -> None:
    """Write the file beside and rename it, so that a kill leaves the old one or the new one."""
    if not losses:
        (directory / FILE).unlink(missing_ok=True)
        return
    beside = directory / f"{FILE}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({loss.reason: [loss.spans, loss.last_ns] for loss in losses.values()}, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(directory / FILE)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock of the directory itself for the body. Nobody waits for it: an ending program must not hang."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(directory, error.strerror or str(error)) from error
