"""LangGraph through OpenInference: whatever is imported first, with content or without, and with our own spans."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("langgraph")
pytest.importorskip("openinference.instrumentation.langchain")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def graph_programs(programs):
    shutil.copy(EXAMPLES / "langgraph_app.py", programs.directory)
    return programs


def expect_two_runs(programs) -> None:
    counted = programs.counted()
    assert (counted.runs, counted.failed_runs, counted.recovered_errors, counted.retries) == (2, 0, 2, 2)
    assert (counted.input_tokens, counted.output_tokens, counted.usage_missing_calls) == (13, 6, 0)
    assert {name for (name,) in programs.grouped("node")} == {"draft", "research", None}
    assert {("local-1",), (None,)} >= set(programs.grouped("model"))


@pytest.mark.parametrize(
    "imports",
    ["import ihobs\nihobs.instrument()\nimport langgraph_app", "import langgraph_app, ihobs\nihobs.instrument()"],
)
def test_the_order_of_imports_does_not_matter(graph_programs, imports):
    ended = graph_programs.python(f"{imports}\nlanggraph_app.main()")
    assert (ended.code, ended.err) == (0, "")
    expect_two_runs(graph_programs)


def test_masked_content_does_not_leave_the_program_but_names_and_tokens_do(graph_programs):
    ended = graph_programs.python(
        """
import ihobs
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
ihobs.instrument(content="mask")
memory = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(memory))
import langgraph_app
langgraph_app.main()
spans = memory.get_finished_spans()
ok = [span for span in spans if span.status.is_ok]
text = repr([dict(span.attributes) for span in spans])
print(len(spans), len(ok), "otters" in text, "string" in text)
"""
    )
    assert (ended.code, ended.err, ended.out) == (
        0,
        "",
        "otters is well known\nstring is well known\n12 10 False False\n",
    )
    expect_two_runs(graph_programs)


def test_langchain_is_not_recorded_twice(graph_programs):
    ended = graph_programs.python(
        """
import ihobs
from openinference.instrumentation.langchain import LangChainInstrumentor
handle = ihobs.instrument()
LangChainInstrumentor().instrument()
import langgraph_app
langgraph_app.main()
"""
    )
    assert ended.code == 0
    expect_two_runs(graph_programs)


def test_spans_of_our_own_inside_a_graph_stand_below_their_node(graph_programs):
    ended = graph_programs.python(
        """
import ihobs
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from langgraph.checkpoint.memory import InMemorySaver
ihobs.instrument()

class State(TypedDict, total=False):
    text: str

@ihobs.tool
def search():
    with ihobs.llm("rank", model="m") as call:
        call.usage(input_tokens=5, output_tokens=1)

def find(state):
    search()
    with ihobs.node("inner"):
        search()
    return {"text": "found"}

def ask(state):
    interrupt("is it right?")

def build():
    graph = StateGraph(State)
    graph.add_node("find", find)
    graph.add_node("ask", ask)
    graph.add_edge(START, "find")
    graph.add_edge("find", "ask")
    return graph.compile(name="Finding", checkpointer=InMemorySaver())

build().invoke({}, {"configurable": {"thread_id": "1"}})
with ihobs.workflow("outer"):
    build().invoke({}, {"configurable": {"thread_id": "2"}})
"""
    )
    assert (ended.code, ended.err) == (0, "")
    runs = {name: counted.runs for (name,), counted in graph_programs.grouped("workflow").items()}
    assert runs == {"Finding": 1, "outer": 1}
    by_node = graph_programs.grouped("node", "kind")
    assert by_node["find", "tool"].calls == 2
    assert by_node["inner", "tool"].calls == 2
    assert by_node["find", "llm"].input_tokens == 10
    assert graph_programs.counted().failed_calls == 0
    assert graph_programs.counted().failed_runs == 0


def test_langchain_is_not_imported_for_its_own_sake(graph_programs):
    ended = graph_programs.execute(
        "import sys\nheavy = ('langchain', 'langgraph', 'openinference')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    assert ended.out == "[]\n"
