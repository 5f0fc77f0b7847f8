"""Threads that send, so that a receiver which is slow keeps nobody else waiting: one at a time for each receiver."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from ihobs.errors import IhobsError
from ihobs.guard import guard

MAX_THREADS = 16
"""Receivers that are talked to at the same time. They wait for answers, most of the time."""


FIRST_REST_S = 1.0
LONGEST_REST_S = 300.0
"""When it cannot be stored what became of a message, it would be sent again at once: its receiver is left in peace."""

log = logging.getLogger("ihobs.delivery")


class Couriers(Protocol):
    """Carries out errands, at most one a receiver at a time."""

    def busy(self) -> frozenset[str]:
        """Return the receivers whose errand is not done."""

    def run(self, reference: str, errand: Callable[[], object]) -> None:
        """Carry `errand` out, now or soon."""


class Inline:
    """Carries errands out at once, on the thread that asks."""

    def busy(self) -> frozenset[str]:
        """Return nothing: all is done."""
        return frozenset()

    def run(self, reference: str, errand: Callable[[], object]) -> None:  # noqa: ARG002 - one signature for both
        """Carry `errand` out."""
        errand()


class Threads:
    """Carries errands out on threads of its own, which are made when they are needed.

    Args:
        done: called after each, on its thread.
    """

    def __init__(self, done: Callable[[], object]) -> None:
        self._done = done
        self._pool: ThreadPoolExecutor | None = None
        self._busy: set[str] = set()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._faults: Counter[str] = Counter()

    def busy(self) -> frozenset[str]:
        """Return the receivers whose errand is not done."""
        with self._changed:
            return frozenset(self._busy)

    def run(self, reference: str, errand: Callable[[], object]) -> None:
        """Carry `errand` out soon."""
        with self._changed:
            self._busy.add(reference)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="ihobs-courier")
            self._pool.submit(self._carry_out, reference, errand)

    def wait(self, timeout_s: float) -> bool:
        """Wait until all errands are done, at most `timeout_s`; return whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, timeout_s)

    def close(self) -> None:
        """Start no errand any more; those that run are left to end by themselves."""
        self._closing.set()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _carry_out(self, reference: str, errand: Callable[[], object]) -> None:
        try:
            if self._goes_well(errand):
                self._faults.pop(reference, None)
            else:
                self._faults[reference] += 1
                self._closing.wait(rest_s(self._faults[reference]))
        finally:
            with self._changed:
                self._busy.discard(reference)
                self._changed.notify_all()
            self._done()

    def _goes_well(self, errand: Callable[[], object]) -> bool:
        with guard:
            try:
                errand()
            except IhobsError as error:
                log.warning("what became of a message could not be stored, it is sent again: %s", error)
                return False
            return True
        return False


def rest_s(faults: int) -> float:
    """Return how long a receiver is left in peace after `faults` errors of ours in a row."""
    return min(FIRST_REST_S * 2.0 ** min(faults - 1, 30), LONGEST_REST_S)
