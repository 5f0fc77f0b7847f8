"""Calls to models, and what they come to in the roll-ups."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import DAY_NS, HOUR_NS, SECOND_NS
from ihobs.store.query import metrics

START_NS = 1_760_000_000 * SECOND_NS
"""2025-10-09T08:53:20Z."""

NOW_NS = START_NS + HOUR_NS


def call(number, model, input_tokens=1000, cached=0, provider="openai", **more):
    """Return a request with one call in a workflow; `more`: start_ns, work_ns, trace, cost_usd (as it tells)."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    start_ns, trace = more.get("start_ns", START_NS), more.get("trace", number)
    times = _times(start_ns)
    ids = {"trace_id": trace.to_bytes(16), "parent_span_id": b"work" + trace.to_bytes(4)}
    work = spans.add(
        trace_id=ids["trace_id"], span_id=ids["parent_span_id"], name="work", **_times(more.get("work_ns", START_NS))
    )
    work.attributes.add(key="ihobs.kind").value.string_value = "workflow"
    span = spans.add(**ids, span_id=number.to_bytes(8), name="chat", **times)
    texts = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model}
    for key, value in texts.items():
        span.attributes.add(key=key).value.string_value = value
    counts = {"input_tokens": input_tokens, "output_tokens": 50, "cache_read.input_tokens": cached}
    for key, value in counts.items():
        span.attributes.add(key=f"gen_ai.usage.{key}").value.int_value = value
    if "cost_usd" in more:
        span.attributes.add(key="llm.cost.total").value.double_value = more["cost_usd"]
    return request


def _times(start_ns):
    return {"start_time_unix_nano": start_ns, "end_time_unix_nano": start_ns + SECOND_NS}


def totals(store, **where):
    """Return the cost (nano-USD) and the number of unpriced calls in all roll-ups."""
    groups = metrics(store.database, start_ns=0, end_ns=NOW_NS + 1000 * DAY_NS, where=where).groups
    sums = [(group.counters.cost_nano_usd, group.counters.unpriced_calls) for group in groups]
    return sums[0] if sums else (0, 0)
