"""Why spans count as they do: held against the code that counts, on all real traces, and case by case."""

import json
import re
from collections import Counter

import pytest
from click.testing import CliRunner

from ihobs.cli import main
from ihobs.spans.attributes import read_fields
from ihobs.spans.batch import read_batch
from ihobs.spans.clues import find_clues
from ihobs.spans.decode import read_file
from ihobs.spans.dialects import FIELDS, dialects_of, shipped_dialects
from ihobs.spans.explain import explain
from ihobs.spans.facts import SUMS, facts
from ihobs.spans.normalise import Receipt
from ihobs.spans.span import ORPHAN, REMOTE_PARENT, Shape, Span
from ihobs.spans.tree import MODEL_KINDS, has_usage
from ihobs.store.trace_query import plain

FILES = [
    *(f"{name}.otlp.jsonl.gz" for name in ("fixtures", "langfuse", "any-agent", "agent-prism", "tau2")),
    *(
        f"langgraph/{who}_langgraph_{how}.json"
        for who in ("openinference", "langsmith_otel", "openllmetry")
        for how in ("ok", "error")
    ),
]


def raw_spans(path):
    """Yield (scope, OTLP span) of a file."""
    for chunk in read_file(path):
        for resource_spans in chunk.request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    yield scope_spans.scope.name, span


def traces_of(path):
    """Return for each trace of a file its spans with their attributes."""
    attributes = {
        (span.trace_id, int.from_bytes(span.span_id, "big", signed=True)): {
            entry.key: plain(entry.value) for entry in span.attributes
        }
        for _, span in raw_spans(path)
    }
    batch = read_batch([chunk.request for chunk in read_file(path)], shipped_dialects(), Receipt(2**62, live=False))
    return [
        [(entry.span, attributes[trace_id, entry.span.span_id]) for entry in entries]
        for trace_id, entries in batch.traces.items()
    ]


@pytest.mark.parametrize("name", FILES)
def test_explained_counts_add_up_to_the_facts_and_clues_are_what_was_read(traces_dir, name):
    for _, span in raw_spans(traces_dir / name):
        values, _ = read_fields(span, shipped_dialects())
        clues = find_clues({entry.key: plain(entry.value) for entry in span.attributes}, shipped_dialects())
        assert clues.values == values
        used = {clue.field: clue.value for clue in clues.clues if clue.used}
        told = {field: value for field, value in zip(FIELDS, values, strict=True) if value is not None}
        halves = {"input_cost", "output_cost"} if "cost" in told else set()
        assert used == {field: value for field, value in told.items() if field not in halves}
        assert all(clue.used != bool(clue.why_not) for clue in clues.clues)
    for pairs in traces_of(traces_dir / name):
        explained = Counter()
        for explanation in explain(pairs, shipped_dialects()):
            explained.update(explanation.counts)
        sums = facts([span for span, _ in pairs]).sums.values()
        assert explained == Counter(
            {name: total for name, *column in zip(SUMS, *sums, strict=True) if (total := sum(column))}
        )


def counts_of_tokens(attributes):
    """Return the attributes that hold a count of tokens above 0, by their names alone."""
    return [
        key
        for key, value in attributes.items()
        if re.search("token|usage", key, re.IGNORECASE) and re.search("[1-9]", str(value))
    ]


WITHOUT_TOKENS = {("langfuse", "langfuse.observation.metadata.ls_max_tokens"): "a limit of the request, no usage"}
"""Attributes with "token" or "usage" in their name on a span on which no usage is found, and why."""

COUNTED_BELOW = {
    ("any-agent", "agent"): (2, "smolagents' runs: the sum of their model's calls"),
    ("langfuse", "agent"): (10, "Vercel's outer spans, pydantic-ai's and Microsoft's agents: sums of calls below"),
    ("langfuse", "chain"): (5, "Microsoft's orchestrate_tools, and Langfuse's spans with a usage of 0"),
}
"""Spans of kinds other than a call to a model that tell usage: how many, and why it is not counted there."""


@pytest.mark.parametrize("name", FILES)
def test_tokens_are_found_on_every_span_that_carries_them(traces_dir, name):
    source = name.partition(".")[0]
    elsewhere = Counter()
    for pairs in traces_of(traces_dir / name):
        for span, attributes in pairs:
            if not has_usage(span):
                assert {(source, key) for key in counts_of_tokens(attributes)} <= WITHOUT_TOKENS.keys()
            elif span.shape.kind not in MODEL_KINDS:
                elsewhere[source, span.shape.kind] += 1
    assert elsewhere == {key: count for key, (count, _) in COUNTED_BELOW.items() if key[0] == source}


