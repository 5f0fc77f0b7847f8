"""Runs that begin and do not end."""

from __future__ import annotations

from datetime import UTC

import pytest
from tests.alerts.orchestrator import Run, request

from ihobs.alerts.measurements import Measurements
from ihobs.alerts.metrics import METRICS
from ihobs.alerts.rules import check
from ihobs.clock import SECOND_NS
from ihobs.model import Rule

TEN_MINUTES = Rule("stuck", "stuck_runs", warning=0, older_than_s=600)


@pytest.fixture
def begin(store, clock):
    """Let runs begin: their call has ended and was stored, the workflow's own span has not."""

    def ingest(*runs):
        message = request(clock(), *runs)
        [scope] = message.resource_spans[0].scope_spans
        children = [span for span in scope.spans if span.parent_span_id]
        roots = [span for span in scope.spans if not span.parent_span_id]
        del scope.spans[:]
        scope.spans.extend(children)
        store.ingest(message)
        return message, roots

    return ingest


@pytest.fixture
def read(store, clock):
    def samples(rule):
        check(rule)
        return METRICS["stuck_runs"].samples(Measurements(store.database, clock(), {}, UTC), rule)

    return samples


def test_a_run_that_began_long_ago_and_has_not_ended_is_stuck(begin, read, clock, store):
    begin(Run(workflow="import", node="fetch", ended_ago_s=1, took_s=2.0))
    [sample] = read(TEN_MINUTES)
    assert (sample.value, sample.note) == (0.0, "")
    clock.advance(900)
    store.settle()
    [sample] = read(TEN_MINUTES)
    assert sample.value == 1.0
    assert sample.note.startswith("import for 15 min in trace ")
    assert ", last heard of in node fetch 15 min ago" in sample.note


def test_it_is_stuck_no_more_when_its_workflow_ends(begin, read, clock, store):
    message, roots = begin(Run())
    clock.advance(900)
    store.settle()
    assert read(TEN_MINUTES)[0].value == 1.0
    [scope] = message.resource_spans[0].scope_spans
    del scope.spans[:]
    scope.spans.extend(roots)
    store.ingest(message)
    assert read(TEN_MINUTES)[0].value == 0.0


def test_a_run_that_ended_is_not_stuck_however_old(store, read, clock):
    store.ingest(request(clock(), *[Run(workflow=name) for name in "ab"]))
    clock.advance(3600)
    assert read(TEN_MINUTES)[0].value == 0.0


def test_stuck_runs_are_told_apart_and_narrowed(begin, read, clock):
    begin(Run(workflow="import"), Run(workflow="import"), Run(workflow="digest"))
    clock.advance(900)
    rule = Rule("stuck", "stuck_runs", warning=0, older_than_s=600, by=("workflow",))
    assert {sample.by["workflow"]: sample.value for sample in read(rule)} == {"import": 2.0, "digest": 1.0}


def test_without_an_age_what_is_usual_for_the_workflow_decides(begin, read, clock, store):
    usual = Rule("stuck", "stuck_runs", warning=0)
    store.ingest(request(clock(), *[Run(workflow="slow", took_s=600.0) for _ in range(10)]))
    begin(Run(workflow="slow"), Run(workflow="quick"))
    clock.advance(660)
    [sample] = read(usual)
    assert (sample.value, sample.note.split(" for ")[0]) == (1.0, "quick")
    clock.advance(1300)
    assert read(usual)[0].value == 2.0


def test_what_was_not_heard_of_for_a_day_is_given_up(begin, read, clock):
    begin(Run())
    clock.now_ns += 90_000 * SECOND_NS
    assert read(TEN_MINUTES)[0].value == 0.0
