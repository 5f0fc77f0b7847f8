"""What people do with an incident. Each is one transaction: of two who do the same at once, both hear who was first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ihobs.errors import InvalidInputError, RefusedError
from ihobs.incidents import deadlines
from ihobs.incidents.lifecycle import UNRESOLVED, IllegalTransitionError
from ihobs.incidents.opening import Opening, find_open, open_or_reopen, rise
from ihobs.incidents.severity import is_worse, level_of
from ihobs.incidents.wording import length_shown, moment_shown
from ihobs.store.state import incidents
from ihobs.store.state.incidents import Happening, Member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.incident_settings import SeverityName
    from ihobs.incidents.session import Desk, Session
    from ihobs.store.state.incidents import Incident

Role = Literal["lead", "comms", "scribe"]
ROLES: tuple[Role, ...] = ("lead", "comms", "scribe")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of what somebody asked for.

    Attributes:
        incident: as it is now.
        changed: whether it was this that changed it; False: it had happened already.
        text: what to tell whoever asked.
    """

    incident: Incident
    changed: bool
    text: str


def open_by_hand(desk: Desk, title: str, severity: SeverityName, author: str) -> Outcome:
    """Open an incident; while one of the same title is open, that one is the answer."""
    with desk.session() as session:
        opening = Opening(severity, f"as {author} says", title, f'title="{title}"', session.now_ns, author)
        known = find_open(session, opening.join_key)
        if known is not None:
            return _open_already(session, known, severity, author)
        incident = open_or_reopen(session, opening)
        verb = "reopened" if incident.reopened else "opened"
        return Outcome(incident, changed=True, text=f"{incident.id} {verb} as {incident.severity}: {incident.title}")


def _open_already(session: Session, known: Incident, severity: SeverityName, author: str) -> Outcome:
    """Answer somebody who opens what is open; he may see that it is worse."""
    text = f"{known.id} is open already, by {known.author or 'an alert'} since {_at(session, known.opened_ns)}"
    if not is_worse(severity, known.severity):
        return Outcome(known, changed=False, text=text)
    risen = rise(session, known, severity, f"as {author} says", author)
    return Outcome(risen, changed=True, text=f"{text}; it is {severity} now")


def acknowledge(desk: Desk, incident_id: str, author: str) -> Outcome:
    """Take an incident: its response deadline is met, and the chain stops. Who is first leads it, unless somebody does.

    Raises:
        NotFoundError: there is no such incident.
        IllegalTransitionError: it is over.
    """
    with desk.session() as session:
        incident = session.find(incident_id)
        if incident.state in UNRESOLVED and incident.acknowledged_ns is not None:
            who = _author_of(session, incident, "acknowledged")
            text = f"{incident.id} was acknowledged already by {who} at {_at(session, incident.acknowledged_ns)}"
            return Outcome(incident, changed=False, text=text)
        taken = session.move(incident, "acknowledge", acknowledged_ns=session.now_ns, lead=incident.lead or author)
        response = session.deadlines(taken).get("response")
        if response is not None:
            session.put_deadline(taken, deadlines.met(response, session.now_ns))
        after = length_shown(max(0, session.now_ns - incident.opened_ns))
        session.note(taken, "acknowledged", f"acknowledged by {author} after {after}", author=author)
        text = f"{taken.severity} {taken.id} acknowledged by {author} after {after}"
        session.tell(taken, "acknowledged", text)
        return Outcome(taken, changed=True, text=text)


def mitigate(desk: Desk, incident_id: str, author: str, text: str) -> Outcome:
    """Note that users feel nothing of it any more, though it is not over.

    Raises:
        NotFoundError: there is no such incident.
        IllegalTransitionError: it is over.
    """
    with desk.session() as session:
        incident = session.find(incident_id)
        if incident.state == "mitigated":
            return Outcome(incident, changed=False, text=f"{incident.id} is mitigated already")
        calm = session.move(incident, "mitigate", mitigated_ns=session.now_ns)
        session.note(calm, "mitigated", text or f"mitigated by {author}", author=author)
        session.tell(calm, "mitigated", f"{calm.severity} {calm.id} mitigated by {author}")
        return Outcome(calm, changed=True, text=f"{calm.id} is mitigated")


