"""One transaction on incidents: what changes, its line in the timeline and what people are told of it, or nothing.

People are told by the history of alerts, which the outbox delivers from: an incident is like an alert that fires, on
the level of its severity, until it is resolved. Whoever has heard that it opened hears how it goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ihobs.clock import Clock, now_ns
from ihobs.incidents import lifecycle
from ihobs.incidents.severity import level_of
from ihobs.incidents.wording import moment_shown
from ihobs.model import Event, Level
from ihobs.store.state import deliveries, incidents
from ihobs.store.state.alerts import insert_event
from ihobs.store.state.deliveries import Notice
from ihobs.store.state.incidents import Deadline, Entry, Incident

if TYPE_CHECKING:
    import sqlite3

    from ihobs.incidents.lifecycle import Action
    from ihobs.incidents.policy import Policy
    from ihobs.store.database import Database

PREFIX = "incident."
"""Begins the names of events about incidents in the history of alerts."""

ROUTE = "incidents"
"""The way by which those hear of an incident who are named for it: leadership, and the escalation chain."""


@dataclass
class Session:
    """The transaction. All of what it stores has the same time.

    Attributes:
        writer: holds the write lock.
        policy: what the settings say.
        now_ns: the time.
    """

    writer: sqlite3.Connection
    policy: Policy
    now_ns: int

    def find(self, incident_id: str) -> Incident:
        """Return an incident as it is now.

        Raises:
            NotFoundError: there is none.
        """
        return incidents.find(self.writer, incident_id)

    def note(self, incident: Incident, name: str, text: str, *, author: str = "", **details: Any) -> None:
        """Add a line to the timeline of an incident."""
        incidents.add_entry(self.writer, incident.id, Entry(self.now_ns, name, author, text, details))

    def save(self, incident: Incident) -> Incident:
        """Store an incident as it is now."""
        return incidents.update(self.writer, incident)

    def move(self, incident: Incident, action: Action, **changes: Any) -> Incident:
        """Let an incident go on to the next state, and store it.

        Raises:
            IllegalTransitionError: that does not follow its state.
        """
        is_acknowledged = incident.acknowledged_ns is not None
        state = lifecycle.after(incident.id, incident.state, action, is_acknowledged=is_acknowledged)
        return self.save(replace(incident, state=state, **changes))

    def put_deadline(self, incident: Incident, one: Deadline) -> None:
        """Store a deadline."""
        incidents.put_deadline(self.writer, incident.id, one)

    def deadlines(self, incident: Incident) -> dict[str, Deadline]:
        """Return the deadlines of an incident by kind."""
        return {one.kind: one for one in incidents.deadlines(self.writer, incident.id)}

    def tell(
        self, incident: Incident, what: str, text: str, *, was: Level | None = None, also: Sequence[str] = ()
    ) -> None:
        """Let people hear of an incident: those who hear of its level, those who have heard of it, and `also`."""
        level: Level = level_of(incident.severity) if incident.state in lifecycle.UNRESOLVED else "ok"
        before = level_of(incident.severity) if was is None else was
        event = Event(PREFIX + what, self.now_ns, incident.id, level, before, text, self._facts(incident))
        number = insert_event(self.writer, event)
        group = f'{ROUTE}{{incident="{incident.id}"}}'
        deliveries.insert(self.writer, [Notice(number, reference, ROUTE, group) for reference in dict.fromkeys(also)])

    def _facts(self, incident: Incident) -> dict[str, str | int | float | bool | None]:
        return {
            "rule": incident.id,
            "state": incident.state,
            "severity": incident.severity,
            "summary": self._summary(incident),
            "label.incident": incident.id,
            "label.severity": incident.severity,
        }

    def _summary(self, incident: Incident) -> str:
        """Return what else one wants to know, in a line: until when, where, and how to see more."""
        parts = []
        response = self.deadlines(incident).get("response")
        if incident.state == "open" and response is not None and response.state == "running":
            parts.append(f"Respond by {moment_shown(response.due_ns, self.policy.working.timezone)}.")
        if incident.lead:
            parts.append(f"Lead: {incident.lead}.")
        if incident.bridge:
            parts.append(f"Bridge: {incident.bridge}")
        return " ".join([*parts, f"See: ihobs incidents show {incident.id}"])


@dataclass(frozen=True)
class Desk:
    """Where incidents are kept, and by which policy they are led."""

    state: Database
    policy: Policy
    clock: Clock = now_ns

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """Begin a transaction; it is committed at the end of the body.

        Raises:
            StoreUnavailableError: the state database cannot be written.
        """
        with self.state.write() as writer:
            yield Session(writer, self.policy, self.clock())
