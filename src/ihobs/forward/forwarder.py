"""Forward to one destination: read, send, and move the cursor with what became of it.

At most four batches are on their way, so that a kill sends no more than these twice. All that must outlive the
process is in the telemetry database: the cursor, when the next try is, and why. Nothing here sleeps.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ihobs.clock import HOUR_NS, MINUTE_NS, SECOND_NS, Clock
from ihobs.forward import again
from ihobs.forward.answers import Answer
from ihobs.guard import guard
from ihobs.store.dead_letters import letters_to_send
from ihobs.store.forwarding import Progress, Trouble, advance, postpone, read_cursor, settle_again

if TYPE_CHECKING:
    from ihobs.forward.destinations import Destination
    from ihobs.forward.reading import Reader
    from ihobs.forward.walk import Walk
    from ihobs.store.database import Database
    from ihobs.store.forwarding import Cursor

log = logging.getLogger("ihobs.forward")

MAX_IN_FLIGHT = 4
"""Batches on their way at one time."""

BATCH_BYTES = 2 * 1024 * 1024
"""Size of a request before compression: below the 4 MiB that gRPC servers take, and LangSmith's 20 MB."""

MIN_BATCH_BYTES = 16 * 1024
"""A destination that calls less than this too large is asked for it again and again."""

FIRST_PAUSE_NS = SECOND_NS
LONGEST_PAUSE_NS = 5 * MINUTE_NS
SHORTEST_PAUSE_NS = SECOND_NS // 10
LONGEST_ASKED_PAUSE_NS = HOUR_NS
"""Pauses are random up to 1 s, 2 s, 4 s ... 5 min (full jitter); `Retry-After` may ask for more, up to an hour."""

AGAIN_AT_ONCE = 200
"""Dead letters sent again at one time."""

PAUSED_AGAIN_NS = 15 * MINUTE_NS
"""A paused destination is asked so often whether it has changed its mind: what refused may be mended at its end."""


FAILED_HERE = Answer("later", "cannot be sent: a fault of ihobs, or a header that is none; the log says more")


class Sender(Protocol):
    """Sends requests to one destination, one at a time."""

    def send(self, data: bytes) -> Answer:
        """Send the bytes of a request once, and return what became of it. Never raises for what the other end does."""

    def close(self) -> None:
        """Close the connection."""


