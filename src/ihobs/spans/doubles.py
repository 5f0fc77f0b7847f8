"""One call told by two instrumentations of the same library: of a service's spans in one trace, one scope counts.

Two packages that wrap the same client make sibling spans of everything (OpenInference and OpenLLMetry even share the
entry point's name, so both run when both are installed). The preferred scope's spans count; those of its rivals stay
spans without a kind, and are as transparent as any other framework's. What counts must not change with the
configuration, or corrections of stored rows would not cancel: so this list is code, not a part of the user's table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.spans.span import CONTROL_FLOW, FAILED, GENAI, TIMED_OUT, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

RIVALS = (
    ("openinference.instrumentation.langchain", "langsmith", "opentelemetry.instrumentation.langchain"),
    (
        "openinference.instrumentation.openai",
        "opentelemetry.instrumentation.openai_v2",
        "opentelemetry.instrumentation.openai.v1",
        "opentelemetry.instrumentation.openai",
    ),
    # the second is Anthropic's own SDK, which makes spans of its requests by itself
    ("openinference.instrumentation.anthropic", "com.anthropic.sdk.python", "opentelemetry.instrumentation.anthropic"),
    ("openinference.instrumentation.bedrock", "opentelemetry.instrumentation.bedrock"),
    ("openinference.instrumentation.llama_index", "opentelemetry.instrumentation.llamaindex"),
    ("openinference.instrumentation.crewai", "opentelemetry.instrumentation.crewai"),
)
"""Scopes that tell of the same calls, the preferred one first: it tells nodes, models and usage best."""

_RIVAL_SCOPES = frozenset(scope for rivals in RIVALS for scope in rivals)
_LLM_FLAGS = GENAI | FAILED | CONTROL_FLOW | TIMED_OUT


def overruled(spans: Iterable[Span]) -> set[tuple[str, str]]:
    """Return the (service, scope) pairs of a trace whose spans another scope of the same service tells better."""
    told = {(span.shape.service, span.shape.scope) for span in spans if span.shape.scope in _RIVAL_SCOPES}
    if len(told) < 2:  # noqa: PLR2004 - one alone has no rival
        return set()
    lesser: set[tuple[str, str]] = set()
    for service in {service for service, _ in told}:
        for rivals in RIVALS:
            present = [(service, scope) for scope in rivals if (service, scope) in told]
            lesser.update(present[1:])
    return lesser


def muted(span: Span) -> Span:
    """Return `span` as one that says nothing of LLM calls: it counts as a span alone."""
    shape = span.shape._replace(kind="", workflow="", node="", provider="", model="", error="")
    return span._replace(
        flags=span.flags & ~_LLM_FLAGS,
        attempt_key=None,
        input_tokens=None,
        output_tokens=None,
        cached_input_tokens=None,
        cache_write_tokens=None,
        reasoning_tokens=None,
        cost_nano_usd=None,
        first_token_ns=None,
        shape=shape,
    )
