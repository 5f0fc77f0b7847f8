"""Open an incident, or take one up again that ended a short while ago: one for each thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ihobs.incidents.deadlines import sooner
from ihobs.incidents.lifecycle import UNRESOLVED
from ihobs.incidents.severity import level_of, worst
from ihobs.incidents.wording import length_shown, moment_shown
from ihobs.store.state import incidents
from ihobs.store.state.incidents import Incident, Member

if TYPE_CHECKING:
    from ihobs.incident_settings import SeverityName
    from ihobs.incidents.session import Session

PARTS = ("changes", "controls", "health", "logs", "metrics", "system", "traces")
"""What is looked at when an incident opens; see `ihobs.incidents.diagnostics`."""

BRIDGE = "bridge"
"""The part that makes the bridge, where a webhook does."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is to be opened.

    Attributes:
        severity: of it. reason: why it is that.
        title: one line for people.
        join_key: with which the same thing is found again.
        began_ns: since when it is wrong, as far as known.
        author: who opens it; empty: an alert does. alert: its key, or empty.
    """

    severity: SeverityName
    reason: str
    title: str
    join_key: str
    began_ns: int
    author: str = ""
    alert: str = ""

    @property
    def origin(self) -> Literal["alert", "person"]:
        """Who opens it."""
        return "person" if self.author else "alert"


def find_open(session: Session, join_key: str) -> Incident | None:
    """Return the unresolved incident that alerts of this key belong to."""
    if not join_key:
        return None
    return incidents.open_with_key(session.writer, join_key) or _absorbing(session, join_key)


def _absorbing(session: Session, join_key: str) -> Incident | None:
    """Return the unresolved incident that the one of this key was made a part of."""
    into = incidents.merged_with_key(session.writer, join_key)
    while into is not None:
        found = session.find(into)
        if found.state in UNRESOLVED:
            return found
        into = found.merged_into
    return None


def open_or_reopen(session: Session, opening: Opening) -> Incident:
    """Open an incident; or take up the one that was the same and ended a short while ago."""
    since_ns = session.now_ns - session.policy.reopen_within_ns
    ended = incidents.ended_since(session.writer, opening.join_key, since_ns) if opening.join_key else None
    return _open(session, opening) if ended is None else _reopen(session, ended, opening)


def join(session: Session, incident: Incident, alert: str, text: str) -> None:
    """Let an alert belong to an incident."""
    incidents.put_member(session.writer, incident.id, Member(alert, session.now_ns, None))
    session.note(incident, "alert.joined", text, alert=alert)


def _open(session: Session, opening: Opening) -> Incident:
    now = session.now_ns
    bridge = session.policy.bridge(opening.severity)
    incident = Incident(
        id=_free_id(session),
        version=1,
        state="open",
        severity=opening.severity,
        title=opening.title,
        origin=opening.origin,
        author=opening.author,
        join_key=opening.join_key,
        began_ns=min(opening.began_ns, now),
        opened_ns=now,
        bridge=bridge.link if bridge else "",
        chain=session.policy.chain(opening.severity),
        chain_from_ns=now,
    )
    incidents.insert(session.writer, incident)
    session.note(
        incident,
        "opened",
        f"opened as {opening.severity}: {opening.reason}",
        author=opening.author,
        severity=opening.severity,
        title=opening.title,
    )
    _expect(session, incident)
    _begin(session, incident, opening)
    text = f"{incident.severity} {incident.id} opened: {incident.title}"
    session.tell(incident, "opened", text, was="ok", also=session.policy.leadership(incident.severity))
    return incident


def _reopen(session: Session, ended: Incident, opening: Opening) -> Incident:
    """Take an incident up again. Whoever took care of it is asked anew; its severity does not fall by itself."""
    severity = worst(ended.severity, opening.severity)
    incident = session.move(
        ended,
        "reopen",
        severity=severity,
        reopened=ended.reopened + 1,
        acknowledged_ns=None,
        mitigated_ns=None,
        resolved_ns=None,
        chain_from_ns=session.now_ns,
        chain_told=0,
    )
    before = "" if ended.resolved_ns is None else f", {_ago(session, ended.resolved_ns)} after its end"
    session.note(incident, "reopened", f"reopened{before}: {opening.title}", author=opening.author)
    _begin(session, incident, opening)
    text = f"{incident.severity} {incident.id} is back: {opening.title}"
    session.tell(incident, "reopened", text, was="ok", also=session.policy.leadership(incident.severity))
    return incident


def _begin(session: Session, incident: Incident, opening: Opening) -> None:
    for deadline in session.policy.deadlines(incident.severity, session.now_ns):
        session.put_deadline(incident, deadline)
    if opening.alert:
        join(session, incident, opening.alert, opening.title)


def rise(session: Session, incident: Incident, severity: SeverityName, reason: str, author: str = "") -> Incident:
    """Let the severity of an incident rise; its deadlines come nearer, and more people hear of it."""
    bridge = session.policy.bridge(severity)
    link = incident.bridge or (bridge.link if bridge else "")
    chain = incident.chain or session.policy.chain(severity)
    risen = session.save(replace(incident, severity=severity, bridge=link, chain=chain))
    _put_sooner(session, risen)
    _expect_bridge(session, risen)
    text = f"severity raised from {incident.severity} to {severity}: {reason}"
    session.note(risen, "severity.raised", text, author=author, before=incident.severity, after=severity)
    was = level_of(incident.severity)
    also = session.policy.leadership(severity)
    session.tell(risen, "severity", f"{severity} {risen.id}: {text}", was=was, also=also)
    return risen


def _put_sooner(session: Session, incident: Incident) -> None:
    """Bring the deadlines nearer that the new severity asks for; who has responded has done so."""
    before = session.deadlines(incident)
    for now in session.policy.deadlines(incident.severity, session.now_ns):
        one = sooner(before.get(now.kind), now)
        if one is not None and not (now.kind == "response" and incident.acknowledged_ns is not None):
            session.put_deadline(incident, one)


def _expect(session: Session, incident: Incident) -> None:
    incidents.expect_parts(session.writer, incident.id, PARTS, session.now_ns)
    _expect_bridge(session, incident)


def _expect_bridge(session: Session, incident: Incident) -> None:
    bridge = session.policy.bridge(incident.severity)
    if bridge is not None and bridge.webhook and not incident.bridge:
        incidents.expect_parts(session.writer, incident.id, [BRIDGE], session.now_ns)


def _free_id(session: Session) -> str:
    """Return the id of an incident that opens now; of a second one in the same second it has a number."""
    stem = f"INC-{moment_shown(session.now_ns, None, '%Y%m%d-%H%M%S')}"
    found, number = stem, 1
    while incidents.exists(session.writer, found):
        number += 1
        found = f"{stem}-{number}"
    return found


def _ago(session: Session, at_ns: int) -> str:
    return length_shown(max(0, session.now_ns - at_ns))
