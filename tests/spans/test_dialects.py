"""What spans of each dialect mean, shown on the attributes that their packages really write.

The first table is cut from the real traces (file and trace are named), the second from the packages' sources where
no trace of theirs is at hand.
"""

import json
from itertools import pairwise

import pytest

from ihobs.errors import InvalidInputError
from ihobs.spans.attributes import read_fields
from ihobs.spans.dialects import FIELDS, KINDS, dialects_of, extended, shipped_dialects
from ihobs.spans.span import FAILED, GENAI, USAGE_ADJUSTED

LANGGRAPH = {"langgraph_node": "plan", "langgraph_checkpoint_ns": "plan:c934f2cf"}

FROM_TRACES = {
    # langgraph/openinference_langgraph_ok
    "openinference: a graph's root": (
        ("openinference.instrumentation.langchain", "report-workflow"),
        {"openinference.span.kind": "CHAIN", "metadata": '{"ls_integration": "langgraph"}'},
        {"kind": "chain", "workflow": "report-workflow", "node": ""},
    ),
    "openinference: a node": (
        ("openinference.instrumentation.langchain", "plan"),
        {"openinference.span.kind": "CHAIN", "metadata": json.dumps(LANGGRAPH)},
        {"kind": "node", "node": "plan"},
    ),
    "openinference: a chain inside a node": (
        ("openinference.instrumentation.langchain", "route"),
        {"openinference.span.kind": "CHAIN", "metadata": json.dumps(LANGGRAPH)},
        {"kind": "chain", "node": "plan"},
    ),
    "openinference: a model": (
        ("openinference.instrumentation.langchain", "Scripted"),
        {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini", "llm.provider": "openai",
         "llm.token_count.prompt": 2, "llm.token_count.completion": 4, "llm.token_count.total": 6,
         "metadata": json.dumps(LANGGRAPH)},
        {"kind": "llm", "model": "gpt-4o-mini", "provider": "openai", "node": "plan", "input_tokens": 2,
         "output_tokens": 4},
    ),
    # langgraph/langsmith_otel_langgraph_ok
    "langsmith: a node": (
        ("langsmith", "plan"),
        {"langsmith.span.kind": "chain", "gen_ai.operation.name": "chain", "gen_ai.system": "langchain",
         "langsmith.metadata.langgraph_node": "plan"},
        {"kind": "node", "node": "plan", "provider": ""},
    ),
    "langsmith: a model": (
        ("langsmith", "Scripted"),
        {"langsmith.span.kind": "llm", "gen_ai.operation.name": "chat", "gen_ai.system": "langchain",
         "gen_ai.request.model": "gpt-4o-mini", "langsmith.metadata.ls_provider": "openai",
         "langsmith.metadata.usage_metadata":
             '{"input_tokens": 2, "output_tokens": 4, "total_tokens": 6, "input_token_details": {"cache_read": 1}}'},
        {"kind": "llm", "provider": "openai", "input_tokens": 2, "output_tokens": 4, "cached_input_tokens": 1},
    ),
    # langgraph/openllmetry_langgraph_ok
    "openllmetry: a node": (
        ("opentelemetry.instrumentation.langchain", "execute_task plan"),
        {"gen_ai.operation.name": "execute_task", "traceloop.span.kind": "task", "gen_ai.task.name": "plan",
         "gen_ai.provider.name": "langgraph", "traceloop.workflow.name": "report-workflow",
         "traceloop.association.properties.langgraph_node": "plan"},
        {"kind": "node", "node": "plan", "workflow": "report-workflow", "provider": ""},
    ),
    "openllmetry: a model that is called unknown": (
        ("opentelemetry.instrumentation.langchain", "Scripted.chat"),
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "unknown", "gen_ai.provider.name": "langchain",
         "traceloop.association.properties.ls_model_name": "gpt-4o-mini",
         "traceloop.association.properties.ls_provider": "openai", "gen_ai.usage.input_tokens": 2,
         "gen_ai.usage.cache_read.input_tokens": 1, "gen_ai.usage.total_tokens": 6, "gen_ai.usage.output_tokens": 4},
        {"kind": "llm", "model": "gpt-4o-mini", "provider": "openai", "input_tokens": 2, "cached_input_tokens": 1},
    ),
    # langfuse, trace 845c2c53
    "vercel: the outer span, whose usage is a sum": (
        ("ai", "ai.streamText"),
        {"ai.operationId": "ai.streamText", "operation.name": "ai.streamText", "ai.model.provider": "openai.responses",
         "ai.model.id": "gpt-5", "ai.usage.inputTokens": 1115, "ai.usage.outputTokens": 101,
         "langfuse.observation.type": "generation"},
        {"kind": "agent", "workflow": "ai.streamText", "provider": "openai", "model": "gpt-5"},
    ),
    "vercel: a model": (
        ("ai", "ai.streamText.doStream"),
        {"ai.operationId": "ai.streamText.doStream", "gen_ai.system": "openai.responses", "ai.model.id": "gpt-5",
         "ai.response.model": "gpt-5-2025-08-07", "ai.usage.inputTokens": 1115, "ai.usage.outputTokens": 101,
         "ai.usage.totalTokens": 1216, "ai.usage.reasoningTokens": 64, "ai.usage.cachedInputTokens": 1024},
        {"kind": "llm", "provider": "openai", "model": "gpt-5-2025-08-07", "input_tokens": 1115, "output_tokens": 101,
         "cached_input_tokens": 1024, "reasoning_tokens": 64},
    ),
    # langfuse, trace df41e597
    "vercel, version 4: a model": (
        ("ai", "ai.generateText.doGenerate"),
        {"operation.name": "ai.generateText.doGenerate my-function", "ai.model.provider": "openai.responses",
         "ai.model.id": "gpt-5", "ai.usage.promptTokens": 62, "ai.usage.completionTokens": 85},
        {"kind": "llm", "provider": "openai", "input_tokens": 62, "output_tokens": 85},
    ),
    "vercel: a tool": (
        ("ai", "getWeather"),
        {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "getWeather", "langfuse.observation.type": "tool"},
        {"kind": "tool"},
    ),
    # langfuse, trace 7a38edd8
    "pydantic-ai: an agent without an operation": (
        ("pydantic-ai", "joke_agent run"),
        {"model_name": "gpt-4o-mini", "agent_name": "joke_agent", "gen_ai.usage.input_tokens": 682,
         "gen_ai.usage.output_tokens": 126},
        {"kind": "agent", "workflow": "joke_agent", "model": ""},
    ),
    "pydantic-ai: a tool without an operation": (
        ("pydantic-ai", "running tool: get_pun_suggestion"),
        {"gen_ai.tool.name": "get_pun_suggestion", "tool_arguments": "{}"},
        {"kind": "tool"},
    ),
    "pydantic-ai: steps around tools": (("pydantic-ai", "running 3 tools"), {"logfire.msg": "running 3 tools"},
                                        {"kind": ""}),
    # langfuse, trace f68601af
    "pydantic-ai: a model": (
        ("pydantic-ai", "chat gemini-2.5-flash"),
        {"gen_ai.operation.name": "chat", "gen_ai.system": "google-gla", "gen_ai.request.model": "gemini-2.5-flash",
         "gen_ai.usage.input_tokens": 40, "gen_ai.usage.output_tokens": 159,
         "gen_ai.usage.details.thoughts_tokens": 121, "operation.cost": 0.0004095},
        {"kind": "llm", "provider": "gcp.gemini", "output_tokens": 159, "reasoning_tokens": 121,
         "cost_nano_usd": 409500},
    ),
    # langfuse, trace 2c1581dd
    "langfuse: a model of LangChain, whose output leaves reasoning out": (
        ("langfuse-sdk", "ChatOpenAI"),
        {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-5-mini-2025-08-07",
         "langfuse.observation.usage_details":
             '{"input": 179, "output": 35, "total": 278, "input_cache_read": 0, "output_reasoning": 64}',
         "langfuse.observation.cost_details": '{"input": 4.475e-05, "output": 7e-05, "total": 0.00024275}',
         "langfuse.observation.metadata.ls_provider": "openai"},
        {"kind": "llm", "model": "gpt-5-mini-2025-08-07", "provider": "openai", "input_tokens": 179,
         "output_tokens": 99, "reasoning_tokens": 64, "cost_nano_usd": 242750, "adjusted": True},
    ),
    "langfuse: a node": (
        ("langfuse-sdk", "model_request"),
        {"langfuse.observation.type": "span", "langfuse.observation.metadata.langgraph_node": "model_request"},
        {"kind": "node", "node": "model_request"},
    ),
    "langfuse: a span": (("langfuse-sdk", "LangGraph"), {"langfuse.observation.type": "span"},
                         {"kind": "chain", "workflow": "LangGraph"}),
    # langfuse, trace dff173a6
    "koog: a node": (("ai.koog", "node.nodeCallLLM"), {"koog.node.name": "nodeCallLLM"},
                     {"kind": "node", "node": "nodeCallLLM"}),
    "koog: an agent": (("ai.koog", "run.6f8d2449"), {"gen_ai.operation.name": "invoke_agent"}, {"kind": "agent"}),
    # langfuse, trace 933dba1e
    "microsoft: a sum without a model": (
        ("Experimental.Microsoft.Extensions.AI", "orchestrate_tools"),
        {"gen_ai.usage.input_tokens": 5550, "gen_ai.usage.output_tokens": 214},
        {"kind": ""},
    ),
    # langfuse, trace b82a0bdc
    "google adk: a model": (
        ("openinference.instrumentation.google_adk", "call_llm"),
        {"gen_ai.system": "gcp.vertex.agent", "llm.provider": "google", "openinference.span.kind": "LLM",
         "gen_ai.request.model": "gemini-2.0-flash", "gen_ai.usage.input_tokens": 28, "llm.token_count.prompt": 28},
        {"kind": "llm", "provider": "gcp.gemini", "input_tokens": 28},
    ),
    # any-agent
    "any-agent: a model with its cost in halves": (
        ("any_agent", "call_llm gpt-4.1-mini"),
        {"gen_ai.operation.name": "call_llm", "gen_ai.request.model": "gpt-4.1-mini", "gen_ai.usage.input_tokens": 162,
         "gen_ai.usage.output_tokens": 18, "gen_ai.usage.input_cost": 6.48e-05, "gen_ai.usage.output_cost": 2.88e-05},
        {"kind": "llm", "cost_nano_usd": 93600, "input_tokens": 162},
    ),
    # tau2
    "otel: a tool": (("tau2", "execute_tool get_user"), {"gen_ai.operation.name": "execute_tool"}, {"kind": "tool"}),
}  # fmt: skip

