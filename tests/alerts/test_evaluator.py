"""Spans in the store become alerts in the state database."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.alerts.orchestrator import Run, request

from ihobs.alerts.evaluator import Evaluator
from ihobs.alerts.rules import RuleSet
from ihobs.clock import SECOND_NS
from ihobs.config import load
from ihobs.model import Rule
from ihobs.store.home import Home
from ihobs.store.state import alerts
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore
from ihobs.testing import FakeClock

ERRORS = Rule(id="error_rate", metric="error_rate", warning=0.05, critical=0.15, source="threshold")
BY_WORKFLOW = replace(ERRORS, id="by-workflow", by=("workflow",))
TOKENS = Rule("tokens", "total_tokens_per_hour", warning=7_000, by=("model",), window_s=60, source="threshold")


def rule_set(*rules, sources=("threshold",), refused=()):
    return RuleSet(rules, refused, frozenset(sources))


class Watched:
    """A store and an evaluator on it."""

    def __init__(self, store, state, clock):
        self.store, self.state, self.clock = store, state, clock
        self.evaluator = Evaluator(store.database, state, load(environ={}).settings, clock)

    def runs(self, count, **changes):
        self.store.ingest(request(self.clock(), *[Run(**changes) for _ in range(count)]))

    def evaluate(self, *rules, **more):
        return self.evaluator.run(rule_set(*rules, **more))

    def shown(self):
        return {key: (row.state, row.level) for key, row in alerts.load(self.state).items()}


@pytest.fixture
def watched(store, state, clock):
    return Watched(store, state, clock)


def test_runs_that_fail_raise_an_alert_and_good_ones_end_it(watched, clock):
    watched.runs(9)
    watched.runs(1, failed=True)
    [firing] = watched.evaluate(ERRORS).events
    assert (firing.name, firing.level, firing.at_ns) == ("alert.firing", "warning", clock.now_ns)
    assert firing.text == "error_rate is 10 %, above 5 %"
    clock.advance(20)
    watched.runs(90)
    [resolved] = watched.evaluate(ERRORS).events
    assert resolved.text == "error_rate is 1 %: resolved, was warning"
    row = alerts.load(watched.state)["error_rate"]
    assert (row.state, row.level, row.value, row.threshold) == ("resolved", "ok", 0.01, 0.05)


def test_the_window_moves_on_without_new_spans(watched, clock):
    watched.runs(5, failed=True, ended_ago_s=100)
    watched.evaluate(ERRORS)
    clock.advance(30)
    watched.runs(5)
    assert watched.evaluate(ERRORS).rows["error_rate"].value == 0.5
    clock.advance(180)
    assert watched.evaluate(ERRORS).rows["error_rate"].value == 0.0
    assert watched.shown() == {"error_rate": ("resolved", "ok")}


def test_a_pass_that_finds_nothing_new_writes_nothing(watched):
    watched.runs(9)
    watched.evaluate(ERRORS)
    before = watched.state.data_version()
    watched.evaluate(ERRORS)
    assert watched.state.data_version() == before


def test_few_runs_are_no_data_and_do_not_end_an_alert(watched, clock):
    watched.runs(5, failed=True)
    watched.evaluate(ERRORS)
    clock.advance(600)
    watched.runs(4)
    assert watched.evaluate(ERRORS).events == ()
    assert watched.shown() == {"error_rate": ("firing", "critical")}
    watched.runs(1)
    assert [event.name for event in watched.evaluate(ERRORS).events] == ["alert.resolved"]


def test_each_instance_is_an_alert_of_its_own(watched):
    watched.runs(10, workflow="good")
    watched.runs(10, workflow="bad", failed=True)
    [event] = watched.evaluate(BY_WORKFLOW).events
    assert event.subject == 'by-workflow{"workflow":"bad"}'
    assert event.text == "by-workflow (workflow=bad) is 100 %, above 15 %"
    assert event.fields["by.workflow"] == "bad"
    assert watched.shown() == {
        'by-workflow{"workflow":"bad"}': ("firing", "critical"),
        'by-workflow{"workflow":"good"}': ("inactive", "ok"),
    }


def test_an_instance_without_data_keeps_firing_and_an_inactive_one_is_forgotten(watched, clock):
    watched.runs(10, workflow="good")
    watched.runs(10, workflow="bad", failed=True)
    watched.evaluate(BY_WORKFLOW)
    clock.advance(600)
    assert watched.evaluate(BY_WORKFLOW).events == ()
    assert watched.shown() == {'by-workflow{"workflow":"bad"}': ("firing", "critical")}
    assert alerts.load(watched.state)['by-workflow{"workflow":"bad"}'].value is None


def test_a_sum_without_spans_is_zero_and_ends_its_alert(watched, clock):
    watched.runs(1)
    assert [event.name for event in watched.evaluate(TOKENS).events] == ["alert.firing"]
    clock.advance(600)
    assert [event.name for event in watched.evaluate(TOKENS).events] == ["alert.resolved"]


def test_a_store_that_lost_its_spans_ends_no_alert(watched, clock, tmp_path):
    watched.runs(1)
    watched.evaluate(TOKENS)
    with TelemetryStore(Home.open(tmp_path / "new", create=True), clock=clock) as empty:
        empty.settle()
        watched.evaluator = replace(watched.evaluator, telemetry=empty.database)
        assert watched.evaluate(TOKENS).events == ()
    assert list(watched.shown().values()) == [("firing", "warning")]


def test_a_rule_that_cannot_be_evaluated_is_unhealthy_and_changes_nothing(watched, clock):
    watched.runs(5, failed=True)
    watched.evaluate(ERRORS)
    began = clock.now_ns
    broken = replace(ERRORS, by=("colour",))
    for _ in range(2):
        clock.advance(10)
        watched.evaluate(broken, BY_WORKFLOW)
    [sick] = alerts.unhealthy_rules(watched.state)
    assert (sick.rule, "'colour'" in sick.error, sick.since_ns) == ("error_rate", True, began + 10 * SECOND_NS)
    assert watched.shown() == {
        "error_rate": ("firing", "critical"),
        'by-workflow{"workflow":"digest"}': ("firing", "critical"),
    }
    watched.evaluate(ERRORS, BY_WORKFLOW)
    assert alerts.unhealthy_rules(watched.state) == []


def test_a_rule_with_values_of_the_wrong_type_harms_only_itself(watched):
    watched.runs(5, failed=True)
    watched.evaluate(replace(ERRORS, id="wrong", warning="a lot"), replace(ERRORS, id="worse", where=7), ERRORS)
    assert {sick.rule for sick in alerts.unhealthy_rules(watched.state)} == {"wrong", "worse"}
    assert watched.shown() == {"error_rate": ("firing", "critical")}


def test_refused_rules_are_unhealthy_and_their_alerts_stay(watched):
    watched.runs(5, failed=True)
    watched.evaluate(ERRORS)
    assert watched.evaluate(refused=(("error_rate", "unknown metric"),)).events == ()
    assert watched.shown() == {"error_rate": ("firing", "critical")}
    assert [sick.error for sick in alerts.unhealthy_rules(watched.state)] == ["unknown metric"]


def test_removing_a_rule_ends_its_alert(watched):
    watched.runs(5, failed=True)
    watched.evaluate(ERRORS)
    [event] = watched.evaluate().events
    assert (event.name, event.previous_level, event.fields["state"]) == ("alert.resolved", "critical", "inactive")
    assert watched.shown() == {}


def test_splitting_a_rule_anew_ends_its_old_alerts(watched):
    watched.runs(5, failed=True)
    watched.evaluate(ERRORS)
    events = watched.evaluate(replace(ERRORS, by=("workflow",))).events
    assert [(event.name, event.subject) for event in events] == [
        ("alert.firing", 'error_rate{"workflow":"digest"}'),
        ("alert.resolved", "error_rate"),
    ]


def test_a_plugin_that_fails_to_answer_leaves_its_alerts_as_they_are(watched):
    watched.runs(5, failed=True)
    watched.evaluate(ERRORS)
    assert watched.evaluate(sources=()).events == ()
    assert watched.shown() == {"error_rate": ("firing", "critical")}


def test_a_pass_is_due_again_when_the_bucket_closes_or_a_clock_ends(watched, clock):
    watched.runs(5, failed=True)
    assert watched.evaluate(ERRORS).deadline_ns == clock.now_ns + 3 * SECOND_NS
    assert watched.evaluate(ERRORS, replace(ERRORS, id="b", for_s=2)).deadline_ns == clock.now_ns + 2 * SECOND_NS


def test_a_preview_finds_the_same_and_changes_nothing(watched):
    watched.runs(5, failed=True)
    found = watched.evaluator.preview(rule_set(ERRORS))
    assert (watched.shown(), alerts.history(watched.state, limit=1)) == ({}, [])
    assert watched.evaluate(ERRORS) == found


def test_spans_of_last_week_raise_no_alert(watched):
    last_week = [Run(failed=True, ended_ago_s=7 * 86_400) for _ in range(20)]
    watched.store.ingest(request(watched.clock(), *last_week), live=False)
    assert watched.evaluate(ERRORS).events == ()
    assert alerts.load(watched.state)["error_rate"].value is None


@pytest.mark.parametrize("seed", range(2))
def test_a_restart_at_any_point_gives_the_same_events(tmp_path, seed):
    """The same spans and times, once in one process, once in one that forgets everything after each pass."""
    rules = (replace(ERRORS, for_s=15, keep_firing_for_s=25, window_s=30), replace(BY_WORKFLOW, window_s=60), TOKENS)
    told = []
    for restarts in (False, True):
        chance, clock = random.Random(seed), FakeClock()
        home = Home.open(tmp_path / f"{restarts}", create=True)
        store, state = TelemetryStore(home, clock=clock), open_state(home)
        for round_number in range(24):
            clock.advance(chance.uniform(0.5, 20))
            failing = round_number // 6 % 2 == 0
            batch = [Run(failed=failing, workflow=chance.choice("ab")) for _ in range(chance.randrange(4, 9))]
            store.ingest(request(clock(), *batch))
            Watched(store, state, clock).evaluate(*rules)
            if restarts:
                store.close()
                state.close()
                store, state = TelemetryStore(home, clock=clock), open_state(home)
        told.append([(event.name, event.subject, event.at_ns) for event in alerts.history(state, limit=1000)])
        store.close()
        state.close()
    assert told[0] == told[1]
    assert len(told[0]) > 5
