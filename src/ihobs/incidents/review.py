"""Review an incident, and what follows from it: each is one transaction, as all that people do with incidents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ihobs.errors import InvalidInputError, RefusedError
from ihobs.incidents.answers import QUESTIONS
from ihobs.incidents.lifecycle import IllegalTransitionError, after
from ihobs.incidents.people import Outcome
from ihobs.incidents.wording import length_shown
from ihobs.store.state import actions
from ihobs.store.state.actions import Action, Review

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.incident_settings import SeverityName
    from ihobs.incidents.answers import Answers, Planned
    from ihobs.incidents.policy import Policy
    from ihobs.incidents.session import Desk, Session
    from ihobs.store.state.incidents import Incident

MANDATORY: tuple[SeverityName, ...] = ("P1", "P2")
"""Incidents of these severities must be reviewed."""

DUE_WORKING_DAYS = 5
REMIND_RATIO = 0.8
"""When so much of the time for a review has passed, people are reminded of it."""

Prove = Callable[[str], None]
"""Raises unless a test of rules, named FILE::NAME, exists and passes."""


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What became of an action item: as it is now, whether this changed it, and what to tell whoever asked."""

    action: Action
    changed: bool
    text: str


def asked(policy: Policy, incident: Incident) -> Review:
    """Return the review that an incident asks for by its end; of one that need not be reviewed, without a date."""
    if incident.severity not in MANDATORY or incident.resolved_ns is None:
        return Review(incident.id)
    ended_ns = incident.resolved_ns
    due_ns = policy.working.working_days_ns(ended_ns, DUE_WORKING_DAYS)
    remind_ns = policy.working.working_hours_ns(ended_ns + round((due_ns - ended_ns) * REMIND_RATIO), 0)
    return Review(incident.id, ended_ns, due_ns, min(remind_ns, due_ns))


def check_reviewable(incident: Incident) -> None:
    """Refuse what cannot be reviewed now, before anybody answers questions.

    Raises:
        IllegalTransitionError: it goes on, or is closed.
    """
    after(incident.id, incident.state, "review")


def write(desk: Desk, incident_id: str, answers: Answers, impact: Mapping[str, Any], author: str) -> Outcome:
    """Store the review of an incident and its action items. Written again, it takes the place of the one before.

    Raises:
        NotFoundError: there is no such incident.
        InvalidInputError: a question has no answer.
        IllegalTransitionError: it goes on, or is closed.
    """
    absent = answers.missing()
    if absent:
        texts = ", ".join(f"{key} ({QUESTIONS[key]})" for key in absent)
        raise InvalidInputError("the review", f"has no answer to: {texts}", "give --answers KEY=TEXT, or a --file")
    with desk.session() as session:
        incident = session.find(incident_id)
        reviewed = session.move(incident, "review")
        before = actions.review_of(session.writer, incident.id)
        if before is None or before.asked_ns != incident.resolved_ns:
            before = asked(session.policy, incident)
        review = replace(
            before,
            chase_ns=None,
            written_ns=session.now_ns,
            author=author,
            answers=answers.to_json(),
            impact=impact,
        )
        actions.put_review(session.writer, review)
        known = {one.text for one in actions.listed(session.writer, incident=incident.id, everything=True)}
        added = [_add(session, reviewed, one) for one in answers.planned if one.text not in known]
        text = f"reviewed by {author}, {_count(len(added))}{_lateness(review, session.now_ns)}"
        session.note(reviewed, "reviewed", text, author=author, actions=[one.id for one in added])
        session.tell(reviewed, "reviewed", f"{reviewed.severity} {reviewed.id} {text}", was="ok")
        return Outcome(reviewed, changed=True, text=f"{reviewed.id} {text}")


def close(desk: Desk, incident_id: str, author: str) -> Outcome:
    """Close an incident: it is over, and nothing remains to be done.

    Raises:
        NotFoundError: there is no such incident.
        RefusedError: it must be reviewed first, or action items are open.
        IllegalTransitionError: it goes on.
    """
    with desk.session() as session:
        incident = session.find(incident_id)
        if incident.state == "closed":
            return Outcome(incident, changed=False, text=f"{incident.id} is closed already")
        if incident.state == "resolved" and incident.severity in MANDATORY:
            hint = f"ihobs incidents review {incident.id}"
            raise RefusedError(f"{incident.id} is a {incident.severity} and must be reviewed first", hint)
        left = actions.listed(session.writer, incident=incident.id)
        if left:
            numbers = ", ".join(f"#{one.id}" for one in left)
            raise RefusedError(f"{incident.id} has open action items: {numbers}", "see 'ihobs incidents actions list'")
        closed = close_in(session, incident, author)
        return Outcome(closed, changed=True, text=f"{closed.id} is closed")


