"""Spans to measure with: LLM calls of 12 attributes, and the real traces under other ids."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.spans.decode import read_file

REPOSITORY = Path(__file__).resolve().parents[1]
WORDS = ["answer", "cache", "cost", "draft", "error", "model", "plan", "question", "retry", "review", "route", "search"]
START_NS = 1_760_000_000_000_000_000


def llm_attributes(chance: random.Random) -> dict[str, str | int | float]:
    """Return 12 attributes as an LLM instrumentation sets them, of about 450 bytes."""
    prompt, answer = (" ".join(chance.choices(WORDS, k=count)) for count in (20, 12))
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": chance.choice(["gpt-4o", "gpt-4o-mini", "gpt-4.1"]),
        "gen_ai.request.temperature": chance.random(),
        "gen_ai.usage.input_tokens": chance.randrange(100, 4000),
        "gen_ai.usage.output_tokens": chance.randrange(10, 800),
        "gen_ai.response.id": f"chatcmpl-{chance.getrandbits(96):024x}",
        "gen_ai.response.finish_reasons": "stop",
        "gen_ai.input.messages": f'[{{"role": "user", "content": "{prompt}"}}]',
        "gen_ai.output.messages": f'[{{"role": "assistant", "content": "{answer}"}}]',
        "session.id": f"session-{chance.randrange(1000)}",
        "ihobs.workflow": chance.choice(["answer", "summarise"]),
    }


def llm_requests(spans: int, *, batch: int, spans_a_trace: int = 8) -> list[ExportTraceServiceRequest]:
    """Return requests of `batch` LLM spans each: traces of one workflow span with calls below it."""
    chance = random.Random(7)
    requests: list[ExportTraceServiceRequest] = []
    for number in range(spans):
        if number % batch == 0:
            requests.append(ExportTraceServiceRequest())
            resource = requests[-1].resource_spans.add()
            resource.resource.attributes.add(key="service.name").value.string_value = "benchmark"
            target = resource.scope_spans.add()
            target.scope.name = "benchmarks"
        trace, place = divmod(number, spans_a_trace)
        start_ns = START_NS + trace * 50_000_000 + place * 1_000_000
        span = target.spans.add(
            trace_id=(trace + 1).to_bytes(16),
            span_id=(number + 1).to_bytes(8),
            parent_span_id=(trace * spans_a_trace + 1).to_bytes(8) if place else b"",
            name="chat" if place else "answer",
            kind=3,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + chance.randrange(10**6, 10**9),
        )
        for key, value in llm_attributes(chance).items():
            content = span.attributes.add(key=key).value
            if isinstance(value, str):
                content.string_value = value
            elif isinstance(value, int):
                content.int_value = value
            else:
                content.double_value = value
        if not place:
            span.attributes.add(key="ihobs.kind").value.string_value = "workflow"
    return requests


def real_traces() -> Path | None:
    """Return the directory of the real traces, or None when they are not here."""
    path = Path(os.environ.get("IHOBS_TRACES", REPOSITORY.parent / "shared" / "traces"))
    return path if path.is_dir() else None


def real_requests(name: str, *, copies: int) -> list[ExportTraceServiceRequest]:
    """Return the requests of one of the files, `copies` times, each time with other trace ids."""
    path = real_traces()
    if path is None:
        return []
    originals = [chunk.request for chunk in read_file(path / name)]
    return [_renamed(request, copy) for copy in range(copies) for request in originals]


def _renamed(request: ExportTraceServiceRequest, copy: int) -> ExportTraceServiceRequest:
    renamed = ExportTraceServiceRequest()
    renamed.CopyFrom(request)
    for span in spans_of(renamed):
        span.trace_id = bytes([span.trace_id[0] ^ copy]) + span.trace_id[1:]
    return renamed


def spans_of(request: ExportTraceServiceRequest) -> Iterator:
    return (span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans)


def count(requests: list[ExportTraceServiceRequest]) -> int:
    return sum(1 for request in requests for _ in spans_of(request))
