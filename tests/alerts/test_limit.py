"""How many instances of a rule are watched, and what an unhealthy rule does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.alerts.orchestrator import Run, request

from ihobs.alerts.evaluation import evaluate
from ihobs.alerts.measurements import Measurements
from ihobs.alerts.rules import RuleSet
from ihobs.model import Rule

TOKENS = Rule("tokens", "total_tokens_per_hour", warning=5, by=("model",), window_s=3600, limit=2, source="threshold")


@pytest.fixture
def look(store, clock):
    def evaluated(rule, before=None):
        measurements = Measurements(store.database, clock(), {}, None)
        rules = RuleSet((rule,), sources=frozenset({"threshold"}))
        return evaluate(rules, measurements, before.alerts if before else {})

    return evaluated


def test_over_the_limit_the_highest_are_watched_and_the_rule_says_so(look, store, clock):
    store.ingest(request(clock(), *[Run(model=f"m{n}", input_tokens=n, output_tokens=0) for n in range(5)]))
    found = look(TOKENS)
    assert set(found.alerts) == {'tokens{"model":"m4"}', 'tokens{"model":"m3"}'}
    [sick] = found.unhealthy
    assert (sick.rule, sick.error) == ("tokens", "has 5 instances; the first 2 are watched (limit)")


def test_what_fires_stays_watched_when_others_rise_above_it(look, store, clock):
    store.ingest(request(clock(), Run(model="first", input_tokens=6, output_tokens=0)))
    before = look(TOKENS)
    store.ingest(request(clock(), *[Run(model=f"m{n}", input_tokens=50 + n, output_tokens=0) for n in range(3)]))
    assert set(look(TOKENS, before).alerts) == {'tokens{"model":"first"}', 'tokens{"model":"m2"}'}


def test_an_error_fires_when_the_rule_says_so_and_ends_with_the_error(look, store, clock):
    store.ingest(request(clock(), Run()))
    good = replace(TOKENS, on_error="fire", warning=1e9)
    found = look(replace(good, by=("colour",)))
    [event] = found.events
    assert (event.subject, event.name, event.level) == ("tokens", "alert.firing", "warning")
    assert "its rule cannot be evaluated: 'colour'" in event.text
    [over] = look(good, found).events
    assert (over.subject, over.name, over.fields["note"]) == (
        "tokens", "alert.resolved", "its rule can be evaluated again"
    )  # fmt: skip


def test_an_instance_that_went_quiet_fires_when_no_data_is_to_fire(look, store, clock):
    rule = Rule("errors", "error_rate", warning=0.5, by=("workflow",), on_no_data="fire", source="threshold")
    store.ingest(request(clock(), *[Run(workflow="nightly") for _ in range(5)]))
    found = look(rule)
    clock.advance(600)
    found = look(rule, found)
    assert [(event.subject, event.level) for event in found.events] == [('errors{"workflow":"nightly"}', "warning")]
