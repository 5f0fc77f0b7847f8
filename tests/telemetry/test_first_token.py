"""Our own calls to a model say when the first piece of a streamed answer came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry.trace import INVALID_SPAN

import ihobs
from ihobs.clock import SECOND_NS
from ihobs.telemetry import recording
from ihobs.telemetry.recording import LlmRecording

KEY = "gen_ai.response.time_to_first_chunk"


@pytest.fixture
def after(monkeypatch):
    """Let the first token come so many seconds after the start of the span that the SDK's clock stamps."""
    wall_ns = recording.now_ns

    def set_clock(wait_s):
        monkeypatch.setattr(recording, "now_ns", lambda: wall_ns() + round(wait_s * SECOND_NS))

    return set_clock


def wait_s(recorded, name):
    return recorded.one(name).attributes[KEY]


def test_a_block_says_it_once_and_the_first_time_counts(recorded, after):
    with ihobs.llm("answer") as call:
        after(100)
        call.first_token()
        after(200)
        call.first_token()
    assert 100 <= wait_s(recorded, "answer") < 150


def test_a_generator_says_it_at_its_first_item(recorded, after):
    @ihobs.llm
    def streaming() -> Iterator[str]:
        after(100)
        yield "one"
        after(200)
        yield "two"

    assert list(streaming()) == ["one", "two"]
    assert 100 <= wait_s(recorded, "streaming") < 150


def test_an_async_generator_says_it_at_its_first_item(recorded, after):
    @ihobs.llm
    async def streaming() -> AsyncIterator[str]:
        await asyncio.sleep(0)
        after(100)
        yield "one"
        after(200)
        yield "two"

    async def read() -> list[str]:
        return [item async for item in streaming()]

    assert asyncio.run(read()) == ["one", "two"]
    assert 100 <= wait_s(recorded, "streaming") < 150


def test_the_body_of_a_generator_may_say_it_before_its_first_item(recorded, after):
    @ihobs.llm
    def parsed() -> Iterator[str]:
        after(100)
        ihobs.llm.current().first_token()
        after(200)
        yield "a whole sentence"

    list(parsed())
    assert 100 <= wait_s(recorded, "parsed") < 150


def test_what_gives_no_item_or_is_no_call_to_a_model_has_none(recorded):
    @ihobs.llm
    def silent() -> Iterator[str]:
        yield from ()

    @ihobs.node
    def listing() -> Iterator[str]:
        yield "one"

    @ihobs.llm
    def whole() -> str:
        return "answer"

    list(silent())
    list(listing())
    whole()
    assert [KEY in recorded.one(name).attributes for name in ("silent", "listing", "whole")] == [False] * 3


def test_without_a_recorded_span_nothing_happens():
    LlmRecording(INVALID_SPAN).first_token()


def test_what_it_says_is_what_is_read(recorded, after):
    """The stamp is read back from the request that the exporter would send, at the nanosecond it was taken."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from ihobs.spans.dialects import shipped_dialects
    from ihobs.spans.normalise import Receipt, normalise
    from ihobs.telemetry.encode import encode

    with ihobs.llm("answer") as call:
        call.first_token()
    message = ExportTraceServiceRequest.FromString(encode([(recorded.one("answer"), ())]))
    [told] = message.resource_spans[0].scope_spans[0].spans
    read = normalise(told, "svc", "", shipped_dialects(), Receipt(2**62, live=True))
    assert read.first_token_ns == round(wait_s(recorded, "answer") * SECOND_NS)
    assert 0 <= read.first_token_ns <= read.duration_ns