FROM_SOURCES = {
    "openllmetry, before the conventions": (
        ("opentelemetry.instrumentation.openai", "openai.chat"),
        {"llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "gpt-4o",
         "gen_ai.usage.prompt_tokens": 10, "gen_ai.usage.completion_tokens": 3, "llm.usage.total_tokens": 13,
         "gen_ai.usage.cache_read_input_tokens": 4},
        {"kind": "llm", "provider": "openai", "input_tokens": 10, "output_tokens": 3, "cached_input_tokens": 4},
    ),
    "openlit": (
        ("openlit.otel.tracing", "chat gpt-4o"),
        {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
         "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 3, "gen_ai.usage.cost": 0.0001},
        {"kind": "llm", "cost_nano_usd": 100000},
    ),
    "openlit: a framework's step": (("openlit.otel.tracing", "crew"), {"gen_ai.operation.name": "framework"},
                                    {"kind": "chain"}),
    "langsmith: details as Python writes them": (
        ("langsmith", "ChatOpenAI"),
        {"langsmith.span.kind": "llm", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5,
         "gen_ai.usage.input_token_details": "{'cache_read': 6, 'audio': 0}",
         "gen_ai.usage.output_token_details": "{'reasoning': 2}"},
        {"input_tokens": 10, "cached_input_tokens": 6, "reasoning_tokens": 2},
    ),
    "vercel 5 with anthropic: cached tokens stand beside the input": (
        ("ai", "ai.generateText.doGenerate"),
        {"ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": "anthropic.messages",
         "gen_ai.usage.input_tokens": 500, "gen_ai.usage.output_tokens": 20, "ai.usage.cachedInputTokens": 400},
        {"provider": "anthropic", "input_tokens": 900, "cached_input_tokens": 400, "adjusted": True},
    ),
    "vercel 6 with anthropic: they are inside": (
        ("ai", "ai.generateText.doGenerate"),
        {"ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": "anthropic.messages",
         "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 20, "ai.usage.cachedInputTokens": 400,
         "ai.usage.inputTokenDetails.cacheReadTokens": 400, "ai.usage.inputTokenDetails.cacheWriteTokens": 100},
        {"input_tokens": 900, "cached_input_tokens": 400, "cache_write_tokens": 100, "adjusted": False},
    ),
    "anthropic's own counts: the cached tokens are more than the input": (
        ("some.wrapper", "chat"),
        {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 2, "gen_ai.usage.cache_read.input_tokens": 47105,
         "gen_ai.usage.cache_creation.input_tokens": 1076},
        {"input_tokens": 48183, "cached_input_tokens": 47105, "cache_write_tokens": 1076, "adjusted": True},
    ),
    "the total shows that the cached tokens stand beside": (
        ("some.wrapper", "chat"),
        {"openinference.span.kind": "LLM", "llm.token_count.prompt": 500, "llm.token_count.completion": 200,
         "llm.token_count.prompt_details.cache_read": 400, "llm.token_count.total": 1100},
        {"input_tokens": 900, "adjusted": True},
    ),
    "the total shows that the reasoning stands beside": (
        ("some.wrapper", "chat"),
        {"openinference.span.kind": "LLM", "llm.token_count.prompt": 100, "llm.token_count.completion": 140,
         "llm.token_count.completion_details.reasoning": 60, "llm.token_count.total": 300},
        {"input_tokens": 100, "output_tokens": 200, "adjusted": True},
    ),
    "both stand beside": (
        ("some.wrapper", "chat"),
        {"openinference.span.kind": "LLM", "llm.token_count.prompt": 500, "llm.token_count.completion": 140,
         "llm.token_count.prompt_details.cache_read": 400, "llm.token_count.completion_details.reasoning": 60,
         "llm.token_count.total": 1100},
        {"input_tokens": 900, "output_tokens": 200, "adjusted": True},
    ),
    "a total that nothing adds up to proves nothing": (
        ("some.wrapper", "chat"),
        {"openinference.span.kind": "LLM", "llm.token_count.prompt": 5, "llm.token_count.completion": 845,
         "llm.token_count.completion_details.reasoning": 7, "llm.token_count.total": 2023},
        {"input_tokens": 5, "output_tokens": 845, "adjusted": False},
    ),
    "langfuse with usage as Anthropic's API tells it": (
        ("langfuse-sdk", "claude"),
        {"langfuse.observation.type": "generation",
         "langfuse.observation.usage_details": '{"input": 10, "output": 5, "cache_read_input_tokens": 3}'},
        {"input_tokens": 13, "cached_input_tokens": 3, "adjusted": True},
    ),
    "langfuse with usage as OpenAI's API tells it": (
        ("langfuse-sdk", "gpt"),
        {"langfuse.observation.type": "generation",
         "langfuse.observation.usage_details": json.dumps(
             {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
              "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2}})},
        {"input_tokens": 10, "output_tokens": 5, "cached_input_tokens": 3, "reasoning_tokens": 2, "adjusted": False},
    ),
    "langfuse: a failure told by the level alone": (
        ("langfuse-sdk", "get"),
        {"langfuse.observation.type": "tool", "langfuse.observation.level": "ERROR"},
        {"kind": "tool", "failed": True, "error": "error"},
    ),
    "langfuse: an event": (("langfuse-sdk", "e"), {"langfuse.observation.type": "event"}, {"kind": "event"}),
    "openinference: a kind that is not known": (("x", "parse"), {"openinference.span.kind": "UNKNOWN"},
                                                {"kind": "chain"}),
    "an operation that is not known, with a model and usage": (
        ("x", "s"),
        {"gen_ai.operation.name": "fetch_response", "gen_ai.request.model": "m", "gen_ai.usage.output_tokens": 1},
        {"kind": "llm"},
    ),
    "an operation that is not known, without usage": (
        ("x", "s"), {"gen_ai.operation.name": "fetch_response", "gen_ai.request.model": "m"}, {"kind": ""}
    ),
    "another program's span": (("http", "GET /"), {"http.request.method": "GET", "agent_name": "x"}, {"kind": ""}),
}  # fmt: skip


@pytest.mark.parametrize("example", {**FROM_TRACES, **FROM_SOURCES}.values(), ids={**FROM_TRACES, **FROM_SOURCES})
def test_spans_of_each_dialect_mean_the_same_things(read, example):
    (scope, name), attributes, expected = example
    span = read(attributes, scope=scope, name=name)
    flags = {"failed": bool(span.flags & FAILED), "adjusted": bool(span.flags & USAGE_ADJUSTED)}
    found = {**span._asdict(), **span.shape._asdict(), **flags}
    assert {key: found[key] for key in expected} == expected
    assert bool(span.flags & GENAI) == bool(span.shape.kind)


def sample(source):
    """Return an attribute's value that the source takes, and what it is read as."""
    numbers = {"int": (7, 7), "usd": (0.5, 500_000_000), "s": (0.5, 500_000_000), "ms": (0.5, 500_000)}
    moment = ("2026-11-22T10:00:00.5Z", 1_795_341_600_500_000_000)
    text, value = {**numbers, "time": moment}.get(source.convert, ("acme", "acme"))
    if source.values is not None:
        text, value = next(iter(source.values.items()))
    if source.path:
        document = text
        for member in reversed(source.path):
            document = {member: document}
        text = str(document) if source.quoted.startswith("'") else json.dumps(document)
    return text, value


ALL_SOURCES = [source for sources in shipped_dialects().ranked for source in sources]


@pytest.mark.parametrize("source", ALL_SOURCES, ids=lambda source: f"{source.key}/{'.'.join(source.path)}")
def test_every_line_of_the_table_gives_its_field(otlp_span, source):
    text, value = sample(source)
    values, ranks = read_fields(otlp_span(attributes={source.key: text}), shipped_dialects())
    assert (values[source.field], ranks[source.field]) == (value, source.rank)


def test_the_first_line_wins_in_whatever_order_the_attributes_come(otlp_span):
    for sources in shipped_dialects().ranked:
        for better, worse in pairwise(sources):
            if better.key == worse.key:
                continue
            pair = {better.key: sample(better)[0], worse.key: sample(worse)[0]}
            for attributes in (pair, dict(reversed(pair.items()))):
                values, ranks = read_fields(otlp_span(attributes=attributes), shipped_dialects())
                assert ranks[better.field] == better.rank, (better, worse)
                assert values[better.field] == sample(better)[1]


def test_a_field_s_line_occurs_once_and_names_its_dialect():
    for sources in shipped_dialects().ranked:
        places = [(source.key, source.path) for source in sources]
        assert len(set(places)) == len(places)
        assert all(source.dialect for source in sources)
    assert all(sources for sources in shipped_dialects().ranked), "a field that nothing gives"


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("openai", "openai"),
        ("openai.responses", "openai"),
        ("anthropic.messages", "anthropic"),
        ("google.generative-ai", "gcp.gemini"),
        ("google.vertex.chat", "gcp.vertex_ai"),
        ("vertex.anthropic.messages", "gcp.vertex_ai"),
        ("google-gla", "gcp.gemini"),
        ("google_vertexai", "gcp.vertex_ai"),
        ("amazon-bedrock", "aws.bedrock"),
        ("aws.bedrock", "aws.bedrock"),
        ("azure-openai.chat", "azure.ai.openai"),
        ("xai.chat", "x_ai"),
        ("mistral.embedding", "mistral_ai"),
        ("groq.chat", "groq"),
        ("togetherai.chat", "togetherai"),
        ("ibm.watsonx.ai", "ibm.watsonx.ai"),
        ("acme.v2", "acme.v2"),
    ],
)
def test_names_of_providers_are_folded(name, provider):
    assert shipped_dialects().provider(name) == provider
    assert shipped_dialects().provider(provider) == provider


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"gen_ai.usage.input_tokens": -1}, "input_tokens"),
        ({"gen_ai.usage.input_tokens": "many"}, "input_tokens"),
        ({"gen_ai.usage.input_tokens": float("nan")}, "input_tokens"),
        ({"gen_ai.usage.input_tokens": float("inf")}, "input_tokens"),
        ({"gen_ai.usage.input_tokens": 2**41}, "input_tokens"),
        ({"langfuse.observation.usage_details": '{"input": {"a": 1}}'}, "input_tokens"),
        ({"langfuse.observation.usage_details": '{"input": '}, "input_tokens"),
        ({"langfuse.observation.usage_details": '["input"]'}, "input_tokens"),
        ({"langfuse.observation.usage_details": '"input"'}, "input_tokens"),
        ({"gen_ai.usage.input_token_details": "{'cache_read': object()}"}, "cached_input_tokens"),
        ({"operation.cost": "free"}, "cost"),
        ({"operation.cost": 0}, "cost"),
        ({"operation.cost": 1e12}, "cost"),
        ({"gen_ai.operation.name": "frobnicate"}, "kind"),
        ({"gen_ai.request.model": "Unknown"}, "request_model"),
        ({"gen_ai.provider.name": "LangChain"}, "provider"),
    ],
)
def test_values_of_no_use_count_as_absent(otlp_span, attributes, field):
    values, _ = read_fields(otlp_span(attributes=attributes), shipped_dialects())
    assert values[FIELDS.index(field)] is None


