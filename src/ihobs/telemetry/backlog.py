"""Requests on their way out of this process: in memory within a bound, else on disk.

The worker thread puts them in and hands them on. When it hangs, another thread may put them on disk meanwhile: a
request is then perhaps handed on twice, which changes no number.
"""

from __future__ import annotations

import importlib
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ihobs.clock import Clock, now_ns
from ihobs.errors import StoreUnavailableError
from ihobs.guard import log
from ihobs.store.losses import note_losses
from ihobs.telemetry.loading import loading

if TYPE_CHECKING:
    from collections.abc import Callable

    from ihobs.store.spool import Spool

MAX_KEPT_SPANS = 20_000
"""Spans kept in memory; beyond it the oldest go to disk, and are lost only when that cannot be."""

LOST_SPOOL_FULL = "spool full"


class Kept(NamedTuple):
    """One request: the bytes of its OTLP message, and how many spans it holds."""

    data: bytes
    spans: int


class Backlog:
    """The requests of one sink that were not handed on yet, oldest first, and the spans that were lost.

    Args:
        open_spool: makes the spool, ready for use; called by `prepare`, and again in a forked child.
        lost_reason: why spans are lost that find no room in memory, and none on disk.
    """

    def __init__(self, open_spool: Callable[[], Spool], lost_reason: str, *, clock: Clock = now_ns) -> None:
        self._open_spool, self._lost_reason, self._clock = open_spool, lost_reason, clock
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Leave what is kept to the parent."""
        self._lock = threading.RLock()  # a signal handler may come back to it
        self._kept: deque[Kept] = deque()
        self._losses: dict[str, int] = {}
        self._spool: Spool | None = None
        self._spooling_told = False
        self.spans = 0

    @property
    def is_ready(self) -> bool:
        """Whether `secure` needs to load nothing."""
        return self._spool is not None

    def prepare(self) -> Spool:
        """Open the spool, where requests go that must survive this process, and load all that it needs.

        For the worker thread, at its first flush: whoever secures requests while it hangs must import nothing.
        """
        if self._spool is None:
            with loading:
                importlib.import_module("ihobs.spans.decode")  # what the spool is read with
                self._spool = self._open_spool()
        return self._spool

    def keep(self, data: bytes, spans: int) -> None:
        """Keep a request behind all others."""
        with self._lock:
            self._kept.append(Kept(data, spans))
            self.spans += spans
        while self.spans > MAX_KEPT_SPANS and (oldest := self.first()) is not None:
            if not self._put_on_disk(oldest):
                self.lose(self._lost_reason, oldest.spans)
                self.done(oldest)

    def first(self) -> Kept | None:
        """Return the oldest request, which stays until it is `done`."""
        with self._lock:
            return self._kept[0] if self._kept else None

    def done(self, kept: Kept) -> None:
        """Forget a request that was `first`, unless that has happened already."""
        with self._lock:
            if self._kept and self._kept[0] is kept:
                self._kept.popleft()
                self.spans -= kept.spans

    def secure(self) -> bool:
        """Put everything on disk; return whether nothing is in memory only."""
        while (oldest := self.first()) is not None:
            if not self._put_on_disk(oldest):
                return False
        return True

    def _put_on_disk(self, kept: Kept) -> bool:
        if self._spool is None:
            return False
        try:
            dropped = self._spool.append(kept.data)
        except StoreUnavailableError:
            return False
        self.done(kept)
        if dropped:
            self.lose(LOST_SPOOL_FULL, dropped)
        if not self._spooling_told:
            self._spooling_told = True
            log.warning("ihobs puts spans into %s, until they can be handed on", self._spool.directory)
        return True

    def lose(self, reason: str, spans: int) -> None:
        """Count spans that are lost."""
        with self._lock:
            self._losses[reason] = self._losses.get(reason, 0) + spans

    def losses(self) -> dict[str, int]:
        """Return the spans that were lost and are not told yet, by reason."""
        with self._lock:
            return dict(self._losses)

    def told(self, reason: str, spans: int) -> None:
        """Forget that many spans that were lost for `reason`: they are written down."""
        with self._lock:
            self._losses[reason] -= spans
            if not self._losses[reason]:
                del self._losses[reason]

    def note_losses(self) -> None:
        """Write the losses down beside the spool; where that is not possible, they stay here."""
        losses = self.losses()
        if not losses or self._spool is None:
            return
        try:
            note_losses(self._spool.directory, losses, self._clock())
        except StoreUnavailableError:
            return
        for reason, spans in losses.items():
            self.told(reason, spans)
