"""`ihobs rules`, run as a user runs it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.alerts.orchestrator import Run, request

from ihobs.cli.root import main
from ihobs.clock import HOUR_NS, now_ns
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore

GOOD = """
rules: [{id: failing, metric: error_rate, warning: 0.1, critical: 0.6}]
tests:
  - name: half of them fail
    rule: failing
    series: [{count: runs, values: "20x20"}, {count: failed_runs, values: "10x4 0x20"}]
    expect: [{at: 4m, level: warning}, {at: 15m, level: ok}]
"""


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, config=GOOD):
        (tmp_path / "ihobs.yaml").write_text(config, encoding="utf-8")
        return CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "rules", *arguments])

    return run


def test_tests_that_pass_are_listed_with_what_is_not_shown(invoke):
    result = invoke("test")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:3] == ["ihobs.yaml", "  ok    half of them fail", "1 test, 0 failed"]
    assert lines[4:] == ["failing  2/4   not shown: critical, no data", "coverage of the rules: 50 %"]


def test_a_failing_test_ends_with_one_and_says_where(invoke):
    result = invoke("test", config=GOOD.replace("level: warning", "level: critical"))
    assert result.exit_code == 1
    assert "ihobs.yaml:7:14: at 4m failing is warning, not critical; the value is 50 %" in result.stdout


def test_coverage_below_the_bound_ends_with_one(invoke):
    assert invoke("test", "--cov-fail-under", "50").exit_code == 0
    result = invoke("test", "--cov-fail-under", "51")
    assert (result.exit_code, result.stderr) == (1, "coverage 50 % is below 51 %\n")


def test_json_has_the_same(invoke):
    report = json.loads(invoke("test", "--json").stdout)
    assert report["tests"] == [{"path": "ihobs.yaml", "test": "half of them fail", "passed": True, "failures": []}]
    assert report["coverage"]["failing"] == {"warning": True, "critical": False, "clears": True, "no data": False}
    assert report["coverage_percent"] == 50.0


def test_check_names_what_can_never_be_evaluated_by_its_place(invoke):
    result = invoke("check", config="rules:\n  - {id: odd, metric: error_rate, by: [model], warning: 1}\n")
    assert result.exit_code == 1
    assert result.stdout == "ihobs.yaml: 1 rule, 0 tests\n"
    assert result.stderr.startswith("ihobs.yaml:2:6: rule 'odd': error_rate cannot be split by 'model'")


@pytest.mark.parametrize(
    ("rule", "finding"),
    [
        ("at: [0.8, 0.5], metric: budget_used", "ihobs.yaml:1:17: rule 'x': the rungs of 'at' must rise"),
        ("at: [0.8], metric: error_rate", "a ladder ('at') is of the metric budget_used; give 'warning' instead"),
        ("at: [0.8], metric: budget_used, critical: 0.9", "critical (0.9) is no rung of 'at'"),
        ("at: [0.8], metric: budget_used, for: 1m", "a ladder has no 'for'"),
        ("metric: budget_used, warning: 1, budget: {per: day}", "a budget has either 'usd' or 'tokens'"),
        ("metric: error_rate, warning: 1, budget: {usd: 1}", "'budget' is of the metrics budget_used, budget_forecast"),
        ("metric: error_rate, warning: 1, no_data_for: 5m", "does nothing when there are no data; give 'on_no_data'"),
        ("slo: {metric: error_rate}", "key 'objective' is missing; such as objective: 0.99"),
        ("slo: {metric: error_rate, objective: 0.9}, warning: 2", "an objective has no 'warning'"),
        ("slo: {metric: response_time, objective: 0.9}", "'slower_than' belongs to the metric response_time"),
        ("slo: {metric: error_rate, objective: 0.9, period: 7d}", "the period is shorter than 28d"),
        ("slo: {metric: cost_per_hour}", "the objective of a cost is a budget a month; budget: {usd: 800, per: month}"),
    ],
)
def test_a_rule_that_would_be_ignored_in_part_is_refused_with_a_hint(invoke, rule, finding):
    result = invoke("check", config=f"rules: [{{id: x, {rule}}}]\n")
    assert result.exit_code == 2
    assert finding in result.stderr


def test_a_file_of_rules_may_hold_nothing_else(invoke, tmp_path):
    (tmp_path / "more.yaml").write_text("rules: []\nservice: x\n")
    result = invoke("check", config="rule_files: [more.yaml]\n")
    assert "more.yaml:2:1: a file of rules has no 'service'; other settings belong into ihobs.yaml" in result.stderr


def test_a_backtest_shows_when_rules_would_have_fired(invoke, tmp_path):
    began = now_ns() // HOUR_NS * HOUR_NS - 3 * HOUR_NS
    minutes_ago = (now_ns() - began) / 60e9
    with TelemetryStore(Home.open(tmp_path / "home", create=True)) as store:
        for minute in range(120):
            ended_ago_s = (minutes_ago - minute) * 60 - 30
            runs = [Run(ended_ago_s=ended_ago_s, failed=30 <= minute < 40 and one < 5) for one in range(10)]
            store.ingest(request(now_ns(), *runs), live=False)
    report = json.loads(invoke("backtest", "--since", "3h", "--json").stdout)
    failing = next(one for one in report["rules"] if one["rule"] == "failing")
    [firing] = failing["firings"]
    assert (firing["level"], failing["told"]) == ("warning", 1)
    assert firing["text"] == "failing is 12.5 %, above 10 %" or firing["text"] == "failing is 20 %, above 10 %"
    assert 11 * 60 <= failing["firing_s"] <= 15 * 60
    assert report["rules"][0]["rule"] == "error_rate"
    assert next(one for one in report["rules"] if one["rule"] == "spans_dropped")["error"].startswith("its metric")
    shown = invoke("backtest", "--since", "3h", "--rule", "failing").stdout
    assert "▅" in shown
    assert "above 10 %" in shown


def test_a_backtest_of_an_unknown_rule_names_those_there_are(invoke, tmp_path):
    Home.open(tmp_path / "home", create=True)
    result = invoke("backtest", "--rule", "nope")
    assert result.exit_code == 2
    assert "there is no rule 'nope'; there are" in result.stderr


def test_a_file_that_is_not_installed_can_be_played(invoke, tmp_path):
    Home.open(tmp_path / "home", create=True)
    (tmp_path / "new.yaml").write_text("rules: [{id: new, metric: error_rate, warning: 0.1}]\n")
    report = json.loads(invoke("backtest", "--since", "1h", "--rules", "new.yaml", "--json").stdout)
    assert [one["rule"] for one in report["rules"]] == ["new"]
