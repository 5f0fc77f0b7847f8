"""The step that calls a server which the configuration allows."""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ihobs.runbooks.kinds.flow import remaining_s
from ihobs.runbooks.kinds.forms import TEXT, outputs, parameters, said
from ihobs.steps import Context, Effect, StepFailedError, StepKind, Values

if TYPE_CHECKING:
    from ihobs.runbooks.kinds.surroundings import Surroundings

MAX_ANSWER_BYTES = 32_768
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
USUAL_PORTS = {"http": 80, "https": 443}


def http_kind(around: Surroundings) -> StepKind:
    """Return the kind of step that makes an HTTP request."""

    def run(context: Context, given: Values) -> Values:
        check_url(given["url"], around.allowed.hosts)
        answer = _request(context, given)
        if answer["status"] not in given.get("expect", range(200, 300)):
            text = f"{given.get('method', 'GET')} was answered with {answer['status']}: {answer['text'][:300]}"
            raise StepFailedError(text, kind="status", status=answer["status"], details=answer)
        return answer

    return StepKind(
        name="http",
        summary="call a server that `runbooks.allow.hosts` names",
        effect="change",
        idempotent=False,
        parameters=parameters(
            ("url",),
            method={"enum": list(METHODS), "default": "GET", "description": "GET and HEAD only look."},
            url=said(TEXT, "Where to.", examples=["https://router.internal/route"]),
            headers={
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Sent along, beside Idempotency-Key.",
                "examples": [{"Authorization": "Bearer {{ secret.ROUTER_TOKEN }}"}],
            },
            json={"description": "Sent as JSON."},
            body={"type": "string", "description": "Sent as it is, instead of JSON."},
            expect={
                "type": "array",
                "items": {"type": "integer"},
                "description": "Answers that are no failure; 200 to 299 when it is missing.",
            },
        ),
        outputs=outputs(
            status={"type": "integer", "description": "The answer's status.", "examples": [200]},
            text={"type": "string", "description": "The first 32 kB of its body.", "examples": ['{"ok": true}']},
            json={"description": "Its body, when it is JSON; else nothing.", "examples": [{"ok": True}]},
        ),
        run=run,
        shorthand="url",
        secrets=frozenset({"headers", "json", "body"}),
        effect_of=_effect_of,
    )


def check_url(url: str, allowed: tuple[str, ...]) -> None:
    """Refuse a URL whose host is not allowed.

    Raises:
        StepFailedError: it is not allowed, or no URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise StepFailedError(f"is no URL: {error}", kind="refused") from error
    if parts.scheme not in USUAL_PORTS or not parts.hostname or parts.username is not None or "\\" in url:
        raise StepFailedError("the URL must be http:// or https:// and a host, without a user", kind="refused")
    host = parts.hostname if port in {None, USUAL_PORTS[parts.scheme]} else f"{parts.hostname}:{port}"
    if not any(fnmatch.fnmatchcase(host, pattern.lower()) for pattern in allowed):
        raise StepFailedError(f"the host {host!r} is not among runbooks.allow.hosts in ihobs.yaml", kind="refused")


def _effect_of(given: Values) -> tuple[Effect, bool]:
    """GET and HEAD look; PUT and DELETE may be done twice (RFC 9110, 9.2)."""
    method = given.get("method", "GET")
    if method in {"GET", "HEAD"}:
        return "read", True
    return "change", method in {"PUT", "DELETE"}


def _request(context: Context, given: Values) -> dict[str, Any]:
    """Make a request; redirects are not followed: they lead where nobody has allowed."""
    import requests

    session = requests.Session()
    session.trust_env = False  # no .netrc, no proxy that the runbook does not know of
    headers = {"Idempotency-Key": context.key, **given.get("headers", {})}
    body = {"data": given["body"].encode()} if "body" in given else {"json": given.get("json")}
    try:
        with session.request(
            given.get("method", "GET"),
            given["url"],
            headers=headers,
            timeout=max(0.001, remaining_s(context)),
            allow_redirects=False,
            stream=True,
            **body,
        ) as response:
            content = response.raw.read(MAX_ANSWER_BYTES, decode_content=True)
            status, text = response.status_code, content.decode(response.encoding or "utf-8", errors="replace")
    except requests.Timeout as error:
        raise StepFailedError("no answer in time", kind="timeout") from error
    except (requests.RequestException, LookupError, ValueError) as error:
        raise StepFailedError(f"no answer: {type(error).__name__}", kind="unreachable") from error
    return {"status": status, "text": text, "json": _parsed(text)}


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
