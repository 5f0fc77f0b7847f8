"""Chase reviews that are missing and action items that are overdue: in working hours, until they are done.

What is said passes: it does not fire, as nothing goes on. It goes the way of warnings, by routes that may look at the
labels `rule`, `incident`, `severity` and, of action items, `owner` and `priority`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, HOUR_NS
from ihobs.delivery.labels import PASSING
from ihobs.incidents.review import asked, close_in
from ihobs.incidents.wording import length_shown, moment_shown
from ihobs.model import Event
from ihobs.store.state import actions
from ihobs.store.state.alerts import insert_event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from ihobs.incidents.policy import Policy
    from ihobs.incidents.session import Session
    from ihobs.store.state.actions import Action, Priority, Review
    from ihobs.store.state.incidents import Incident

REVIEW, ACTION = "incident-review", "incident-action"
"""What stands for the rule in the labels of what is said."""

DAILY_NS = 16 * HOUR_NS
"""Not before this; then the next working hour: each working day, whenever it was said the day before."""

ACTIONS_AGAIN_NS: Mapping[Priority, int] = {"high": DAILY_NS, "medium": 6 * DAY_NS, "low": 13 * DAY_NS}


def next_ns(reader: sqlite3.Connection, policy: Policy) -> int | None:
    """Return when there is something to say or to close next; None: there is not."""
    if actions.unasked(reader):
        return 0
    chased_ns = [one.chase_ns for one in actions.reviews_to_chase(reader)]
    chased_ns += [one.chase_ns for one in actions.actions_to_chase(reader)]
    moments = [at_ns for at_ns in chased_ns if at_ns is not None]
    moments += [resolved_ns + policy.reopen_within_ns for _, resolved_ns in actions.settled(reader)]
    return min(moments, default=None)


def turn(session: Session) -> None:
    """Ask for reviews, say what is due, and close what is done and cannot come back."""
    for incident_id in actions.unasked(session.writer):
        _ask(session, session.find(incident_id))
    for review in actions.reviews_to_chase(session.writer):
        if review.chase_ns is not None and review.chase_ns <= session.now_ns:
            _chase_review(session, review)
    for action in actions.actions_to_chase(session.writer):
        if action.chase_ns is not None and action.chase_ns <= session.now_ns:
            _chase_action(session, action)
    for incident_id, resolved_ns in actions.settled(session.writer):
        if resolved_ns + session.policy.reopen_within_ns <= session.now_ns:
            close_in(session, session.find(incident_id))


def _ask(session: Session, incident: Incident) -> None:
    """Note until when an incident must be reviewed; what was written before it came back stays."""
    before = actions.review_of(session.writer, incident.id)
    review = asked(session.policy, incident)
    if before is not None:
        review = replace(review, author=before.author, answers=before.answers, impact=before.impact)
    actions.put_review(session.writer, review)
    if review.due_ns is not None:
        session.note(incident, "review.asked", f"to be reviewed by {_moment(session, review.due_ns)}")


def _chase_review(session: Session, review: Review) -> None:
    incident, due_ns = session.find(review.incident), review.due_ns or session.now_ns
    is_overdue = session.now_ns >= due_ns
    again_ns = session.policy.working.working_hours_ns(session.now_ns + DAILY_NS, 0)
    actions.put_review(session.writer, replace(review, chase_ns=again_ns if is_overdue else due_ns))
    how = f"is overdue since {_moment(session, due_ns)}" if is_overdue else f"is due at {_moment(session, due_ns)}"
    text = f"the review of {incident.severity} {incident.id} {how}: {incident.title}"
    if is_overdue and review.chase_ns == due_ns:
        session.note(incident, "review.overdue", f"the review {how}")
    facts = {"label.owner": incident.lead} if incident.lead else {}
    _say(session, incident, f"{incident.id}/review", text, {"rule": REVIEW, **facts}, "review " + incident.id)


def _chase_action(session: Session, action: Action) -> None:
    incident = session.find(action.incident)
    again_ns = session.now_ns + ACTIONS_AGAIN_NS[action.priority]
    chase_ns = session.policy.working.working_hours_ns(again_ns, 0)
    actions.put(session.writer, replace(action, chase_ns=chase_ns))
    late = length_shown(max(0, session.now_ns - action.due_ns))
    text = f"action item #{action.id} of {incident.id} is overdue by {late}, {action.owner} has it: {action.text}"
    facts = {"rule": ACTION, "label.owner": action.owner, "label.priority": action.priority}
    _say(session, incident, f"{incident.id}/action-{action.id}", text, facts, f"actions close {action.id}")


def _say(session: Session, incident: Incident, subject: str, text: str, facts: Mapping[str, str], command: str) -> None:
    fields = {
        **facts,
        "summary": f"When it is done: ihobs incidents {command}",
        "label.incident": incident.id,
        "label.severity": incident.severity,
    }
    insert_event(session.writer, Event(PASSING, session.now_ns, subject, "warning", "ok", text, fields))


def _moment(session: Session, at_ns: int) -> str:
    return moment_shown(at_ns, session.policy.working.timezone)
