"""Rules from plug-ins, and which of them are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ihobs
import ihobs_threshold
from ihobs.alerts.rules import check, collect
from ihobs.config import load
from ihobs.errors import InvalidInputError
from ihobs.model import Rule
from ihobs.testing import check_keeps_contract, plugins_of

GOOD = Rule(id="r", metric="error_rate", warning=0.1, critical=0.2)


def configured(tmp_path, text):
    path = tmp_path / "ihobs.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={}).settings


def plugin_of(*rules):
    class Plugin:
        @ihobs.hookimpl
        def ihobs_rules(self):
            return list(rules)

    return Plugin()


@pytest.mark.parametrize(
    ("changes", "reason", "hint"),
    [
        ({"metric": "eror_rate"}, "unknown metric 'eror_rate'", "did you mean 'error_rate'?"),
        ({"metric": "x"}, "unknown metric 'x'", "use one of error_rate, response_time, api_quota"),
        ({"warning": None, "critical": None}, "has no threshold", "give 'warning', 'critical' or both"),
        ({"warning": -1}, "a threshold must be a number, not negative", ""),
        ({"critical": float("nan")}, "a threshold must be a number, not negative", ""),
        ({"warning": 0.3}, "warning 0.3 is above critical 0.2", "swap them"),
        ({"window_s": 0}, "the window must be longer than nothing", ""),
        ({"for_s": -1}, "'for', 'keep_firing_for' and 'no_data_for' must not be negative", ""),
        ({"clear_ratio": 0}, "clear 0 is not above 0 and at most 1", ""),
        ({"clear_ratio": 1.1}, "clear 1.1 is not above 0 and at most 1", ""),
        ({"by": ("model",)}, "error_rate cannot be split by 'model'", "runs have none of their own"),
        ({"where": {"node": "n"}}, "error_rate cannot be narrowed by 'node'", "runs have none of their own"),
        ({"by": ("colour",), "of": "llm"}, "error_rate cannot be split by 'colour'", ""),
        ({"metric": "active_workflows", "by": ("service",)}, "active_workflows cannot be split by 'service'", ""),
        ({"metric": "api_quota", "where": {"provider": "x"}}, "api_quota cannot be narrowed by 'provider'", ""),
    ],
)
def test_a_rule_that_cannot_mean_what_it_says_is_refused(changes, reason, hint):
    with pytest.raises(InvalidInputError) as caught:
        check(replace(GOOD, **changes))
    assert caught.value.reason == reason
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"by": ("model", "provider"), "of": "llm"},
        {"by": ("workflow", "service")},
        {"metric": "cost_per_hour", "by": ("model",)},
        {"metric": "api_quota", "by": ("provider",)},
        {"warning": None},
        {"clear_ratio": 1},
    ],
)
def test_a_good_rule_is_not_refused(changes):
    check(replace(GOOD, **changes))


def test_a_bad_rule_is_refused_by_itself_and_a_taken_id_is_named(tmp_path):
    plugins = plugins_of(
        first=plugin_of(GOOD, replace(GOOD, id="bad", metric="x")),
        second=plugin_of(replace(GOOD, warning=0.01), replace(GOOD, id="odd", metric=None)),
    )
    rules = collect(plugins, configured(tmp_path, ""))
    assert rules.rules == (replace(GOOD, source="first"),)
    assert [name for name, _ in rules.refused] == ["bad", "r of second", "odd"]
    assert rules.refused[1][1] == "the id is taken by first"
    assert rules.sources == {"first", "second"}


def test_a_plugin_that_raises_is_not_among_the_sources(tmp_path):
    class Raises:
        @ihobs.hookimpl
        def ihobs_rules(self):
            raise RuntimeError("not today")

    rules = collect(plugins_of(good=plugin_of(GOOD), bad=Raises()), configured(tmp_path, ""))
    assert (rules.sources, [rule.id for rule in rules.rules]) == ({"good"}, ["r"])


def test_the_standard_rules_have_the_operators_thresholds(tmp_path):
    rules = collect(plugins_of(threshold=ihobs_threshold), configured(tmp_path, ""))
    assert rules.refused == ()
    assert {rule.id: (rule.warning, rule.critical, rule.window_s) for rule in rules.rules} == {
        "error_rate": (0.05, 0.15, 300),
        "response_time": (30, 60, 300),
        "api_quota": (0.80, 0.95, 60),
        "cost_per_hour": (10, 25, 3600),
        "total_tokens_per_hour": (100_000, 500_000, 3600),
        "clock_skew": (60, None, 300),
        "spans_dropped": (0, None, 300),
        "rule_health": (0, None, 60),
    }


def test_thresholds_replace_the_standard_ones_and_can_switch_them_off(tmp_path):
    settings = configured(tmp_path, "thresholds: {error_rate: {critical: 0.5}, response_time: {}}\n")
    rules = {rule.id: rule for rule in ihobs_threshold.ihobs_rules(settings)}
    assert (rules["error_rate"].warning, rules["error_rate"].critical) == (None, 0.5)
    assert "response_time" not in rules
    assert "api_quota" in rules


def test_configured_rules_are_read_with_their_units(tmp_path):
    settings = configured(
        tmp_path,
        """
rules:
  - {id: slow-nodes, metric: response_time, stat: p95, of: node, by: [node], warning: 8, for: 2m, min_count: 20}
  - {id: spend, metric: cost_per_hour, critical: 5, clear: 0.5, keep_firing_for: 5m, window: 30s, summary: Dear.}
  - {id: spend-hour, metric: cost_per_hour, critical: 5, where: {model: gpt-4o}, labels: {team: ops}}
""",
    )
    *_, slow, spend, hour = check_keeps_contract(ihobs_threshold, "ihobs_rules", settings=settings)
    assert slow == Rule(
        "slow-nodes", "response_time", stat="p95", of="node", by=("node",), warning=8, for_s=120, min_count=20
    )
    assert (spend.clear_ratio, spend.keep_firing_for_s, spend.window_s, spend.summary) == (0.5, 300, 30, "Dear.")
    assert (hour.window_s, hour.where, hour.labels) == (3600, {"model": "gpt-4o"}, {"team": "ops"})
    check(slow)
    check(spend)
    check(hour)
