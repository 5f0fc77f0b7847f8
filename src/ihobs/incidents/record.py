"""The record of an incident: all that is known of it, for files and machines; see `schemas/incident.schema.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihobs.clock import SECOND_NS, isoformat
from ihobs.incidents.deadlines import at_risk_ns
from ihobs.store.state import actions, incidents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ihobs.store.database import Database
    from ihobs.store.home import Home
    from ihobs.store.state.actions import Action, Review
    from ihobs.store.state.incidents import Deadline, Entry, Incident, Member, Part

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Record:
    """An incident and all that belongs to it, as of one moment."""

    incident: Incident
    alerts: Sequence[Member]
    deadlines: Sequence[Deadline]
    parts: Sequence[Part]
    timeline: Sequence[Entry]
    review: Review | None = None
    actions: Sequence[Action] = ()


def read(state: Database, incident_id: str) -> Record:
    """Return the record of an incident.

    Raises:
        NotFoundError: there is none.
        StoreUnavailableError: the state database cannot be read.
    """
    with state.read() as reader:
        return Record(
            incident=incidents.find(reader, incident_id),
            alerts=incidents.members(reader, incident_id),
            deadlines=incidents.deadlines(reader, incident_id),
            parts=incidents.parts(reader, incident_id),
            timeline=incidents.timeline(reader, incident_id),
            review=actions.review_of(reader, incident_id),
            actions=actions.listed(reader, incident=incident_id, everything=True),
        )


def document(record: Record, now_ns: int, home: Home | None = None) -> dict[str, Any]:
    """Return a record as JSON says it; with a home, what was seen at the opening is in it."""
    one = record.incident
    return {
        "format": FORMAT,
        **summary(one),
        "origin": one.origin,
        "author": one.author or None,
        "began": isoformat(one.began_ns),
        "mitigated": _moment(one.mitigated_ns),
        "lead": one.lead or None,
        "comms": one.comms or None,
        "scribe": one.scribe or None,
        "bridge": one.bridge or None,
        "resolution": one.resolution or None,
        "alerts": [
            {"alert": each.alert, "joined": isoformat(each.joined_ns), "cleared": _moment(each.cleared_ns)}
            for each in record.alerts
        ],
        "deadlines": [_deadline(each, now_ns) for each in record.deadlines],
        "escalation": [
            {"receivers": list(tier.receivers), "after_s": tier.after_ns / SECOND_NS, "told": index < one.chain_told}
            for index, tier in enumerate(one.chain)
        ],
        "diagnostics": [_part(each, home) for each in record.parts],
        "timeline": [
            {
                "at": isoformat(each.at_ns),
                "name": each.name,
                "author": each.author or None,
                "text": each.text,
                "details": dict(each.details),
            }
            for each in record.timeline
        ],
        "review": None if record.review is None else _review(record.review, now_ns),
        "actions": [action_summary(each, now_ns) for each in record.actions],
    }


def summary(one: Incident) -> dict[str, Any]:
    """Return an incident on one line."""
    return {
        "id": one.id,
        "severity": one.severity,
        "state": one.state,
        "title": one.title,
        "opened": isoformat(one.opened_ns),
        "acknowledged": _moment(one.acknowledged_ns),
        "resolved": _moment(one.resolved_ns),
        "detected_after_s": (one.opened_ns - one.began_ns) / SECOND_NS,
        "acknowledged_after_s": _after_s(one.opened_ns, one.acknowledged_ns),
        "resolved_after_s": _after_s(one.opened_ns, one.resolved_ns),
        "reopened": one.reopened,
        "merged_into": one.merged_into,
    }


def action_summary(one: Action, now_ns: int) -> dict[str, Any]:
    """Return an action item on one line."""
    return {
        "id": one.id,
        "incident": one.incident,
        "state": one.state,
        "text": one.text,
        "owner": one.owner,
        "priority": one.priority,
        "due": isoformat(one.due_ns),
        "overdue": is_overdue(one, now_ns),
        "question": one.question or None,
        "test": one.test or None,
        "closed": _moment(one.closed_ns),
        "closed_by": one.closed_by or None,
        "outcome": one.outcome or None,
    }


def is_overdue(one: Action, now_ns: int) -> bool:
    """Whether an action item should be done by now, and is not."""
    return one.state == "open" and one.due_ns < now_ns


def standing(one: Deadline, now_ns: int) -> str:
    """Return in a word how a deadline stands."""
    return "at risk" if one.state == "running" and now_ns >= at_risk_ns(one) else one.state


def _deadline(one: Deadline, now_ns: int) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "started": isoformat(one.started_ns),
        "due": isoformat(one.due_ns),
        "state": standing(one, now_ns),
        "ended": _moment(one.ended_ns),
    }


def _review(one: Review, now_ns: int) -> dict[str, Any]:
    return {
        "due": _moment(one.due_ns),
        "overdue": one.written_ns is None and one.due_ns is not None and one.due_ns < now_ns,
        "written": _moment(one.written_ns),
        "author": one.author or None,
        "answers": one.answers,
        "impact": one.impact,
    }


def _part(one: Part, home: Home | None) -> dict[str, Any]:
    is_file = one.state == "done" and one.detail.endswith(".json")
    found: dict[str, Any] = {
        "part": one.name,
        "state": one.state,
        "file": one.detail if is_file else None,
        "reason": None if is_file or one.state == "done" else one.detail or None,
        "taken": None if one.state == "waiting" else _moment(one.at_ns),
    }
    if home is not None and is_file:
        found["content"] = _content(home, one.detail)
    return found


def _content(home: Home, name: str) -> Any:
    """Return what a file of the home holds; None when somebody removed it, or it is damaged."""
    try:
        return json.loads((home.path / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _moment(at_ns: int | None) -> str | None:
    return None if at_ns is None else isoformat(at_ns)


def _after_s(since_ns: int, at_ns: int | None) -> float | None:
    return None if at_ns is None else max(0, at_ns - since_ns) / SECOND_NS