def span(span_id, kind, *, parent=None, name="s", flags=0, start=0, workflow="", model="", **more):
    shape = Shape("svc", "", name, kind, workflow, "", "", model, more.pop("error", ""))
    base = Span(span_id, parent, start, 10, 1, flags, None, None, None, None, None, None, None, None, shape)
    return base._replace(**more)


def reasons_of(*spans, attributes=None):
    pairs = [(each, (attributes or {}).get(each.span_id, {})) for each in spans]
    return [explanation.reasons for explanation in explain(pairs, shipped_dialects())]


def said(text, reasons):
    return any(text in reason for reason in reasons)


GENAI, FAILED, CONTROL_FLOW, TIMED_OUT, FLAGGED_TIME = 2, 4, 8, 16, 64


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([span(1, "workflow", name="w"), span(2, "agent", parent=1)],
         ["a run: the topmost workflow", "no run: the workflow 'w' stands above it"]),
        ([span(1, "chain"), span(2, "llm", parent=1, input_tokens=3, output_tokens=2)],
         ["a run: a chain with no span of an LLM dialect above it", "usage counted: 3 in (0 cached), 2 out"]),
        ([span(1, "", name="GET /"), span(2, "workflow", parent=1, name="w")],
         ["no run, though nothing stands above it: the run is 'w' below it", "a run"]),
        ([span(1, "")], ["no run, though nothing stands above it: no span of the trace speaks an LLM dialect"]),
        ([span(1, "", flags=GENAI)], ["a run: the top of a trace that has spans of an LLM dialect and no workflow"]),
        ([span(1, "llm", flags=GENAI), span(2, "chain", parent=1, flags=GENAI)],
         ["a run", "no run: a chain below another span of an LLM dialect"]),
        ([span(1, "workflow", parent=9)], ["not a run yet: its ancestors are not all known"]),
        ([span(1, "workflow", parent=9, flags=ORPHAN)], ["an orphan: its parent did not come"]),
        ([span(1, "workflow", parent=9, flags=REMOTE_PARENT)], ["its parent is in another process"]),
        ([span(1, "llm", input_tokens=9), span(2, "llm", parent=1, input_tokens=3)],
         ["usage not counted: a call to a model below it tells its own", "usage counted: 3 in"]),
        ([span(1, "llm", input_tokens=9), span(2, "llm", parent=1)],
         ["no call: another call to a model stands below it and counts", "no usage here: the call around it tells it"]),
        ([span(1, "llm", first_token_ns=7), span(2, "llm", parent=1, first_token_ns=4 * 10**6)],
         ["time to first token not counted: a call to a model below", "time to first token counted: 0.004 s"]),
        ([span(1, "agent", first_token_ns=7)], ["time to first token not counted: it is no call to a model"]),
        ([span(1, "llm"), span(2, "llm", parent=1, input_tokens=9)],
         ["no usage here: a call to a model below it counts", "usage counted"]),
        ([span(1, "agent", input_tokens=9)], ["usage not counted: a span of kind agent tells the sum of calls"]),
        ([span(1, "llm")], ["usage missing: the call succeeded and tells none"]),
        ([span(1, "llm", flags=FAILED, error="E")], ["no usage: it failed"]),
        ([span(1, "tool", flags=FAILED | TIMED_OUT, error="E")], ["failed for good: E (a timeout)"]),
        ([span(1, "node", flags=CONTROL_FLOW, error="GraphInterrupt")], ["no failure: GraphInterrupt"]),
        ([span(1, "llm", input_tokens=1, model="m")], ["unpriced: no price is known for m"]),
        ([span(1, "llm", input_tokens=1)], ["unpriced: it names no model"]),
        ([span(1, "llm", input_tokens=1, cost_nano_usd=1500, model="m")],
         ["cost 0.000002 USD, by the price table"]),
        ([span(1, "tool", flags=FLAGGED_TIME)], ["its clock was off"]),
        ([span(1, "node", attempt_key=5, flags=FAILED), span(2, "node", attempt_key=5, start=1, flags=FAILED),
          span(3, "node", attempt_key=5, start=2)],
         ["recovered: attempt 3 succeeded", "attempt 2 of 3 of one thing", "attempt 3 of 3 of one thing"]),
    ],
)  # fmt: skip
def test_reasons(spans, expected):
    reasons = reasons_of(*spans)
    for found, text in zip(reasons, expected, strict=False):
        assert said(text, found), found


def test_a_failed_attempt_that_a_later_one_made_good_did_not_fail_for_good():
    first, *_ = reasons_of(
        span(1, "node", attempt_key=5, flags=FAILED, error="E"), span(2, "node", attempt_key=5, start=1)
    )
    assert "failed: E" in first


