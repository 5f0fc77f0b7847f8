"""Deliver to PagerDuty by its Events API v2: one incident a group, resolved when the group is.

pagerduty-events://ROUTING_KEY[@HOST]     HOST: events.pagerduty.com, or events.eu.pagerduty.com
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ihobs import Outcome
from ihobs.clock import isoformat
from ihobs_notifier.http import UnreachableError, post

if TYPE_CHECKING:
    from ihobs import Notification

SCHEME = "pagerduty-events://"
HOST = "events.pagerduty.com"
MAX_SUMMARY_CHARS = 1024
MAX_KEY_CHARS = 255
MAX_DETAIL_CHARS = 300


def deliver(notification: Notification, address: str) -> Outcome | None:
    """Trigger or resolve an incident; None when `address` names no routing key."""
    place, _, query = address.removeprefix(SCHEME).partition("?")
    routing_key, _, host = place.partition("@")
    if not routing_key:
        return None
    url = parse_qs(query).get("api", [f"https://{host or HOST}"])[0] + "/v2/enqueue"
    body = json.dumps({"routing_key": routing_key, **event(notification)}).encode()
    try:
        answer = post(url, body, {})
    except UnreachableError as error:
        return Outcome("later", str(error))
    outcome = answer.outcome
    if outcome.state == "delivered":
        return Outcome("delivered", outcome.detail, message_id=dedup_key(notification))
    why = _said(answer.body).replace(routing_key, "...")
    return Outcome(outcome.state, f"{outcome.detail}: {why}" if why else outcome.detail, outcome.retry_after_s)


def event(notification: Notification) -> dict[str, Any]:
    """Return the event without the routing key."""
    named = {"dedup_key": dedup_key(notification), "client": "ihobs"}
    if notification.level == "ok" and notification.kind != "test":
        return {"event_action": "resolve", **named}
    fields = notification.events[-1].fields if notification.events else {}
    payload = {
        "summary": notification.title[:MAX_SUMMARY_CHARS],
        "source": str(fields.get("by.service") or fields.get("label.service") or "ihobs"),
        "severity": "info" if notification.level == "ok" else notification.level,
        "timestamp": isoformat(notification.at_ns),
        "group": notification.group,
        "class": str(fields.get("metric") or ""),
        "custom_details": {
            "body": notification.body,
            "firing": list(notification.firing),
            "key": notification.key,
            "kind": notification.kind,
            "supersedes": list(notification.supersedes),
        },
    }
    return {"event_action": "trigger", **named, "payload": payload}


def dedup_key(notification: Notification) -> str:
    """Return the key of the incident: of the group, as long as it fires; of the message when nothing goes on."""
    passes = any(one.name == "alert.message" for one in notification.events) or notification.kind == "test"
    key = f"ihobs {notification.key if passes else notification.group}"
    return key if len(key) <= MAX_KEY_CHARS else f"ihobs {hashlib.sha256(key.encode()).hexdigest()}"


def _said(body: bytes) -> str:
    """Return what PagerDuty says is wrong."""
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    errors = said.get("errors")
    parts = [str(said.get("message", "")), *(map(str, errors) if isinstance(errors, list) else ())]
    return "; ".join(part for part in parts if part)[:MAX_DETAIL_CHARS]
