"""Deliver what is to be told: a pass decides and stores, couriers send, and what became of it is stored again.

A pass is one transaction. Events that are new get their receivers; each group at each receiver gets a decision
(`decision.py`); what is to be sent is stored as a message with a key. Only then it is sent. A process that is killed in
between finds the message and sends it again, under the same key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, MINUTE_NS, Clock, now_ns
from ihobs.delivery.couriers import Couriers, Inline
from ihobs.delivery.decision import Told, after, decide
from ihobs.delivery.drafting import draft
from ihobs.delivery.labels import PASSING, group_key, labels_of
from ihobs.delivery.picture import Group, Picture, Remembered, look
from ihobs.delivery.sending import Sender, is_paused, notification_of, receiver_after
from ihobs.store.state import deliveries, messages
from ihobs.store.state.deliveries import GroupRow, Notice

if TYPE_CHECKING:
    import sqlite3

    from ihobs.delivery.policy import Policy
    from ihobs.model import Outcome
    from ihobs.store.database import Database
    from ihobs.store.state.messages import Message, Receiver

FALL_BACK_AFTER_NS = 5 * MINUTE_NS
"""When a receiver has failed for so long, others are told what it cannot be told."""

KEPT_NS = 90 * DAY_NS
EVENTS_KEPT_NS = 400 * DAY_NS
PRUNED_AT_ONCE = 1_000
"""Messages with their attempts, and what happened to alerts, are kept so long, and forgotten so many at a time."""

FALLBACK_ROUTE = "fallback"

BEGINNING = "alert.firing"
"""Name of the event with which an alert begins: the routes alone say who hears of it."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a pass has found to do: messages to send now, by receiver, and when to look again."""

    to_send: Mapping[str, list[Message]]
    next_ns: int | None


