"""What alerts mean for incidents: they open one, join one, make it worse, and leave it calm when they are over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ihobs.delivery.labels import labels_of
from ihobs.incidents.lifecycle import UNRESOLVED
from ihobs.incidents.opening import Opening, find_open, join, open_or_reopen, rise
from ihobs.incidents.severity import LABEL, Observation, classify, is_worse
from ihobs.store.state import incidents
from ihobs.store.state.incidents import Incident, Member

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from ihobs.incidents.session import Session
    from ihobs.incidents.severity import Verdict
    from ihobs.model import Event, Of, Rule

HEARD = frozenset({"alert.firing", "alert.level", "alert.resolved"})
"""Names of the events that are about alerts of rules."""

NO_DATA = "no data"


@dataclass(frozen=True, slots=True)
class Sighting:
    """An alert that fires, as it is now.

    Attributes:
        event: the newest of it. value: of the last evaluation.
        verdict: how bad that is.
    """

    event: Event
    value: float | None
    verdict: Verdict


def sight(event: Event, value: float | None, rule: Rule | None, *, nothing_succeeds: bool) -> Sighting:
    """Return an alert that fires, judged; `rule` is None when it was taken away meanwhile."""
    said = event.fields.get(f"label.{LABEL}")
    of: Of = "run" if rule is None else rule.of
    is_silent = value is None and str(event.fields.get("note") or "").startswith(NO_DATA)
    known = value if value is not None or is_silent else _number(event.fields.get("value"))
    metric = str(event.fields.get("metric") or "")
    seen = Observation(metric, known, event.level, of, str(said or ""), nothing_succeeds)
    return Sighting(event, known, classify(seen))


def hear(session: Session, event: Event, sighting: Sighting | None) -> None:
    """Take in what an alert did; `sighting` is None when it is over."""
    holder = incidents.holder_of(session.writer, event.subject)
    if sighting is None:
        if holder is not None:
            _clear(session, holder, event)
    elif holder is None or holder.state not in UNRESOLVED:
        _come_back(session, holder, sighting)
    else:
        _go_on(session, holder, sighting)


def look(session: Session, sighting: Sighting) -> None:
    """Look at an alert that goes on firing: its value alone may make things worse."""
    holder = incidents.holder_of(session.writer, sighting.event.subject)
    if holder is None or holder.state not in UNRESOLVED:
        _come_back(session, holder, sighting)
    else:
        _judge(session, holder, sighting)


def _come_back(session: Session, ended: Incident | None, sighting: Sighting) -> None:
    """Take in an alert without an incident; one that people have resolved while it fired is left to them.

    Unless it gets worse than it was then.
    """
    if ended is None or is_worse(sighting.verdict.severity, ended.severity):
        _belong(session, sighting)


def _belong(session: Session, sighting: Sighting) -> None:
    """Let an alert join the incident that it belongs to, or open one when it is bad enough."""
    event, severity = sighting.event, sighting.verdict.severity
    join_key = session.policy.join_key(labels_of(event, event.level))
    known = find_open(session, join_key)
    if known is not None:
        join(session, known, event.subject, event.text)
        _judge(session, _taken_up(session, known), sighting)
    elif session.policy.opens(severity):
        began_ns = event.fields.get("since_ns")
        opening = Opening(
            severity=severity,
            reason=sighting.verdict.reason,
            title=event.text,
            join_key=join_key,
            began_ns=began_ns if isinstance(began_ns, int) else event.at_ns,
            alert=event.subject,
        )
        open_or_reopen(session, opening)


def _go_on(session: Session, incident: Incident, sighting: Sighting) -> None:
    """Note that an alert changed, or is back, that belongs to an incident."""
    event = sighting.event
    member = _member(session, incident, event.subject)
    if member.cleared_ns is not None:
        incidents.put_member(session.writer, incident.id, replace(member, cleared_ns=None))
    name = "alert.back" if member.cleared_ns is not None else "alert.level"
    session.note(incident, name, event.text, alert=event.subject, level=event.level, value=sighting.value)
    _judge(session, _taken_up(session, incident), sighting)


def _taken_up(session: Session, incident: Incident) -> Incident:
    """Return an incident after one of its alerts fires: when it had calmed down, it goes on."""
    if incident.state != "mitigated":
        return incident
    back = session.move(incident, "recur", mitigated_ns=None)
    session.note(back, "recurred", "it is not over: an alert fires again")
    return back


def _judge(session: Session, incident: Incident, sighting: Sighting) -> None:
    """Let the severity rise by itself; it never falls by itself."""
    verdict = sighting.verdict
    if is_worse(verdict.severity, incident.severity):
        rise(session, incident, verdict.severity, verdict.reason)


def _clear(session: Session, incident: Incident, event: Event) -> None:
    """Note that an alert is over; after the last one, the incident is mitigated."""
    member = _member(session, incident, event.subject)
    if member.cleared_ns is not None:
        return
    incidents.put_member(session.writer, incident.id, replace(member, cleared_ns=session.now_ns))
    session.note(incident, "alert.resolved", event.text, alert=event.subject)
    if incident.state in {"open", "acknowledged"} and is_calm(session.writer, incident):
        calm = session.move(incident, "mitigate", mitigated_ns=session.now_ns)
        session.note(calm, "mitigated", "all of its alerts are over")


def is_calm(reader: sqlite3.Connection, incident: Incident) -> bool:
    """Whether an incident has alerts, and all of them are over."""
    known = incidents.members(reader, incident.id)
    return bool(known) and all(one.cleared_ns is not None for one in known)


def _member(session: Session, incident: Incident, alert: str) -> Member:
    known = incidents.members(session.writer, incident.id)
    return next((one for one in known if one.alert == alert), Member(alert, session.now_ns, None))


def rule_of(rules: Mapping[str, Rule], event: Event) -> Rule | None:
    """Return the rule of an alert's event."""
    return rules.get(str(event.fields.get("rule") or ""))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
