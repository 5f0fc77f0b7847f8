"""All that delivery knows at one moment, read from the state database, and by receiver and group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ihobs.delivery.decision import Standing, Told, highest
from ihobs.delivery.labels import PASSING, labels_of
from ihobs.delivery.muting import Inhibition, Mutes
from ihobs.store.state import acknowledgements, deliveries, messages, silences

if TYPE_CHECKING:
    import sqlite3

    from ihobs.delivery.policy import Policy
    from ihobs.model import Event, Level
    from ihobs.store.state.deliveries import Belief, Notice
    from ihobs.store.state.messages import Message, Receiver

GroupName = tuple[str, str]
"""A receiver's reference and the key of one of its groups."""


@dataclass
class Group:
    """What is known of a group at one receiver.

    Attributes:
        route: the one that led there last.
        notices: what it is still to hear, oldest first. beliefs: what it was told, by alert.
        told: when it was told. open: a message that has not arrived.
    """

    reference: str
    key: str
    route: str = ""
    notices: list[Notice] = field(default_factory=list)
    beliefs: dict[str, Belief] = field(default_factory=dict)
    told: Told | None = None
    open: Message | None = None

    @property
    def has_news(self) -> bool:
        """Whether something waits that no message tells yet."""
        return any(self.open is None or one.message_id != self.open.id for one in self.notices)


@dataclass(frozen=True)
class Picture:
    """What is known at one moment.

    Attributes:
        events: those that are spoken of, by number.
    """

    groups: Mapping[GroupName, Group]
    events: Mapping[int, Event]
    receivers: Mapping[str, Receiver]
    mutes: Mutes

    def standings(self, group: Group) -> list[Standing]:
        """Return how the alerts of a group stand, and are known."""
        waiting: dict[str, list[int]] = defaultdict(list)
        for notice in group.notices:
            waiting[self.events[notice.event_id].subject].append(notice.event_id)
        alerts = dict.fromkeys([*waiting, *group.beliefs])
        return [self._standing(alert, tuple(waiting.get(alert, ())), group.beliefs.get(alert)) for alert in alerts]

    def _standing(self, alert: str, waiting: tuple[int, ...], belief: Belief | None) -> Standing:
        told: Level = belief.level if belief else "ok"
        events = [self.events[number] for number in waiting]
        newest = events[-1] if events else self.events[belief.event_id] if belief else None
        assert newest is not None  # noqa: S101 - an alert is here because something waits, or was told
        passes = newest.name == PASSING
        level = highest(one.level for one in events) if passes else newest.level
        worst = highest((told, *(one.level for one in events), *(one.previous_level for one in events)))
        mute = self.mutes.of(alert, labels_of(newest, worst if newest.level == "ok" else level), level)
        told_ns = belief.at_ns if belief else 0
        return Standing(
            alert=alert,
            level=level,
            told=told,
            waiting=waiting,
            passes=passes,
            mute=mute,
            is_overdue=bool(belief) and self.mutes.is_overdue(alert, level, told_ns),
            joined_ns=events[0].at_ns if events else 0,
        )


class Remembered:
    """Events that were read once: they never change."""

    def __init__(self) -> None:
        self._events: dict[int, Event] = {}

    def read(self, connection: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, Event]:
        """Return the events of `numbers`; the others are forgotten."""
        wanted = set(numbers)
        found = {number: event for number, event in self._events.items() if number in wanted}
        found |= deliveries.events(connection, sorted(wanted - found.keys()))
        self._events = found
        return found


def look(connection: sqlite3.Connection, policy: Policy, remembered: Remembered, now_ns: int) -> Picture:
    """Return what is known now."""
    notices, beliefs = deliveries.waiting(connection), deliveries.beliefs(connection)
    firing = deliveries.firing(connection)
    spoken_of = [*(one.event_id for one in notices), *(one.event_id for one in beliefs)]
    events = remembered.read(connection, [*spoken_of, *firing])
    return Picture(
        groups=_groups(connection, notices, beliefs, events),
        events=events,
        receivers=messages.receivers(connection),
        mutes=Mutes(
            tuple(silences.not_ended(connection, now_ns)),
            acknowledgements.every(connection),
            Inhibition(policy.inhibitions, dict(_labels(events, firing))),
            deliveries.began(connection),
            now_ns,
        ),
    )


def _labels(events: Mapping[int, Event], firing: Iterable[int]) -> Iterator[tuple[str, Mapping[str, str]]]:
    for number in firing:
        event = events[number]
        yield event.subject, labels_of(event, event.level)


def _groups(
    connection: sqlite3.Connection,
    notices: Iterable[Notice],
    beliefs: Iterable[Belief],
    events: Mapping[int, Event],
) -> dict[GroupName, Group]:
    """Return what is known by group; of a group without anything to say or to repeat, nothing."""
    found: dict[GroupName, Group] = {}

    def group(reference: str, key: str, route: str) -> Group:
        one = found.setdefault((reference, key), Group(reference, key))
        one.route = route
        return one

    for belief in beliefs:
        if belief.event_id in events:
            group(belief.reference, belief.group_key, belief.route).beliefs[belief.alert] = belief
    for notice in notices:
        if notice.event_id in events:
            group(notice.reference, notice.group_key, notice.route).notices.append(notice)
    for message in messages.undelivered(connection):
        group(message.reference, message.group_key, message.route).open = message
    for name, row in deliveries.groups(connection).items():
        if name in found:
            found[name].told = Told(row.opened_ns, row.sent_ns, row.level, row.peak, row.answered)
    return found