@dataclass
class Outbox:
    """Delivers what the state database says is to be delivered. For one thread; couriers may be others.

    Attributes:
        state: the state database.
        policy: who hears of what. sender: how messages are sent.
        couriers: who carries them out.
    """

    state: Database
    policy: Policy
    sender: Sender
    clock: Clock = now_ns
    couriers: Couriers = field(default_factory=Inline)
    _remembered: Remembered = field(default_factory=Remembered)

    def deliver(self) -> int | None:
        """Deliver all that is due, and return when to come back; None when nothing waits.

        A receiver that fails holds up what comes after for itself, and nothing for the others.
        """
        while True:
            busy = self.couriers.busy()
            found = self._pass(busy)
            for reference, waiting in found.to_send.items():
                self.couriers.run(reference, partial(self._send_all, waiting))
            if not found.to_send or self.couriers.busy():  # who is busy comes back by himself when he is done
                return found.next_ns

    def forget(self) -> None:
        """Forget messages that ended long ago, and events much later, some at a time."""
        with self.state.write() as writer:
            messages.prune(writer, self.clock() - KEPT_NS, PRUNED_AT_ONCE)
            deliveries.forget(writer, self.clock() - EVENTS_KEPT_NS, PRUNED_AT_ONCE)

    def _pass(self, busy: frozenset[str]) -> Round:
        """Look at everything once, and store what follows from it."""
        now = self.clock()
        with self.state.write() as writer:
            self._take_in(writer)
            picture = look(writer, self.policy, self._remembered, now)
            if self._fall_back(writer, picture, now):
                picture = look(writer, self.policy, self._remembered, now)
            moments = [self._settle(writer, picture, group, now) for group in _open(picture, busy, now)]
            to_send: dict[str, list[Message]] = defaultdict(list)
            for message in messages.undelivered(writer):
                if message.reference not in busy and not is_paused(picture.receivers.get(message.reference), now):
                    to_send[message.reference].append(message)
        moments += [one.next_ns for one in picture.receivers.values() if is_paused(one, now)]
        return Round(to_send, min((moment for moment in moments if moment is not None), default=None))

    def _take_in(self, writer: sqlite3.Connection) -> None:
        """Give the events that are new to their receivers, and to everybody who has heard of their alert before."""
        fresh = deliveries.new_events(writer)
        if not fresh:
            return
        heard = deliveries.heard(writer)
        for number, event in fresh.items():
            labels = labels_of(event, event.level)
            places = {one.reference: (one.route, one.group_key) for one in self.policy.addresses(labels)}
            if event.name not in {PASSING, BEGINNING}:
                places |= heard.get(event.subject, {})
            heard[event.subject] = places
            deliveries.insert(writer, (Notice(number, reference, *place) for reference, place in places.items()))
            if not places:
                deliveries.insert_unrouted(writer, [number], f"no receiver for {event.level}")
        deliveries.advance(writer, max(fresh))

    def _fall_back(self, writer: sqlite3.Connection, picture: Picture, now: int) -> bool:
        """Let others hear what receivers cannot be told for a while; return whether somebody now hears more."""
        failing = [
            one
            for one in picture.receivers.values()
            if one.failures and now - one.since_ns >= FALL_BACK_AFTER_NS and one.reference not in self.policy.fallback
        ]
        told = [self._tell_others(writer, one.reference, "fails") for one in failing]
        return any(told)

    def _tell_others(self, writer: sqlite3.Connection, reference: str, why: str) -> bool:
        """Let the fallback hear what waits for `reference`; return whether there is something."""
        key = group_key(FALLBACK_ROUTE, ("for",), {"for": self.sender.addresses.shown(reference)})
        places = dict.fromkeys(self.policy.fallback, (FALLBACK_ROUTE, key))
        reason = f"because {self.sender.addresses.shown(reference)} {why}"
        return deliveries.fall_back(writer, reference, places, reason)

    def _settle(self, writer: sqlite3.Connection, picture: Picture, group: Group, now: int) -> int | None:
        """Decide about a group and store it; return when to look at it again."""
        if group.open is not None and not group.has_news:
            return None  # it is sent again as it is
        timing = self.policy.timing(group.reference, group.route)
        standings = picture.standings(group)
        decision = decide(standings, group.told, timing, now)
        known = {one.event_id: one.reason for one in group.notices}
        held = {number: reason for number, reason in decision.held.items() if known[number] != reason}
        deliveries.hold(writer, group.reference, held)
        deliveries.drop(writer, group.reference, decision.dropped)
        if decision.kind is not None:
            messages.make(writer, draft(decision, group, picture.events), now, group.open)
        return decision.next_ns

    def _send_all(self, waiting: Iterable[Message]) -> None:
        """Send messages to one receiver, in their order, until one fails."""
        for message in waiting:
            if not self._send(message):
                return

    def _send(self, message: Message) -> bool:
        """Send a message and store what became of it; return whether the next one may follow."""
        with self.state.read() as reader:
            events = deliveries.events(reader, message.content.event_ids)
            row = deliveries.groups(reader).get((message.reference, message.group_key))
            receiver = messages.receivers(reader).get(message.reference)
        told = None if row is None else Told(row.opened_ns, row.sent_ns, row.level, row.peak, row.answered)
        began_ns = self.clock()
        answered = (told.answered, told.level) if told else ("", "ok")
        outcome = self.sender.send(notification_of(message, events, answered), message.reference)
        return self._record(message, outcome, began_ns, receiver, told)

    def _record(
        self, message: Message, outcome: Outcome | None, began_ns: int, receiver: Receiver | None, told: Told | None
    ) -> bool:
        """Store what became of a message; return whether the next one may follow."""
        result = self.sender.result(message, outcome, began_ns, receiver.failures if receiver else 0)
        group: GroupRow | None = None
        if outcome is not None and result.state == "sent":
            timing = self.policy.timing(message.reference, message.route)
            now_told = after(told, message.level, outcome.message_id, timing, result.at_ns)
            group = GroupRow(
                message.reference,
                message.group_key,
                now_told.opened_ns,
                now_told.sent_ns,
                now_told.level,
                now_told.peak,
                now_told.answered,
            )
        with self.state.write() as writer:
            if result.state == "dead" and message.reference not in self.policy.fallback:
                self._tell_others(
                    writer,
                    message.reference,
                    f"failed: {result.detail}",
                )
            messages.record(writer, message, result, group)
            messages.note(writer, receiver_after(receiver, message.reference, result))
        return result.state != "waiting"


def _open(picture: Picture, busy: frozenset[str], now: int) -> list[Group]:
    """Return the groups about which something can be decided: their receiver is not busy, and not left in peace."""
    return [
        group
        for group in picture.groups.values()
        if group.reference not in busy and not is_paused(picture.receivers.get(group.reference), now)
    ]
