"""Time to first token: told in each dialect's unit, believed when it can be true, counted once."""

from __future__ import annotations

import pytest
from tests.spans.test_facts import span

from ihobs.clock import SECOND_NS
from ihobs.model import bucket_index
from ihobs.redact.policy import Policy
from ihobs.redact.tally import Tally
from ihobs.spans.attributes import attributes_of
from ihobs.spans.dialects import dialects_of, shipped_dialects
from ihobs.spans.facts import FIRST_TOKEN_FAMILY, FIRST_TOKEN_NS, FIRST_TOKENS, facts
from ihobs.spans.normalise import Receipt, normalise
from ihobs.store.home import Home
from ihobs.store.redaction import redactor_for

START_S = 1_795_341_600  # 2026-11-22T10:00:00Z
OTEL = "gen_ai.response.time_to_first_chunk"
VERCEL = "ai.response.msToFirstChunk"
OPENLIT = "gen_ai.server.time_to_first_token"
LANGFUSE = "langfuse.observation.completion_start_time"


@pytest.fixture
def first_token_ns(otlp_span):
    """Return what is read of a span that took two seconds."""

    def read(attributes, dialects=None):
        told = otlp_span(attributes={"ihobs.kind": "llm", **attributes})
        told.start_time_unix_nano, told.end_time_unix_nano = START_S * SECOND_NS, (START_S + 2) * SECOND_NS
        return normalise(told, "svc", "", dialects or shipped_dialects(), Receipt(2**62, live=False)).first_token_ns

    return read


@pytest.mark.parametrize(
    ("attributes", "expected_ns"),
    [
        ({OTEL: 0.25}, 250_000_000),
        ({OTEL: "0.25"}, 250_000_000),
        ({OTEL: 1}, 1_000_000_000),
        ({VERCEL: 250.5}, 250_500_000),
        ({VERCEL: 250}, 250_000_000),
        ({OPENLIT: 0.25}, 250_000_000),
        ({OPENLIT: 0.25, "gen_ai.request.is_stream": True}, 250_000_000),
        ({LANGFUSE: '"2026-11-22T10:00:00.250Z"'}, 250_000_000),
        ({LANGFUSE: "2026-11-22T11:00:00.250001+01:00"}, 250_001_000),
        ({LANGFUSE: "2026-11-22T10:00:00.250"}, 250_000_000),
        ({LANGFUSE: "2026-11-22T10:00:00Z"}, 0),
        ({VERCEL: 900.0, OTEL: 0.25}, 250_000_000),
        ({LANGFUSE: "2026-11-22T10:00:01Z", OPENLIT: 0.25}, 250_000_000),
        ({OTEL: 2.0}, 2_000_000_000),
    ],
)
def test_each_dialect_tells_it_in_its_own_unit(first_token_ns, attributes, expected_ns):
    assert first_token_ns(attributes) == expected_ns


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {OTEL: -0.1},
        {OTEL: 2.001},
        {OTEL: float("nan")},
        {OTEL: float("inf")},
        {OTEL: "soon"},
        {OTEL: 10**40 * 1.0},
        {LANGFUSE: "2026-11-22T09:59:59Z"},
        {LANGFUSE: "2026-11-22T10:00:03Z"},
        {LANGFUSE: "yesterday"},
        {LANGFUSE: '""'},
        {LANGFUSE: "0001-01-01T00:00:00+23:59"},
    ],
)
def test_what_cannot_be_true_is_not_believed(first_token_ns, attributes):
    assert first_token_ns(attributes) is None


def test_openlit_tells_a_first_token_of_answers_in_one_piece_and_it_does_not_count(first_token_ns):
    assert first_token_ns({OPENLIT: 2.0, "gen_ai.request.is_stream": False}) is None


def test_a_line_of_ones_own_can_tell_it(first_token_ns):
    section = {"fields": {"first_token": [{"key": "my.ttft", "as": "ms"}]}}
    assert first_token_ns({"my.ttft": 12}, dialects_of(section)) == 12_000_000


@pytest.mark.parametrize("content", ["mask", "keep"])
def test_redaction_leaves_it_readable(otlp_span, tmp_path, content):
    told = otlp_span(attributes={"ihobs.kind": "llm", LANGFUSE: '"2026-11-22T10:00:00.250000Z"'})
    told.start_time_unix_nano, told.end_time_unix_nano = START_S * SECOND_NS, (START_S + 2) * SECOND_NS
    redactor = redactor_for(Home.open(tmp_path / "home", create=True), Policy(content=content), shipped_dialects())
    redactor.span(told, attributes_of(told), Tally())
    read = normalise(told, "svc", "", shipped_dialects(), Receipt(2**62, live=False))
    assert read.first_token_ns == 250_000_000


def counted_waits(*spans):
    """Return {model: (count, sum in ns)} of what counts, after checking that the histogram holds as many."""
    found = facts(spans)
    counted = {
        key.model: (sums[FIRST_TOKENS], sums[FIRST_TOKEN_NS])
        for (_, key), sums in found.sums.items()
        if sums[FIRST_TOKENS] or sums[FIRST_TOKEN_NS]
    }
    buckets = {place: n for place, n in found.buckets.items() if place[2] == FIRST_TOKEN_FAMILY}
    assert sum(buckets.values()) == sum(count for count, _ in counted.values())
    return counted


def test_it_counts_on_the_innermost_call_that_tells_it():
    run = span(9, None, "workflow")
    outer = span(1, 9, "llm", model="outer", first_token_ns=30)
    wrapper = span(2, 1, "llm", model="wrapper", first_token_ns=20)
    inner = span(3, 2, "llm", model="inner", first_token_ns=10)
    silent = span(3, 2, "llm", model="inner")
    assert counted_waits(run, outer, wrapper, inner) == {"inner": (1, 10)}
    assert counted_waits(run, outer, wrapper, silent) == {"wrapper": (1, 20)}
    assert counted_waits(run, outer, wrapper._replace(first_token_ns=None), silent) == {"outer": (1, 30)}


def test_calls_beside_each_other_count_each_and_what_is_no_call_does_not():
    run = span(1, None, "agent", model="agent", first_token_ns=5)
    calls = [span(number, 1, "llm", model="m", first_token_ns=number * 10) for number in (2, 3)]
    assert counted_waits(run, *calls, span(4, 1, "tool", first_token_ns=7)) == {"m": (2, 50)}


def test_the_histogram_holds_the_wait_and_not_the_duration():
    found = facts([span(1, None, "llm", first_token_ns=250_000_000)])
    [position] = [place[3] for place in found.buckets if place[2] == FIRST_TOKEN_FAMILY]
    assert position == bucket_index(250_000_000)
