"""Spans of the real SDK know their workflow and node when they start, and runs in progress are counted once."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from ihobs.telemetry.places import LANGCHAIN_SCOPE, SCOPE, OpenSpans


class Program(SpanProcessor):
    """Starts and ends spans, which a table of open spans hears of."""

    def __init__(self) -> None:
        self.spans = OpenSpans()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(self)

    def on_start(self, span, parent_context=None):
        self.spans.opened(span)

    def on_end(self, span):
        self.spans.closed(span.context.span_id)

    def foreign(self, name, parent=None, *, scope="somebody", kind=SpanKind.INTERNAL):
        return self._start(scope, name, parent, kind, {})

    def own(self, kind, name, parent=None):
        extra = {f"ihobs.{kind}": name} if kind in {"workflow", "node"} else {}
        return self._start(SCOPE, name, parent, SpanKind.INTERNAL, {"ihobs.kind": kind, **extra})

    def _start(self, scope, name, parent, kind, attributes):
        context = Context() if parent is None else trace.set_span_in_context(parent)
        return self._provider.get_tracer(scope).start_span(name, context, kind=kind, attributes=attributes)

    def names(self, span):
        place = self.spans.find(span.get_span_context().span_id)
        return place.workflow, place.node


@pytest.fixture
def program() -> Program:
    return Program()


def remote_parent() -> NonRecordingSpan:
    return NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)))


def test_everything_below_a_workflow_and_a_node_carries_their_names(program):
    run = program.own("workflow", "flow")
    node = program.own("node", "draft", run)
    http = program.foreign("POST", node, kind=SpanKind.CLIENT)
    tool = program.own("tool", "search", http)
    assert program.names(run) == ("flow", None)
    assert [program.names(span) for span in (node, http, tool)] == [("flow", "draft")] * 3
    assert program.names(program.foreign("later", run)) == ("flow", None)


def test_a_workflow_inside_a_workflow_belongs_to_the_outer_one(program):
    run = program.own("workflow", "flow")
    inner = program.own("workflow", "sub", program.own("node", "n", run))
    assert program.names(inner) == ("flow", "n")
    assert program.spans.active() == {"flow": 1}


def test_runs_are_counted_while_they_are_open(program):
    first, second = program.own("workflow", "a"), program.own("workflow", "a")
    third = program.own("workflow", "b")
    assert program.spans.active() == {"a": 2, "b": 1}
    for span in (first, second, third):
        span.end()
    assert program.spans.active() == {}


def test_a_root_that_is_no_workflow_counts_until_a_workflow_starts_below_it(program):
    root = program.foreign("nightly job")
    assert program.spans.active() == {"nightly job": 1}
    helper = program.foreign("helper", root)
    run = program.own("workflow", "flow", helper)
    assert program.spans.active() == {"flow": 1}
    run.end()
    assert program.spans.active() == {}


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER, SpanKind.CLIENT, SpanKind.PRODUCER])
def test_the_frame_around_a_run_is_not_a_run(program, kind):
    frame = program.foreign("frame", kind=kind)
    assert program.spans.active() == {}
    program.own("workflow", "flow", frame)
    assert program.spans.active() == {"flow": 1}


def test_a_run_below_a_span_of_another_process_counts_here(program):
    run = program.own("workflow", "flow", remote_parent())
    assert program.names(run) == ("flow", None)
    assert program.spans.active() == {"flow": 1}
    assert program.foreign("POST", remote_parent(), kind=SpanKind.SERVER).is_recording()
    assert program.spans.active() == {"flow": 1}


def test_a_child_that_outlives_its_parent_is_not_a_run(program):
    parent = program.foreign("parent")
    parent.end()
    program.foreign("child", parent)
    assert program.spans.active() == {}


def test_the_root_of_langchain_is_a_workflow(program):
    graph = program.foreign("LangGraph", scope=LANGCHAIN_SCOPE)
    assert program.names(program.foreign("chat", graph, scope=LANGCHAIN_SCOPE)) == ("LangGraph", None)
    inside = program.foreign("LangGraph", program.own("workflow", "flow"), scope=LANGCHAIN_SCOPE)
    assert program.names(inside) == ("flow", None)


def test_a_call_outside_of_any_workflow_is_a_run_of_its_own(program):
    call = program.own("llm", "chat")
    assert program.names(call) == (None, None)
    assert program.spans.active() == {"chat": 1}


def test_a_forked_child_leaves_its_parents_spans_alone_but_knows_where_it_stands(program):
    run = program.own("workflow", "flow")
    program.spans.forked()
    assert program.spans.active() == {}
    assert run.get_span_context().span_id in program.spans.inherited
    own = program.own("node", "n", run)
    assert program.names(own) == ("flow", "n")
    assert own.get_span_context().span_id not in program.spans.inherited


def test_spans_that_are_never_ended_do_not_fill_the_memory(program, monkeypatch):
    monkeypatch.setattr("ihobs.telemetry.places.MAX_OPEN_SPANS", 3)
    opened = [program.foreign(str(number)) for number in range(5)]
    assert program.spans.active() == {"0": 1, "1": 1, "2": 1}
    for span in opened:
        span.end()
    assert program.spans.active() == {}
