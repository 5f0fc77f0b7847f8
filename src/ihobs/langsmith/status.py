"""Whether LangSmith can be reached, and what the key may do there: one request for each question, in order.

    reach      GET  /info                       no key is sent
    key        GET  /sessions?limit=1           401: it is wrong here
    read       the same answer                  403: it may not read
    workspace  GET  /settings                   its name, to tell a key of another one
    project    GET  /sessions?name=...          does it exist
    write      POST /otel/v1/traces, empty      the path and the key that spans take; nothing is stored

What cannot be known because of what failed before is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ihobs.langsmith import advice
from ihobs.langsmith.wire import Reply, Wire

if TYPE_CHECKING:
    from ihobs.langsmith.access import Access

State = Literal["ok", "failed", "skipped"]
STEPS = ("reach", "key", "read", "workspace", "project", "write")

PROJECT_HEADER = "Langsmith-Project"
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY = 401, 403, 404, 429
_EMPTY_REFUSED = (400, 422)
"""How a server may answer to a request without spans. It has looked at the key before."""


@dataclass(frozen=True, slots=True)
class Check:
    """The answer to one question.

    Attributes:
        name: one of STEPS.
        text: what was found. advice: what to do about it; empty when nothing is to be done.
    """

    name: str
    state: State
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """One way to LangSmith, checked.

    Attributes:
        destination: its name in the configuration; None: only the variables tell of it, and nothing goes there.
        endpoint, region, project: where it leads. key_from: what holds the key, never the key.
        checks: in the order of STEPS.
    """

    destination: str | None
    endpoint: str
    region: str
    project: str
    key_from: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not any(check.state == "failed" for check in self.checks)


def connection(access: Access) -> Connection:
    """Ask all questions about `access`; takes seconds when nobody answers."""
    checks = tuple(_Questions(access).ask())
    return Connection(access.name or None, access.endpoint, access.region, access.project, access.key_from, checks)


class _Questions:
    """Asks one after another, remembering what the later ones need to know."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._open, self._wire = Wire(access.endpoint, {}), Wire(access.endpoint, access.headers)
        self._closed = ""
        self._may_read = True

    def ask(self) -> list[Check]:
        checks: list[Check] = []
        for question in (self._reach, self._key_and_read, self._workspace, self._project, self._write):
            checks += question()
        return checks

    def _reach(self) -> list[Check]:
        reply = self._open.get("/info")
        if reply.is_ok and isinstance(reply.body, dict):
            version = reply.body.get("version")
            return [Check("reach", "ok", f"LangSmith {version} answers" if version else "LangSmith answers")]
        self._closed = "it cannot be reached"
        return [Check("reach", "failed", advice.said(reply), advice.of_reach(self._access, reply))]

    def _key_and_read(self) -> list[Check]:
        if not self._closed and not self._access.key:
            self._closed = "there is no key"
            hint = f"set {self._access.key_from} to a key of LangSmith's settings"
            return [Check("key", "failed", f"{self._access.key_from} is not set", hint), self._skipped("read")]
        if self._closed:
            return [self._skipped("key"), self._skipped("read")]
        reply = self._wire.get("/sessions", {"limit": "1", "offset": "0"})
        if reply.status == UNAUTHORIZED:
            self._closed = "the key is not accepted"
            return [
                Check("key", "failed", advice.said(reply), advice.of_key(self._access)),
                self._skipped("read"),
            ]
        self._may_read = reply.is_ok
        if reply.is_ok:
            return [Check("key", "ok", "is accepted"), Check("read", "ok", "projects and runs can be read")]
        known = reply.status == FORBIDDEN
        key = Check("key", "ok", "is known") if known else Check("key", "skipped", "cannot be told")
        return [key, Check("read", "failed", advice.said(reply), advice.of_read(self._access, reply))]

    def _workspace(self) -> list[Check]:
        if self._closed:
            return [self._skipped("workspace")]
        reply = self._wire.get("/settings")
        name = reply.body.get("display_name") if reply.is_ok and isinstance(reply.body, dict) else None
        if not name:
            return [Check("workspace", "skipped", "its name cannot be read")]
        return [Check("workspace", "ok", f"the key belongs to '{name}'")]

    def _project(self) -> list[Check]:
        name = self._access.project
        if self._closed or not self._may_read:
            return [self._skipped("project")]
        reply = self._wire.get("/sessions", {"limit": "1", "name": name, "include_stats": "False"})
        if not reply.is_ok and reply.status != NOT_FOUND:
            return [Check("project", "failed", advice.said(reply), advice.of_read(self._access, reply))]
        if reply.body and reply.is_ok:
            return [Check("project", "ok", f"'{name}' exists")]
        return [Check("project", "failed", f"there is no project '{name}'", advice.of_project(self._access))]

    def _write(self) -> list[Check]:
        if self._closed:
            return [self._skipped("write")]
        headers = {"Content-Type": "application/x-protobuf", PROJECT_HEADER: self._access.project}
        reply = self._wire.post("/otel/v1/traces", b"", headers)
        if reply.is_ok:
            return [Check("write", "ok", "spans are taken")]
        if reply.status in _EMPTY_REFUSED:
            return [Check("write", "ok", f"the path and the key are right (an empty request is a {reply.status})")]
        return [Check("write", "failed", advice.said(reply), advice.of_write(self._access, reply))]

    def _skipped(self, name: str) -> Check:
        return Check(name, "skipped", self._closed or "the key may not read")


Connect = Callable[["Access"], Connection]
"""How a way is checked; tests give their own."""

__all__ = ["STEPS", "Check", "Connect", "Connection", "Reply", "connection"]
