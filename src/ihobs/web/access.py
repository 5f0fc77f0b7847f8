"""Who may ask: the Host header must name us, and beyond loopback every request carries the token.

The check of Host keeps pages of other sites, which a browser on this machine shows, from asking a server on
loopback under a name of theirs (DNS rebinding). Where there is a token, such a page does not know it.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, QueryParams

from ihobs.web.wire import RefusalError, refused, wire_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PUBLIC = frozenset({"/healthz", "/readyz", "/api/test"})
"""What is answered without a token: probes have none, and these tell nothing."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may ask.

    Attributes:
        hosts: names that the Host header may have, without port; None: any.
        token: what requests must carry; None: nothing.
    """

    hosts: frozenset[str] | None
    token: str | None


def is_loopback(address: str) -> bool:
    """Return whether an IP address is reached from this machine only."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def policy_of(address: str, host: str, names: Collection[str], token: str | None) -> Policy:
    """Return the policy of a server.

    Args:
        address: the IP address it is bound to. host: as the user named it.
        names: further names that the Host header may have; beyond loopback, none means any.
        token: needed beyond loopback.
    """
    if not names and not is_loopback(address):
        return Policy(None, token)
    spelled = {name.lower() for name in (*names, host, address)}
    return Policy(LOOPBACK_NAMES | {f"[{name}]" if ":" in name else name for name in spelled}, token)


class Access:
    """Refuses requests that the policy does not allow; the others go on to `app`."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI asks."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = self._refusal(scope, headers)
            if refusal is not None:
                answer = refused(wire_of(headers.get("content-type", "")), refusal)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> RefusalError | None:
        """Return why the request is refused, or None."""
        hosts, token = self._policy.hosts, self._policy.token
        if hosts is not None and _host(headers.get("host", "")) not in hosts:
            return RefusalError(421, "this server does not go by that name; see 'ihobs serve --allow-host'")
        if token is None or scope["path"] in PUBLIC or _same(_token(scope, headers), token):
            return None
        return RefusalError(401, "send the header 'Authorization: Bearer TOKEN'", {"www-authenticate": "Bearer"})


def _host(header: str) -> str:
    """Return the name of a Host header, without its port."""
    name = header.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].removesuffix(".")


def _token(scope: Scope, headers: Headers) -> str:
    """Return the token that a request carries: in its header, or, for a person's first visit, in its URL."""
    given = _bearer(headers.get("authorization", ""))
    if given:
        return given
    return QueryParams(scope["query_string"]).get("token", "") if scope["method"] == "GET" else ""


def carries_token(authorization: str, token: str) -> bool:
    """Return whether an Authorization carries the token."""
    return _same(_bearer(authorization), token)


def _bearer(authorization: str) -> str:
    kind, _, given = authorization.partition(" ")
    return given.strip() if kind.lower() == "bearer" else ""


def _same(given: str, token: str) -> bool:
    """Compare in a time that tells nothing of the token."""
    return hmac.compare_digest(given.encode(), token.encode())
