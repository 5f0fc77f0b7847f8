"""An orchestrator's spans, made by hand: runs with one call to a model each, at times that the test chooses."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ihobs.clock import SECOND_NS


@dataclass
class Run:
    """One run of a workflow with one call to a model in it. Times are seconds before `now`."""

    ended_ago_s: float = 1.0
    took_s: float = 0.5
    failed: bool = False
    workflow: str = "digest"
    node: str = "summarise"
    provider: str = "openai"
    model: str = "gpt-4o-mini"
    input_tokens: int = 100
    output_tokens: int = 20
    first_token_s: float | None = None
    more: dict[str, str] = field(default_factory=dict)


def request(now_ns, *runs):
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.append(_attribute("service.name", "insighthub"))
    scope = resource.scope_spans.add()
    for run in runs:
        scope.spans.extend(_spans(run, now_ns))
    return message


def _spans(run, now_ns):
    end_ns = now_ns - round(run.ended_ago_s * SECOND_NS)
    start_ns = end_ns - round(run.took_s * SECOND_NS)
    trace_id, run_id, call_id = os.urandom(16), os.urandom(8), os.urandom(8)
    code = Status.STATUS_CODE_ERROR if run.failed else Status.STATUS_CODE_OK
    common = {"ihobs.workflow": run.workflow, "ihobs.node": run.node}
    call = Span(
        trace_id=trace_id,
        span_id=call_id,
        parent_span_id=run_id,
        name=f"chat {run.model}",
        start_time_unix_nano=start_ns,
        end_time_unix_nano=end_ns,
        status=Status(code=code),
    )
    tokens = {
        "gen_ai.usage.input_tokens": run.input_tokens,
        "gen_ai.usage.output_tokens": run.output_tokens,
    }
    if run.first_token_s is not None:
        tokens["gen_ai.response.time_to_first_chunk"] = run.first_token_s
    names = {
        "ihobs.kind": "llm",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": run.provider,
        "gen_ai.request.model": run.model,
        "gen_ai.response.model": run.model,
    }
    call.attributes.extend(_attribute(*item) for item in {**common, **names, **tokens}.items())
    root = Span(
        trace_id=trace_id,
        span_id=run_id,
        name=run.workflow,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=end_ns,
        status=Status(code=code),
    )
    attributes = {"ihobs.kind": "workflow", "ihobs.workflow": run.workflow, **run.more}
    root.attributes.extend(_attribute(*item) for item in attributes.items())
    return [call, root]


def _attribute(key, value):
    kind = {int: "int_value", float: "double_value", str: "string_value"}[type(value)]
    return KeyValue(key=key, value=AnyValue(**{kind: value}))
