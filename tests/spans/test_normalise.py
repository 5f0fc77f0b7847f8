"""What a span of each dialect says: kind, model, provider, tokens, errors, by the attributes these really write."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from ihobs.spans.dialects import shipped_dialects
from ihobs.spans.normalise import BUCKET_NS, Receipt, normalise
from ihobs.spans.span import (
    CONTROL_FLOW,
    FAILED,
    FLAGGED_TIME,
    GENAI,
    IMPORTED,
    REMOTE_PARENT,
    TIMED_OUT,
    USAGE_ADJUSTED,
)

NOW_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000


def any_value(value):
    kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
    if isinstance(value, list):
        found = AnyValue()
        found.array_value.values.extend(any_value(item) for item in value)
        return found
    return AnyValue(**{kind[type(value)]: value})


def otlp(attributes=(), *, name="span", exception=None, status=0, message="", **fields):
    fields = {"start_time_unix_nano": NOW_NS - 2 * SECOND_NS, "end_time_unix_nano": NOW_NS - SECOND_NS, **fields}
    span = OtlpSpan(trace_id=b"t" * 16, span_id=b"s" * 8, name=name, **fields)
    for key, value in dict(attributes).items():
        span.attributes.add(key=key, value=any_value(value))
    if exception is not None:
        event = span.events.add(name="exception")
        for key, value in zip(("exception.type", "exception.message"), exception, strict=False):
            event.attributes.add(key=key, value=any_value(value))
    span.status.code, span.status.message = status, message
    return span


def read(attributes=(), *, scope="test", live=True, **span):
    return normalise(otlp(attributes, **span), "svc", scope, shipped_dialects(), Receipt(NOW_NS, live))


def told(span):
    """What a span says, without what it leaves open."""
    shape = span.shape
    found = {"kind": shape.kind, "node": shape.node, "provider": shape.provider, "model": shape.model,
             "in": span.input_tokens, "out": span.output_tokens, "cached": span.cached_input_tokens,
             "written": span.cache_write_tokens, "reasoning": span.reasoning_tokens,
             "cost": span.cost_nano_usd}  # fmt: skip
    return {name: value for name, value in found.items() if value not in (None, "")}


USAGE_METADATA = json.dumps(
    {
        "input_tokens": 120,
        "output_tokens": 30,
        "total_tokens": 150,
        "input_token_details": {"cache_read": 100},
        "output_token_details": {"reasoning": 8},
        "total_cost": 0.00045,
    }
)

DIALECTS = {
    "OpenTelemetry": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-11-20",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 60,
        },
        {"kind": "llm", "provider": "openai", "model": "gpt-4o-2024-11-20", "in": 100, "out": 20, "cached": 60},
    ),
    "OpenTelemetry, old names": (
        {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.system": "az.ai.openai",
            "gen_ai.request.model": "gpt-35-turbo",
            "gen_ai.usage.prompt_tokens": 11,
            "gen_ai.usage.completion_tokens": 5,
        },
        {"kind": "llm", "provider": "azure.ai.openai", "model": "gpt-35-turbo", "in": 11, "out": 5},
    ),
    "OpenTelemetry, a tool": ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "x"}, {"kind": "tool"}),
    "OpenTelemetry, a framework is no provider": (
        {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "langchain", "gen_ai.request.model": "m"},
        {"kind": "llm", "model": "m"},
    ),
    "OpenInference": (
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "claude-sonnet-4-5",
            "llm.provider": "anthropic",
            "llm.token_count.prompt": 1300,
            "llm.token_count.completion": 80,
            "llm.token_count.prompt_details.cache_read": 1000,
            "llm.token_count.prompt_details.cache_write": 200,
            "llm.cost.total": 0.002,
        },
        {
            "kind": "llm", "provider": "anthropic", "model": "claude-sonnet-4-5", "in": 1300, "out": 80, "cached": 1000,
            "written": 200, "cost": 2_000_000,
        },
    ),
    "OpenInference, an embedding": (
        {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "e-3", "llm.token_count.prompt": 9},
        {"kind": "embedding", "model": "e-3", "in": 9},
    ),
    "OpenInference, LangGraph's node": (
        {"openinference.span.kind": "CHAIN", "metadata": '{"langgraph_node": "span"}'},
        {"kind": "node", "node": "span"},
    ),
    "OpenInference, a step inside LangGraph's node": (
        {"openinference.span.kind": "CHAIN", "metadata": '{"langgraph_node": "plan"}'},
        {"kind": "chain", "node": "plan"},
    ),
    "LangSmith": (
        {
            "langsmith.span.kind": "llm",
            "langsmith.metadata.ls_model_name": "gpt-4o-mini",
            "langsmith.metadata.ls_provider": "openai",
            "gen_ai.system": "langchain",
            "langsmith.metadata.usage_metadata": USAGE_METADATA,
        },
        {
            "kind": "llm", "provider": "openai", "model": "gpt-4o-mini", "in": 120, "out": 30, "cached": 100,
            "reasoning": 8, "cost": 450_000,
        },
    ),
    "OpenLLMetry": (
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.prompt_tokens": 5,
            "gen_ai.usage.completion_tokens": 6,
            "gen_ai.usage.cache_read_input_tokens": 2,
        },
        {"kind": "llm", "provider": "openai", "model": "gpt-4o", "in": 5, "out": 6, "cached": 2},
    ),
    "OpenLLMetry, a node of LangGraph": (
        {
            "traceloop.span.kind": "task",
            "traceloop.entity.name": "plan",
            "traceloop.association.properties.langgraph_node": "plan",
        },
        {"kind": "node", "node": "plan"},
    ),
    "Vercel AI 6": (
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.model.id": "claude-haiku-4-5",
            "ai.model.provider": "anthropic.messages",
            "ai.usage.inputTokens": 500,
            "ai.usage.outputTokens": 40,
            "ai.usage.totalTokens": 540,
            "ai.usage.inputTokenDetails.cacheReadTokens": 300,
        },
        {"kind": "llm", "provider": "anthropic", "model": "claude-haiku-4-5", "in": 500, "out": 40, "cached": 300},
    ),
    "Vercel AI 5 with Anthropic": (
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.provider": "anthropic.messages",
            "ai.usage.inputTokens": 200,
            "ai.usage.outputTokens": 40,
            "ai.usage.cachedInputTokens": 150,
        },
        {"kind": "llm", "provider": "anthropic", "in": 350, "out": 40, "cached": 150},  # beside: added
    ),
    "Vercel AI, the sum above its calls": ({"ai.operationId": "ai.streamText"}, {"kind": "agent"}),
    "Langfuse": (
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o",
            "langfuse.observation.usage_details": '{"input": 40, "output": 12, "input_cached_tokens": 60}',
            "langfuse.observation.cost_details": '{"total": 0.001}',
        },
        {"kind": "llm", "model": "gpt-4o", "in": 100, "out": 12, "cached": 60, "cost": 1_000_000},
    ),
    "pydantic-ai": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "google-gla",
            "gen_ai.response.model": "gemini-2.5-pro",
            "gen_ai.usage.input_tokens": 33,
            "gen_ai.usage.output_tokens": 70,
            "gen_ai.usage.details.thoughts_tokens": 50,
            "operation.cost": 0.0007,
        },
        {
            "kind": "llm", "provider": "gcp.gemini", "model": "gemini-2.5-pro", "in": 33, "out": 70, "reasoning": 50,
            "cost": 700_000,
        },
    ),
    "OpenLIT": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "mistral",
            "gen_ai.request.model": "mistral-large",
            "gen_ai.usage.input_tokens": 8,
            "gen_ai.usage.output_tokens": 9,
            "gen_ai.usage.cost": 0.00002,
        },
        {"kind": "llm", "provider": "mistral_ai", "model": "mistral-large", "in": 8, "out": 9, "cost": 20_000},
    ),
    "ihobs": (
        {"ihobs.kind": "llm", "ihobs.node": "plan", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 1},
        {"kind": "llm", "node": "plan", "model": "m", "in": 1},
    ),
    "a call without a kind": (
        {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3},
        {"kind": "llm", "model": "m", "in": 3},
    ),
    "no LLM at all": ({"http.method": "GET", "llm": "no"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect(name):
    attributes, expected = DIALECTS[name]
    assert told(read(attributes)) == expected


@pytest.mark.parametrize("name", DIALECTS)
def test_the_order_of_attributes_does_not_matter(name):
    attributes, _ = DIALECTS[name]
    assert read(dict(reversed(attributes.items()))) == read(attributes)


LLM = {"ihobs.kind": "llm", "gen_ai.request.model": "m"}


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        (7, 7), ("7", 7), (7.0, 7), (0, 0), ("0", 0), (2**40, 2**40),
        (-1, None), (2**40 + 1, None), (2**63 - 1, None), (float("nan"), None), (float("inf"), None), (-0.5, 0),
        ("many", None), ("", None), ("9" * 5000, None), ("NaN", None), (b"7", None), ([7], None),
    ],
)  # fmt: skip
def test_a_count_of_tokens_is_a_count_or_absent(value, tokens):
    assert read({**LLM, "gen_ai.usage.input_tokens": value}).input_tokens == tokens


@pytest.mark.parametrize(
    ("value", "nano_usd"),
    [
        (0.25, 250_000_000), ("0.25", 250_000_000), (1_000_000, 10**15), (0, None), (-1.0, None), (1e7, None),
        (float("nan"), None), (float("inf"), None), ("free", None), ("9" * 400, None),
    ],
)  # fmt: skip
def test_a_cost_is_an_amount_or_absent(value, nano_usd):
    assert read({**LLM, "gen_ai.usage.cost": value}).cost_nano_usd == nano_usd


def test_a_worse_source_is_used_when_the_better_one_is_of_no_use():
    attributes = {**LLM, "gen_ai.usage.input_tokens": float("nan"), "llm.token_count.prompt": 5}
    assert read(attributes).input_tokens == 5


@pytest.mark.parametrize(
    "metadata",
    [
        "{", "null", "[]", '"langgraph_node"', '{"langgraph_node": null}', '{"langgraph_node": {"a": 1}}',
        '{"langgraph_node": ""}', "[" * 100_000 + '"langgraph_node"', '{"langgraph_node": ' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_malformed_metadata_says_nothing_and_the_rest_counts(metadata):
    found = read({"openinference.span.kind": "LLM", "metadata": metadata, "llm.token_count.prompt": 5})
    assert told(found) == {"kind": "llm", "in": 5}


@pytest.mark.parametrize(
    ("metadata", "node"), [('"\\ud83d\\ude00"', "😀"), ('"a\\ud800b"', "a?b"), ('"\\u0000"', "\0")]
)
def test_texts_of_json_can_be_stored_whatever_they_hold(metadata, node):
    found = read({"openinference.span.kind": "CHAIN", "metadata": f'{{"langgraph_node": {metadata}}}'})
    assert found.shape.node == node
    found.shape.node.encode()


def test_long_names_are_cut():
    found = read({**LLM, "ihobs.node": "n" * 10_000_000, "gen_ai.request.model": "m" * 300}, name="x" * 300)
    assert {len(text) for text in (found.shape.node, found.shape.model, found.shape.name)} == {256}


def test_a_huge_cost_in_json_is_absent():
    usage = '{"input_tokens": 5, "total_cost": 1' + "0" * 400 + "}"
    found = read({"langsmith.span.kind": "llm", "langsmith.metadata.usage_metadata": usage})
    assert (found.input_tokens, found.cost_nano_usd) == (5, None)


class TestCachedTokens:
    def test_more_cached_than_input_tokens_stand_beside_it_and_are_added(self):
        found = read({**LLM, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_read.input_tokens": 90})
        assert (found.input_tokens, found.cached_input_tokens, found.flags & USAGE_ADJUSTED) == (
            100,
            90,
            USAGE_ADJUSTED,
        )

    def test_fewer_are_part_of_it(self):
        found = read({**LLM, "gen_ai.usage.input_tokens": 100, "gen_ai.usage.cache_read.input_tokens": 90})
        assert (found.input_tokens, found.cached_input_tokens, found.flags & USAGE_ADJUSTED) == (100, 90, 0)

    def test_without_input_tokens_they_make_none(self):
        found = read({**LLM, "gen_ai.usage.cache_read.input_tokens": 90})
        assert (found.input_tokens, found.cached_input_tokens) == (None, 90)


class TestErrors:
    def test_status_error_fails_and_the_event_names_the_class(self):
        found = read(LLM, status=2, exception=("openai.RateLimitError", "slow down"))
        assert (found.flags & FAILED, found.shape.error) == (FAILED, "openai.RateLimitError")

    def test_error_type_names_it_first(self):
        assert read({**LLM, "error.type": "429"}, status=2, exception=("X", "")).shape.error == "429"

    def test_without_any_name_it_is_an_error(self):
        assert read(LLM, status=2, message="it broke").shape.error == "error"

    def test_an_exception_event_under_status_ok_is_no_failure(self):
        found = read(LLM, status=1, exception=("ValueError", "caught and dealt with"))
        assert (found.flags & FAILED, found.shape.error) == (0, "")

    def test_but_it_is_for_langsmith_which_ends_failed_runs_with_status_ok(self):
        found = read(
            {"langsmith.span.kind": "chain"},
            scope="langsmith",
            status=1,
            exception=("Exception", "RateLimitError('slow down')"),
        )
        assert (found.flags & FAILED, found.shape.error) == (FAILED, "RateLimitError")

    def test_the_last_of_several_exceptions_counts(self):
        span = otlp(LLM, status=2, exception=("First", ""))
        span.events.add(name="exception").attributes.add(key="exception.type", value=any_value("Last"))
        found = normalise(span, "svc", "test", shipped_dialects(), Receipt(NOW_NS, live=True))
        assert found.shape.error == "Last"

    @pytest.mark.parametrize("name", ["asyncio.exceptions.TimeoutError", "openai.APITimeoutError", "ReadTimeout"])
    def test_timeouts(self, name):
        assert read(LLM, status=2, exception=(name, "")).flags & TIMED_OUT

    @pytest.mark.parametrize(
        "span",
        [
            {"exception": ("langgraph.errors.GraphInterrupt", "(Interrupt(value='sure?'),)")},
            {"exception": ("GeneratorExit", "")},
            {"message": "GraphInterrupt((Interrupt(value='sure?'),))"},
            {"exception": ("Exception", "GraphInterrupt((Interrupt(value='sure?'),))"), "scope": "langsmith"},
            {"exception": ("Exception", "ParentCommand(Command(goto='b'))"), "scope": "langsmith", "status": 1},
        ],
    )
    def test_control_flow_is_no_failure(self, span):
        found = read({"ihobs.kind": "node"}, **{"status": 2, **span})
        assert (found.flags & FAILED, found.flags & CONTROL_FLOW) == (0, CONTROL_FLOW)


class TestTimes:
    def test_a_span_counts_in_the_bucket_of_its_end(self):
        found = read(start_time_unix_nano=NOW_NS - 100 * SECOND_NS, end_time_unix_nano=NOW_NS - 50 * SECOND_NS)
        assert (found.bucket, found.duration_ns) == ((NOW_NS - 50 * SECOND_NS) // BUCKET_NS, 50 * SECOND_NS)
        assert not found.flags & FLAGGED_TIME

    def test_a_span_from_the_future_counts_when_it_was_received_and_keeps_its_duration(self):
        found = read(end_time_unix_nano=NOW_NS + 3_600 * SECOND_NS)
        assert (found.bucket, found.duration_ns) == (NOW_NS // BUCKET_NS, 3_602 * SECOND_NS)
        assert found.flags & FLAGGED_TIME

    def test_a_span_that_ends_before_it_starts_lasts_nothing(self):
        found = read(start_time_unix_nano=NOW_NS - SECOND_NS, end_time_unix_nano=NOW_NS - 9 * SECOND_NS)
        assert (found.duration_ns, found.flags & FLAGGED_TIME) == (0, FLAGGED_TIME)
        assert found.bucket == (NOW_NS - 9 * SECOND_NS) // BUCKET_NS


class TestPlace:
    @pytest.mark.parametrize(("flags", "remote"), [(0x300, True), (0x100, False), (0, False), (0x301, True)])
    def test_a_parent_in_another_service(self, flags, remote):
        assert bool(read(flags=flags, parent_span_id=b"p" * 8).flags & REMOTE_PARENT) is remote

    @pytest.mark.parametrize("parent", [b"", bytes(8)])
    def test_no_parent(self, parent):
        assert read(parent_span_id=parent).parent_id is None

    def test_an_imported_span_is_marked(self):
        assert read(live=False).flags & IMPORTED
        assert not read(live=True).flags & IMPORTED

    def test_only_a_span_with_a_kind_speaks_of_llms(self):
        assert read(LLM).flags & GENAI
        assert not read({"http.method": "GET"}).flags & GENAI

    def test_attempts_of_a_langgraph_node_share_a_key_and_what_runs_inside_has_none(self):
        metadata = json.dumps({"langgraph_node": "plan", "langgraph_checkpoint_ns": "plan:1"})
        first = read({"openinference.span.kind": "CHAIN", "metadata": metadata}, name="plan")
        again = read({"openinference.span.kind": "CHAIN", "metadata": metadata}, name="plan", status=2)
        inside = read({"openinference.span.kind": "LLM", "metadata": metadata}, name="ChatOpenAI")
        assert first.attempt_key == again.attempt_key is not None
        assert inside.attempt_key is None

    @pytest.mark.parametrize(
        ("name", "attributes", "workflow"),
        [
            ("invoke_agent planner", {"gen_ai.operation.name": "invoke_agent"}, "planner"),
            ("x", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}, "planner"),
            ("report.workflow", {"traceloop.span.kind": "workflow"}, "report"),
            ("LangGraph", {"openinference.span.kind": "CHAIN"}, "LangGraph"),
            ("ChatOpenAI", {"openinference.span.kind": "LLM"}, ""),
            ("ChatOpenAI", {"ihobs.kind": "llm", "ihobs.workflow": "report"}, "report"),
        ],
    )
    def test_the_name_of_a_workflow(self, name, attributes, workflow):
        assert read(attributes, name=name).shape.workflow == workflow


KEYS = sorted(shipped_dialects().sources)
VALUES = st.one_of(
    st.text(max_size=8),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.binary(max_size=3),
    st.sampled_from(["llm", "LLM", "chat", "{}", '{"input": 1e999}', '{"langgraph_node": "\\ud800"}', "None"]),
)


@settings(max_examples=300, deadline=None)
@given(attributes=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8), status=st.sampled_from([0, 1, 2]))
def test_nothing_that_a_known_attribute_may_hold_is_too_strange(attributes, status):
    found = read(attributes, status=status)

    counts = (found.input_tokens, found.output_tokens, found.cached_input_tokens, found.reasoning_tokens)
    assert all(count is None or 0 <= count <= 3 * 2**40 for count in counts)
    assert found.cost_nano_usd is None or 0 < found.cost_nano_usd <= 2 * 10**15
    for text in found.shape:
        assert len(text.encode()) <= 4 * 256
