"""`ihobs.workflow`, `node`, `tool` and `llm`: say in the code what is what.

    @ihobs.node                                   a function of any kind: sync, async, (async) generator, method
    @ihobs.node("draft")                          with a name of its own
    with ihobs.node("draft") as span: ...         a block; `async with` as well
    with ihobs.llm("answer", model="gpt-4o") as call:
        call.usage(input_tokens=812, output_tokens=64)

Without `ihobs.instrument()` and without an OpenTelemetry SDK nothing is recorded and next to nothing is spent.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from opentelemetry import trace

from ihobs.telemetry.arguments import argument_recording, arguments_of
from ihobs.telemetry.calls import traced
from ihobs.telemetry.recording import Handle, LlmRecording, Recording, open_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.util.types import AttributeValue

Function = TypeVar("Function", bound="Callable[..., Any]")


class Block(Generic[Handle]):
    """What `ihobs.node(...)` returns: a context manager and a decorator.

    Args:
        attributes: set on the span when it starts.
        name: the span's name; None takes the decorated function's.
        handle: what `with` gives.
    """

    def __init__(self, attributes: Mapping[str, AttributeValue], name: str | None, handle: type[Handle]) -> None:
        self._attributes, self._name, self._handle = attributes, name, handle
        self._open: list[Handle] = []

    def __call__(self, function: Function) -> Function:
        """Return `function` with a span around each call."""
        name = self._name or getattr(function, "__name__", None) or type(function).__name__
        attributes = _named(self._attributes, name)
        handle = self._handle

        def open_call(wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recording:
            said = attributes
            if argument_recording.enabled:
                said = {**attributes, **arguments_of(wrapped, args, kwargs)}
            return open_recording(name, said, handle)

        result: Function = traced(function, open_call)
        return result

    def __enter__(self) -> Handle:
        name = self._name or str(self._attributes["ihobs.kind"])
        recording = open_recording(name, _named(self._attributes, name), self._handle)
        recording.attach()
        self._open.append(recording)
        return recording

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        recording = self._open.pop()
        recording.detach()
        recording.end(error)

    async def __aenter__(self) -> Handle:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace_)


class Maker:
    """One of `workflow`, `node` and `tool`.

    Args:
        kind: the value of `ihobs.kind`.
        attributes: what else every such span carries.
    """

    def __init__(self, kind: str, attributes: Mapping[str, AttributeValue]) -> None:
        self.kind = kind
        self._attributes = {"ihobs.kind": kind, **attributes}

    @overload
    def __call__(self, function: Function, /) -> Function: ...

    @overload
    def __call__(
        self,
        name_: str | None = None,
        /,
        *,
        name: str | None = ...,
        attributes: Mapping[str, AttributeValue] | None = ...,
    ) -> Block[Recording]: ...

    def __call__(
        self,
        function_or_name: Function | str | None = None,
        /,
        *,
        name: str | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> Function | Block[Recording]:
        """Decorate a function, or name a block."""
        given = self._attributes if attributes is None else {**self._attributes, **attributes}
        if function_or_name is None or isinstance(function_or_name, str):
            return Block(given, function_or_name or name, Recording)
        return Block(given, name, Recording)(function_or_name)


class LlmMaker:
    """`llm`: a call to a model, which reports its usage."""

    kind = "llm"

    @overload
    def __call__(self, function: Function, /) -> Function: ...

    @overload
    def __call__(
        self,
        name_: str | None = None,
        /,
        *,
        name: str | None = ...,
        model: str | None = ...,
        provider: str | None = ...,
        operation: str = ...,
        attributes: Mapping[str, AttributeValue] | None = ...,
    ) -> Block[LlmRecording]: ...

    def __call__(
        self,
        function_or_name: Function | str | None = None,
        /,
        *,
        name: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        operation: str = "chat",
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> Function | Block[LlmRecording]:
        """Decorate a function, or name a block.

        Args:
            function_or_name: a function to decorate, or the name of the block.
            name: the same name, as a keyword.
            model: the model asked for. provider: whose it is, e.g. "openai".
            operation: what it does, by OpenTelemetry's `gen_ai.operation.name`: "chat", "text_completion", ...
            attributes: whatever else the span shall carry.
        """
        said = {"gen_ai.request.model": model, "gen_ai.provider.name": provider}
        given: dict[str, AttributeValue] = {"ihobs.kind": self.kind, "gen_ai.operation.name": operation}
        given.update({key: value for key, value in said.items() if value is not None})
        given.update(attributes or {})
        if function_or_name is None or isinstance(function_or_name, str):
            return Block(given, function_or_name or name, LlmRecording)
        return Block(given, name, LlmRecording)(function_or_name)

    @staticmethod
    def current() -> LlmRecording:
        """Return the span that is current here, e.g. inside a function decorated with `@ihobs.llm`."""
        return LlmRecording(trace.get_current_span())


workflow = Maker("workflow", {})
node = Maker("node", {})
tool = Maker("tool", {"gen_ai.operation.name": "execute_tool"})
llm = LlmMaker()

_NAME_KEYS = {"workflow": "ihobs.workflow", "node": "ihobs.node", "tool": "gen_ai.tool.name"}


def _named(attributes: Mapping[str, AttributeValue], name: str) -> dict[str, AttributeValue]:
    """Return the attributes with the name under the key that its kind has for it."""
    key = _NAME_KEYS.get(str(attributes["ihobs.kind"]))
    return dict(attributes) if key is None else {**attributes, key: name}
