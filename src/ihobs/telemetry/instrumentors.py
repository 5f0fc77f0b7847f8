"""Other people's instrumentations of LLM libraries: those that are installed are used, each library by one of them.

They are found by OpenTelemetry's entry points and started when the program imports the library, so that a program that
does not use it does not pay for it. LangChain's is in `ihobs.telemetry.langchain`, as it needs more.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

import wrapt

from ihobs.guard import guard, log
from ihobs.spans.doubles import RIVALS
from ihobs.telemetry.langchain import hidden_contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from importlib.metadata import EntryPoint
    from types import ModuleType

GROUP = "opentelemetry_instrumentor"
DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
"""Names of entry points, or * for all: opentelemetry.io/docs/zero-code/python/configuration."""

LANGCHAIN = "langchain"

_OPENINFERENCE = "openinference.instrumentation."
"""All of these concern LLM work."""

_OPENTELEMETRY = "opentelemetry.instrumentation."

_LIBRARIES: Mapping[str, str] = {
    "agno": "agno",
    "alephalpha": "aleph_alpha_client",
    "anthropic": "anthropic",
    "autogen_agentchat": "autogen_agentchat",
    "bedrock": "boto3",
    "beeai": "beeai_framework",
    "cohere": "cohere",
    "crewai": "crewai",
    "dspy": "dspy",
    "google_adk": "google.adk",
    "google_genai": "google.genai",
    "google_generativeai": "google.generativeai",
    "groq": "groq",
    "guardrails": "guardrails",
    "haystack": "haystack",
    "instructor": "instructor",
    "litellm": "litellm",
    "llama_index": "llama_index.core",
    "llamaindex": "llama_index.core",
    "mcp": "mcp",
    "mistralai": "mistralai",
    "ollama": "ollama",
    "openai": "openai",
    "openai_agents": "agents",
    "openai_v2": "openai",
    "portkey": "portkey_ai",
    "pydantic_ai": "pydantic_ai",
    "replicate": "replicate",
    "sagemaker": "boto3",
    "smolagents": "smolagents",
    "together": "together",
    "transformers": "transformers",
    "vertexai": "vertexai",
    "watsonx": "ibm_watsonx_ai",
    "writer": "writerai",
}
"""The module whose import starts an instrumentation, by the last part of the instrumentation's own name."""


class Chosen(NamedTuple):
    """An instrumentation that is used.

    Attributes:
        scope: its own module, which its spans name as well. library: the module that it waits for.
    """

    point: EntryPoint
    scope: str
    library: str

    def __str__(self) -> str:
        return f"{self.library} by {self.scope}"


def concerns_llms(point: EntryPoint) -> bool:
    """Return whether an entry point is ours to start: it instruments a library for LLM work, which we know."""
    scope = _scope(point)
    return scope.startswith((_OPENINFERENCE, _OPENTELEMETRY)) and _name(scope) in _LIBRARIES


def is_disabled(name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the user has switched the instrumentation of this name off."""
    names = {one.strip() for one in environ.get(DISABLED, "").split(",")}
    return name in names or "*" in names


def choose(points: Iterable[EntryPoint], environ: Mapping[str, str] = os.environ) -> tuple[list[Chosen], list[Chosen]]:
    """Return the instrumentations to use, and those that would tell the same calls a second time.

    Of rivals the one is used whose spans would count, see `ihobs.spans.doubles`.
    """
    found = {
        scope: Chosen(point, scope, _LIBRARIES[_name(scope)])
        for point in points
        if concerns_llms(point) and not is_disabled(point.name, environ)
        for scope in (_scope(point),)
    }
    lesser = {scope for rivals in RIVALS for scope in [scope for scope in rivals if scope in found][1:]}
    used = [chosen for scope, chosen in sorted(found.items()) if scope not in lesser]
    return used, [found[scope] for scope in sorted(lesser)]


class Instrumentors:
    """Starts the instrumentations that were chosen, as soon as their libraries are there.

    Args:
        mask_content: whether to keep prompts and answers out of the spans already; asked when one is started.

    Attributes:
        chosen: those that are used. left_out: those that would double their spans.
    """

    def __init__(self, *, mask_content: Callable[[], bool]) -> None:
        self._mask_content = mask_content
        self.chosen: list[Chosen] = []
        self.left_out: list[Chosen] = []

    def watch(self) -> None:
        """Begin to wait for the libraries of what is installed."""
        self.chosen, self.left_out = choose(entry_points(group=GROUP))
        for one in self.chosen:
            wrapt.register_post_import_hook(self._starter(one), one.library)
        for one in self.left_out:
            log.info("ihobs leaves %s alone: what it would record is recorded by another instrumentation", one.scope)

    def _starter(self, chosen: Chosen) -> Callable[[ModuleType], None]:
        def imported(_: ModuleType) -> None:
            with guard:
                self._start(chosen)

        return imported

    def _start(self, chosen: Chosen) -> None:
        """Start an instrumentation, unless the program has done so or its versions do not fit, which it says."""
        instrumentor: Any = chosen.point.load()()
        if instrumentor.is_instrumented_by_opentelemetry:
            return
        options: dict[str, Any] = {}
        if chosen.scope.startswith(_OPENINFERENCE) and self._mask_content():
            from openinference.instrumentation import TraceConfig

            options["config"] = TraceConfig(**hidden_contents())
        instrumentor.instrument(**options)


def _scope(point: EntryPoint) -> str:
    return point.value.partition(":")[0]


def _name(scope: str) -> str:
    return scope.removeprefix(_OPENINFERENCE).removeprefix(_OPENTELEMETRY)
