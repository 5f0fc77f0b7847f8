"""Time to first token in the store: by group, whatever counts as a call, over all resolutions."""

import pytest

from ihobs.clock import DAY_NS
from ihobs.store import query

LLM = {"ihobs.kind": "llm", "gen_ai.usage.input_tokens": 10}
WAIT = "gen_ai.response.time_to_first_chunk"


@pytest.fixture
def first_tokens(store):
    """Return the first tokens of everything, by the first of the dimensions asked for."""

    def read(by=(), **more):
        groups = query.metrics(store.database, start_ns=0, end_ns=2**62, by=by, **more).groups
        return {next(iter(group.by.values()), None): group.first_tokens for group in groups}

    return read


@pytest.fixture
def streamed(store, build):
    """Store a run with a node and two calls in it, one of them streamed for each of these waits."""

    def add(*waits_s, trace=1):
        spans = [
            (1, {"attributes": {"ihobs.kind": "workflow", "ihobs.workflow": "w"}}),
            (2, {"parent": 1, "attributes": {"ihobs.kind": "node", "ihobs.node": "n"}}),
            (3, {"parent": 2, "attributes": LLM}),
            *((n, {"parent": 2, "attributes": {**LLM, WAIT: wait_s}}) for n, wait_s in enumerate(waits_s, 4)),
        ]
        store.ingest(build.request(*((number, {**more, "trace": trace}) for number, more in spans)), live=False)

    return add


@pytest.mark.parametrize(
    ("by", "group", "more"),
    [
        ((), None, {}),
        ((), None, {"of": "tool"}),
        (("workflow",), "w", {}),
        (("node",), "n", {}),
        (("kind",), "llm", {}),
        (("kind",), "llm", {"of": "node"}),
    ],
)
def test_it_is_that_of_the_streamed_calls_however_they_are_grouped(streamed, first_tokens, by, group, more):
    streamed(0.1, 0.2, 0.6)
    found = first_tokens(by, **more)[group]
    assert (found.count, found.sum_ns, found.mean_s()) == (3, 900_000_000, 0.3)
    assert [found.quantile_s(0.5), found.max_s()] == [pytest.approx(0.2, rel=0.01), pytest.approx(0.6, rel=0.01)]


def test_without_buckets_the_mean_stays(streamed, first_tokens):
    streamed(0.1, 0.3)
    found = first_tokens(durations=False)[None]
    assert (found.mean_s(), found.buckets) == (0.2, ())


def test_folding_keeps_it(streamed, first_tokens, store, clock):
    streamed(0.1, 0.2)
    streamed(0.4, trace=2)
    before = first_tokens()
    for _ in range(20):
        clock.forward(DAY_NS)
        store.maintain()
    assert first_tokens() == before
    assert before[None].count == 3


def test_an_inner_call_that_comes_later_takes_the_place_of_the_outer_one(store, build, first_tokens):
    outer = build.request((1, {"attributes": {**LLM, WAIT: 0.5}}))
    inner = build.request((2, {"parent": 1, "attributes": {**LLM, WAIT: 0.2}}))
    store.ingest(outer, live=False)
    assert first_tokens()[None].sum_ns == 500_000_000
    store.ingest(inner, live=False)
    found = first_tokens()[None]
    assert (found.count, found.sum_ns) == (1, 200_000_000)
    assert sum(count for _, count in found.buckets) == 1