def resolve(desk: Desk, incident_id: str, author: str, resolution: str) -> Outcome:
    """End an incident.

    Raises:
        NotFoundError: there is no such incident.
        IllegalTransitionError: it is reviewed or closed.
    """
    with desk.session() as session:
        incident = session.find(incident_id)
        if incident.state == "resolved":
            who = _author_of(session, incident, "resolved")
            at_ns = incident.resolved_ns or incident.opened_ns
            text = f"{incident.id} was resolved already by {who} at {_at(session, at_ns)}"
            return Outcome(incident, changed=False, text=text)
        over = end(session, incident, author, resolution)
        return Outcome(over, changed=True, text=f"{over.id} resolved after {lasted(over)}")


def end(session: Session, incident: Incident, author: str, resolution: str) -> Incident:
    """Resolve an incident in a transaction; an empty author is ihobs."""
    over = session.move(incident, "resolve", resolved_ns=session.now_ns, resolution=resolution)
    for one in session.deadlines(over).values():
        ended = deadlines.met(one, session.now_ns) if one.kind == "resolution" else deadlines.void(one, session.now_ns)
        session.put_deadline(over, ended)
    by = f" by {author}" if author else " by itself"
    why = f": {resolution}" if resolution else ""
    session.note(over, "resolved", f"resolved{by} after {lasted(over)}{why}", author=author)
    was = level_of(over.severity)
    session.tell(over, "resolved", f"{over.severity} {over.id} resolved{by} after {lasted(over)}{why}", was=was)
    return over


def lasted(incident: Incident) -> str:
    """Return how long an incident that ended has lasted."""
    ended_ns = incident.resolved_ns if incident.resolved_ns is not None else incident.opened_ns
    return length_shown(max(0, ended_ns - incident.opened_ns))


def set_severity(desk: Desk, incident_id: str, severity: SeverityName, author: str, reason: str) -> Outcome:
    """Judge an incident anew. It may be raised freely; lowering it needs a reason.

    Raises:
        NotFoundError: there is no such incident.
        RefusedError: it is over, or there is no reason to lower it.
    """
    with desk.session() as session:
        incident = session.find(incident_id)
        if incident.state not in UNRESOLVED:
            raise RefusedError(f"{incident.id} is {incident.state}", "the severity is that of its time")
        if severity == incident.severity:
            return Outcome(incident, changed=False, text=f"{incident.id} is {severity} already")
        if is_worse(severity, incident.severity):
            risen = rise(session, incident, severity, reason or f"as {author} says", author)
            return Outcome(risen, changed=True, text=f"{risen.id} is {severity} now")
        if not reason:
            raise RefusedError(f"{incident.id} is {incident.severity}", "say why it is less than that, by --reason")
        return _lower(session, incident, severity, author, reason)


def _lower(session: Session, incident: Incident, severity: SeverityName, author: str, reason: str) -> Outcome:
    lowered = session.save(replace(incident, severity=severity))
    text = f"severity lowered from {incident.severity} to {severity} by {author}: {reason}"
    session.note(lowered, "severity.lowered", text, author=author, before=incident.severity, after=severity)
    session.tell(lowered, "severity", f"{severity} {lowered.id}: {text}", was=level_of(incident.severity))
    return Outcome(lowered, changed=True, text=f"{lowered.id} is {severity} now")


def assign(desk: Desk, incident_id: str, roles: Mapping[Role, str], author: str) -> Outcome:
    """Say who leads, who talks to others, and who writes; one person may do all of it.

    Raises:
        NotFoundError: there is no such incident.
        RefusedError: it is closed.
    """
    with desk.session() as session:
        incident = session.find(incident_id)
        if incident.state == "closed":
            raise RefusedError(f"{incident.id} is closed", "roles are for incidents that go on")
        changed: dict[Role, str] = {role: who for role, who in roles.items() if getattr(incident, role) != who}
        if not changed:
            return Outcome(incident, changed=False, text=f"{incident.id}: so it is already")
        text = ", ".join(f"{role}: {who}" for role, who in changed.items())
        assigned = replace(
            incident,
            lead=changed.get("lead", incident.lead),
            comms=changed.get("comms", incident.comms),
            scribe=changed.get("scribe", incident.scribe),
        )
        assigned = session.save(assigned)
        session.note(assigned, "roles", text, author=author, **changed)
        return Outcome(assigned, changed=True, text=f"{assigned.id}: {text}")


