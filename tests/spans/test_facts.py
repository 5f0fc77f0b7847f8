"""What each span of a trace counts as: runs, calls, attempts, usage; whatever the order of the spans."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihobs.model import Counters, bucket_index
from ihobs.spans.facts import CALL_FAMILY, COUNTERS, RUN_FAMILY, facts
from ihobs.spans.span import CONTROL_FLOW, FAILED, FLAGGED_TIME, GENAI, ORPHAN, REMOTE_PARENT, TIMED_OUT, Shape, Span

SECOND_NS = 1_000_000_000


def span(span_id, parent=None, kind="", *, at=0, took=1, flags=0, key=None, tokens=None, name="", **texts):
    """A span in few words; `at` and `took` in seconds, `tokens` (input, output)."""
    given_tokens = tokens or (None, None)
    shape = Shape(
        service="svc",
        scope="test",
        name=name or kind or "s",
        kind=kind,
        workflow=texts.get("workflow", ""),
        node=texts.get("node", ""),
        provider=texts.get("provider", ""),
        model=texts.get("model", ""),
        error="Error" if flags & FAILED else "",
    )
    return Span(
        span_id=span_id,
        parent_id=parent,
        start_ns=at * SECOND_NS,
        duration_ns=took * SECOND_NS,
        bucket=(at + took) // 10,
        flags=flags | (GENAI if kind else 0),
        attempt_key=key,
        input_tokens=given_tokens[0],
        output_tokens=given_tokens[1],
        cached_input_tokens=texts.get("cached"),
        cache_write_tokens=None,
        reasoning_tokens=None,
        cost_nano_usd=texts.get("cost"),
        first_token_ns=texts.get("first_token_ns"),
        shape=shape,
    )


def total(spans):
    """The counters of all series together."""
    found = facts(spans)
    return Counters(*(sum(sums[i] for sums in found.sums.values()) for i in range(len(COUNTERS))))


def by_series(spans, counter):
    """{(workflow, node, kind): count} of the series where a counter is not 0."""
    index = COUNTERS.index(counter)
    return {
        (key.workflow, key.node, key.kind): sums[index] for (_, key), sums in facts(spans).sums.items() if sums[index]
    }


class TestRuns:
    @pytest.mark.parametrize(
        ("spans", "runs"),
        [
            pytest.param([span(1, None, "workflow"), span(2, 1, "agent"), span(3, 2, "workflow")], {1}, id="topmost"),
            pytest.param([span(1, None, "agent"), span(2, 1, "llm")], {1}, id="an agent alone"),
            pytest.param([span(1), span(2, 1, "workflow"), span(3, 2, "llm")], {2}, id="a web framework's root above"),
            pytest.param([span(1), span(2, 1), span(3, 2, "chain")], {3}, id="a chain under spans that know no LLM"),
            pytest.param([span(1, None, "llm"), span(2, 1, "chain")], {1}, id="a chain inside a call is none"),
            pytest.param([span(1), span(2, 1, "llm")], {1}, id="the root of a trace with calls and no workflow"),
            pytest.param([span(1), span(2, 1)], set(), id="a trace without any LLM"),
            pytest.param(
                [span(1), span(2, 1, "workflow"), span(3, 1, "workflow")], {2, 3}, id="two workflows below one request"
            ),
            pytest.param([span(1, None, "llm"), span(2, None, "llm")], {1, 2}, id="several roots without workflow"),
            pytest.param(
                [span(1, None, "workflow"), span(2, None, "llm")], {1}, id="a stray call beside a workflow is no run"
            ),
            pytest.param([span(2, 1, "workflow")], set(), id="the parent is not known yet"),
            pytest.param([span(2, 1, "workflow", flags=ORPHAN)], {2}, id="the parent never came"),
            pytest.param([span(2, 1, "workflow", flags=REMOTE_PARENT)], {2}, id="the parent is in another service"),
            pytest.param([span(2, 1, "llm", flags=ORPHAN)], {2}, id="an orphan call stands for its lost root"),
            pytest.param([span(2, 1, "llm", workflow="flow", flags=ORPHAN)], set(), id="a stamped orphan"),
            pytest.param(
                [span(1, None, "workflow"), span(2, 1, "agent", flags=ORPHAN)], {1}, id="an orphan no more"
            ),
            pytest.param([span(1, 1, "workflow")], {1}, id="its own parent"),
            pytest.param([span(1, 2, "workflow"), span(2, 1, "workflow")], {1}, id="a loop of parents"),
        ],
    )  # fmt: skip
    def test_who_is_a_run(self, spans, runs):
        for order in permutations(spans):
            assert facts(order).runs == runs

    def test_a_run_fails_by_its_own_status_and_not_by_its_childrens(self):
        counted = total([span(1, None, "workflow"), span(2, 1, "node", flags=FAILED), span(3, 2, "llm", flags=FAILED)])
        assert (counted.runs, counted.failed_runs, counted.failed_calls) == (1, 0, 2)

        counted = total([span(1, None, "workflow", flags=FAILED | TIMED_OUT), span(2, 1, "llm")])
        assert (counted.failed_runs, counted.timed_out_runs, counted.failed_calls) == (1, 1, 0)

    def test_control_flow_is_no_failure(self):
        counted = total([span(1, None, "workflow", flags=CONTROL_FLOW), span(2, 1, "node", flags=CONTROL_FLOW)])
        assert (counted.runs, counted.failed_runs, counted.calls, counted.failed_calls) == (1, 0, 1, 0)

    def test_a_trace_waits_only_while_ancestors_are_missing_and_it_speaks_of_llms(self):
        assert facts([span(2, 1, "llm")]).waiting
        assert facts([span(1, None, "workflow"), span(2, 1, "llm"), span(4, 3, "tool")]).waiting
        assert not facts([span(2, 1)]).waiting
        assert not facts([span(2, 1, "llm", flags=ORPHAN)]).waiting
        assert not facts([span(1, None, "workflow"), span(2, 1, "llm")]).waiting

    def test_a_runs_duration_is_its_own(self):
        found = facts([span(1, None, "workflow", took=9), span(2, 1, "llm", took=4)])
        counts = {(family, index): count for (_, _, family, index), count in found.buckets.items()}
        assert counts == {
            (RUN_FAMILY, bucket_index(9 * SECOND_NS)): 1,
            (CALL_FAMILY, bucket_index(4 * SECOND_NS)): 1,
        }

    def test_the_first_run_names_the_trace(self):
        spans = [span(1), span(2, 1, "workflow", at=5, workflow="later"), span(3, 1, "agent", at=2, workflow="first")]
        assert facts(spans).workflow == "first"
        assert facts([span(1)]).workflow == ""


class TestSeries:
    def test_calls_count_under_the_topmost_workflow_and_the_nearest_node(self):
        spans = [
            span(1, None, "workflow", workflow="report"),
            span(2, 1, "node", node="plan"),
            span(3, 2, "agent", workflow="helper"),
            span(4, 3, "llm"),
            span(5, 4, "tool", node="inner"),
        ]
        assert by_series(spans, "calls") == {
            ("report", "plan", "node"): 1,
            ("report", "plan", "llm"): 1,
            ("report", "inner", "tool"): 1,
        }

    def test_a_node_inside_a_node_has_its_own_name(self):
        top = span(9, None, "workflow", workflow="w")
        spans = [top, span(1, 9, "node", node="outer"), span(2, 1, "node", node="inner"), span(3, 2, "llm")]
        assert by_series(spans, "calls") == {
            ("w", "outer", "node"): 1,
            ("w", "inner", "node"): 1,
            ("w", "inner", "llm"): 1,
        }

    def test_what_was_stamped_counts_when_nothing_stands_above_yet(self):
        assert by_series([span(3, 2, "llm", workflow="report", node="plan")], "calls") == {("report", "plan", "llm"): 1}

    def test_a_topmost_chain_counts_as_a_workflow(self):
        assert by_series([span(1, None, "chain", workflow="graph"), span(2, 1, "chain")], "runs") == {
            ("graph", "", "workflow"): 1
        }

    def test_a_flagged_clock_is_counted(self):
        assert total([span(1, None, "workflow", flags=FLAGGED_TIME), span(2, 1, "llm")]).flagged_times == 1


TOLD, FEW = (7, 3), (1, 1)
"""Input and output tokens of calls that tell them."""


class TestUsage:
    """It counts once, on the innermost call that tells it; what is not told is a state, not 0."""

    @pytest.mark.parametrize(
        ("spans", "calls", "tokens", "missing"),
        [
            pytest.param([span(1, None, "llm", tokens=TOLD)], 1, (7, 3), 0, id="one call"),
            pytest.param(
                [span(1, None, "llm", tokens=TOLD), span(2, 1, "llm", tokens=TOLD)], 1, (7, 3), 0,
                id="doubled: the inner one counts",
            ),
            pytest.param(
                [span(1, None, "llm", tokens=TOLD), span(2, 1, "llm")], 1, (7, 3), 0,
                id="only the outer one tells: nothing is missing",
            ),
            pytest.param(
                [span(1, None, "llm"), span(2, 1, "llm", tokens=TOLD)], 1, (7, 3), 0, id="only the inner one tells"
            ),
            pytest.param(
                [span(1, None, "llm", tokens=(14, 6)), span(2, 1, "llm", tokens=TOLD), span(3, 1, "llm", tokens=TOLD)],
                2, (14, 6), 0, id="an outer sum of two inner calls",
            ),
            pytest.param(
                [span(1, None, "llm", tokens=TOLD), span(2, 1, "llm", tokens=TOLD), span(3, 1, "llm")],
                2, (7, 3), 1, id="one of two inner calls does not tell",
            ),
            pytest.param(
                [span(1, None, "llm", tokens=TOLD), span(2, 1, "llm"), span(3, 2, "llm")], 1, (7, 3), 0,
                id="only the outermost of three tells",
            ),
            pytest.param(
                [span(1, None, "llm", tokens=TOLD), span(2, 1, "tool"), span(4, 2, "llm", tokens=FEW)],
                1, FEW, 0, id="a call far below, through a tool, is the innermost too",
            ),
            pytest.param(
                [span(1, None, "agent", tokens=FEW), span(2, 1, "chain", tokens=FEW), span(3, 2, "llm", tokens=TOLD)],
                1, (7, 3), 0, id="never on agents, chains or aggregates",
            ),
            pytest.param([span(1, None, "embedding", tokens=(7, None))], 1, (7, 0), 0, id="an embedding"),
            pytest.param([span(1, None, "llm", tokens=(0, 0))], 1, (0, 0), 0, id="zero is told"),
            pytest.param([span(1, None, "llm")], 1, (0, 0), 1, id="nothing told"),
            pytest.param([span(1, None, "llm", flags=FAILED)], 1, (0, 0), 0, id="a failed call owes no usage"),
        ],
    )  # fmt: skip
    def test_innermost(self, spans, calls, tokens, missing):
        for order in permutations(spans):
            counted = total(order)
            assert (counted.calls - sum(s.shape.kind == "tool" for s in spans)) == calls
            assert (counted.input_tokens, counted.output_tokens, counted.usage_missing_calls) == (*tokens, missing)

    def test_an_unknown_price_is_counted_and_a_known_one_is_summed(self):
        counted = total([span(1, None, "llm", tokens=TOLD), span(2, None, "llm", tokens=TOLD, cost=5)])
        assert (counted.cost_nano_usd, counted.unpriced_calls) == (5, 1)

    def test_a_cost_of_nothing_is_a_price(self):
        assert total([span(1, None, "llm", tokens=TOLD, cost=0)]).unpriced_calls == 0

    def test_a_call_without_usage_is_neither_priced_nor_unpriced(self):
        counted = total([span(1, None, "llm", cost=5)])
        assert (counted.cost_nano_usd, counted.unpriced_calls, counted.usage_missing_calls) == (0, 0, 1)


class TestAttempts:
    @staticmethod
    def tries(*outcomes, key=1, kind="node"):
        return [span(i + 2, 1, kind, at=i, flags=flags, key=key) for i, flags in enumerate(outcomes)]

    @pytest.mark.parametrize(
        ("outcomes", "failed", "recovered", "retries"),
        [
            pytest.param([FAILED, FAILED, 0], 0, 2, 2, id="recovered"),
            pytest.param([FAILED, FAILED], 2, 0, 1, id="exhausted"),
            pytest.param([0], 0, 0, 0, id="at once"),
            pytest.param([0, FAILED], 1, 0, 1, id="the last word counts"),
            pytest.param([FAILED, 0, FAILED], 1, 1, 2, id="recovered and failed again"),
            pytest.param([FAILED, CONTROL_FLOW], 0, 1, 1, id="an interrupt is no failure"),
            pytest.param([FAILED | TIMED_OUT, FAILED | TIMED_OUT], 2, 0, 1, id="timed out twice"),
        ],
    )
    def test_attempts_of_one_thing(self, outcomes, failed, recovered, retries):
        spans = [span(1, None, "workflow"), *self.tries(*outcomes)]
        for order in permutations(spans):
            counted = total(order)
            assert (counted.failed_calls, counted.recovered_errors, counted.retries) == (failed, recovered, retries)
            assert counted.calls == len(outcomes)
        assert counted.timed_out_calls == sum(bool(flags & TIMED_OUT) for flags in outcomes)

    def test_a_recovered_error_counts_in_the_minute_of_the_failed_attempt(self):
        spans = [span(1, None, "node", at=0, flags=FAILED, key=1), span(2, None, "node", at=100, key=1)]
        index = COUNTERS.index("recovered_errors")
        assert {bucket: sums[index] for (bucket, _), sums in facts(spans).sums.items()} == {0: 1, 10: 0}

    @pytest.mark.parametrize(
        ("second", "why"),
        [
            (span(3, 1, "tool", at=1), "no key"),
            (span(3, 1, "tool", at=1, key=2), "another key"),
            (span(3, 9, "tool", at=1, key=1), "another parent"),
            (span(3, 1, "tool", at=1, key=1, name="other"), "another name"),
        ],
    )
    def test_what_is_no_attempt_of_the_same_thing(self, second, why):
        first = span(2, 1, "tool", flags=FAILED, key=None if why == "no key" else 1)
        counted = total([span(1, None, "workflow"), first, second])
        assert (counted.failed_calls, counted.recovered_errors, counted.retries) == (1, 0, 0)


@st.composite
def spans_of_a_trace(draw):
    """Any graph of parents, loops and missing ones too."""
    size = draw(st.integers(1, 7))
    return [
        span(
            number,
            draw(st.sampled_from([None, 99, *range(1, size + 1)])),
            draw(st.sampled_from(["", "workflow", "agent", "chain", "node", "tool", "llm", "embedding"])),
            at=draw(st.integers(0, 30)),
            took=draw(st.integers(0, 9)),
            flags=draw(st.sampled_from([0, FAILED, CONTROL_FLOW, REMOTE_PARENT, ORPHAN, FAILED | ORPHAN])),
            key=draw(st.sampled_from([None, None, 1, 2])),
            tokens=draw(st.sampled_from([None, None, (5, 2), (0, None)])),
            name=draw(st.sampled_from("ab")),
        )
        for number in range(1, size + 1)
    ]


@settings(max_examples=300, deadline=None)
@given(spans=spans_of_a_trace(), data=st.data())
def test_facts_do_not_depend_on_the_order_of_the_spans(spans, data):
    assert facts(data.draw(st.permutations(spans))) == facts(spans)


@settings(max_examples=200, deadline=None)
@given(spans=spans_of_a_trace())
def test_every_span_counts_once_and_no_count_exceeds_what_it_is_part_of(spans):
    counted = total(spans)
    assert counted.spans == len(spans)
    assert counted.runs == len(facts(spans).runs)
    assert 0 <= counted.failed_runs <= counted.runs
    assert 0 <= counted.failed_calls + counted.recovered_errors <= counted.calls
    assert counted.input_tokens <= sum(s.input_tokens or 0 for s in spans if s.shape.kind in ("llm", "embedding"))
    assert sum(facts(spans).buckets.values()) == counted.runs + counted.calls
