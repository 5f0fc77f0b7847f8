"""What rules can watch of the destinations, and the standard rules on them."""

from __future__ import annotations

from datetime import UTC

import pytest
from tests.alerts.orchestrator import Run, request

import ihobs_threshold
from ihobs.alerts.evaluator import Evaluator
from ihobs.alerts.forwarding import Backlogs
from ihobs.alerts.measurements import Measurements, Sample
from ihobs.alerts.metrics import METRICS
from ihobs.alerts.rules import collect
from ihobs.config import load
from ihobs.model import Rule
from ihobs.store.forwarding import Enrolment, Trouble, enrol, postpone
from ihobs.testing import plugins_of


@pytest.fixture
def samples(store, clock):
    """Read a metric by a rule made of the given fields."""

    def read(metric, **fields):
        told = Backlogs(store.database).now
        measurements = Measurements(store.database, clock(), {}, UTC, destinations=told)
        return METRICS[metric].samples(measurements, Rule(**{"id": "r", "metric": metric, **fields}))

    return read


def configured(store, *names):
    enrol(store.database, {name: Enrolment("f", from_beginning=True) for name in names})


def test_without_destinations_nothing_is_known(samples):
    assert samples("forward_backlog") == [Sample({}, None)]
    assert samples("forward_lag", by=("destination",)) == []


def test_what_waits_is_told_in_spans_and_seconds_for_each_destination_and_for_the_worst(store, samples, clock):
    configured(store, "a", "b")
    store.ingest(request(clock(), Run()))
    clock.advance(40)
    postpone(store.database, "b", Trouble("answers 503", 1, clock() + 1), clock())
    by = {"by": ("destination",)}
    assert samples("forward_backlog", **by) == [
        Sample({"destination": "a"}, 2.0),
        Sample({"destination": "b"}, 2.0, "answers 503"),
    ]
    assert samples("forward_lag") == [Sample({}, 40.0, "a: ok")]
    assert [one.value for one in samples("forward_paused", **by)] == [0.0, 0.0]


def test_a_destination_that_is_no_longer_configured_is_well(store, samples, clock):
    configured(store, "a")
    postpone(store.database, "a", Trouble("answers 401", 1, clock() + 1, paused=True), clock())
    assert samples("forward_paused", by=("destination",)) == [Sample({"destination": "a"}, 1.0, "answers 401")]
    configured(store)
    assert samples("forward_paused", by=("destination",)) == [Sample({"destination": "a"}, 0.0, "answers 401")]
    assert samples("forward_paused") == [Sample({}, None)]


def test_a_reading_holds_for_some_seconds(store, clock):
    configured(store, "a")
    told = Backlogs(store.database)
    assert told.now(clock())[0].spans == 0
    store.ingest(request(clock(), Run()))
    assert told.now(clock())[0].spans == 0
    clock.advance(5)
    assert told.now(clock())[0].spans == 2


def test_the_standard_rules_tell_of_a_pause_and_of_a_growing_backlog(store, state, clock, tmp_path):
    path = tmp_path / "ihobs.yaml"
    path.write_text('destinations: {there: {type: otlp, endpoint: "http://127.0.0.1"}}\n')
    settings = load(path, environ={}).settings
    rules = collect(plugins_of(threshold=ihobs_threshold), settings)
    assert rules.refused == ()
    evaluator = Evaluator(store.database, state, settings, clock)
    configured(store, "there")
    store.ingest(request(clock(), Run()))
    assert evaluator.run(rules).events == ()
    postpone(store.database, "there", Trouble("answers 401", 1, clock() + 1, paused=True), clock())
    clock.advance(6)
    [event] = evaluator.run(rules).events
    assert (event.name, event.level) == ("alert.firing", "warning")
    assert "answers 401" in event.text
    clock.advance(900)
    assert ["forward_lag" in event.subject for event in evaluator.run(rules).events] == [True]
