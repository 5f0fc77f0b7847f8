"""Every kind of function keeps its behaviour and gains a span."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import ihobs
from ihobs.telemetry.arguments import argument_recording


def current_name() -> str:
    return getattr(trace.get_current_span(), "name", "nothing")


@ihobs.node
def plain(value: int, *, by: int = 2) -> int:
    return value * by


def join(value: str, *, by: list[int]) -> str:
    return value + repr(by)


@ihobs.node("inside")
async def coroutine(value: int) -> str:
    await asyncio.sleep(0)
    return current_name() * value


@ihobs.node
def counting(end: int) -> Iterator[str]:
    got = None
    for number in range(end):
        got = yield f"{number} {got} in {current_name()}"
    return "finished"


@ihobs.node(name="counting_async")
async def counting_async(end: int) -> AsyncIterator[str]:
    for number in range(end):
        await asyncio.sleep(0)
        yield f"{number} in {current_name()}"


class Agent:
    def __init__(self, name: str) -> None:
        self.name = name

    @ihobs.tool
    def method(self, value: int) -> str:
        return f"{self.name}{value}"

    @ihobs.tool
    @classmethod
    def above_classmethod(cls) -> str:
        return cls.__name__

    @classmethod
    @ihobs.tool
    def below_classmethod(cls) -> str:
        return cls.__name__

    @ihobs.tool
    @staticmethod
    def static(value: int) -> int:
        return value

    @ihobs.tool
    async def async_method(self) -> str:
        return self.name


def test_a_function_returns_what_it_did_and_is_recorded_under_its_name(recorded):
    assert plain(4, by=3) == 12
    span = recorded.one("plain")
    assert dict(span.attributes) == {"ihobs.kind": "node", "ihobs.node": "plain"}
    assert span.status.status_code is StatusCode.UNSET


def test_a_coroutine_runs_inside_of_its_span(recorded):
    assert asyncio.run(coroutine(2)) == "insideinside"
    assert recorded.one("inside").end_time > recorded.one("inside").start_time


def test_a_generator_is_attached_only_while_its_body_runs(recorded):
    generator = counting(2)
    assert recorded.all == []
    assert next(generator) == "0 None in counting"
    assert current_name() == "nothing"
    assert generator.send("hello") == "1 hello in counting"
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "finished"
    assert recorded.one("counting").status.status_code is StatusCode.UNSET


def test_a_generator_that_is_closed_early_did_not_fail(recorded):
    for _ in counting(10):
        break
    span = recorded.one("counting")
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in span.attributes


def test_an_exception_thrown_into_a_generator_reaches_its_body(recorded):
    @ihobs.node
    def patient() -> Iterator[str]:
        try:
            yield "waiting"
        except KeyError:
            yield "caught"

    generator = patient()
    next(generator)
    assert generator.throw(KeyError("x")) == "caught"
    generator.close()
    assert recorded.one("patient").status.status_code is StatusCode.UNSET


def test_an_async_generator_is_attached_only_while_its_body_runs(recorded):
    async def consume() -> list[str]:
        return [f"{text}, then {current_name()}" async for text in counting_async(2)]

    assert asyncio.run(consume()) == [f"{number} in counting_async, then nothing" for number in range(2)]
    assert recorded.one("counting_async").status.status_code is StatusCode.UNSET


def test_an_async_generator_can_be_sent_to_thrown_into_and_closed(recorded):
    @ihobs.node
    async def answering() -> AsyncIterator[str]:
        got = yield "ready"
        try:
            yield f"got {got}"
        except KeyError:
            yield "caught"

    async def consume() -> list[str]:
        generator = answering()
        said = [await generator.asend(None), await generator.asend("x"), await generator.athrow(KeyError("y"))]
        await generator.aclose()
        return said

    assert asyncio.run(consume()) == ["ready", "got x", "caught"]
    assert recorded.one("answering").status.status_code is StatusCode.UNSET


def test_an_async_generator_that_fails_is_recorded_as_failed(recorded):
    @ihobs.node
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise LookupError("gone")

    async def consume() -> None:
        async for _ in failing():
            pass

    with pytest.raises(LookupError):
        asyncio.run(consume())
    assert recorded.one("failing").attributes["error.type"] == "LookupError"


def test_methods_of_every_kind_are_bound_as_before(recorded):
    agent = Agent("a")
    assert agent.method(1) == "a1"
    assert Agent.method(agent, 2) == "a2"
    assert Agent.above_classmethod() == agent.below_classmethod() == "Agent"
    assert Agent.static(3) == agent.static(3) == 3
    assert asyncio.run(agent.async_method()) == "a"
    assert len(recorded.all) == 7


def test_the_kind_and_the_signature_of_a_function_stay():
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.iscoroutinefunction(Agent("a").async_method)
    assert inspect.isgeneratorfunction(counting)
    assert inspect.isasyncgenfunction(counting_async)
    assert str(inspect.signature(plain)) == "(value: 'int', *, by: 'int' = 2) -> 'int'"
    assert plain.__name__ == "plain"


def test_a_wrong_call_raises_where_it_is_made():
    for function in (plain, coroutine, counting, counting_async):
        with pytest.raises(TypeError):
            function(1, 2, 3)


def test_decorated_functions_are_copied_as_functions_are():
    assert copy.deepcopy({"f": plain})["f"] is plain
    assert copy.copy(counting) is counting


def test_nested_spans_know_their_parent(recorded):
    @ihobs.workflow("outer")
    def outer() -> None:
        with ihobs.node("middle"):
            plain(1)

    outer()
    assert recorded.parent_of("plain") == "middle"
    assert recorded.parent_of("middle") == "outer"
    assert recorded.parent_of("outer") is None


def test_spans_of_concurrent_tasks_do_not_mix(recorded):
    @ihobs.workflow("w")
    async def run(name: str) -> None:
        async with ihobs.node(name):
            await asyncio.sleep(0)
            with ihobs.tool(f"tool {name}"):
                await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(run("one"), run("two"))

    asyncio.run(both())
    assert {name: recorded.parent_of(f"tool {name}") for name in ("one", "two")} == {"one": "one", "two": "two"}


def test_an_exception_passes_through_and_marks_the_span(recorded):
    with pytest.raises(ZeroDivisionError), ihobs.workflow("w"), ihobs.node("divide"):
        raise ZeroDivisionError("by zero")
    for name in ("w", "divide"):
        span = recorded.one(name)
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == "ZeroDivisionError"
        assert [event.name for event in span.events] == ["exception"]


def test_an_exception_of_another_module_is_named_with_it(recorded):
    with pytest.raises(pickle.PicklingError), ihobs.node("n"):
        raise pickle.PicklingError
    assert recorded.one("n").attributes["error.type"] == "_pickle.PicklingError"


def test_a_cancelled_task_failed(recorded):
    @ihobs.workflow("slow")
    async def slow() -> None:
        await asyncio.sleep(30)

    async def cancel() -> None:
        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert recorded.one("slow").attributes["error.type"] == "asyncio.exceptions.CancelledError"


class GraphBubbleUp(Exception):  # noqa: N818 - the name that langgraph.errors gives it
    """Named as langgraph.errors names it."""


class Paused(GraphBubbleUp):
    pass


@pytest.mark.parametrize("error", [Paused("until someone answers"), SystemExit(0), StopIteration()])
def test_leaving_on_purpose_is_not_an_error(recorded, error):
    with pytest.raises(type(error)), ihobs.node("n"):
        raise error
    assert recorded.one("n").status.status_code is StatusCode.UNSET


def test_leaving_with_an_exit_code_is_an_error(recorded):
    with pytest.raises(SystemExit), ihobs.node("n"):
        raise SystemExit(3)
    assert recorded.one("n").status.status_code is StatusCode.ERROR


def test_a_call_to_a_model_reports_what_it_used(recorded):
    with ihobs.llm("answer", model="gpt-4o", provider="openai") as call:
        call.model("gpt-4o-2024-08-06")
        call.usage(input_tokens=812, output_tokens=64, cached_input_tokens=512)
        call.attempt(2, "answer")
    assert dict(recorded.one("answer").attributes) == {
        "ihobs.kind": "llm",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.usage.input_tokens": 812,
        "gen_ai.usage.output_tokens": 64,
        "gen_ai.usage.cache_read.input_tokens": 512,
        "ihobs.attempt": 2,
        "ihobs.attempt_key": "answer",
    }


def test_a_decorated_call_to_a_model_finds_its_span(recorded):
    @ihobs.llm(model="m", operation="text_completion")
    def ask() -> None:
        ihobs.llm.current().usage(input_tokens=1, output_tokens=None)

    ask()
    attributes = recorded.one("ask").attributes
    assert attributes["gen_ai.usage.input_tokens"] == 1
    assert attributes["gen_ai.operation.name"] == "text_completion"
    assert "gen_ai.usage.output_tokens" not in attributes


def test_further_attributes_are_carried(recorded):
    with ihobs.tool("search", attributes={"index": "docs"}) as span:
        span.set("hits", 3)
    assert dict(recorded.one("search").attributes) == {
        "ihobs.kind": "tool",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "index": "docs",
        "hits": 3,
    }


def test_arguments_are_recorded_only_when_told_to(recorded, monkeypatch):
    plain(1)
    monkeypatch.setattr(argument_recording, "enabled", True)
    ihobs.node(join)("x", by=[3])
    Agent("a").method(5)
    without, with_, method = (span.attributes for span in recorded.all)
    assert "input.value" not in without
    assert with_["input.value"] == '{"value": "x", "by": "[3]"}'
    assert method["input.value"] == '{"value": 5}'


def test_long_arguments_are_cut(recorded, monkeypatch):
    monkeypatch.setattr(argument_recording, "enabled", True)
    plain("x" * 100_000, by=1)
    assert len(recorded.one("plain").attributes["input.value"]) < 9_000


def test_one_block_object_can_be_entered_again(recorded):
    block = ihobs.node("again")
    with block, block:
        pass
    outer, inner = sorted(recorded.all, key=lambda span: span.start_time)
    assert inner.parent.span_id == outer.context.span_id
