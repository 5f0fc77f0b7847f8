"""One batch on its way: what is still to be sent, how it is split, and what came of it. No I/O, no time.

A request that is too large, not answered in time or refused is split in two, and each half sent by itself, down to the
one span that is not wanted: that becomes a dead letter, and everything else is taken. When every span is refused it is
not the spans: the batch is put together again and waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ihobs.forward.pieces import Piece, halves, only_span
from ihobs.store.dead_letters import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ihobs.forward.answers import Answer

MAX_REFUSED_ALONE = 8
"""So many spans refused one by one, and none taken, mean that the destination takes nothing at all."""

MAX_FAULTS = 5
"""So often a server may fail (500) on a batch before it is searched for a span that makes it fail."""

Part = tuple[Piece, ...]
"""What is sent as one request."""


@dataclass
class Walk:
    """The requests of one batch.

    Attributes:
        after_id: the stored request before its first. payload_id: its last. received_ns: when that was received.
        whole: everything in it. limit_bytes: a request is no larger, if it can be split.
        lost_spans: of stored requests that could not be read.
        pending: parts still to be sent, the next one last.
        sent_spans, rejected_spans, dead: what came of it so far.
        faults: how often in a row the server failed on it.
        is_trusted: the destination takes other spans, so those that it refuses are to blame themselves.
    """

    after_id: int
    payload_id: int
    received_ns: int
    whole: Part
    limit_bytes: int
    lost_spans: int = 0
    pending: list[Part] = field(default_factory=list)
    sent_spans: int = 0
    rejected_spans: int = 0
    dead: list[DeadLetter] = field(default_factory=list)
    faults: int = 0
    is_trusted: bool = False

    def __post_init__(self) -> None:
        self._begin()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be sent."""
        return not self.pending

    def next_request(self) -> bytes:
        """Return the bytes of the next request, split first while it is too large and can be split."""
        while sum(len(piece.data) for piece in self.pending[-1]) > self.limit_bytes:
            parts = _split(self.pending[-1])
            if not parts:
                break
            self.pending[-1:] = reversed(parts)
        return b"".join(piece.data for piece in self.pending[-1])

    def take(self, answer: Answer) -> Answer | None:
        """Take the answer to the next request; return it, or another, when nothing more should be sent now."""
        part = self.pending[-1]
        if answer.outcome == "taken":
            self.pending.pop()
            rejected = min(answer.rejected_spans, _spans(part))
            self.rejected_spans += rejected
            self.sent_spans += _spans(part) - rejected
            if self.faults < MAX_FAULTS:  # a search goes on
                self.faults = 0
            return self._end(answer)
        if answer.outcome == "too large" or answer.was_slow:
            self.limit_bytes = sum(len(piece.data) for piece in part) * 2 // 3  # a half, and its own resource
        if answer.outcome in {"bad", "too large"} or (answer.outcome == "fault" and self.faults >= MAX_FAULTS):
            return self._split_or_bury(part, answer)
        if answer.outcome == "fault":
            self.faults += 1
        return answer

    def _split_or_bury(self, part: Part, answer: Answer) -> Answer | None:
        self.pending.pop()
        parts = _split(part)
        if parts:
            self.pending += reversed(parts)
            return None
        ids = only_span(part[0])
        self.dead.append(DeadLetter(part[0].payload_id, *ids, reason=answer.reason))
        return self._end(answer)

    def _end(self, answer: Answer) -> Answer | None:
        """Return the answer when, at the end or before, it looks as if the destination takes nothing at all."""
        if self.sent_spans or self.is_trusted or not self.dead:
            return None
        has_failed = answer.outcome == "fault"
        if len(self.dead) >= MAX_REFUSED_ALONE or (has_failed and self.is_done):
            self._begin()
            return answer
        return None

    def _begin(self) -> None:
        """Put the batch together again, as if nothing had been sent; nothing was taken."""
        self.dead.clear()
        self.pending = [self.whole] if self.whole else []


def _spans(part: Part) -> int:
    return sum(piece.spans for piece in part)


def _split(part: Part) -> Sequence[Part]:
    """Return a part as two, between stored requests where it holds several; as none when it is one span."""
    if len(part) > 1:
        middle = len(part) // 2
        return part[:middle], part[middle:]
    return [(piece,) for piece in halves(part[0])]