def test_a_useless_value_leaves_the_field_to_the_next_line(read):
    attributes = {"gen_ai.usage.input_tokens": "?", "llm.token_count.prompt": 5, "openinference.span.kind": "LLM"}
    assert read(attributes).input_tokens == 5


def test_texts_of_numbers_are_counts(read):
    assert read({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": "12"}).input_tokens == 12


SECTION = {
    "fields": {
        "kind": [{"key": "acme.step", "values": {"Call": "llm", "stage": "node"}}],
        "node": [{"key": "acme.stage"}],
        "input_tokens": [{"key": "acme.usage", "path": "tokens.in"}],
        "provider": [{"key": "acme.gateway", "as": "head"}],
    },
    "ignore": {"request_model": ["Auto"]},
    "kinds": {"otel": {"summarise": "llm"}},
    "without_kind": [{"field": "agent", "scope": "acme", "kind": "agent"}],
    "providers": {"acme-gateway": "openai"},
    "token_counts": [{"scope": "acme", "provider": "anthropic", "cached": "beside"}],
    "control_flow": ["AcmePause"],
}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"acme.step": "call", "gen_ai.operation.name": "chain"}, {"kind": "llm"}),
        ({"acme.step": "stage", "acme.stage": "plan"}, {"kind": "node", "node": "plan"}),
        ({"acme.usage": '{"tokens": {"in": 9}}', "gen_ai.usage.input_tokens": 8}, {"input_tokens": 9}),
        ({"gen_ai.request.model": "auto", "ai.model.id": "gpt-5"}, {"model": "gpt-5"}),
        ({"gen_ai.operation.name": "summarise"}, {"kind": "llm"}),
        ({"gen_ai.operation.name": "chat"}, {"kind": "llm"}),
        ({"gen_ai.agent.name": "a"}, {"kind": "agent", "workflow": "a"}),
        ({"acme.gateway": "acme-gateway.eu"}, {"provider": "openai"}),
        (
            {"gen_ai.provider.name": "anthropic", "gen_ai.usage.input_tokens": 10,
             "gen_ai.usage.cache_read.input_tokens": 4},
            {"input_tokens": 14},
        ),
    ],
)  # fmt: skip
def test_a_user_s_section_goes_over_the_table(read, attributes, expected):
    span = read(attributes, scope="acme", dialects=dialects_of(SECTION))
    found = {**span._asdict(), **span.shape._asdict()}
    assert {key: found[key] for key in expected} == expected


