"""Running a function inside a span: one way for each of the four kinds of functions.

Generators keep their span while they are suspended, but it is the current span only while their body runs:
between two steps the consumer's code runs, which is not part of it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from ihobs.telemetry.recording import Recording

Open = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], "Recording"]
"""Makes the recording of one call, from the function and its arguments. Never raises."""


class _TracedMethod(wrapt.BoundFunctionWrapper[..., Any]):
    """A traced method, bound to its object or class. Pickles as a bound method does."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return getattr, (self._self_instance, self.__name__)


class Traced(wrapt.FunctionWrapper[..., Any]):
    """A function with a span around each call. Pickles by name and is copied as itself, as functions are."""

    __bound_function_wrapper__ = _TracedMethod

    def __reduce_ex__(self, protocol: Any) -> str:
        return str(self.__wrapped__.__qualname__)

    def __copy__(self) -> Traced:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Traced:
        return self


def traced(function: Callable[..., Any], open_: Open) -> Any:
    """Return `function` (also a method, classmethod or staticmethod) with a recording around each call.

    Its signature, name and kind stay: `inspect.iscoroutinefunction` and the like answer as before.
    """
    inner = getattr(function, "__func__", function)
    if inspect.isasyncgenfunction(inner):
        run: Callable[..., Any] = _run_async_generator
    elif inspect.iscoroutinefunction(inner):
        run = _run_coroutine
    elif inspect.isgeneratorfunction(inner):
        run = _run_generator
    else:
        run = _run

    def wrapper(wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return run(open_, wrapped, args, kwargs)

    return Traced(function, wrapper)


def _run(open_: Open, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    recording = open_(wrapped, args, kwargs)
    recording.attach()
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        recording.detach()
        recording.end(error)
        raise
    recording.detach()
    recording.end()
    return result


def _run_coroutine(
    open_: Open, wrapped: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Awaitable[Any]:
    body = wrapped(*args, **kwargs)  # here and not below: a wrong call raises where it is made
    return _await(body, lambda: open_(wrapped, args, kwargs))


async def _await(body: Awaitable[Any], open_: Callable[[], Recording]) -> Any:
    recording = open_()
    recording.attach()
    try:
        result = await body
    except BaseException as error:
        recording.detach()
        recording.end(error)
        raise
    recording.detach()
    recording.end()
    return result


def _run_generator(
    open_: Open, wrapped: Callable[..., Generator[Any, Any, Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, Any]:
    return _generate(wrapped(*args, **kwargs), lambda: open_(wrapped, args, kwargs))


def _generate(body: Generator[Any, Any, Any], open_: Callable[[], Recording]) -> Generator[Any, Any, Any]:
    recording = open_()
    try:
        result = yield from _Steps(body, recording)
    except BaseException as error:
        recording.end(error)
        raise
    recording.end()
    return result


class _Steps(Generator[Any, Any, Any]):
    """A generator whose every step runs with the recording attached."""

    def __init__(self, body: Generator[Any, Any, Any], recording: Recording) -> None:
        self._body, self._recording = body, recording

    def send(self, value: Any, /) -> Any:
        self._recording.attach()
        try:
            item = self._body.send(value)
        finally:
            self._recording.detach()
        self._recording.yielded()
        return item

    def throw(self, *error: Any) -> Any:
        self._recording.attach()
        try:
            return self._body.throw(*error)
        finally:
            self._recording.detach()

    def close(self) -> None:
        self._recording.attach()
        try:
            self._body.close()
        finally:
            self._recording.detach()


def _run_async_generator(
    open_: Open, wrapped: Callable[..., AsyncGenerator[Any, Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, Any]:
    return _generate_async(wrapped(*args, **kwargs), lambda: open_(wrapped, args, kwargs))


async def _generate_async(body: AsyncGenerator[Any, Any], open_: Callable[[], Recording]) -> AsyncGenerator[Any, Any]:
    recording = open_()
    try:
        step = body.asend(None)
        while True:
            try:
                value = await _attached(recording, step)
            except StopAsyncIteration:
                break
            recording.yielded()
            try:
                sent = yield value
            except GeneratorExit:
                await _attached(recording, body.aclose())
                raise
            except BaseException as error:  # noqa: BLE001 - thrown in by the consumer: it is the body's to handle
                step = body.athrow(error)
            else:
                step = body.asend(sent)
    except BaseException as error:
        recording.end(error)
        raise
    recording.end()


async def _attached(recording: Recording, step: Awaitable[Any]) -> Any:
    """Await one step of an async generator with the recording attached."""
    recording.attach()
    try:
        return await step
    finally:
        recording.detach()
