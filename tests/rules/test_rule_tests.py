"""Tests of rules: what they can say, what they find, and that they run the real evaluation."""

from __future__ import annotations

import pytest

from ihobs.documents import DocumentInvalidError

FAILING = """
rules:
  - {id: failing, metric: error_rate, warning: 0.1, critical: 0.3, for: 1m, keep_firing_for: 2m}
"""


def test_a_test_that_holds_passes_and_proves_what_it_shows(play):
    [outcome] = play(
        FAILING
        + """
tests:
  - name: a third fails for a while
    rule: failing
    series:
      - {count: runs, values: "20x60"}
      - {count: failed_runs, values: "0x9 10x9 0x60"}
    expect:
      - {at: 9m, level: ok, state: inactive, value: 0}
      - {at: 10m, value: 0.1, state: inactive}
      - {at: 11m, value: 0.2, state: pending}
      - {at: 12m, level: warning, told: 1, text: above 10 %}
      - {at: 14m, level: critical, told: 2, text: above 30 %}
      - {at: 30m, level: ok, state: resolved}
      - {at: 80m, level: ok, state: inactive, value: null}
"""
    )
    assert outcome.failures == ()
    assert outcome.shown == {("failing", goal) for goal in ("warning", "critical", "clears", "no data")}


@pytest.mark.parametrize(
    ("expectation", "reason"),
    [
        ("level: ok", "at 5m failing is critical, not ok; the value is 50 %"),
        ("state: pending", "at 5m failing is firing, not pending; the value is 50 %"),
        ("value: 0.4", "at 5m failing: the value is 50 %, not 40 %"),
        ("value: null", "at 5m failing: the value is 50 %, not unknown"),
        ("told: 3", "at 5m failing: 1 changes were told, not 3"),
        ("text: slow", "at 5m failing: 'failing is 50 %, above 30 %' was told last, without 'slow'"),
    ],
)
def test_each_kind_of_expectation_can_fail_and_says_what_is_true_instead(play, tmp_path, expectation, reason):
    [outcome] = play(
        FAILING
        + f"""
tests:
  - name: half of them fail
    rule: failing
    series: [{{count: runs, values: "20x9"}}, {{count: failed_runs, values: "10x9"}}]
    expect:
      - {{at: 5m, {expectation}}}
"""
    )
    [failure] = outcome.failures
    assert (failure.where, failure.reason) == (f"{tmp_path}/ihobs.yaml:10:9", reason)
    assert outcome.shown == frozenset()


def test_a_metric_can_be_told_and_holds_for_the_window_as_promtools_samples_do(play):
    [outcome] = play(
        """
rules: [{id: slow, metric: response_time, warning: 5, window: 3m}]
tests:
  - name: values, gaps and staleness
    rule: slow
    series: [{metric: response_time, values: "6 _x2 _x3 6 stale"}]
    expect:
      - {at: 0s, value: 6, level: warning}
      - {at: 2m, value: 6}
      - {at: 3m, value: null, level: warning}
      - {at: 6m, value: 6}
      - {at: 7m, value: null}
"""
    )
    assert outcome.failures == ()


def test_instances_are_told_apart_by_their_labels(play):
    [outcome] = play(
        """
rules: [{id: slow, metric: response_time, stat: p95, of: node, by: [node], warning: 5, min_count: 2}]
tests:
  - name: one node is slow
    rule: slow
    series:
      - {count: calls, by: {kind: node, node: a}, values: "4x9"}
      - {count: call_duration_s, by: {kind: node, node: a}, values: "8x9"}
      - {count: calls, by: {kind: node, node: b}, values: "4x9"}
      - {count: call_duration_s, by: {kind: node, node: b}, values: "1x9"}
      - {count: calls, by: {kind: llm, node: b}, values: "4x9"}
      - {count: call_duration_s, by: {kind: llm, node: b}, values: "60x9"}
    expect:
      - {at: 5m, by: {node: a}, level: warning, value: 8}
      - {at: 5m, by: {node: b}, level: ok, value: 1}
"""
    )
    assert outcome.failures == ()


def test_a_ladder_tells_each_rung_once_in_a_month(play):
    [outcome] = play(
        """
quotas: {openai: {usd_per_month: 100}}
rules: [{id: budget, metric: budget_used, at: [0.5, 0.8, 1.0], critical: 0.8}]
timezone: UTC
tests:
  - name: three dollars a day, and four from the eleventh on
    rule: budget
    interval: 1d
    series: [{count: cost_usd, by: {provider: OpenAI}, values: "0 3x9 4x40"}]
    expect:
      - {at: 14d, level: ok, value: 0.46}
      - {at: 15d, level: warning, told: 1, text: "openai: $50.00 of $100.00 a month"}
      - {at: 22d, level: warning, told: 1}
      - {at: 23d, level: critical, told: 2, value: 0.82}
      - {at: 28d, level: critical, told: 3, text: is 102 %}
      - {at: 30d, level: critical, told: 3}
      - {at: 31d, level: ok, told: 4}
      - {at: 45d, level: warning, told: 5}
"""
    )
    assert outcome.failures == ()
    assert outcome.shown == {("budget", goal) for goal in ("rung 0.5", "rung 0.8", "rung 1", "clears")}


def test_a_forecast_says_when_the_budget_ends(play):
    [outcome] = play(
        """
timezone: Europe/Berlin
rules: [{id: ends, metric: budget_forecast, budget: {usd: 24, per: day}, warning: 1}]
tests:
  - name: two dollars an hour from nine o'clock on
    rule: ends
    start: "2026-06-01T07:00:00Z"
    interval: 1h
    series: [{count: cost_usd, values: "0 2x12"}]
    expect:
      - {at: 1h, level: warning, value: 1.25, text: "the budget of the day ends 2026-06-01 21:00"}
      - {at: 12h, text: "the budget of the day ends"}
"""
    )
    assert outcome.failures == ()


@pytest.mark.parametrize(
    ("test", "finding"),
    [
        ('series: [{metric: error_rate, values: "1+"}], expect: [{at: 1m, level: ok}]', "'1+' is not a value such as"),
        ('series: [{values: "1"}], expect: [{at: 1m, level: ok}]', "a series has either 'metric' or 'count'"),
        ('series: [{count: runs, values: "1"}], expect: [{at: 1m}]', "expects nothing; give one of level, state"),
        ('series: [{count: runs, values: "1"}], expect: [{at: 1m, rule: r, level: ok}]', "there is no rule 'r'"),
        (
            'start: "2026-02-30T00:00:00Z", series: [{count: runs, values: "1"}], expect: [{at: 1m, level: ok}]',
            "moment",
        ),
        ('interval: 1ms, series: [{count: runs, values: "1"}], expect: [{at: 1m, level: ok}]', "at least a second"),
    ],
)
def test_a_test_that_cannot_be_run_is_refused_with_its_place(play, tmp_path, test, finding):
    with pytest.raises(DocumentInvalidError) as caught:
        play(FAILING + f"tests: [{{name: t, rule: failing, {test}}}]\n")
    assert str(caught.value).startswith(f"{tmp_path}/ihobs.yaml:4:")
    assert finding in str(caught.value)


def test_a_rule_that_is_refused_fails_its_test_with_the_reason(play):
    [outcome] = play(
        """
rules: [{id: odd, metric: error_rate, by: [model], warning: 1}]
tests: [{name: t, rule: odd, series: [{count: runs, values: "1"}], expect: [{at: 1m, level: ok}]}]
"""
    )
    assert "error_rate cannot be split by 'model'" in outcome.failures[0].reason
