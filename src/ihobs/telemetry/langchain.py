"""LangChain and LangGraph through OpenInference, when it is installed.

OpenInference records LangChain's runs in callbacks and does not make them the current span, so that a span of
our own inside a graph node would miss its parent. `innermost_context` finds it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import trace

from ihobs.guard import guard
from ihobs.telemetry.places import LANGCHAIN_SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

LANGSMITH_SCOPE = "langsmith"

_current_run_span: Callable[[], Span | None] | None = None


def instrument_langchain(*, mask_content: Callable[[], bool]) -> None:
    """Have LangChain's runs recorded as soon as langchain_core is imported, if OpenInference is installed.

    Its spans go to the provider that is set for everybody when they start.

    Args:
        mask_content: whether to keep prompts, answers and documents out of the spans; asked when LangChain is
            imported. Names, models, tokens and the metadata that names nodes stay.
    """

    def imported(module: ModuleType) -> None:
        with guard:
            # The import statement binds the name a moment after this hook; OpenInference needs it now.
            sys.modules["langchain_core"].callbacks = module  # type: ignore[attr-defined]  # a module's attribute
            if find_spec("openinference") is not None and find_spec(LANGCHAIN_SCOPE) is not None:
                _instrument(mask_content=mask_content())

    wrapt.register_post_import_hook(imported, "langchain_core.callbacks")


def _instrument(*, mask_content: bool) -> None:
    global _current_run_span  # noqa: PLW0603 - OpenInference's instrumentor is one for the process, too
    from openinference.instrumentation import TraceConfig
    from openinference.instrumentation.langchain import LangChainInstrumentor, get_current_span

    instrumentor = LangChainInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:  # somebody else's may send its spans to our provider
        config = TraceConfig(**hidden_contents()) if mask_content else TraceConfig()
        instrumentor.instrument(config=config, skip_dep_check=True)
    _current_run_span = get_current_span


def hidden_contents() -> dict[str, Any]:
    """Return what OpenInference shall leave out: everything that holds content."""
    return {
        "hide_inputs": True,
        "hide_outputs": True,
        "hide_llm_invocation_parameters": True,
        "hide_embeddings_text": True,
        "hide_embeddings_vectors": True,
    }


def innermost_context() -> Context | None:
    """Return the context that a new span belongs to: LangChain's current run when it is the innermost span.

    None means the current context, as everywhere in OpenTelemetry.
    """
    if _current_run_span is None or "langchain_core.runnables.config" not in sys.modules:
        return None
    run = _current_run_span()
    if run is None:
        return None
    current = trace.get_current_span()
    if not current.get_span_context().is_valid or _started_ns(run) > _started_ns(current):
        return trace.set_span_in_context(run)
    return None


def is_retold(span: ReadableSpan) -> bool:
    """Return whether LangSmith's SDK tells one of LangChain's runs as a span, while OpenInference tells it, too.

    With LANGSMITH_OTEL_ENABLED the SDK makes spans of all runs, in traces of their own, on the provider that is set for
    everybody: each run would count twice. What `@traceable` records is nobody else's, and stays.
    """
    if _current_run_span is None or span.instrumentation_scope is None:
        return False
    if span.instrumentation_scope.name != LANGSMITH_SCOPE:
        return False
    told = span.attributes or {}
    return "langsmith.metadata.ls_method" not in told or "langsmith.metadata.ls_integration" in told


def _started_ns(span: Span) -> int:
    """Return when a span started. Of two spans around one piece of code the inner one is the younger."""
    return getattr(span, "start_time", None) or 0
