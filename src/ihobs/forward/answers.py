"""What a destination says to a request, whichever protocol it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ihobs.redact.text import scrubbed

Outcome = Literal["taken", "later", "fault", "bad", "too large", "denied"]
"""What an answer means: "taken"; "later": try again; "fault": of the server, perhaps for something in the request;
"bad": something in the request is not wanted; "too large": it must be smaller; "denied": no request would be taken."""

MAX_DETAIL_CHARS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        reason: why it was not taken, in words; empty when it was.
        rejected_spans: of a request that was taken.
        retry_after_s: when the server says to try again; None: it does not say.
        was_slow: there was no answer in time: perhaps less at once is answered.
    """

    outcome: Outcome
    reason: str = ""
    rejected_spans: int = 0
    retry_after_s: float | None = None
    was_slow: bool = False


def because(what: str, detail: str, secrets: frozenset[str]) -> str:
    """Return a reason for people: what happened, and what the server says of it without what it may quote of us."""
    for secret in secrets:
        detail = detail.replace(secret, "[secret]")
    detail = " ".join(scrubbed(detail).split())
    if len(detail) > MAX_DETAIL_CHARS:
        detail = detail[:MAX_DETAIL_CHARS].rstrip() + "..."
    return f"{what}: {detail}" if detail else what
