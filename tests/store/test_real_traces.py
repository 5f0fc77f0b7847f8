"""The real traces: totals must equal those of another reading of the same JSON, written only for this test.

That reading knows nothing of the dialect table. It walks the raw JSON and answers four questions for a span:
does it call a model, what usage does it tell, is it a workflow or an agent, did it fail.
"""

import gzip
import json
from collections import defaultdict

import pytest

from ihobs.model import DIMENSIONS
from ihobs.spans.decode import read_file
from ihobs.store import query
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore

LANGGRAPH = [f"langgraph/{who}_langgraph_{how}.json" for who in ("openinference", "langsmith_otel", "openllmetry")
             for how in ("ok", "error")]  # fmt: skip
FILES = ["fixtures.otlp.jsonl.gz", "langfuse.otlp.jsonl.gz", "any-agent.otlp.jsonl.gz", "any-agent.otlp.pb.gz",
         "agent-prism.otlp.jsonl.gz", "tau2.otlp.jsonl.gz", *LANGGRAPH]  # fmt: skip

MODEL_CALL = {
    "openinference.span.kind": {"LLM", "EMBEDDING"},
    "gen_ai.operation.name": {"chat", "call_llm", "generate_content", "text_completion", "embeddings"},
    "langsmith.span.kind": {"llm"},
    "langfuse.observation.type": {"generation"},
    "ai.operationId": {"ai.generateText.doGenerate", "ai.streamText.doStream", "ai.generateObject.doGenerate"},
}
NO_MODEL_CALL = {
    "openinference.span.kind": {"CHAIN", "AGENT", "TOOL", "RETRIEVER"},
    "gen_ai.operation.name": {"invoke_agent", "execute_tool", "create_agent", "execute_task"},
    "ai.operationId": {"ai.streamText", "ai.generateText", "ai.toolCall"},
}
USAGE = {
    "input": ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt",
              "ai.usage.inputTokens", "ai.usage.promptTokens"],
    "output": ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
               "ai.usage.outputTokens", "ai.usage.completionTokens"],
}  # fmt: skip


class RawSpan:
    def __init__(self, span, scope):
        self.key = (span["traceId"], span["spanId"])
        self.parent = (span["traceId"], span.get("parentSpanId") or None)
        self.scope = scope
        self.status = span.get("status", {}).get("code")
        self.events = [event.get("name") for event in span.get("events", [])]
        self.attributes = {a["key"]: next(iter(a.get("value", {}).values()), None) for a in span.get("attributes", [])}

    def says(self, table):
        return any(self.attributes.get(key) in values for key, values in table.items())

    def calls_a_model(self):
        if self.says(NO_MODEL_CALL):
            return False
        named = self.attributes.get("gen_ai.request.model") or self.attributes.get("gen_ai.response.model")
        return self.says(MODEL_CALL) or bool(named and (self.usage("input") is not None))

    def usage(self, side):
        for key in USAGE[side]:
            if key in self.attributes:
                return int(self.attributes[key])
        for key in ("langsmith.metadata.usage_metadata", "langfuse.observation.usage_details"):
            value = json.loads(self.attributes.get(key) or "{}")
            for name in (f"{side}_tokens", side):
                if isinstance(value, dict) and name in value:
                    return int(value[name]) + self.beside(side, value)
        return None

    def beside(self, side, details):
        """Langfuse counts reasoning beside the output: 179 in, 35 out, 64 reasoning are 278 in total."""
        reasoning = int(details.get("output_reasoning", 0)) if side == "output" else 0
        assert not reasoning or details["total"] == details["input"] + details["output"] + reasoning
        return reasoning

    def tells_usage(self):
        return self.usage("input") is not None or self.usage("output") is not None

    def failed(self):
        return self.status == 2 or (self.scope == "langsmith" and "exception" in self.events)


