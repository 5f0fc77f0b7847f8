"""Waiting in line for a database's write lock.

SQLite's own waiting sleeps up to 0.1 s between two attempts, so a process that writes all the time starves the
others: "database is locked" after ten seconds, though the lock was free a thousand times. Here whoever waits
holds the turnstile, and those who come later, the busy writer among them, wait behind it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

FIRST_PAUSE_S = 0.0002
LONGEST_PAUSE_S = 0.002
"""Pauses between attempts double from the first to the longest: a transaction takes 1 to 20 ms."""


class Turnstile:
    """A place in the line, shared by all processes that name the same file. The kernel frees it on death.

    It is a courtesy, not the lock itself: where its file cannot be made, everybody goes straight to the lock.
    """

    def __init__(self, path: Path, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def wait(self, attempt: Callable[[], bool], timeout_s: float) -> bool:
        """Call `attempt` until it succeeds, once our turn has come; return whether it did within about `timeout_s`."""
        left_s = self._until(self._enter, timeout_s)
        try:  # also when the turn never came: its holder may be stopped, and the lock free
            return self._until(attempt, max(0.0, left_s)) >= 0
        finally:
            if self._descriptor is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file back. A forked child closes what it inherited: the parent keeps its place."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _until(self, attempt: Callable[[], bool], left_s: float) -> float:
        """Return how much of `left_s` is left when `attempt` succeeds; below zero when it did not."""
        pause_s = FIRST_PAUSE_S
        while not attempt():
            if left_s <= 0:
                return -1.0
            self._pause(pause_s)
            left_s -= pause_s
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return max(0.0, left_s)

    def _enter(self) -> bool:
        if self._descriptor is None:
            return True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
