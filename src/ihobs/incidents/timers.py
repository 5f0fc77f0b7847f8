"""What happens to incidents because time passes: deadlines, the escalation chain, and calm that lasts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ihobs.incidents import chasing, deadlines, escalation
from ihobs.incidents.lifecycle import UNRESOLVED
from ihobs.incidents.people import end
from ihobs.incidents.wording import length_shown, moment_shown
from ihobs.store.state import incidents

if TYPE_CHECKING:
    import sqlite3

    from ihobs.incidents.policy import Policy
    from ihobs.incidents.session import Session
    from ihobs.store.state.incidents import Deadline, Incident

_ASKED = {"response": "nobody has acknowledged it", "resolution": "it is not resolved"}


def next_ns(reader: sqlite3.Connection, policy: Policy) -> int | None:
    """Return when something is due next; None: nothing is."""
    moments: list[int | None] = [chasing.next_ns(reader, policy)]
    running = incidents.running_deadlines(reader)
    for incident in incidents.in_states(reader, UNRESOLVED):
        moments += [deadlines.next_turn_ns(one) for one in running.get(incident.id, ())]
        moments += [escalation.next_ns(incident), settles_ns(reader, incident, policy)]
    return min((moment for moment in moments if moment is not None), default=None)


def settles_ns(reader: sqlite3.Connection, incident: Incident, policy: Policy) -> int | None:
    """Return when an incident that is calm is resolved by itself; None: its alerts are not over, or it has none."""
    if incident.state != "mitigated" or incident.mitigated_ns is None:
        return None
    over_ns = [one.cleared_ns for one in incidents.members(reader, incident.id)]
    known_ns = [moment for moment in over_ns if moment is not None]
    if not over_ns or len(known_ns) < len(over_ns):
        return None
    return max(incident.mitigated_ns, *known_ns) + policy.settle_ns


def turn(session: Session) -> None:
    """Do what is due."""
    running = incidents.running_deadlines(session.writer)
    for incident in incidents.in_states(session.writer, UNRESOLVED):
        for one in running.get(incident.id, ()):
            _watch(session, incident, one)
        escalated = _escalate(session, incident)
        due_ns = settles_ns(session.writer, escalated, session.policy)
        if due_ns is not None and session.now_ns >= due_ns:
            end(session, escalated, "", f"its alerts have been over for {length_shown(session.policy.settle_ns)}")
    chasing.turn(session)


def _watch(session: Session, incident: Incident, one: Deadline) -> None:
    """Tell people of a deadline that is at risk, or breached; each once."""
    after, turned = deadlines.turned(one, session.now_ns)
    if turned is None:
        return
    session.put_deadline(incident, after)
    due = moment_shown(one.due_ns, session.policy.working.timezone)
    text = f"{one.kind} {turned}: {_ASKED[one.kind]}, due {due}"
    session.note(incident, f"deadline.{turned.replace(' ', '_')}", text, kind=one.kind, due_ns=one.due_ns)
    session.tell(incident, turned.replace(" ", "_"), f"{incident.severity} {incident.id}: {text}")


def _escalate(session: Session, incident: Incident) -> Incident:
    """Tell the next ones of the chain, as long as nobody has acknowledged."""
    tiers = escalation.due(incident, session.now_ns)
    if not tiers:
        return incident
    told = incident.chain_told + len(tiers)
    after = session.save(replace(incident, chain_told=told))
    receivers = [reference for one in tiers for reference in one.receivers]
    waited = length_shown(max(0, session.now_ns - incident.chain_from_ns))
    text = f"escalated to {', '.join(receivers)} (step {told} of {len(incident.chain)}): nobody has acknowledged it"
    session.note(after, "escalated", text, step=told, receivers=receivers)
    said = f"{after.severity} {after.id} is not acknowledged after {waited}: {after.title}"
    session.tell(after, "escalated", said, also=receivers)
    return after
