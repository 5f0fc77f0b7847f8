"""Whether a program traces to LangSmith by itself, as its SDK's variables say: with ihobs forwarding, runs come twice.

Loaded in the instrumented program: imports nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ihobs.langsmith.access import base_url, by_variables

Mode = Literal["langsmith", "otel", "hybrid"]

TRACED_TO = "ihobs.langsmith.traced_to"
"""On the spans of a program that brings its runs to LangSmith by itself: the mark of its endpoint. The forwarder leaves
them out there, and only there."""

_NAMESPACES = ("LANGSMITH", "LANGCHAIN")
_MODES: Mapping[str, Mode] = {"langsmith": "langsmith", "otel": "otel", "hybrid": "hybrid"}
_TRUE = frozenset({"true", "1"})
_OTLP = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@dataclass(frozen=True, slots=True)
class OwnTracing:
    """How a program's SDK traces.

    Attributes:
        mode: "langsmith": it sends runs itself; "otel": it makes spans; "hybrid": both.
        endpoint: where it sends to, the API's base URL.
        variable: what switches it on, such as "LANGSMITH_TRACING=true".
    """

    mode: Mode
    endpoint: str
    variable: str

    @property
    def sends(self) -> bool:
        """Whether the SDK brings runs to LangSmith past the program's OpenTelemetry provider."""
        return self.mode != "otel"


def mark_of(endpoint: str) -> str:
    """Return what stands for an endpoint in TRACED_TO: redaction takes addresses out, and this is none."""
    return hashlib.blake2b(endpoint.encode(), digest_size=8, person=b"ihobs.traced").hexdigest()


def own_tracing(environ: Mapping[str, str] = os.environ) -> OwnTracing | None:
    """Return how the program's SDK traces by its variables; None: it does not."""
    found = _first(environ, "TRACING_V2") or _first(environ, "TRACING")
    if found is None or found[1] != "true":  # the SDK takes nothing else
        return None
    return OwnTracing(_mode(environ), by_variables(environ).endpoint, f"{found[0]}=true")


def exports_to_langsmith(environ: Mapping[str, str], endpoint: str) -> str:
    """Return the variable by which OpenTelemetry's own exporter sends to `endpoint`; empty: it does not."""
    for name in _OTLP:
        url = environ.get(name, "")
        if url and base_url(url.removesuffix("/v1/traces")) == endpoint:
            return name
    return ""


def _mode(environ: Mapping[str, str]) -> Mode:
    named = (_first(environ, "TRACING_MODE") or ("", ""))[1].lower()
    if named in _MODES:
        return _MODES[named]
    if _is_true(environ, "OTEL_ONLY"):
        return "otel"
    return "hybrid" if _is_true(environ, "OTEL_ENABLED") else "langsmith"


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    found = _first(environ, name)
    return found is not None and found[1].lower() in _TRUE


def _first(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Return a variable of the SDK that is set, and its value: the new name before the old."""
    for namespace in _NAMESPACES:
        variable = f"{namespace}_{name}"
        if environ.get(variable, "").strip():
            return variable, environ[variable]
    return None