def test_a_user_s_control_flow_is_no_failure(read):
    span = read({"gen_ai.operation.name": "chat"}, failed=True, exception=["acme.AcmePause"])
    assert span.flags & FAILED
    span = read({}, failed=True, exception=["acme.AcmePause"], dialects=dialects_of(SECTION))
    assert not span.flags & FAILED


def test_a_user_may_say_that_cached_tokens_are_inside(read):
    inside = dialects_of({"token_counts": [{"scope": "acme", "cached": "inside"}]})
    attributes = {"gen_ai.usage.input_tokens": 2, "gen_ai.usage.cache_read.input_tokens": 4}
    assert read(attributes, scope="acme", dialects=inside).input_tokens == 2
    assert read(attributes, scope="other", dialects=inside).input_tokens == 6


def test_a_section_changes_nothing_of_the_table_that_ihobs_ships_with():
    before = shipped_dialects()
    dialects_of(SECTION)
    shipped_dialects.cache_clear()
    assert shipped_dialects() == before
    assert dialects_of({}) is shipped_dialects()


def test_extending_keeps_both_inputs():
    table = {"fields": {"kind": [1]}, "providers": {"a": "b"}, "control_flow": ["X"]}
    section = {"fields": {"kind": [2], "node": [3]}, "providers": {"c": "d"}, "control_flow": ["Y"]}
    assert extended(table, section) == {
        "fields": {"kind": [2, 1], "node": [3]},
        "providers": {"a": "b", "c": "d"},
        "control_flow": ["Y", "X"],
    }
    assert table == {"fields": {"kind": [1]}, "providers": {"a": "b"}, "control_flow": ["X"]}
    assert section["fields"] == {"kind": [2], "node": [3]}


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"fields": {"kid": []}}, "unknown field kid"),
        ({"ignore": {"kid": []}}, "unknown field kid"),
        ({"fields": {"kind": [{"key": "k", "values": {"a": "lm"}}]}}, "unknown kind lm"),
        ({"fields": {"kind": [{"key": "k", "values": "otle"}]}}, "unknown list of values otle"),
        ({"without_kind": [{"field": "cost", "kind": "llm"}]}, "unknown field cost"),
        ({"without_kind": [{"field": "tool", "kind": "tol"}]}, "unknown kind tol"),
    ],
)
def test_a_section_that_names_what_does_not_exist_is_refused(section, reason):
    with pytest.raises(InvalidInputError, match=reason):
        dialects_of(section)


def test_the_schema_of_the_configuration_knows_the_fields_and_kinds(repository):
    schema = json.loads((repository / "schemas" / "config.schema.json").read_text(encoding="utf-8"))
    section = schema["properties"]["dialects"]["properties"]
    assert tuple(section["fields"]["properties"]) == FIELDS
    assert tuple(section["ignore"]["propertyNames"]["enum"]) == FIELDS
    assert tuple(schema["$defs"]["kind"]["enum"]) == KINDS
    assert set(section) == {"fields", "ignore", "kinds", "without_kind", "providers", "provider_suffixes",
                            "token_counts", "control_flow", "error_by_event"}  # fmt: skip
