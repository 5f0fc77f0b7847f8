"""Connections do not survive a fork: they are closed before it.

SQLite keeps its locks twice: in the memory of the process, where a forked child inherits them, and in the
kernel, where it does not. A connection that a child opens beside inherited ones believes in locks that it does
not hold: the parent may then remove the write-ahead log under it, and what the child commits is lost without
an error. So a fork waits until no thread uses a database, and closes its connections; both sides open new ones.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence

from ihobs.guard import guard

FORK_WAITS_S = 2.0
"""How long a fork waits for other threads; a transaction takes milliseconds, unless another process holds the lock."""


class Gate:
    """Lets threads use a database's connections at any time but during a fork.

    Args:
        close: closes all connections; called when nobody uses them.
        forked: called in a forked child; whether connections were still in use, and must not be used by it.
    """

    def __init__(self, close: Callable[[], None], forked: Callable[[bool], None]) -> None:
        self._close, self._forked = close, forked
        self._torn = False
        self._reset()
        _gates.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._mine = threading.local()
        self._uses = self._forks = 0

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Keep connections open for the body, which may use the gate again."""
        mine = getattr(self._mine, "uses", 0)
        with self._changed:
            if not mine:
                self._changed.wait_for(lambda: not self._forks)
            self._uses += 1
        self._mine.uses = mine + 1
        try:
            yield
        finally:
            self._mine.uses = mine
            with self._changed:
                self._uses -= 1
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait for the threads inside and close the connections; keep others out until after the fork."""
        with self._changed:
            self._forks += 1
            waits_s = 0.0 if getattr(self._mine, "uses", 0) else FORK_WAITS_S
            self._torn = not self._changed.wait_for(lambda: not self._uses, waits_s)
        if not self._torn:
            self._close()

    def after_fork_in_parent(self) -> None:
        """Let threads in again."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def after_fork_in_child(self, *, was_closed: bool) -> None:
        """Start anew: the parent's other threads do not exist here.

        Args:
            was_closed: `before_fork` was called; False: another thread made this gate since.
        """
        self._reset()
        self._forked(self._torn or not was_closed)


_gates: weakref.WeakSet[Gate] = weakref.WeakSet()


class _Fork(threading.local):
    """A fork under way on this thread.

    Attributes:
        closed: the gates that it has closed, and no others, are opened again. None are when another thread imports
            this module while the fork has begun.
    """

    closed: Sequence[Gate] = ()


_fork = _Fork()


def _before_fork() -> None:
    _fork.closed = list(_gates)
    for gate in _fork.closed:
        with guard:
            gate.before_fork()


def _after_fork_in_parent() -> None:
    for gate in _fork.closed:
        gate.after_fork_in_parent()
    _fork.closed = ()


def _after_fork_in_child() -> None:
    for gate in list(_gates):
        gate.after_fork_in_child(was_closed=gate in _fork.closed)
    _fork.closed = ()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child, after_in_parent=_after_fork_in_parent)