@dataclass
class Forwarder:
    """Forwards to one destination. For one thread, which starts others while it sends.

    Attributes:
        open_sender: makes a sender; there are as many as batches on their way.
        is_held: whether nothing may be sent now, asked before every request.
        chance: a random number from 0 to 1.
    """

    destination: Destination
    database: Database
    reader: Reader
    open_sender: Callable[[], Sender]
    is_held: Callable[[], bool]
    clock: Clock
    chance: Callable[[], float] = random.random
    _senders: list[Sender] = field(default_factory=list)
    _window: list[Walk] = field(default_factory=list)
    _limit_bytes: int = BATCH_BYTES

    def turn(self) -> int | None:
        """Send what waits, as much as four batches; return when to come back, or None when nothing waits.

        Raises:
            StoreUnavailableError: the database cannot be used; nothing was lost.
        """
        cursor = read_cursor(self.database, self.destination.name)
        if cursor is None:
            return None
        now_ns = self.clock()
        if self.destination.missing:
            return self._wait_for_variable(cursor, now_ns)
        if self.is_held():
            return now_ns + SECOND_NS
        if 0 < cursor.next_ns - now_ns <= LONGEST_ASKED_PAUSE_NS:  # further away: by a clock that was wrong
            return cursor.next_ns
        self._fill_window(cursor)
        if not self._window:
            return self._send_again(cursor)
        blocked = self._send(cursor)
        if not self._commit(cursor):
            self._window.clear()  # the database was restored, or emptied: read anew
            return now_ns
        return now_ns if blocked is None else self._put_off(cursor, *blocked)

    def close(self) -> None:
        """Close the connections; what was read and not sent is read again."""
        self._window.clear()
        while self._senders:
            self._senders.pop().close()

    def _send_again(self, cursor: Cursor) -> int | None:
        """Send the dead letters that somebody asked for; return when to come back."""
        letters = letters_to_send(self.database, cursor.name, limit=AGAIN_AT_ONCE)
        if not letters:
            return None
        walk, asked = again.walk_of(letters, self.reader, self._limit_bytes)
        blocked = self._pursue(walk, self._sender(0))
        sent, reasons = again.outcome(walk, asked)
        settle_again(self.database, cursor.name, sent, reasons, self.clock())
        return self.clock() if blocked is None else self._put_off(cursor, walk, blocked)

    def _fill_window(self, cursor: Cursor) -> None:
        if self._window and self._window[0].after_id != cursor.payload_id:
            self._window.clear()
        while len(self._window) < MAX_IN_FLIGHT:
            after_id = self._window[-1].payload_id if self._window else cursor.payload_id
            walk = self.reader.batch(after_id, self._limit_bytes)
            if walk is None:
                return
            self._window.append(walk)

    def _send(self, cursor: Cursor) -> tuple[Walk, Answer] | None:
        """Send what is left of the window; return the first batch that could not be sent, and why."""
        waiting = [walk for walk in self._window if not walk.is_done]
        answers = self._all_at_once(waiting) if not cursor.attempts else list(self._one_by_one(waiting))
        if any(walk.sent_spans for walk in self._window):
            for walk in self._window:
                walk.is_trusted = True
        return next(((walk, answer) for walk, answer in zip(waiting, answers, strict=False) if answer), None)

    def _all_at_once(self, walks: Sequence[Walk]) -> list[Answer | None]:
        answers: list[Answer | None] = [None] * len(walks)

        def pursue(index: int) -> None:
            answers[index] = self._pursue(walks[index], self._sender(index))

        threads = [
            threading.Thread(target=pursue, args=[index], name=f"ihobs-send-{index}", daemon=True)
            for index in range(1, len(walks))
        ]
        for thread in threads:
            thread.start()
        if walks:
            pursue(0)
        for thread in threads:
            thread.join()
        return answers

    def _one_by_one(self, walks: Sequence[Walk]) -> Iterator[Answer | None]:
        """After a failure: try one batch, and others only when it may be to blame itself, or all is well again."""
        for walk in walks:
            answer = self._pursue(walk, self._sender(0))
            yield answer
            if answer is not None and answer.outcome in {"later", "denied"}:
                return

    def _pursue(self, walk: Walk, sender: Sender) -> Answer | None:
        """Send the requests of a batch until it is done or must wait; return why it must."""
        with guard:
            return self._send_rest(walk, sender)
        return FAILED_HERE

    def _send_rest(self, walk: Walk, sender: Sender) -> Answer | None:
        while not walk.is_done:
            if self.is_held():
                return None
            blocked = walk.take(sender.send(walk.next_request()))
            if blocked is not None:
                return blocked
        return None

    def _sender(self, index: int) -> Sender:
        while len(self._senders) <= index:
            self._senders.append(self.open_sender())
        return self._senders[index]

    def _commit(self, cursor: Cursor) -> bool:
        """Move the cursor over the batches that are done, as far as none before them is not."""
        done: list[Walk] = []
        for walk in self._window:
            if not walk.is_done:
                break
            done.append(walk)
        if not done:
            return True
        if any(walk.sent_spans for walk in done):
            smallest = min(walk.limit_bytes for walk in done)
            self._limit_bytes = min(self._limit_bytes, max(MIN_BATCH_BYTES, smallest))
        progress = Progress(
            done[-1].payload_id,
            done[-1].received_ns,
            sent_spans=sum(walk.sent_spans for walk in done),
            rejected_spans=sum(walk.rejected_spans for walk in done),
            dead=[letter for walk in done for letter in walk.dead],
            lost_spans=sum(walk.lost_spans for walk in done),
        )
        self._window = self._window[len(done) :]
        if cursor.problem and progress.sent_spans:
            log.warning("destination %s takes spans again", cursor.name)
        return advance(self.database, cursor, progress, self.clock())

    def _put_off(self, cursor: Cursor, walk: Walk, answer: Answer) -> int:
        """Store why nothing can be sent, and return when to try again."""
        attempts, now_ns = cursor.attempts + 1, self.clock()
        is_paused = answer.outcome in {"denied", "bad", "too large"}
        if is_paused and walk.is_trusted and answer.outcome != "denied":
            return now_ns  # others were taken meanwhile: search on
        if is_paused:
            next_ns = now_ns + PAUSED_AGAIN_NS
        else:
            longest_ns = min(LONGEST_PAUSE_NS, FIRST_PAUSE_NS << min(attempts - 1, 30))
            next_ns = now_ns + max(SHORTEST_PAUSE_NS, round(self.chance() * longest_ns))
        if answer.retry_after_s is not None:
            asked_ns = min(LONGEST_ASKED_PAUSE_NS, round(answer.retry_after_s * SECOND_NS))
            next_ns = max(next_ns, now_ns + asked_ns)
        self._note(cursor, Trouble(answer.reason, attempts, next_ns, is_paused), now_ns)
        return next_ns

    def _note(self, cursor: Cursor, trouble: Trouble, now_ns: int) -> None:
        """Store why nothing can be sent, and log it when it is something new."""
        if cursor.problem != trouble.reason:
            then = "is paused" if trouble.paused else "is tried again"
            log.warning("destination %s %s: %s", cursor.name, then, trouble.reason)
        postpone(self.database, cursor.name, trouble, now_ns)

    def _wait_for_variable(self, cursor: Cursor, now_ns: int) -> int:
        """Pause until the next start finds the variable set."""
        reason = f"the variable {self.destination.missing} is not set; set it and start ihobs again"
        if cursor.problem != reason or not cursor.paused:
            self._note(cursor, Trouble(reason, 1, next_ns=0, paused=True), now_ns)
        return now_ns + PAUSED_AGAIN_NS
