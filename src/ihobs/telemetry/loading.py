"""Imports on our worker thread, which a fork of the program must not cut in two.

A child that is forked while another thread is in the middle of an import inherits half of a module, and nobody to
finish it. So a fork waits for `loading`, the lock around everything that the worker may import.
"""

from __future__ import annotations

import os
import threading

import ihobs.store.forking  # noqa: F401 - see the end

FORK_WAITS_S = 10.0
"""How long a fork waits; the imports of a first flush take half a second, and some seconds on a machine that is
overloaded. A child that inherits half a module may wait for the other half for ever."""


class ForkLock:
    """A lock that no fork finds held by another thread, unless that keeps it for longer than FORK_WAITS_S."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held_by_fork = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        """Wait for whoever holds the lock, and hold it."""
        self._held_by_fork = self._lock.acquire(timeout=FORK_WAITS_S)

    def after_fork_in_parent(self) -> None:
        """Give the lock back."""
        if self._held_by_fork:
            self._held_by_fork = False
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin with a free lock."""
        self._lock, self._held_by_fork = threading.Lock(), False


loading = ForkLock()
"""Held by the worker thread while it imports."""

os.register_at_fork(
    before=loading.before_fork,
    after_in_parent=loading.after_fork_in_parent,
    after_in_child=loading.after_fork_in_child,
)
# What is registered first is called last before a fork: databases are closed when the worker can open no other.
