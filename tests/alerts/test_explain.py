"""`ihobs explain`, run as a user runs it."""

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
from ihobs.store.telemetry import TelemetryStore

RULES = """
rules:
  - {id: by-model, metric: response_time, of: llm, by: [model], warning: 4, min_count: 1}
"""


@pytest.fixture
def explain(home, tmp_path, monkeypatch):
    """Let the duties look once at some runs, and return what `ihobs explain` says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ihobs.yaml").write_text(RULES, encoding="utf-8")
    now = now_ns()
    with TelemetryStore(home) as store:
        good = [Run(ended_ago_s=40 + one, model="gpt-4o-mini") for one in range(9)]
        store.ingest(request(now, *good, Run(failed=True, model="gpt-4o", took_s=9.0, workflow="import")))
    duties = Duties(home, load(environ={}).settings, load_plugins(), receivers={"warning": ("file:w",)})
    assert duties.start()
    duties.stop()  # the last pass is stored

    def run(*arguments):
        return CliRunner().invoke(main, ["--home", str(home.path), "explain", *arguments])

    return run


def test_values_traces_and_who_was_told_are_shown(explain):
    said = explain("error_rate").stdout
    assert said.startswith("error_rate is warning (firing) since ")
    assert "error_rate over 5 min: warning above 5 %, critical above 15 %. Runs fail for good." in said
    assert "the value is 10 %" in said
    assert "from 0 % to 10 %; a full bar is 15 %, · is no data" in said
    assert "import  9 s, 2 failed spans" in said
    assert "error_rate is 10 %, above 5 %" in said


def test_json_has_samples_against_thresholds(explain):
    [found] = json.loads(explain("error_rate", "--json").stdout)
    assert (found["level"], found["value"], found["warning"], found["critical"]) == ("warning", 0.1, 0.05, 0.15)
    values = [sample["value"] for sample in found["samples"]]
    assert (values[0], values[-1], found["samples"][-1]["level"]) == (None, 0.1, "warning")
    assert [trace["workflow"] for trace in found["traces"]] == ["import"]
    assert found["told"][0]["text"] == "error_rate is 10 %, above 5 %"


def test_an_instance_is_explained_by_its_own_traces_slowest_first(explain):
    [found] = json.loads(explain("by-model", "--json").stdout)
    assert found["alert"] == 'by-model{"model":"gpt-4o"}'
    assert [trace["duration_s"] for trace in found["traces"]] == [9.0]
    [other] = json.loads(explain('by-model{"model":"gpt-4o-mini"}', "--json").stdout)
    assert (other["level"], len(other["traces"])) == ("ok", 5)


def test_since_says_from_when_on(explain):
    [found] = json.loads(explain("error_rate", "--json", "--since", "2m").stdout)
    assert 12 <= len(found["samples"]) <= 14


def test_an_alert_that_is_not_known_is_not_found(explain):
    result = explain("nope")
    assert (result.exit_code, result.stderr.startswith("error: no alert 'nope'")) == (3, True)
