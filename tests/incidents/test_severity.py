"""How bad an alert is: the boundaries of the operators' table, exactly."""

from __future__ import annotations

import pytest

from ihobs.incidents.severity import Observation, classify, is_worse, level_of, lower, worst


@pytest.mark.parametrize(
    ("ratio", "severity"),
    [
        (1.0, "P1"),
        (0.26, "P1"),
        (0.25 + 1e-12, "P1"),
        (0.25, "P2"),
        (0.15 + 1e-12, "P2"),
        (0.15, "P3"),
        (0.05 + 1e-12, "P3"),
        (0.05, "P4"),
        (0.0, "P4"),
    ],
)
def test_runs_that_fail_are_judged_by_how_many(ratio, severity):
    level = "critical" if ratio > 0.15 else "warning"
    assert classify(Observation("error_rate", ratio, level)).severity == severity


@pytest.mark.parametrize(
    ("seen", "severity"),
    [
        (Observation("api_quota", 1.0, "critical"), "P2"),
        (Observation("api_quota", 1.2, "critical"), "P2"),
        (Observation("api_quota", 1.0 - 1e-12, "critical"), "P4"),
        (Observation("api_quota", 0.85, "warning"), "P4"),
        (Observation("response_time", 61.0, "critical"), "P2"),
        (Observation("response_time", 31.0, "warning"), "P3"),
        (Observation("cost_per_hour", 26.0, "critical"), "P3"),
        (Observation("cost_per_hour", 11.0, "warning"), "P4"),
        (Observation("total_tokens_per_hour", 5e5 + 1, "critical"), "P3"),
        (Observation("budget_used", 1.0, "critical"), "P3"),
        (Observation("secrets_redacted", 1.0, "warning"), "P1"),
        (Observation("auth_failures", 30.0, "critical"), "P1"),
        (Observation("auth_failures", 30.0, "warning"), "P1"),
        (Observation("clock_skew", 100.0, "warning"), "P4"),
        (Observation("burn_rate", 15.0, "critical"), "P4"),
    ],
)
def test_other_metrics_are_judged_as_the_table_says(seen, severity):
    assert classify(seen).severity == severity


@pytest.mark.parametrize("metric", ["response_time", "cost_per_hour", "error_rate", "api_quota"])
def test_nothing_succeeding_at_all_is_the_worst_whatever_tells_of_it(metric):
    assert classify(Observation(metric, 0.06, "warning", nothing_succeeds=True)).severity == "P1"


def test_no_data_counts_as_the_rule_that_fires_on_it_says():
    assert classify(Observation("error_rate", None, "critical")).severity == "P1"
    assert classify(Observation("throughput", None, "warning")).severity == "P3"
    assert classify(Observation("response_time", None, "critical")).severity == "P1"
    assert classify(Observation("clock_skew", None, "critical")).severity == "P4"


@pytest.mark.parametrize("of", ["node", "llm", "tool"])
def test_a_part_that_fails_is_no_outage(of):
    assert classify(Observation("error_rate", 0.9, "critical", of=of)).severity == "P3"
    assert classify(Observation("response_time", 90.0, "warning", of=of)).severity == "P4"


def test_a_rule_can_say_it_itself_but_not_that_an_outage_is_none():
    assert classify(Observation("burn_rate", 15.0, "critical", label="P2")).severity == "P2"
    assert classify(Observation("burn_rate", 6.0, "warning", label="P2")).severity == "P3"
    assert classify(Observation("burn_rate", 6.0, "warning", label="urgent")).severity == "P4"
    assert classify(Observation("error_rate", 1.0, "critical", label="P4", nothing_succeeds=True)).severity == "P1"
    assert classify(Observation("auth_failures", 1.0, "warning", label="P4")).severity == "P1"


def test_every_verdict_says_why():
    for metric in ("error_rate", "response_time", "api_quota", "cost_per_hour", "auth_failures", "clock_skew"):
        assert classify(Observation(metric, 0.5, "critical")).reason


def test_severities_have_an_order():
    assert is_worse("P1", "P2") and not is_worse("P2", "P2")  # noqa: PT018 - two sides of one thing
    assert worst("P3", "P1") == "P1"
    assert [lower(one) for one in ("P1", "P2", "P3", "P4")] == ["P2", "P3", "P4", "P4"]
    assert [level_of(one) for one in ("P1", "P2", "P3", "P4")] == ["critical", "critical", "warning", "warning"]
