"""Ask a webhook for a bridge: a place to meet, whose link is stored with the incident.

The request carries the incident's id as `Idempotency-Key`, as it may be sent again: after a failure, and after a crash
between the answer and its being stored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import requests

from ihobs.clock import MINUTE_NS, isoformat
from ihobs.errors import IhobsError
from ihobs.incidents.opening import BRIDGE
from ihobs.store.state import incidents
from ihobs.store.state.incidents import Part

if TYPE_CHECKING:
    from ihobs.incident_settings import BridgeSettings
    from ihobs.incidents.session import Desk
    from ihobs.store.state.incidents import Incident

TIMEOUT_S = 10.0
GIVE_UP_AFTER_NS = 5 * MINUTE_NS
"""Then people have found another place."""

MAX_ANSWER_CHARS = 1_000
"""Of the answer that are stored."""

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


class BridgeError(IhobsError):
    """The webhook gave no link. The text holds no address and no header: they may hold secrets."""


@dataclass(frozen=True)
class BridgeBuilder:
    """Makes the bridges that wait to be made.

    Attributes:
        desk: where incidents are kept.
        environ: where `${env:NAME}` is looked up.
    """

    desk: Desk
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def complete(self) -> bool:
        """Make all bridges that are missing; return whether some still are, as the webhook failed.

        Raises:
            StoreUnavailableError: the state database cannot be used.
        """
        with self.desk.state.read() as reader:
            waiting = [one for one, name in incidents.waiting_parts(reader) if name == BRIDGE]
            found = [incidents.find(reader, one) for one in waiting]
        failed = [incident.id for incident in found if self._make(incident)]
        return bool(failed)

    def _make(self, incident: Incident) -> bool:
        settings = self.desk.policy.bridge("P1")
        if settings is None or not settings.webhook:
            self._give_up(incident, "no webhook is configured any more")
            return False
        try:
            link, answer = ask(settings, incident, self.environ)
        except BridgeError as error:
            if self.desk.clock() - self._waits_since_ns(incident) < GIVE_UP_AFTER_NS:
                return True
            self._give_up(incident, str(error))
            return False
        with self.desk.session() as session:
            part = Part(BRIDGE, "done", answer[:MAX_ANSWER_CHARS], session.now_ns)
            if incidents.finish_part(session.writer, incident.id, part):
                met = session.save(replace(session.find(incident.id), bridge=link))
                session.note(met, "bridge", f"people meet at {link}", link=link, answer=answer[:MAX_ANSWER_CHARS])
                session.tell(met, "bridge", f"{met.severity} {met.id}: people meet at {link}")
        return False

    def _waits_since_ns(self, incident: Incident) -> int:
        """Return when the bridge was first asked for: at the opening, or when it became a P1."""
        with self.desk.state.read() as reader:
            found = [one.at_ns for one in incidents.parts(reader, incident.id) if one.name == BRIDGE]
        return found[0] if found and found[0] is not None else incident.opened_ns

    def _give_up(self, incident: Incident, reason: str) -> None:
        with self.desk.session() as session:
            part = Part(BRIDGE, "missing", reason, session.now_ns)
            if incidents.finish_part(session.writer, incident.id, part):
                session.note(session.find(incident.id), "bridge", f"there is no bridge: {reason}")


def ask(settings: BridgeSettings, incident: Incident, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the link that the webhook answers with, and its whole answer.

    Raises:
        BridgeError: there is none.
    """
    body = {
        "incident": incident.id,
        "severity": incident.severity,
        "title": incident.title,
        "opened": isoformat(incident.opened_ns),
    }
    headers = {name: _filled(value, environ) for name, value in settings.headers.items()}
    try:
        answer = requests.post(
            _filled(settings.webhook, environ),
            json=body,
            headers={"Idempotency-Key": incident.id, **headers},
            timeout=TIMEOUT_S,
        )
    except (requests.RequestException, ValueError) as error:
        raise BridgeError(f"the webhook of the bridge cannot be reached: {type(error).__name__}") from error
    if not answer.ok:
        raise BridgeError(f"the webhook of the bridge answered {answer.status_code}")
    return _link(answer.text, settings.answer), answer.text


def _link(text: str, path: str) -> str:
    """Return what stands at a dotted path of a JSON answer."""
    try:
        found: Any = json.loads(text)
        for name in path.split("."):
            found = found[name]
    except (ValueError, KeyError, TypeError) as error:
        raise BridgeError(f"the webhook of the bridge answered without {path!r}") from error
    if not isinstance(found, str) or not found:
        raise BridgeError(f"the webhook of the bridge answered without a text in {path!r}")
    return found


def _filled(text: str, environ: Mapping[str, str]) -> str:
    missing = [name for name in _VARIABLE.findall(text) if not environ.get(name)]
    if missing:
        raise BridgeError(f"the variable {missing[0]} is not set")
    return _VARIABLE.sub(lambda match: environ[match[1]], text)
