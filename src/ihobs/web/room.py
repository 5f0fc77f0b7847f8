"""How much may be in this process at once: of every request, from its first byte to its answer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from ihobs.web.wire import RefusalError

if TYPE_CHECKING:
    from types import TracebackType

    from ihobs.web.limits import Limits


class Room:
    """Counts bytes and items (spans and log records) of all requests in hand. Safe for threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self.size_bytes = self.items = self.requests = 0

    def share(self) -> Share:
        """Return the share of one request, to be used in a `with` statement."""
        return Share(self)

    def change(self, *, requests: int = 0, size_bytes: int = 0, items: int = 0) -> bool:
        """Take room, or give it back when negative; return whether there was enough."""
        with self._lock:
            size_bytes, items = self.size_bytes + size_bytes, self.items + items
            grows = size_bytes > self.size_bytes or items > self.items
            if grows and (size_bytes > self._limits.pending_bytes or items > self._limits.pending_items):
                return False
            self.size_bytes, self.items = size_bytes, items
            self.requests += requests
            return True


class Share:
    """What one request takes of a room; given back at the end of the `with` statement."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size_bytes = self._items = 0

    def take(self, *, size_bytes: int = 0, items: int = 0) -> None:
        """Take so much more.

        Raises:
            RefusalError: 429, there is no room now.
        """
        if not self._room.change(size_bytes=size_bytes, items=items):
            raise RefusalError(429, "too much is waiting to be stored; try again later")
        self._size_bytes += size_bytes
        self._items += items

    def __enter__(self) -> Self:
        self._room.change(requests=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.change(requests=-1, size_bytes=-self._size_bytes, items=-self._items)
