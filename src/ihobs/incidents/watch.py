"""Watch over incidents in the duties process: hear what alerts do, see what time brings, open what must be opened.

A pass looks first, and writes only when there is something to do. What it has heard is stored with what follows from
it: a process that is killed in between hears it again, one that is killed afterwards has done it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ihobs.incidents import timers
from ihobs.incidents.hearing import HEARD, Sighting, hear, look, rule_of, sight
from ihobs.incidents.session import PREFIX
from ihobs.incidents.severity import is_worse
from ihobs.store.state import deliveries, incidents, sightings

if TYPE_CHECKING:
    import sqlite3

    from ihobs.incident_settings import SeverityName
    from ihobs.incidents.session import Desk, Session
    from ihobs.model import Event, Rule

MAX_ROUNDS = 10
"""Transactions of a pass; what comes in faster than that is for the next one."""

Rules = Mapping[str, "Rule"]
"""The rules in force by their ids."""

NothingSucceeds = Callable[[], bool]
"""Tells whether, of the runs that ended lately, none succeeded."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a pass found.

    Attributes:
        events: what happened to incidents since the pass before, whoever did it: for plug-ins.
        deadline_ns: when to look again at the latest; None: when something has changed.
        waits: whether diagnostics wait to be collected.
    """

    events: tuple[Event, ...] = ()
    deadline_ns: int | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class _Glance:
    """Whether there is something to do; when there will be, as far as known; whether diagnostics wait."""

    has_work: bool
    next_ns: int | None
    waits: bool


@dataclass
class Watch:
    """Watches over the incidents of one home; for one thread.

    Attributes:
        desk: where they are kept.
        nothing_succeeds: asked only while an alert fires that is not a P1 anyhow.
    """

    desk: Desk
    nothing_succeeds: NothingSucceeds = lambda: False
    _firing: dict[int, Event] = field(default_factory=dict)

    def run(self, rules: Rules) -> Watched:
        """Hear, see and do what there is; return what came of it.

        Raises:
            StoreUnavailableError: the state database cannot be used; nothing has changed.
        """
        told: list[Event] = []
        for _ in range(MAX_ROUNDS):  # what is done now is an event, too, that plug-ins are to hear of
            with self.desk.state.read() as reader:
                glance = self._glance(reader, rules)
            if not glance.has_work:
                break
            with self.desk.session() as session:
                told += self._work(session, rules)
        return Watched(tuple(told), glance.next_ns, glance.waits)

    def _glance(self, reader: sqlite3.Connection, rules: Rules) -> _Glance:
        """Look whether there is anything to do, and until when there will not be."""
        heard, next_ns = incidents.heard_through(reader), timers.next_ns(reader, self.desk.policy)
        has_work = (
            heard is None
            or sightings.newest_event_id(reader) != heard
            or (next_ns is not None and next_ns <= self.desk.clock())
            or any(self._is_news(one, held) for one, held in self._sightings(reader, rules))
        )
        return _Glance(has_work, next_ns, incidents.has_waiting_parts(reader))

    def _is_news(self, sighting: Sighting, held: SeverityName | None) -> bool:
        """Whether an alert that goes on firing asks for something by its value."""
        severity = sighting.verdict.severity
        return self.desk.policy.opens(severity) if held is None else is_worse(severity, held)

    def _work(self, session: Session, rules: Rules) -> list[Event]:
        """Do what there is to do in one transaction; return what was told of incidents before it."""
        heard = incidents.heard_through(session.writer)
        newest = sightings.newest_event_id(session.writer)
        found = sightings.events_after(session.writer, newest if heard is None else heard)
        for event in found:
            if event.name in HEARD:
                hear(session, event, self._sighting(event, rules))
        for sighting, held in self._sightings(session.writer, rules):
            if self._is_news(sighting, held):
                look(session, sighting)
        timers.turn(session)
        incidents.record_heard(session.writer, newest)
        return [event for event in found if event.name.startswith(PREFIX)]

    def _sighting(self, event: Event, rules: Rules) -> Sighting | None:
        if event.level == "ok":
            return None
        value = event.fields.get("value")
        number = float(value) if isinstance(value, int | float) else None
        return sight(event, number, rule_of(rules, event), nothing_succeeds=False)

    def _sightings(self, reader: sqlite3.Connection, rules: Rules) -> list[tuple[Sighting, SeverityName | None]]:
        """Return the alerts that fire, and the severity of the incident that each belongs to."""
        numbers = deliveries.firing(reader)
        if not numbers:
            self._firing = {}
            return []
        known = {number: self._firing[number] for number in numbers if number in self._firing}
        self._firing = known | deliveries.events(reader, [number for number in numbers if number not in known])
        values, held = sightings.firing_values(reader), _held(reader)
        silent = any(severity != "P1" for severity in held.values()) or len(held) < len(numbers)
        nothing = silent and self.nothing_succeeds()
        return [
            (
                sight(event, values.get(event.subject), rule_of(rules, event), nothing_succeeds=nothing),
                held.get(event.subject),
            )
            for event in self._firing.values()
        ]


def _held(reader: sqlite3.Connection) -> dict[str, SeverityName]:
    """Return the severity of the incident that each alert belongs to.

    That may be one that people have resolved while the alert fires: it does not open another one for being there.
    """
    return {alert: incident.severity for alert, incident in incidents.holders(reader).items()}
