"""The same graph told by two instrumentations in one trace counts once."""

import os
from pathlib import Path

import pytest

from ihobs.model import DIMENSIONS
from ihobs.spans.decode import read_file
from ihobs.spans.doubles import RIVALS, overruled
from ihobs.spans.span import Shape, Span
from ihobs.store import query
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore


def span(scope, service="svc"):
    shape = Shape(service, scope, "s", "llm", "", "", "", "", "")
    return Span(1, None, 1, 1, 1, 0, None, None, None, None, None, None, None, None, shape)


def test_a_scope_alone_is_never_overruled():
    assert overruled([span(scope) for rivals in RIVALS for scope in rivals[-1:]]) == set()


def test_the_first_of_the_rivals_overrules_the_others():
    first, *others = RIVALS[0]
    assert overruled([span(scope) for scope in (*others, first)]) == {("svc", scope) for scope in others}


def test_rivals_in_different_services_tell_of_different_calls():
    first, second, *_ = RIVALS[0]
    assert overruled([span(first, "a"), span(second, "b")]) == set()


@pytest.fixture
def langgraph():
    path = Path(os.environ.get("IHOBS_TRACES") or Path(__file__).parents[3] / "shared" / "traces") / "langgraph"
    if not path.is_dir():
        pytest.skip(f"the real traces are not at {path}; set IHOBS_TRACES")
    return path


def requests(langgraph, who, trace_id=None):
    """Return the requests of a capture, moved into another trace."""
    found = [chunk.request for chunk in read_file(langgraph / f"{who}_langgraph_error.json")]
    for request in found:
        for resource_spans in request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for each in scope_spans.spans:
                    each.trace_id = trace_id or each.trace_id
    return found


def numbers(home, given):
    with TelemetryStore(home) as store:
        for request in given:
            store.ingest(request, live=False)
        store.settle(everything=True)
        found = query.metrics(store.database, start_ns=0, end_ns=2**62, by=DIMENSIONS)
    return {
        tuple(group.by.values()): group for group in found.groups
        if group.counters.runs or group.counters.calls or group.counters.input_tokens
    }  # fmt: skip


@pytest.mark.parametrize("rival", ["langsmith_otel", "openllmetry"])
def test_a_graph_that_two_packages_tell_in_one_trace_counts_as_if_the_better_one_told_it(tmp_path, langgraph, rival):
    trace_id = bytes(range(1, 17))
    better = requests(langgraph, "openinference", trace_id)
    alone = numbers(Home.open(tmp_path / "alone", create=True), better)

    for order, given in enumerate(([*better, *requests(langgraph, rival, trace_id)],
                                   [*requests(langgraph, rival, trace_id), *better])):  # fmt: skip
        assert numbers(Home.open(tmp_path / str(order), create=True), given) == alone
