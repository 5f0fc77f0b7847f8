"""What LangSmith's answers mean, and what to do: a sentence for each way in which something fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.langsmith.access import REGIONS, SELF_HOSTED_PATH

if TYPE_CHECKING:
    from ihobs.langsmith.access import Access
    from ihobs.langsmith.wire import Reply

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_LARGE, TOO_MANY, SERVER_ERROR = 401, 403, 404, 413, 429, 500
NEEDS_WORKSPACE = "org_scoped_key_requires_workspace"

_FAULTS = {
    "url": "the endpoint is no URL that can be asked",
    "name": "the host's name is not known",
    "refused": "nobody listens there",
    "timeout": "no answer in time",
    "tls": "no secure connection could be made",
    "broken": "the connection broke",
}
_FAULT_ADVICE = {
    "url": "give the endpoint as https://HOST",
    "name": "check the spelling of the endpoint, the network and its DNS; behind a proxy set HTTPS_PROXY",
    "refused": "check the endpoint's host and port",
    "timeout": "check the network, a firewall, and whether a proxy is needed (HTTPS_PROXY)",
    "tls": "check that https is spoken there; for an authority of your own, name its file in REQUESTS_CA_BUNDLE",
    "broken": "check the network, and whether the endpoint must begin with https:// instead of http://",
}


def said(reply: Reply) -> str:
    """Return what came back, in words."""
    if reply.fault:
        return _FAULTS[reply.fault]
    if reply.location:
        return f"the answer is a redirect to {reply.location} ({reply.status})"
    if reply.status == UNAUTHORIZED:
        return "the key is not accepted here (401)"
    if reply.is_ok:
        return f"the answer is not LangSmith's ({reply.status}, no JSON that fits)"
    return f"the answer is {reply.status}"


def of_reach(access: Access, reply: Reply) -> str:
    """Return what to do when LangSmith cannot be reached."""
    if reply.fault:
        return _FAULT_ADVICE[reply.fault]
    if reply.location or reply.is_ok or reply.status == NOT_FOUND:
        return _of_path(access)
    return _of_any(access, reply)


def of_key(access: Access) -> str:
    """Return what to do about a key that is not accepted."""
    hint = f"check {access.key_from}: the key may be revoked or incomplete"
    others = [f"https://{name} ({region})" for name, region in REGIONS.items() if name != access.host]
    if access.region == "self-hosted":
        return f"{hint}, or be one of LangSmith's cloud while the endpoint is {access.endpoint}"
    return (
        f"{hint}; a key is valid in one region only, this one was asked of {access.region}: "
        f"for others set LANGSMITH_ENDPOINT to {', '.join(others)}"
    )


def of_read(access: Access, reply: Reply) -> str:
    """Return what to do when nothing can be read."""
    if reply.code == NEEDS_WORKSPACE:
        return "the key is one of a whole organisation: set LANGSMITH_WORKSPACE_ID to the workspace that you mean"
    if reply.status == FORBIDDEN:
        return "spans may still be taken; to import history, use a key that may read projects and runs"
    return _of_any(access, reply)


def of_reading(access: Access, reply: Reply) -> str:
    """Return what to do when history cannot be read."""
    if reply.status == FORBIDDEN and reply.code != NEEDS_WORKSPACE:
        return f"the key of {access.key_from} may not read runs: use one that may"
    if reply.status == NOT_FOUND:
        return _of_path(access)
    return of_read(access, reply)


def of_project(access: Access) -> str:
    """Return what to do about a project that is not there."""
    hint = "LangSmith makes it when the first span arrives"
    return (
        f"{hint}; if it should be there, check its spelling ({access.project!r}), and whether {access.key_from} is a "
        "key of its workspace"
    )


def of_write(access: Access, reply: Reply) -> str:
    """Return what to do when spans would not be taken."""
    if reply.code == NEEDS_WORKSPACE:
        return of_read(access, reply)
    if reply.status in {UNAUTHORIZED, FORBIDDEN}:
        return f"the key of {access.key_from} may not write: use one that may create runs in this workspace"
    if reply.status == NOT_FOUND:
        return _of_path(access)
    if reply.status == TOO_MANY:
        return f"a rate limit or the workspace's quota of events is reached{_when(reply)}; spans wait until it is over"
    return _of_any(access, reply)


def _of_path(access: Access) -> str:
    """Return what to do about a wrong path."""
    if access.region == "self-hosted" and not access.endpoint.endswith(SELF_HOSTED_PATH):
        return f"on a host of your own the API begins at {SELF_HOSTED_PATH}: try {access.endpoint}{SELF_HOSTED_PATH}"
    if access.region == "self-hosted":
        return "check that LangSmith runs there, in a version that takes OpenTelemetry"
    return f"the cloud's endpoint is https://{access.host}, without a path"


def _of_any(access: Access, reply: Reply) -> str:
    """Return what to do about what may happen to any request."""
    if reply.fault:
        return _FAULT_ADVICE[reply.fault]
    if reply.location:
        return _of_path(access)
    if reply.status == UNAUTHORIZED:
        return of_key(access)
    if reply.status == TOO_MANY:
        return f"too many requests with this key, or a quota is reached{_when(reply)}; wait and try again"
    if reply.status >= SERVER_ERROR:
        return "LangSmith has a fault, or is being updated; see status.smith.langchain.com and try again"
    return "check the endpoint and the key's permissions in LangSmith's settings"


def _when(reply: Reply) -> str:
    return f" (again in {reply.retry_after} s)" if reply.retry_after.isdecimal() else ""
