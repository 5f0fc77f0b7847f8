"""Deliver to a webhook: JSON of one's own shape, signed.

    webhook:https://host/path
    webhook:{"url": ..., "secret": ..., "template": ..., "headers": {...}}     as `receivers:` has it

With a secret, `X-Ihobs-Signature` is `sha256=` and the hexadecimal HMAC-SHA256 of `X-Ihobs-Timestamp`, a full stop and
the body; a receiver refuses what is older than a few minutes. `Idempotency-Key` is the key of the message.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ihobs import Outcome
from ihobs.clock import SECOND_NS, Clock, isoformat, now_ns
from ihobs_notifier.http import UnreachableError, post

if TYPE_CHECKING:
    from ihobs import Notification

SCHEME = "webhook:"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to, and how; the fields are those of the file."""

    url: str
    secret: str = ""
    template: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def deliver(notification: Notification, address: str, *, clock: Clock = now_ns) -> Outcome:
    """Post the notification."""
    text = address.removeprefix(SCHEME)
    webhook = Webhook(**json.loads(text)) if text.startswith("{") else Webhook(text)
    if not webhook.url.startswith(("http://", "https://")):
        return Outcome("refused", "the address of a webhook begins with https:// or http://")
    body = body_of(notification, webhook.template)
    headers = {**webhook.headers, "Idempotency-Key": notification.key}
    if webhook.secret:
        headers |= signature(body, webhook.secret, clock() // SECOND_NS)
    try:
        return post(webhook.url, body, headers).outcome
    except UnreachableError as error:
        return Outcome("later", str(error))


def signature(body: bytes, secret: str, timestamp_s: int) -> dict[str, str]:
    """Return the headers with which a receiver can tell that we have sent `body`, and when."""
    signed = hmac.new(secret.encode(), f"{timestamp_s}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Ihobs-Timestamp": str(timestamp_s), "X-Ihobs-Signature": f"sha256={signed}"}


def body_of(notification: Notification, template: str) -> bytes:
    """Return the body; one that the template cannot make is made without it, because the alert must arrive."""
    document = document_of(notification)
    if template:
        try:
            return json.dumps(json.loads(_rendered(template, document)), ensure_ascii=False).encode()
        except Exception as error:  # noqa: BLE001 - a template is foreign code: whatever it does, the alert is sent
            document["template_error"] = type(error).__name__
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def document_of(notification: Notification) -> dict[str, Any]:
    """Return the notification as JSON; templates know the members by their names."""
    document = asdict(notification)
    del document["answered"], document["answered_level"]
    document["events"] = [_event(one) for one in document["events"]]
    status = "test" if notification.kind == "test" else "resolved" if notification.level == "ok" else "firing"
    return {"version": VERSION, "status": status, **document, "at": isoformat(notification.at_ns)}


def _event(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without the numbers that JSON does not have."""
    fields = {name: None if _is_no_number(value) else value for name, value in event["fields"].items()}
    return {**event, "fields": fields}


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _rendered(template: str, document: Mapping[str, Any]) -> str:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(template).render(document)
