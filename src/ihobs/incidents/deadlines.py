"""Deadlines: absolute moments, fixed when they begin. At 80 % of the time one is at risk, at its end it is breached.

They are compared with the wall clock and nothing else, so that a restart, or time that nobody watched, moves none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ihobs.clock import SECOND_NS
from ihobs.store.state.incidents import Deadline

if TYPE_CHECKING:
    from ihobs.incident_settings import IncidentSettings, SeverityName
    from ihobs.incidents.working_time import WorkingTime

AT_RISK_RATIO = 0.8

Turn = Literal["at risk", "breached"]


def response(settings: IncidentSettings, working: WorkingTime, severity: SeverityName, from_ns: int) -> Deadline:
    """Return until when somebody must respond to an incident that is of this severity since `from_ns`."""
    within_s = settings.respond_within_s[severity]
    due_ns = working.next_business_day_ns(from_ns) if within_s is None else from_ns + round(within_s * SECOND_NS)
    return Deadline("response", from_ns, due_ns)


def resolution(settings: IncidentSettings, severity: SeverityName, from_ns: int) -> Deadline | None:
    """Return until when such an incident must be resolved; None: nobody has said."""
    within_s = settings.resolve_within_s.get(severity)
    return None if within_s is None else Deadline("resolution", from_ns, from_ns + round(within_s * SECOND_NS))


def sooner(before: Deadline | None, now: Deadline | None) -> Deadline | None:
    """Return the deadline in force after the severity rose: one that runs is never put off, one that ended stays."""
    if before is None or now is None:
        return before or now
    if before.state != "running" or before.due_ns <= now.due_ns:
        return before
    return now


def at_risk_ns(one: Deadline) -> int:
    """Return from when on a deadline is at risk."""
    return one.started_ns + round((one.due_ns - one.started_ns) * AT_RISK_RATIO)


def turned(one: Deadline, now_ns: int) -> tuple[Deadline, Turn | None]:
    """Return a deadline as it is at `now_ns`, and what people are to be told of it, once each."""
    if one.state != "running":
        return one, None
    if now_ns >= one.due_ns:
        return replace(one, state="breached", warned=True), "breached"
    if now_ns >= at_risk_ns(one) and not one.warned:
        return replace(one, warned=True), "at risk"
    return one, None


def next_turn_ns(one: Deadline) -> int | None:
    """Return when a deadline next turns; None: never."""
    if one.state != "running":
        return None
    return one.due_ns if one.warned else at_risk_ns(one)


def met(one: Deadline, now_ns: int) -> Deadline:
    """Return a deadline after what it asks for was done; one that was breached stays so, with the time it took."""
    if one.ended_ns is not None or one.state == "void":
        return one
    if one.state == "breached" or now_ns > one.due_ns:
        return replace(one, state="breached", ended_ns=now_ns)
    return replace(one, state="met", ended_ns=now_ns)


def void(one: Deadline, now_ns: int) -> Deadline:
    """Return a deadline that does not matter any more, unless it has ended."""
    return replace(one, state="void", ended_ns=now_ns) if one.state == "running" else one