def test_a_cost_that_the_span_tells_is_called_so():
    call = span(1, "llm", input_tokens=1, cost_nano_usd=1500, model="m")
    [reasons] = reasons_of(call, attributes={1: {"operation.cost": 0.0000015}})
    assert said("as the span tells", reasons)


def test_values_that_were_not_used_say_why():
    clues = find_clues(
        {
            "gen_ai.request.model": "unknown",
            "gen_ai.usage.input_tokens": 5,
            "llm.token_count.prompt": 6,
            "gen_ai.usage.output_tokens": "many",
            "gen_ai.operation.name": "frobnicate",
            "gen_ai.agent.name": ["a"],
            "gen_ai.usage.cost": 0,
            "http.method": "GET",
        },
        shipped_dialects(),
    )
    assert {(clue.key, clue.why_not) for clue in clues.clues} == {
        ("gen_ai.request.model", "it means that it is not known"),
        ("gen_ai.usage.input_tokens", ""),
        ("llm.token_count.prompt", "gen_ai.usage.input_tokens goes first"),
        ("gen_ai.usage.output_tokens", "it is no count of tokens"),
        ("gen_ai.operation.name", "otel has no such kind"),
        ("gen_ai.agent.name", "it is not a single value"),
        ("gen_ai.usage.cost", "it is no amount; 0 is written where the cost is not known"),
    }


def test_what_the_table_of_today_would_say_is_told():
    call = span(1, "llm", model="m", input_tokens=1)
    attributes = {"gen_ai.operation.name": "summarise", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 1}
    today = dialects_of({"kinds": {"otel": {"summarise": "chain"}}})
    [explanation] = explain([(call, attributes)], today)
    assert "kind 'llm' was stored; the table of today says 'chain'" in explanation.reasons


def test_a_span_whose_attributes_are_gone_still_says_what_it_counts_as():
    [explanation] = explain([(span(1, "workflow", name="w"), None)], shipped_dialects())
    assert explanation.counts["runs"] == 1
    assert "its attributes are no longer kept" in explanation.reasons


@pytest.fixture
def ihobs(tmp_path, monkeypatch):
    """Run a command on a home in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(main, ["--home", str(tmp_path / "home"), *map(str, arguments)])

    return run


def test_the_command_explains_a_trace_for_people_and_for_machines(ihobs, traces_dir):
    assert ihobs("import", traces_dir / "langgraph" / "openllmetry_langgraph_error.json").exit_code == 0

    text = ihobs("traces", "explain", "166b")
    figures = json.loads(ihobs("traces", "explain", "166b", "--json").output)

    assert text.exit_code == 0, text.output
    assert "[unknown]  gen_ai.request.model (otel): it means that it is not known" in text.output
    assert "- recovered: attempt 2 succeeded" in text.output
    assert "no run: the agent 'invoke_agent report-workflow' stands above it" in text.output
    assert len(figures["spans"]) == 19
    root = figures["spans"][0]
    assert (root["counts"]["runs"], root["counts"]["failed_runs"]) == (1, 1)
    assert {"field": "kind", "key": "gen_ai.operation.name", "path": "", "dialect": "otel", "told": "invoke_agent",
            "value": "agent", "used": True, "why_not": ""} in root["fields"]  # fmt: skip
    one = json.loads(ihobs("traces", "explain", "166b", "--json", "--span", root["span_id"][:6]).output)
    assert [each["span_id"] for each in one["spans"]] == [root["span_id"]]


def test_the_command_says_what_it_does_not_find(ihobs, traces_dir):
    assert ihobs("import", traces_dir / "langgraph" / "openllmetry_langgraph_ok.json").exit_code == 0
    assert ihobs("traces", "explain", "ffff").exit_code == 3
    missing = ihobs("traces", "explain", json.loads(ihobs("traces", "list", "--json").output)[0]["trace_id"],
                    "--span", "zz")  # fmt: skip
    assert (missing.exit_code, "no span 'zz'" in missing.output) == (3, True)


def test_the_command_uses_the_table_of_the_configuration(ihobs, tmp_path, traces_dir):
    (tmp_path / "ihobs.yaml").write_text("dialects: {fields: {tool: [{key: gen_ai.tool.type, dialect: acme}]}}\n")
    assert ihobs("import", traces_dir / "langgraph" / "openllmetry_langgraph_ok.json").exit_code == 0
    trace_id = json.loads(ihobs("traces", "list", "--json").output)[0]["trace_id"]
    output = ihobs("traces", "explain", trace_id).output
    assert "gen_ai.tool.type (acme)" in output
    assert "gen_ai.tool.name (otel): gen_ai.tool.type goes first" in output
