"""Burn rates by the windows and factors of the SRE workbook, chapter "Alerting on SLOs"."""

from __future__ import annotations

import pytest

from ihobs.alerts.burn_rate import PAIRS, thresholds

DAY_S = 86_400


def test_the_factors_of_a_budget_of_thirty_days_are_those_of_the_workbook():
    assert [round(pair.factor(30 * DAY_S), 3) for pair in PAIRS] == [14.4, 6.0, 3.0, 1.0]
    assert [pair.long_s / pair.short_s for pair in PAIRS] == [12, 12, 12, 12]
    assert thresholds(30 * DAY_S) == pytest.approx((1, 6))


@pytest.mark.parametrize(
    ("failing_of_100", "at", "level"),
    [
        pytest.param("0x30 15x10 0x400", "35m", "warning", id="a burst of five minutes is no page"),
        pytest.param("15x400", "90m", "critical", id="15x over an hour and over five minutes"),
        pytest.param("15x89 0x400", "120m", "warning", id="over: the short windows end the page, not the ticket"),
        pytest.param("7x720", "11h", "critical", id="7x over six hours and over half an hour"),
        pytest.param("4x2880", "40h", "warning", id="4x over a day and over two hours"),
        pytest.param("1x2000", "30h", "ok", id="1x is what the objective allows"),
    ],
)
def test_errors_of_an_objective_of_99_percent(play, failing_of_100, at, level):
    [outcome] = play(
        f"""
rules: [{{id: budget, slo: {{metric: error_rate, objective: 0.99}}}}]
tests:
  - name: errors
    rule: budget
    every: 1m
    series: [{{count: runs, values: "100x4000"}}, {{count: failed_runs, values: "{failing_of_100}"}}]
    expect: [{{at: {at}, level: {level}}}]
"""
    )
    assert outcome.failures == ()


def test_slow_runs_and_money_burn_budgets_too(play):
    slow, money = play(
        """
rules:
  - {id: fast, slo: {metric: response_time, objective: 0.95, slower_than: 8s}}
  - {id: money, slo: {metric: cost_per_hour}, budget: {usd: 720}}
tests:
  - name: all runs take nine seconds
    rule: fast
    every: 1m
    series: [{count: runs, values: "10x400"}, {count: run_duration_s, values: "2x60 9x340"}]
    expect:
      - {at: 60m, level: ok, value: 0}
      - {at: 240m, level: critical, text: "x is the limit"}
  - name: a dollar an hour is allowed, ten are spent
    rule: money
    interval: 1h
    series: [{count: cost_usd, values: "1x72 10x20"}]
    expect:
      - {at: 72h, level: ok, value: 1}
      - {at: 84h, level: critical, value: 10}
"""
    )
    assert (slow.failures, money.failures) == ((), ())
