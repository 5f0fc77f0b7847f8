"""The course of a demo: normal, fault, recovery; and what the store shows of it meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ihobs.clock import SECOND_NS

if TYPE_CHECKING:
    from ihobs.model import Event

Phase = Literal["starting", "normal", "fault", "recovery", "done"]

SHOWN_S = 4.0
"""How long the fault goes on after its alert fired, so that one can see it."""

START_AT_MOST_S = 90.0
"""How long the program may take to show its first run: it imports LangGraph, on a machine that may be busy."""

FAULT_AT_MOST_S = 20.0
"""An alert that has not fired by then will not."""

INCIDENT_AT_MOST_S = 10.0
"""How long after its alert cleared an incident is waited for: the demo's settle for a second."""


@dataclass(frozen=True, slots=True)
class Course:
    """How far the demo has come.

    Attributes:
        rule: the alert that is waited for.
        started_ns: when the demo began.
        limit_s: how long after the first run it gives up.
        phase: what is happening. phase_ns: since when.
        normal_ns: when the first run was seen.
        fault_ns: when the fault came into force. healthy_ns: when it was over.
        fired: the alert's first firing after fault_ns. cleared: its end after healthy_ns.
        opened: the opening of the incident that the alert caused. ended: its end.
        events: all that alerts and incidents did, oldest first.
    """

    rule: str
    started_ns: int
    limit_s: float
    phase: Phase = "starting"
    phase_ns: int = 0
    normal_ns: int | None = None
    fault_ns: int | None = None
    healthy_ns: int | None = None
    fired: Event | None = None
    cleared: Event | None = None
    opened: Event | None = None
    ended: Event | None = None
    events: tuple[Event, ...] = ()

    @property
    def fired_after_s(self) -> float | None:
        """Seconds from the beginning of the fault to the alert."""
        return _seconds(self.fault_ns, self.fired)

    @property
    def cleared_after_s(self) -> float | None:
        """Seconds from the end of the fault to the end of the alert."""
        return _seconds(self.healthy_ns, self.cleared)

    @property
    def opened_after_s(self) -> float | None:
        """Seconds from the beginning of the fault to the incident."""
        return _seconds(self.fault_ns, self.opened)

    @property
    def ended_after_s(self) -> float | None:
        """Seconds from the opening of the incident to its end."""
        return None if self.opened is None else _seconds(self.opened.at_ns, self.ended)

    def hear(self, event: Event) -> Course:
        """Take an event of an alert or an incident in."""
        course = replace(self, events=(*self.events, event))
        if event.name.startswith("incident."):
            return _with_incident(course, event)
        if event.fields["rule"] != self.rule or self.fault_ns is None or event.at_ns < self.fault_ns:
            return course
        if event.name == "alert.firing" and self.fired is None:
            return replace(course, fired=event)
        is_over = self.healthy_ns is not None and event.at_ns >= self.healthy_ns
        if event.name == "alert.resolved" and self.fired is not None and is_over:
            return replace(course, cleared=event)
        return course

    def next_phase(self, now_ns: int, *, normal_s: float) -> Phase:
        """Return the phase that should be now."""
        in_phase_s = (now_ns - self.phase_ns) / SECOND_NS
        if self._is_over(now_ns) or self._is_late(now_ns):
            return "done"
        if self.phase == "normal" and in_phase_s >= normal_s:
            return "fault"
        if self.phase == "fault" and self._fault_seen(now_ns):
            return "recovery"
        if self.phase == "recovery" and self.fired is None:
            return "done"
        return self.phase

    def _is_over(self, now_ns: int) -> bool:
        """Whether the alert has cleared, and its incident has ended."""
        if self.cleared is None:
            return False
        waited_s = (now_ns - self.cleared.at_ns) / SECOND_NS
        return self.opened is None or self.ended is not None or waited_s >= INCIDENT_AT_MOST_S

    def _is_late(self, now_ns: int) -> bool:
        if self.normal_ns is None:
            return now_ns - self.started_ns >= START_AT_MOST_S * SECOND_NS
        return now_ns - self.normal_ns >= self.limit_s * SECOND_NS

    def _fault_seen(self, now_ns: int) -> bool:
        if self.fired is not None:
            return now_ns - self.fired.at_ns >= SHOWN_S * SECOND_NS
        return self.fault_ns is not None and now_ns - self.fault_ns >= FAULT_AT_MOST_S * SECOND_NS


def _with_incident(course: Course, event: Event) -> Course:
    """Look for the incident whose title is what the alert said, and for its end."""
    begins = event.name in {"incident.opened", "incident.reopened"}
    if begins and course.fired is not None and event.text.endswith(course.fired.text):
        return replace(course, opened=event, ended=None)
    is_its = course.opened is not None and event.subject == course.opened.subject
    return replace(course, ended=event) if is_its and event.name == "incident.resolved" else course


def _seconds(since_ns: int | None, event: Event | None) -> float | None:
    return None if since_ns is None or event is None else (event.at_ns - since_ns) / SECOND_NS
