"""`ihobs alerts list`, run as a user runs it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.alerts.orchestrator import Run, request

from ihobs.cli.root import main
from ihobs.clock import now_ns
from ihobs.config import load
from ihobs.duties import Duties
from ihobs.plugins import load as load_plugins
from ihobs.settings import TABLE
from ihobs.store.state import alerts
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore

RULES = """
rules:
  - {id: by-model, metric: total_tokens_per_hour, by: [model], warning: 5000}
"""


@pytest.fixture
def run(home, tmp_path, monkeypatch):
    """Run `ihobs alerts list` in a directory with an ihobs.yaml."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, config=""):
        (tmp_path / "ihobs.yaml").write_text(config, encoding="utf-8")
        result = CliRunner().invoke(main, ["--home", str(home.path), "alerts", "list", *arguments])
        assert result.exception is None, result.output
        return result

    return invoke


@pytest.fixture
def ingest(home):
    def store(*runs):
        with TelemetryStore(home) as opened:
            opened.ingest(request(now_ns(), *runs))

    return store


def by_rule(result):
    return {(row["rule"], *row["by"].values()): row for row in json.loads(result.stdout)}


def test_every_rule_is_listed_even_before_the_first_span(run):
    listed = json.loads(run("--json").stdout)
    assert [row["rule"] for row in listed] == [
        "api_quota",
        "cost_per_hour",
        "error_rate",
        "response_time",
        "total_tokens_per_hour",
        "clock_skew",
        "rule_health",
        "spans_dropped",
    ]
    assert listed[2] == {
        "rule": "error_rate",
        "level": "ok",
        "state": "inactive",
        "since": None,
        "value": None,
        "threshold": 0.05,
        "by": {},
    }


def test_without_duties_it_evaluates_now_says_so_and_stores_nothing(run, ingest, home):
    ingest(*[Run(failed=number < 2) for number in range(10)])
    result = run("--json")
    listed = json.loads(result.stdout)
    assert listed[0] == {
        "rule": "error_rate",
        "level": "critical",
        "state": "firing",
        "since": listed[0]["since"],
        "value": 0.2,
        "threshold": 0.15,
        "by": {},
    }
    assert result.stderr == "no duties process is alive: evaluated just now, and nobody is told\n"
    state = open_state(home)
    assert alerts.load(state) == {}
    state.close()


def test_with_duties_it_shows_what_they_stored(run, ingest, home):
    ingest(*[Run(failed=True) for _ in range(5)])
    duties = Duties(home, load(environ={}).settings, load_plugins(), receivers={})
    assert duties.start()
    duties.stop()  # the last pass is stored
    with home.locked("duties", wait=False):
        result = run("--json")
    assert by_rule(result)[("error_rate",)]["state"] == "firing"
    assert result.stderr == ""


def test_of_a_split_rule_only_the_telling_instances_are_listed_unless_asked(run, ingest):
    ingest(Run(model="large", input_tokens=900_000), Run(model="small", input_tokens=10), Run(model="tiny"))
    assert {key for key in by_rule(run("--json", config=RULES)) if key[0] == "by-model"} == {("by-model", "large")}
    assert {key for key in by_rule(run("--json", "--all", config=RULES)) if key[0] == "by-model"} == {
        ("by-model", "large"),
        ("by-model", "small"),
        ("by-model", "tiny"),
    }


def test_of_a_split_rule_without_an_alert_the_highest_value_is_listed(run, ingest):
    ingest(Run(model="small", input_tokens=10), Run(model="tiny", input_tokens=0))
    assert by_rule(run("--json", config=RULES))[("by-model", "small")]["state"] == "inactive"


def test_the_table_has_values_in_their_units_and_the_firing_first(run, ingest):
    ingest(*[Run(failed=number < 2, model="gpt-4o") for number in range(10)])
    lines = run(config=RULES).stdout.splitlines()
    assert lines[0].split() == ["rule", "by", "level", "state", "value", "threshold", "since", "(UTC)"]
    assert lines[1].split()[:7] == ["error_rate", "critical", "firing", "20", "%", "15", "%"]
    assert any(line.split()[:2] == ["by-model", "model=gpt-4o"] for line in lines)


def test_a_name_from_traffic_cannot_steer_the_terminal(run, ingest):
    ingest(Run(model="x\x1b[2J\ny", input_tokens=900_000))
    assert "\x1b" not in run(config=RULES).stdout
    assert "model=x y" in run(config=RULES).stdout


def test_a_rule_that_cannot_be_evaluated_is_named_with_the_reason(run):
    said = run("--json", config="rules: [{id: odd, metric: error_rate, by: [model], warning: 1}]\n").stderr
    assert "rule odd cannot be evaluated since" in said
    assert "error_rate cannot be split by 'model'; runs have none of their own; ask for calls by 'of: llm'" in said


def test_without_rules_it_says_how_to_get_some(run):
    standard = (row.key.partition(".")[2] for row in TABLE if row.key.startswith("thresholds."))
    off = ", ".join(f"{name}: {{}}" for name in standard)
    assert run(config=f"thresholds: {{{off}}}").stdout == "no rules; give 'thresholds' or 'rules' in ihobs.yaml\n"
