"""One span of our own while it is open, and what may be said about it."""

from __future__ import annotations

from contextvars import Token
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, Status, StatusCode

import ihobs
from ihobs.clock import SECOND_NS, now_ns
from ihobs.guard import guard
from ihobs.telemetry.langchain import innermost_context
from ihobs.telemetry.places import SCOPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

_TRACER = trace.get_tracer(SCOPE, ihobs.__version__)

TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
"""OpenTelemetry's name for the seconds from the start to the first piece of a streamed answer."""

_CONTROL_FLOW = frozenset({"GraphBubbleUp", "GraphInterrupt", "NodeInterrupt", "ParentCommand"})
"""How LangGraph leaves a node on purpose (langgraph.errors). By name: langgraph is not imported for it."""


Handle = TypeVar("Handle", bound="Recording")


class Recording:
    """A span, open until its block or function ends. A block gives it to you: `with ihobs.node("draft") as span`.

    Every method is safe when nothing is recorded, and after the end.
    """

    __slots__ = ("_context", "_token", "span")

    def __init__(self, span: Span, context: Context | None = None) -> None:
        self.span = span
        self._context = context
        self._token: Token[Context] | None = None

    def set(self, key: str, value: AttributeValue) -> None:
        """Set an attribute."""
        with guard:
            self.span.set_attribute(key, value)

    def attempt(self, number: int, key: str) -> None:
        """Say that this is attempt `number`, from 1, of what `key` names.

        Spans below one parent with the same name and key are attempts of each other: a failed one whose later
        attempt succeeds is recovered and does not count as an error.
        """
        with guard:
            self.span.set_attributes({"ihobs.attempt": number, "ihobs.attempt_key": key})

    def yielded(self) -> None:
        """Hear that the generator that runs inside the span gave an item."""

    def attach(self) -> None:
        """Make the span the current one of this thread or task, until `detach`."""
        if self._context is not None:
            self._token = otel_context.attach(self._context)

    def detach(self) -> None:
        """Make the span that was current before the current one again."""
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None

    def end(self, error: BaseException | None = None) -> None:
        """End the span; with an `error` that is one, as failed."""
        with guard:
            if error is not None and not is_control_flow(error):
                self._fail(error)
            self.span.end()

    def _fail(self, error: BaseException) -> None:
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        self.span.set_attribute("error.type", name)
        self.span.record_exception(error)
        self.span.set_status(Status(StatusCode.ERROR, f"{kind.__name__}: {error}"))


class LlmRecording(Recording):
    """The span of a call to a model."""

    __slots__ = ("_has_yielded",)

    def __init__(self, span: Span, context: Context | None = None) -> None:
        super().__init__(span, context)
        self._has_yielded = False

    def usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
    ) -> None:
        """Report the tokens of this call. `input_tokens` includes the cached ones. None: not known."""
        reported = {
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
            "gen_ai.usage.cache_read.input_tokens": cached_input_tokens,
        }
        with guard:
            self.span.set_attributes({key: count for key, count in reported.items() if count is not None})

    def first_token(self) -> None:
        """Say that the first piece of a streamed answer is here; only the first time counts.

        A generator decorated with `@ihobs.llm` says so itself at its first item.
        """
        with guard:
            if TIME_TO_FIRST_CHUNK in (getattr(self.span, "attributes", None) or ()):
                return
            start_ns = getattr(self.span, "start_time", None)  # a span that is not recorded has none
            if start_ns is not None:
                self.span.set_attribute(TIME_TO_FIRST_CHUNK, (now_ns() - start_ns) / SECOND_NS)

    def yielded(self) -> None:
        """Take the first item for the first token."""
        if not self._has_yielded:
            self._has_yielded = True
            self.first_token()

    def model(self, name: str, *, provider: str | None = None) -> None:
        """Say which model answered, and whose it is."""
        with guard:
            self.span.set_attribute("gen_ai.response.model", name)
            if provider is not None:
                self.span.set_attribute("gen_ai.provider.name", provider)


def open_recording(name: str, attributes: Mapping[str, Any], kind: type[Handle]) -> Handle:
    """Start a span below the current one, not yet attached. Never raises: then nothing is recorded."""
    with guard:
        parent = innermost_context()
        span = _TRACER.start_span(
            name, parent, attributes=attributes, record_exception=False, set_status_on_exception=False
        )
        return kind(span, trace.set_span_in_context(span, parent))
    return kind(INVALID_SPAN)


def is_control_flow(error: BaseException) -> bool:
    """Return whether `error` is a way of leaving, not a failure: closing a generator, exiting with 0, an interrupt."""
    if isinstance(error, (GeneratorExit, StopIteration, StopAsyncIteration)):
        return True
    if isinstance(error, SystemExit):
        return error.code in (None, 0)
    return any(kind.__name__ in _CONTROL_FLOW for kind in type(error).__mro__)