def close_in(session: Session, incident: Incident, author: str = "") -> Incident:
    """Close an incident in a transaction; an empty author is ihobs."""
    closed = session.move(incident, "close")
    why = f"closed by {author}" if author else "closed: it is reviewed, and nothing remains to be done"
    session.note(closed, "closed", why, author=author)
    return closed


def add_action(desk: Desk, incident_id: str, planned: Planned, author: str) -> ActionOutcome:
    """Add an action item to an incident.

    Raises:
        NotFoundError: there is no such incident.
        IllegalTransitionError: it is closed.
    """
    with desk.session() as session:
        incident = session.find(incident_id)
        if incident.state == "closed":
            raise IllegalTransitionError(incident.id, "closed", "review")
        action = _add(session, incident, planned)
        text = f"action item #{action.id} for {action.owner}: {action.text}"
        session.note(incident, "action.added", text, author=author, action=action.id)
        return ActionOutcome(action, changed=True, text=text)


def close_action(desk: Desk, number: int, author: str, outcome: str, prove: Prove) -> ActionOutcome:
    """Close an action item as done; one that names a test only when that exists and passes.

    Raises:
        NotFoundError: there is no such item.
        RefusedError: its test does not exist, or fails.
    """
    with desk.state.read() as reader:
        action = actions.find(reader, number)
    if action.state == "open" and action.test:
        prove(action.test)  # outside of the transaction: it takes a while
    proof = f"{action.test} passes" if action.test else ""
    said = "; ".join(text for text in (outcome, proof) if text)
    return _end_action(desk, replace(action, state="done", outcome=said), author)


def drop_action(desk: Desk, number: int, author: str, reason: str) -> ActionOutcome:
    """Close an action item that will not be done, for a reason.

    Raises:
        NotFoundError: there is no such item.
        RefusedError: there is no reason.
    """
    with desk.state.read() as reader:
        action = actions.find(reader, number)
    if not reason:
        raise RefusedError(f"action item #{number} is dropped for a reason only", "say why it will not be done")
    return _end_action(desk, replace(action, state="dropped", outcome=reason), author)


def _end_action(desk: Desk, wanted: Action, author: str) -> ActionOutcome:
    with desk.session() as session:
        now = actions.find(session.writer, wanted.id)
        if now.state != "open":
            text = f"action item #{now.id} was {now.state} already, by {now.closed_by}"
            return ActionOutcome(now, changed=False, text=text)
        ended = replace(
            now,
            state=wanted.state,
            outcome=wanted.outcome,
            chase_ns=None,
            closed_ns=session.now_ns,
            closed_by=author,
        )
        actions.put(session.writer, ended)
        why = f": {ended.outcome}" if ended.outcome else ""
        text = f"action item #{ended.id} is {ended.state}{why}"
        session.note(session.find(ended.incident), f"action.{ended.state}", text, author=author, action=ended.id)
        return ActionOutcome(ended, changed=True, text=text)


def _add(session: Session, incident: Incident, planned: Planned) -> Action:
    action = Action(
        id=0,
        incident=incident.id,
        text=planned.text,
        owner=planned.owner,
        priority=planned.priority,
        due_ns=planned.due_ns,
        question=planned.question,
        test=planned.test,
        state="open",
        created_ns=session.now_ns,
        chase_ns=session.policy.working.working_hours_ns(planned.due_ns, 0),
    )
    return replace(action, id=actions.add(session.writer, action))


def _count(number: int) -> str:
    return f"{number} action item{'' if number == 1 else 's'}"


def _lateness(review: Review, now_ns: int) -> str:
    if review.due_ns is None or now_ns <= review.due_ns:
        return ""
    return f", {length_shown(now_ns - review.due_ns)} late"
