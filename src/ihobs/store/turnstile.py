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

LONGEST_PAUSE_S = 0.002
SHORTEST_PAUSE_S = 0.0005
"""Pauses between attempts. Who has waited longer asks more often, and so is sooner served; shorter pauses would cost
the one who works its processor."""

HALVED_AFTER_S = 0.05
"""After this long the pauses are half of the longest, after twice as long a third, and so on."""


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
        waited_s = 0.0
        while not attempt():
            if waited_s >= left_s:
                return -1.0
            pause_s = max(SHORTEST_PAUSE_S, LONGEST_PAUSE_S / (1 + waited_s / HALVED_AFTER_S))
            self._pause(pause_s)
            waited_s += pause_s
        return max(0.0, left_s - waited_s)

    def _enter(self) -> bool:
        if self._descriptor is None:
            return True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
