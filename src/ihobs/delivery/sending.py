"""Send one message: ask the plug-ins, and say what its fate means for it and for its receiver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from ihobs.model import Notification, Outcome
from ihobs.store.state.messages import Receiver, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.clock import Clock
    from ihobs.delivery.addresses import Addresses
    from ihobs.model import Event, Level
    from ihobs.plugins import Plugins
    from ihobs.store.state.messages import Message

FIRST_PAUSE_NS = SECOND_NS
LONGEST_PAUSE_NS = 5 * MINUTE_NS
"""A receiver that fails is tried again after 1 s, 2 s, 4 s and so on, at most 5 min apart."""

LONGEST_WISH_NS = HOUR_NS
"""A receiver may ask for a longer pause itself, by Retry-After, but not for longer than this."""

GIVE_UP_AFTER_NS = DAY_NS
"""What could not be delivered for a day is a dead letter."""


@dataclass(frozen=True)
class Sender:
    """Sends messages through the plug-ins."""

    plugins: Plugins
    addresses: Addresses
    clock: Clock

    def send(self, notification: Notification, reference: str) -> Outcome | None:
        """Return what became of `notification`; None when no plug-in knows the receiver, or it has no address."""
        address = self.addresses.of(reference)
        if address is None:
            return None
        failures = self._failures()
        answers = self.plugins.call_each("ihobs_notify", notification=notification, receiver=address)
        outcomes = [_outcome(answer.value) for answer in answers]
        if self._failures() > failures:  # a raise leaves no answer
            outcomes.append(Outcome("later", "a plug-in failed; see the log"))
        return min(outcomes, key=lambda one: _ORDER[one.state], default=None)

    def result(self, message: Message, outcome: Outcome | None, began_ns: int, failures: int) -> Result:
        """Return what `outcome` means for a message, whose receiver had failed `failures` times before."""
        at_ns = self.clock()
        took_ns = max(0, at_ns - began_ns)
        if outcome is None:
            return Result("unknown", "dead", at_ns, took_ns, self.why_unknown(message.reference))
        if outcome.state == "delivered":
            return Result("delivered", "sent", at_ns, took_ns, outcome.detail)
        detail = outcome.detail or "it failed"
        if outcome.state == "refused":
            return Result("refused", "dead", at_ns, took_ns, detail)
        if at_ns - message.created_ns > GIVE_UP_AFTER_NS:
            return Result("later", "dead", at_ns, took_ns, f"it failed for a day: {detail}")
        wish_ns = round((outcome.retry_after_s or 0.0) * SECOND_NS)
        pause = max(pause_ns(failures), min(wish_ns, LONGEST_WISH_NS))
        return Result("later", "waiting", at_ns, took_ns, detail, at_ns + pause)

    def why_unknown(self, reference: str) -> str:
        """Return why nobody can deliver to `reference`."""
        missing = self.addresses.missing(reference)
        if missing:
            return f"the variable {missing[0]} is not set"
        return "no plug-in knows this receiver; give it an address under 'receivers:' in ihobs.yaml"

    def _failures(self) -> int:
        """Return how often plug-ins have raised while delivering on any thread: at worst a message is sent again."""
        return sum(problem.count for problem in self.plugins.problems if problem.hook == "ihobs_notify")


def receiver_after(before: Receiver | None, reference: str, result: Result) -> Receiver:
    """Return how a receiver is after an attempt."""
    if before is None:
        before = Receiver(reference, 0, 0, 0, "", "", None)
    told = replace(before, outcome=result.outcome, detail=result.detail)
    if result.outcome == "later":
        since_ns = before.since_ns if before.failures else result.at_ns
        return replace(told, failures=before.failures + 1, since_ns=since_ns, next_ns=result.next_ns)
    delivered_ns = result.at_ns if result.outcome == "delivered" else before.delivered_ns
    return replace(told, failures=0, since_ns=0, next_ns=0, delivered_ns=delivered_ns)


def is_paused(receiver: Receiver | None, now_ns: int) -> bool:
    """Whether a receiver is to be left in peace; a time too far away was set by a clock that was wrong."""
    return receiver is not None and 0 < receiver.next_ns - now_ns <= LONGEST_WISH_NS


def pause_ns(attempts: int) -> int:
    """Return how long to wait after an attempt that failed, when `attempts` had failed before it."""
    return min(FIRST_PAUSE_NS << min(attempts, 30), LONGEST_PAUSE_NS)


def notification_of(message: Message, events: Mapping[int, Event], answered: tuple[str, Level]) -> Notification:
    """Return a message as plug-ins are given it; `answered` is what became of the one before in its group."""
    content = message.content
    return Notification(
        key=message.key,
        level=message.level,
        title=message.title,
        body=message.body,
        at_ns=message.created_ns,
        events=tuple(events[number] for number in content.event_ids if number in events),
        group=message.group_key,
        kind=message.kind,
        firing=content.firing,
        omitted=content.omitted,
        supersedes=content.supersedes,
        answered=answered[0],
        answered_level=answered[1],
    )


_ORDER = {"delivered": 0, "later": 1, "refused": 2}


def _outcome(answer: bool | Outcome) -> Outcome:
    if isinstance(answer, Outcome):
        return answer
    return Outcome("delivered") if answer else Outcome("later", "the plug-in says that it failed")
