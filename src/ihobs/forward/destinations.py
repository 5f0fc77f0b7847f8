"""Where spans go: the configured destinations, with their secrets looked up."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ihobs.langsmith.access import Access, accesses

if TYPE_CHECKING:
    from ihobs.settings import DestinationSettings, Settings

TRACES_PATH = "/v1/traces"
PROJECT_HEADER = "Langsmith-Project"

MIN_SECRET_CHARS = 6
"""Shorter words of a header are no secrets, such as Basic."""

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that gets spans.

    Attributes:
        url: complete; of gRPC, `http://host:port` or `https://host:port`.
        headers: what requests carry, secrets included; in no text and no `repr`.
        content: what happens to the texts of prompts and answers; None: they go as they are stored.
        sample_ratio: the part of the traces that goes there.
        from_beginning: whether a new one gets what is stored already.
        is_langsmith: whether our own spans get the attributes by which LangSmith knows their kind.
        missing: the variable that is named and not set; empty: none. Nothing is sent without it.
    """

    name: str
    url: str
    protocol: Literal["http", "grpc"] = "http"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: Literal["keep", "mask"] | None = None
    sample_ratio: float = 1.0
    from_beginning: bool = False
    is_langsmith: bool = False
    missing: str = ""

    @property
    def secrets(self) -> frozenset[str]:
        """What must not be quoted: the values of headers, and their words."""
        values = [value for name, value in self.headers.items() if name != PROJECT_HEADER]
        words = [word for value in values for word in (value, *value.split())]
        return frozenset(word for word in words if len(word) >= MIN_SECRET_CHARS)

    def fingerprint(self) -> str:
        """Return a mark that changes with whatever may be the reason why requests are refused."""
        said = json.dumps([self.url, self.protocol, sorted(self.headers.items()), self.missing])
        return hashlib.blake2b(said.encode(), digest_size=8, person=b"ihobs.forward").hexdigest()


def destinations_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[Destination, ...]:
    """Return the destinations of the configuration. Without any, a key of LangSmith alone starts nothing."""
    return tuple(_destinations(settings, environ))


def _destinations(settings: Settings, environ: Mapping[str, str]) -> Iterator[Destination]:
    langsmith = {access.name: access for access in accesses(settings, environ)}
    for name, given in settings.destinations.items():
        if given.type == "langsmith":
            yield _langsmith(given, langsmith[name], environ)
        else:
            headers, missing = _resolved(given.headers, environ)
            yield _destination(name, given, _otlp_url(given), headers, missing)


def _langsmith(given: DestinationSettings, access: Access, environ: Mapping[str, str]) -> Destination:
    further, missing = _resolved(given.headers, environ)
    headers = {name: value for name, value in further.items() if name.lower() not in _lower(access.headers)}
    headers |= {**access.headers, PROJECT_HEADER: access.project}
    return _destination(access.name, given, access.traces_url, headers, missing if access.key else access.key_from)


def _destination(
    name: str, given: DestinationSettings, url: str, headers: Mapping[str, str], missing: str
) -> Destination:
    return Destination(
        name=name,
        url=url,
        protocol=given.protocol,
        headers=headers,
        content=given.content,
        sample_ratio=given.sample,
        from_beginning=given.start == "beginning",
        is_langsmith=given.type == "langsmith",
        missing=missing,
    )


def _otlp_url(given: DestinationSettings) -> str:
    endpoint = given.endpoint or ""
    if given.protocol == "grpc" or endpoint.endswith(TRACES_PATH):
        return endpoint
    return endpoint + TRACES_PATH


def _resolved(headers: Mapping[str, str], environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return headers with their variables filled in, and the first variable that is not set."""
    named = [name for value in headers.values() for name in _VARIABLE.findall(value)]
    missing = next((name for name in named if not environ.get(name)), "")
    filled = {
        header: _VARIABLE.sub(lambda match: environ.get(match[1], ""), value).strip()
        for header, value in headers.items()
    }
    return filled, missing


def _lower(headers: Mapping[str, str]) -> set[str]:
    return {name.lower() for name in headers}
