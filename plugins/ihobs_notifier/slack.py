"""Deliver to a Slack channel with a bot's token: one message a group, changed as the group changes.

    slack-bot://TOKEN@CHANNEL        the token of a bot (`xoxb-...`) that may `chat:write`, and a channel's id or name

What rises, or goes on for long, is a new message, because changing one notifies nobody. Slack says `"ok": false` with
HTTP 200 when it has not done what it was asked to.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ihobs import Outcome
from ihobs_notifier.http import Answer, UnreachableError, post

if TYPE_CHECKING:
    from ihobs import Notification

SCHEME = "slack-bot://"
API = "https://slack.com/api"
MAX_TEXT_CHARS = 3_000

PASSING = frozenset(
    {"fatal_error", "internal_error", "rate_limited", "ratelimited", "request_timeout", "service_unavailable"}
)
"""Errors that may be gone the next time: docs.slack.dev/reference/methods/chat.postMessage."""

GONE = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})
"""Errors of `chat.update` after which the message is sent anew."""

_COLOURS = {"ok": "#2eb67d", "warning": "#ecb22e", "critical": "#e01e5a"}
_RANKS = {"ok": 0, "warning": 1, "critical": 2}


def deliver(notification: Notification, address: str) -> Outcome | None:
    """Post a message, or change the one before; None when `address` names no token and channel."""
    place, _, query = address.removeprefix(SCHEME).partition("?")
    token, _, channel = place.rpartition("@")
    if not token or not channel:
        return None
    api = parse_qs(query).get("api", [API])[0]
    if may_change(notification):
        known, _, stamp = notification.answered.partition("/")
        outcome = _call(f"{api}/chat.update", token, {"channel": known, "ts": stamp, **content(notification)})
        if outcome.state != "refused" or outcome.detail not in GONE:
            return outcome
    return _call(f"{api}/chat.postMessage", token, {"channel": channel, **content(notification)})


def may_change(notification: Notification) -> bool:
    """Whether it is enough to change the message before: nobody is notified of that."""
    if not notification.answered or notification.kind != "change":
        return False
    if any(event.name == "alert.message" for event in notification.events):
        return False  # what was said before must stay
    return _RANKS[notification.level] <= _RANKS[notification.answered_level]


def content(notification: Notification) -> dict[str, Any]:
    """Return the parts of a message that do not depend on where it goes."""
    word = {"ok": "RESOLVED"}.get(notification.level, notification.level.upper())
    test = "TEST " if notification.kind == "test" else ""
    more = f"\nand {notification.omitted} more changes" if notification.omitted else ""
    return {
        "text": _escaped(f"{test}{word}: {notification.title}"),
        "attachments": [
            {
                "color": _COLOURS[notification.level],
                "text": _escaped(notification.body + more),
                "footer": f"ihobs {notification.key}",
            }
        ],
        "unfurl_links": False,
    }


def _call(url: str, token: str, fields: dict[str, Any]) -> Outcome:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        answer = post(url, json.dumps(fields).encode(), headers)
    except UnreachableError as error:
        return Outcome("later", str(error))
    return answer.outcome if answer.outcome.state != "delivered" else _read(answer)


def _read(answer: Answer) -> Outcome:
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or "ok" not in said:
        return Outcome("later", "the answer is not Slack's")
    if said["ok"]:
        return Outcome("delivered", message_id=f"{said.get('channel', '')}/{said.get('ts', '')}")
    error = str(said.get("error", "unknown error"))
    return Outcome("later" if error in PASSING else "refused", error, answer.retry_after_s)


def _escaped(text: str) -> str:
    """Return `text` as Slack wants it: docs.slack.dev/messaging/formatting-message-text#escaping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:MAX_TEXT_CHARS]