def note(desk: Desk, incident_id: str, author: str, text: str) -> Outcome:
    """Add what somebody has seen, done or said to the timeline; that is possible at any time.

    Raises:
        NotFoundError: there is no such incident.
    """
    with desk.session() as session:
        incident = session.find(incident_id)
        session.note(incident, "note", text, author=author)
        return Outcome(incident, changed=True, text=f"noted on {incident.id}")


def note_deployment(desk: Desk, author: str, text: str) -> int:
    """Note that something was deployed, for the incidents to come and for those that go on; return how many do."""
    with desk.session() as session:
        incidents.add_happening(session.writer, Happening(session.now_ns, "deployment", text, author))
        unresolved = incidents.in_states(session.writer, UNRESOLVED)
        for incident in unresolved:
            session.note(incident, "deployment", text, author=author)
        return len(unresolved)


def merge(desk: Desk, incident_id: str, into_id: str, author: str) -> Outcome:
    """Make an incident a part of another: its alerts belong to that one from now on, and it is closed.

    Raises:
        NotFoundError: there is no such incident.
        InvalidInputError: they are the same.
        RefusedError: one of them is over.
    """
    if incident_id == into_id:
        raise InvalidInputError(incident_id, "cannot be merged into itself")
    with desk.session() as session:
        incident, into = session.find(incident_id), session.find(into_id)
        if incident.merged_into == into.id:
            return Outcome(incident, changed=False, text=f"{incident.id} is a part of {into.id} already")
        if into.state not in UNRESOLVED:
            raise IllegalTransitionError(into.id, into.state, "merge")
        was = level_of(incident.severity) if incident.state in UNRESOLVED else "ok"
        resolved_ns = incident.resolved_ns or session.now_ns
        merged = session.move(incident, "merge", merged_into=into.id, resolved_ns=resolved_ns)
        for one in session.deadlines(merged).values():
            session.put_deadline(merged, deadlines.void(one, session.now_ns))
        session.note(merged, "merged", f"merged into {into.id} by {author}", author=author, into=into.id)
        if was != "ok":
            session.tell(merged, "merged", f"{merged.severity} {merged.id} is a part of {into.id}", was=was)
        _absorb(session, merged, into, author)
        return Outcome(merged, changed=True, text=f"{merged.id} is a part of {into.id} now")


def _absorb(session: Session, merged: Incident, into: Incident, author: str) -> None:
    """Take over the alerts of an incident, and its severity when that is worse."""
    known = {one.alert for one in incidents.members(session.writer, into.id)}
    for one in incidents.members(session.writer, merged.id):
        if one.alert not in known:
            incidents.put_member(session.writer, into.id, Member(one.alert, session.now_ns, one.cleared_ns))
        left = replace(one, cleared_ns=session.now_ns if one.cleared_ns is None else one.cleared_ns)
        incidents.put_member(session.writer, merged.id, left)
    session.note(into, "absorbed", f"{merged.id} is a part of this: {merged.title}", author=author, merged=merged.id)
    if is_worse(merged.severity, into.severity):
        rise(session, into, merged.severity, f"{merged.id} was", author)


def _author_of(session: Session, incident: Incident, name: str) -> str:
    """Return who did what the newest line of this name says."""
    lines = [one for one in incidents.timeline(session.writer, incident.id) if one.name == name]
    return lines[-1].author if lines and lines[-1].author else "ihobs"


def _at(session: Session, at_ns: int) -> str:
    return moment_shown(at_ns, session.policy.working.timezone, "%Y-%m-%d %H:%M:%S %Z")
