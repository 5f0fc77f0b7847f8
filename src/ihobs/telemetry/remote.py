"""Sends batches of spans to an `ihobs serve` elsewhere; what it cannot take waits on disk, and goes first.

Runs on the processor's worker thread. A try that fails is followed by a pause that grows; meanwhile every batch goes
to the spool at once, so that a kill loses nothing. No database is opened.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.courtesy import Courtesy
from ihobs.errors import StoreUnavailableError
from ihobs.guard import guard, log
from ihobs.store.spool import LOST_BY_FAULT, Group
from ihobs.telemetry.backlog import Backlog
from ihobs.telemetry.exporter import LOST_QUEUE_FULL
from ihobs.telemetry.loading import loading
from ihobs.telemetry.stamps import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ihobs.store.spool import SignalName, Spool
    from ihobs.telemetry.sender import Answer, Sender

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
LONGEST_ASKED_PAUSE_S = 300.0
"""A server may ask for a longer pause by `Retry-After`, up to this."""

_ABOUT_ONE_SPAN = frozenset({400, 413})
"""Refusals that one request of several may have caused: it is damaged, or all together are too large."""

LOST_UNREACHABLE = "endpoint unreachable"


class RemoteSink:
    """Where batches go when an endpoint is set.

    Args:
        sender: sends one request.
        open_spool: makes the spool, for what cannot be sent now.
        redact: takes secrets out of a request before it goes anywhere.
        encode: makes a request of a batch; None: of spans.
        signal: what the batches hold. Requests of log records are sent one by one: the server knows a request that
            comes again by its content.
        clock: tells the time.
        chance: a random number from 0 to 1; spreads the tries of many processes.

    Attributes:
        is_ready: `secure` needs to load nothing.
    """

    def __init__(  # noqa: PLR0913 - put together once
        self,
        sender: Sender,
        *,
        open_spool: Callable[[], Spool],
        redact: Callable[[bytes], bytes],
        encode: Callable[[Sequence[Any]], bytes] | None = None,
        signal: SignalName = "spans",
        clock: Clock = now_ns,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._sender, self._clock, self._chance = sender, clock, chance
        self._encode, self._redact, self._signal = encode or Encoder(Courtesy()).encode, redact, signal
        self._backlog = Backlog(open_spool, LOST_UNREACHABLE, clock=clock)
        self.is_ready = False
        self._spool_may_hold = True
        self._failures = 0
        self._next_try_ns = 0
        self._is_asked_to_wait = False
        self._has_tried = False
        self._problem = ""
        self._told: set[str] = set()

    def write(self, ended: Sequence[Any]) -> None:
        """Send what waits on disk, then what is kept and a batch; what cannot be sent now goes to disk."""
        self._prepare()
        if ended:
            self._backlog.keep(self._redact(self._encode(ended)), len(ended))
        self._has_tried = self._is_due()
        if self._has_tried:
            self._send_everything()
        self.secure()
        self._backlog.note_losses()

    def report_active(self, active: Mapping[str, int]) -> None:
        """Do nothing: OTLP has no word for it. The server estimates by the spans that it gets."""

    def count_dropped(self, spans: int) -> None:
        """Count spans that did not fit into the processor's queue."""
        self._backlog.lose(LOST_QUEUE_FULL, spans)

    def secure(self, ended: Sequence[Any] = ()) -> bool:
        """Put what could not be sent, and `ended`, on disk; return whether nothing is in memory only."""
        if ended:
            self._backlog.keep(self._redact(self._encode(ended)), len(ended))
        if self._backlog.spans:
            self._spool_may_hold = True
        return self._backlog.secure()

    def close(self) -> None:
        """Try a last time if the last flush did not, put what is left on disk, and say what is lost."""
        if not self._has_tried and not self._is_asked_to_wait:
            self._send_everything()
        if not self.secure():
            log.error("ihobs lost %d %s at the end: %s", self._backlog.spans, self._signal, self._problem)
        self._backlog.note_losses()
        self._sender.close()

    def after_fork_in_child(self) -> None:
        """Leave what is kept and the connection to the parent."""
        self.is_ready = False
        self._sender.forget()
        self._backlog.after_fork_in_child()

    def _prepare(self) -> None:
        """Load what redacts, so that whoever secures spans while the worker hangs imports nothing."""
        if not self.is_ready:
            self._backlog.prepare()
            with loading:
                self._redact(b"")
            self.is_ready = True

    def _is_due(self) -> bool:
        """Return whether it is time to try; at once when the clock went back."""
        return not 0 < self._next_try_ns - self._clock() <= LONGEST_ASKED_PAUSE_S * SECOND_NS

    def _send_everything(self) -> None:
        if self._send_spooled():
            self._send_kept()

    def _send_spooled(self) -> bool:
        """Send a file of the spool; return whether nothing waits there any more."""
        if not self._spool_may_hold:
            return True
        try:
            self._spool_may_hold = not self._backlog.prepare().drain(self._deliver, files=1)
        except StoreUnavailableError as error:
            self._tell(str(error))
            return True
        return not self._spool_may_hold

    def _deliver(self, group: Group) -> bool:
        """Send some requests of the spool as one; one by one when they are refused together."""
        if self._signal != "spans" and len(group.requests) > 1:
            return all(self._deliver(single) for single in self._singles(group))
        answer = self._sender.send(b"".join(request.SerializeToString() for request in group.requests))
        if answer.status in _ABOUT_ONE_SPAN and len(group.requests) > 1:
            return all(self._deliver(single) for single in self._singles(group))
        return self._settle(answer, group.spans)

    def _send_kept(self) -> None:
        while (kept := self._backlog.first()) is not None:
            with guard:
                if not self._settle(self._sender.send(kept.data), kept.spans):
                    return
                self._backlog.done(kept)
                continue
            self._backlog.lose(LOST_BY_FAULT, kept.spans)  # an error of ours costs this batch, not those behind it
            self._backlog.done(kept)

    def _singles(self, group: Group) -> list[Group]:
        """Return the requests of a group as groups of one."""
        from ihobs.spans.signals import SIGNALS  # slow: not before it is needed

        count = SIGNALS[self._signal].count
        return [Group([request], count(request), group.written_ns) for request in group.requests]

    def _settle(self, answer: Answer, spans: int) -> bool:
        """Do what an answer asks for; return whether its request is done with."""
        if answer.outcome == "later":
            self._pause(answer)
            return False
        self._failures = 0
        lost = spans if answer.outcome == "refused" else answer.rejected_spans
        if lost:
            self._backlog.lose(answer.reason, lost)
            self._tell_loss(answer)
        self._tell("")
        return True

    def _pause(self, answer: Answer) -> None:
        """Put the next try off."""
        self._failures += 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures - 1, 16))
        pause_s *= 0.5 + self._chance() / 2
        if answer.retry_after_s is not None:
            pause_s = min(LONGEST_ASKED_PAUSE_S, max(pause_s, answer.retry_after_s))
        self._next_try_ns = self._clock() + round(pause_s * SECOND_NS)
        self._is_asked_to_wait = answer.retry_after_s is not None
        self._tell(answer.reason)

    def _tell(self, problem: str) -> None:
        """Log that nothing can be sent, and later that it can be again."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem:
            log.warning(
                "ihobs cannot send %s to %s now and will try again: %s", self._signal, self._sender.url, problem
            )
        else:
            log.warning("ihobs sends %s again", self._signal)

    def _tell_loss(self, answer: Answer) -> None:
        """Log a reason for which the server does not want spans, once; `ihobs status` shows how many."""
        if answer.reason not in self._told:
            self._told.add(answer.reason)
            log.error("ihobs loses %s, %s: %s", self._signal, answer.reason, answer.detail)
