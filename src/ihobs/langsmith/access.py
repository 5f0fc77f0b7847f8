"""How LangSmith is reached: from a destination of the configuration, else from the SDK's own variables.

    destination in ihobs.yaml  >  LANGSMITH_*  >  LANGCHAIN_*  >  default

The key is held, never shown: it is in no text and no `repr`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ihobs.settings import Settings

DEFAULT_ENDPOINT = "https://api.smith.langchain.com"
DEFAULT_PROJECT = "InsightHub"
KEY_HEADER = "x-api-key"
WORKSPACE_HEADER = "X-Tenant-Id"

REGIONS = {
    "api.smith.langchain.com": "US",
    "eu.api.smith.langchain.com": "EU",
    "apac.api.smith.langchain.com": "APAC",
    "aws.api.smith.langchain.com": "AWS US",
}
"""Host of LangSmith's cloud -> what people call it. A key is valid in one of them."""

SELF_HOSTED_PATH = "/api/v1"
"""Where the API begins on a host of one's own."""

_OTLP_PATH = re.compile(r"/otel(/v1/traces)?$")
_REFERENCE = re.compile(r"\$\{env:(\w+)\}")


@dataclass(frozen=True, slots=True)
class Access:
    """One way to LangSmith.

    Attributes:
        name: of the destination; empty when only variables tell of it.
        endpoint: base URL of the API, without a slash at its end.
        project: where the runs go. workspace: the id that a key of a whole organisation needs; empty: none.
        key: the API key; empty: none. key_from: the variable or setting that holds it, for people.
    """

    name: str
    endpoint: str
    project: str
    key: str = field(default="", repr=False)
    key_from: str = ""
    workspace: str = ""

    @property
    def is_configured(self) -> bool:
        """Whether spans are forwarded there. A key alone starts nothing."""
        return bool(self.name)

    @property
    def region(self) -> str:
        """The cloud's region, or "self-hosted"."""
        return REGIONS.get(self.host, "self-hosted")

    @property
    def host(self) -> str:
        """The host's name; empty when the endpoint is no URL."""
        try:
            return urlsplit(self.endpoint).hostname or ""
        except ValueError:
            return ""

    @property
    def headers(self) -> Mapping[str, str]:
        """What a request must carry."""
        headers = {KEY_HEADER: self.key} if self.key else {}
        return headers | ({WORKSPACE_HEADER: self.workspace} if self.workspace else {})

    @property
    def traces_url(self) -> str:
        """Where spans are sent."""
        return f"{self.endpoint}/otel/v1/traces"


def accesses(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[Access, ...]:
    """Return every way to LangSmith: the destinations, else what the variables say; none without a key."""
    found = tuple(_destinations(settings, environ))
    if found:
        return found
    alone = by_variables(environ)
    return (alone,) if alone.key else ()


def by_variables(environ: Mapping[str, str] = os.environ, *, endpoint: str = "", project: str = "") -> Access:
    """Return the way that the SDK's variables tell of; an endpoint and a project that are given go over theirs."""
    key, key_from = _variable(environ, "API_KEY")
    return Access(
        name="",
        endpoint=base_url(endpoint or _variable(environ, "ENDPOINT")[0] or DEFAULT_ENDPOINT),
        project=project or _variable(environ, "PROJECT")[0] or DEFAULT_PROJECT,
        key=key,
        key_from=key_from,
        workspace=_variable(environ, "WORKSPACE_ID")[0],
    )


def base_url(endpoint: str) -> str:
    """Return the base URL of the API when somebody gave that of its OTLP side, or a slash too many."""
    return _OTLP_PATH.sub("", endpoint.strip().rstrip("/"))


def _destinations(settings: Settings, environ: Mapping[str, str]) -> Iterator[Access]:
    for name, destination in settings.destinations.items():
        if destination.type != "langsmith":
            continue
        base = by_variables(environ, endpoint=destination.endpoint or "", project=destination.project or "")
        yield _with_headers(replace(base, name=name), destination.headers, environ)


def _with_headers(access: Access, headers: Mapping[str, str], environ: Mapping[str, str]) -> Access:
    """Let a destination's own headers go over the variables."""
    given = {name.lower(): value for name, value in headers.items()}
    if KEY_HEADER in given:
        key, key_from = _resolved(given[KEY_HEADER], environ)
        access = replace(access, key=key, key_from=key_from)
    if WORKSPACE_HEADER.lower() in given:
        access = replace(access, workspace=_resolved(given[WORKSPACE_HEADER.lower()], environ)[0])
    return access


def _resolved(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return a header's value, and what holds it; empty when one of its variables is not set."""
    names = _REFERENCE.findall(text)
    if any(not environ.get(name, "").strip() for name in names):
        return "", ", ".join(names)
    value = _REFERENCE.sub(lambda reference: environ[reference[1]].strip(), text)
    return value, ", ".join(names) or "the configuration"


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the value of one of the SDK's variables under its new or its old name, and that name."""
    for variable in (f"LANGSMITH_{name}", f"LANGCHAIN_{name}"):
        value = environ.get(variable, "").strip().strip("\"'")
        if value:
            return value, variable
    return "", f"LANGSMITH_{name}"
