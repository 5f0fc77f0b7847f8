"""Wake the duties process when something was committed: one datagram, no answer, no error.

The duties process binds a Unix datagram socket in the home; whoever commits sends it an empty datagram. It is a
hint and no more: the duties process looks at the database's `data_version` now and then, so that a lost
datagram, or a system without such sockets, costs a fraction of a second and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from ihobs.store.home import Home

SOCKET = "wake.sock"


class Listener:
    """The receiving end. Only the owner of the duties makes one: it takes over a socket left by a dead owner.

    Attributes:
        is_named: whether other processes can reach it; False where the system has no such sockets.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._selector = selectors.DefaultSelector()
        self._interrupt, self._interrupted = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._named = _bound(home)
        self.is_named = self._named is not None
        self._ends = [self._interrupted] if self._named is None else [self._interrupted, self._named]
        for end in self._ends:
            end.setblocking(False)
            self._selector.register(end, selectors.EVENT_READ)
        self._interrupt.setblocking(False)

    def wait(self, timeout_s: float) -> bool:
        """Wait for a datagram, at most `timeout_s`; return whether one came. Those that wait already count once."""
        if not self._selector.select(max(0.0, timeout_s)):
            return False
        for end in self._ends:
            _drain(end)
        return True

    def interrupt(self) -> None:
        """Make `wait` return now, from another thread of this process."""
        with contextlib.suppress(OSError):  # full: it is about to return anyway; closed: nobody waits
            self._interrupt.send(b"")

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._named is not None:
            with contextlib.suppress(OSError):
                (self._home.path / "locks" / SOCKET).unlink()
        self._selector.close()
        for end in (self._interrupt, *self._ends):
            end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def notify(home: Home) -> None:
    """Tell the duties process of `home` that something was committed. Never raises, never waits."""
    with (
        contextlib.suppress(OSError),  # nobody listens, its queue is full, or the home is gone: polling finds out
        _address(home) as address,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        sender.setblocking(False)
        sender.sendto(b"", address)


@contextlib.contextmanager
def _address(home: Home) -> Iterator[str]:
    """Yield a name of the socket that fits into a socket address (108 bytes), however deep the home lies.

    Linux shows an open directory as /proc/self/fd/N, which is a short way to the same place.
    """
    descriptor = os.open(home.path / "locks", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}" if sys.platform == "linux" else str(home.path / "locks" / SOCKET)
    finally:
        os.close(descriptor)


def _bound(home: Home) -> socket.socket | None:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        home.directory("locks")
        (home.path / "locks" / SOCKET).unlink(missing_ok=True)
        with _address(home) as address:
            receiver.bind(address)
    except OSError:
        receiver.close()
        return None
    return receiver


def _drain(receiver: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            receiver.recv(1)
