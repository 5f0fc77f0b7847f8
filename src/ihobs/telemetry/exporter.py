"""Writes batches of spans into the home; keeps them when the home cannot take them, in memory and then on disk.

Runs on the processor's worker thread, so it may wait for a lock; the program that we watch does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ihobs.courtesy import Courtesy
from ihobs.errors import StoreRefusedError, StoreUnavailableError
from ihobs.guard import guard, log
from ihobs.store.spool import LOST_BY_FAULT, bring_in
from ihobs.store.wake import notify
from ihobs.telemetry.backlog import Backlog
from ihobs.telemetry.loading import loading
from ihobs.telemetry.stamps import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from ihobs.store.spool import SignalName, Spool

LOST_QUEUE_FULL = "queue full"
LOST_STORE_UNAVAILABLE = "store unavailable"

DUTIES_LOCK = "duties"
"""Held by the duties process, which brings the spool in; we do when nobody holds it."""


class StoreExporter(SpanExporter):
    """Encodes spans as OTLP and stores them.

    Args:
        open_store: makes the store; called on first use, again in a forked child, and after a failure to open.
            It holds `loading` while it imports.
        service: returns the name of this process's service, for the gauge of running workflows.
        open_spool: makes the spool, for what the store cannot take.
        encode: makes a request of a batch; None: of spans.
        signal: what the batches hold. For log records, `open_store` returns the store's `logs`.
        notice: returns what this program notices of itself, subject -> text; kept in the home for `ihobs doctor`.
    """

    def __init__(
        self,
        open_store: Callable[[], Any],
        *,
        service: Callable[[], str],
        open_spool: Callable[[], Spool],
        encode: Callable[[Sequence[Any]], bytes] | None = None,
        signal: SignalName = "spans",
        notice: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self._notice = notice
        self._noticed: Mapping[str, str] | None = None
        self._open_store, self._service, self._signal = open_store, service, signal
        self._store: Any = None
        self._encode = encode or Encoder(Courtesy()).encode
        self._backlog = Backlog(open_spool, LOST_STORE_UNAVAILABLE)
        self._spool_may_hold = True
        self._unavailable = ""
        self._rests = False  # in this round the home could not be used: what is left of it does not wait again
        self._refused = False

    @property
    def is_ready(self) -> bool:
        """Whether `secure` needs to load nothing."""
        return self._backlog.is_ready

    def write(self, ended: Sequence[Any]) -> None:
        """Store a batch, and before it whatever is kept from earlier calls."""
        self._rests = False
        if ended:
            self._backlog.prepare()
            self._backlog.keep(self._encode(ended), len(ended))
        self._store_kept()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store spans as an ordinary exporter of the SDK, without the names of their places."""
        with guard:
            self.write([(span, None) for span in spans])
        return SpanExportResult.FAILURE if self._backlog.spans else SpanExportResult.SUCCESS

    def report_active(self, active: Mapping[str, int]) -> None:
        """Say how many runs of each workflow this process has in progress."""
        self._attempt(lambda store: store.report_active(self._service(), active))

    def count_dropped(self, spans: int) -> None:
        """Count spans that did not fit into the processor's queue."""
        self._backlog.lose(LOST_QUEUE_FULL, spans)

    def secure(self, ended: Sequence[Any] = ()) -> bool:
        """Put on disk what the home could not take, and `ended`; return whether nothing is in memory only."""
        if ended:
            self._backlog.keep(self._encode(ended), len(ended))
        if self._backlog.spans:
            self._spool_may_hold = True
        is_safe = self._backlog.secure()
        if self._rests:
            self._backlog.note_losses()
        return is_safe

    def after_fork_in_child(self) -> None:
        """Leave what is kept and the connections to the parent."""
        _inherited.append(self._store)
        self._store = None
        self._backlog.after_fork_in_child()

    def close(self) -> None:
        """Store what is kept, or put it on disk; say what is lost, and close."""
        self._store_kept()
        if not self.secure():
            log.error("ihobs lost %d %s at the end: %s", self._backlog.spans, self._signal, self._unavailable)
        if self._store is not None:
            self._store.close()
            self._store = None

    def shutdown(self) -> None:
        """Close. Called by the SDK."""
        with guard:
            self.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - SDK's signature
        """Say whether everything handed over is stored, or at least on disk."""
        with guard:
            return self.secure()
        return False

    def _store_kept(self) -> None:
        stored = False
        while (kept := self._backlog.first()) is not None:
            with guard:
                if not self._ingest(kept.data):
                    break
                self._backlog.done(kept)
                stored = True
                continue
            self._backlog.lose(LOST_BY_FAULT, kept.spans)  # an error of ours costs this batch, not those behind it
            self._backlog.done(kept)
        if self._backlog.losses():
            self._attempt(self._record_losses)
        if stored and self._store is not None:
            notify(self._store.home)
            self._tell_noticed()
        if self._refused:
            self.secure()  # only a newer ihobs can store them
        elif self._spool_may_hold and self._store is not None:
            self._attempt(self._catch_up)

    def _tell_noticed(self) -> None:
        """Keep in the home what this program notices of itself, when it is something else than before."""
        if self._notice is None:
            return
        with guard:
            noticed = self._notice()
            if noticed != self._noticed and self._attempt(lambda store: store.note(self._service(), noticed)):
                self._noticed = noticed

    def _ingest(self, data: bytes) -> bool:
        with loading:
            request = _parse(data, self._signal)
        return self._attempt(lambda store: store.ingest(request))

    def _record_losses(self, store: Any) -> None:
        for reason, spans in self._backlog.losses().items():
            store.record_dropped(reason, spans)
            self._backlog.told(reason, spans)

    def _catch_up(self, store: Any) -> None:
        """Store a file of the spool, unless there is a duties process, which does that."""
        if store.home.lock_owner(DUTIES_LOCK) is None:
            self._spool_may_hold = not bring_in(self._backlog.prepare(), store, files=1)

    def _attempt(self, action: Callable[[Any], object]) -> bool:
        """Run `action` on the store; return False when the home cannot be used now, and log it once."""
        if self._rests:
            return False
        try:
            action(self.opened())
        except StoreUnavailableError as error:
            self._rests, self._refused = True, isinstance(error, StoreRefusedError)
            if str(error) != self._unavailable:
                self._unavailable = str(error)
                log.warning("ihobs cannot store %s now and will try again: %s", self._signal, error)
            return False
        self._refused = False
        if self._unavailable:
            self._unavailable = ""
            log.warning("ihobs stores %s again", self._signal)
        return True

    def opened(self) -> Any:
        """Return the store, opened.

        Raises:
            StoreUnavailableError: it cannot be.
        """
        if self._store is None:
            self._store = self._open_store()
        return self._store


_inherited: list[object] = []
"""Stores of a forked child's parent. Never used again, nor collected: closing them would touch its files."""


def _parse(data: bytes, signal: SignalName) -> Any:
    from ihobs.spans.signals import SIGNALS  # slow: not before it is needed

    return SIGNALS[signal].request.FromString(data)