def read_raw(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        requests = [json.loads(line) for line in file] if ".jsonl" in path.name else [json.load(file)]
    return [
        RawSpan(span, scope_spans.get("scope", {}).get("name", ""))
        for request in requests
        for resource_spans in request["resourceSpans"]
        for scope_spans in resource_spans["scopeSpans"]
        for span in scope_spans["spans"]
    ]


def expected(path):
    spans = read_raw(path)
    by_key = {span.key: span for span in spans}
    inner = set()  # keys of model calls that have another one that tells its usage below them
    for span in spans:
        if span.calls_a_model() and span.tells_usage():
            above = by_key.get(span.parent)
            while above is not None:
                inner.add(above.key)
                above = by_key.get(above.parent)
    counted = [span for span in spans if span.calls_a_model() and span.key not in inner]
    cached = [int(span.attributes.get(key, 0)) for span in counted for key in ("gen_ai.usage.cache_read.input_tokens",)]
    return {
        "spans": len(spans),
        "traces": len({span.key[0] for span in spans}),
        "failed_spans": sum(span.failed() for span in spans),
        "input_tokens": sum(span.usage("input") or 0 for span in counted),
        "output_tokens": sum(span.usage("output") or 0 for span in counted),
        "cached_at_least": sum(cached),
    }


RUNS = {
    "fixtures": (0, 0),  # five spans without any LLM attribute: no run
    "langfuse": (27, 0),  # 25 traces, one of them with three roots
    "any-agent": (158, 0),
    "agent-prism": (3, 0),
    "tau2": (289, 10),  # ten invoke_agent roots have status ERROR
}


@pytest.fixture
def opened(tmp_path):
    with TelemetryStore(Home.open(tmp_path / "home", create=True)) as store:
        yield store


def bring_in(store, path):
    results = [store.ingest(chunk.request, live=False) for chunk in read_file(path)]
    store.settle(everything=True)
    return results


def summary(store):
    with store.database.read() as connection:
        traces, failed = connection.execute("SELECT count(*), coalesce(sum(failed_spans), 0) FROM trace").fetchone()
    [group] = query.metrics(store.database, start_ns=0, end_ns=2**62).groups
    return {"traces": traces, "failed_spans": failed, "counters": group.counters}


@pytest.mark.parametrize("name", FILES)
def test_totals_equal_another_reading_of_the_same_json(opened, traces_dir, name):
    raw = expected(traces_dir / name.replace(".pb.", ".jsonl."))

    bring_in(opened, traces_dir / name)

    found = summary(opened)
    counters = found["counters"]
    assert (counters.spans, found["traces"]) == (raw["spans"], raw["traces"])
    assert found["failed_spans"] == raw["failed_spans"]
    assert (counters.input_tokens, counters.output_tokens) == (raw["input_tokens"], raw["output_tokens"])
    assert counters.cached_input_tokens >= raw["cached_at_least"]
    if name in LANGGRAPH:
        assert (counters.runs, counters.failed_runs) == (1, int("error" in name))
    else:
        assert (counters.runs, counters.failed_runs) == RUNS[name.partition(".")[0]]


@pytest.mark.parametrize("name", FILES)
def test_importing_twice_changes_no_number(opened, traces_dir, name):
    bring_in(opened, traces_dir / name)
    once = summary(opened), everything(opened)

    again = bring_in(opened, traces_dir / name)

    assert sum(result.accepted for result in again) == 0
    assert (summary(opened), everything(opened)) == once


def everything(store):
    return query.metrics(store.database, start_ns=0, end_ns=2**62, by=DIMENSIONS).groups


@pytest.mark.parametrize("how", ["ok", "error"])
def test_three_instrumentations_of_one_graph_give_the_same_runs_nodes_attempts_errors_calls_and_tokens(
    tmp_path, traces_dir, how
):
    seen = {}
    for who in ("openinference", "langsmith_otel", "openllmetry"):
        with TelemetryStore(Home.open(tmp_path / who, create=True)) as store:
            bring_in(store, traces_dir / f"langgraph/{who}_langgraph_{how}.json")
            found = defaultdict(dict)
            for by in ("node", "kind", "workflow"):
                for group in query.metrics(store.database, start_ns=0, end_ns=2**62, by=[by]).groups:
                    c = group.counters
                    value = {"agent": "workflow"}.get(group.by[by], group.by[by])
                    if by == "kind" and value == "workflow" and not c.runs:
                        continue  # OpenLLMetry's second span for one graph: no run
                    found[by][value] = (c.runs, c.failed_runs, c.calls, c.failed_calls, c.recovered_errors, c.retries,
                                        c.input_tokens, c.output_tokens)  # fmt: skip
            seen[who] = dict(found)
    assert seen["openinference"] == seen["langsmith_otel"] == seen["openllmetry"]
    nodes = seen["openinference"]["node"]
    assert set(nodes) == {"plan", "research", "review", "publish", None}
    assert nodes["research"][2:6] == (3, 0, 1, 1)  # three attempts, none failed for good, one recovered, one retry
    assert nodes["publish"][3] == int(how == "error")
    assert seen["openinference"]["workflow"]["report-workflow"][:2] == (1, int(how == "error"))
