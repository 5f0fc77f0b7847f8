"""pytest runs the tests of runbooks: in a process of its own, as a user's pytest does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

RUNBOOK = """
id: look
title: look
faults: FAULTS
coverage: {fail_under: 60}
steps:
  - {id: rate, query: error_rate}
  - {id: bad, if: rate.value is not none and rate.value > 0.1, then: [{id: tell, notify: bad}]}
tests:
  - {name: errors are told, fake: {rate: {value: 0.4}}, expect: {status: STATUS, notified: [tell]}}
"""


@pytest.fixture
def run_pytest(tmp_path):
    def run(*arguments, status="succeeded", faults="none"):
        (tmp_path / "ops").mkdir(exist_ok=True)
        text = RUNBOOK.replace("STATUS", status).replace("FAULTS", faults)
        (tmp_path / "ops" / "look.runbook.yaml").write_text(text)
        (tmp_path / "ops" / "values.yaml").write_text("a: 1\n")
        plugins = ("-p", "ihobs.pytest_rules", "-p", "ihobs.pytest_runbooks")
        command = [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_the_option_collects_scenarios_and_faults_and_says_what_they_show(run_pytest, tmp_path):
    done = run_pytest("--runbooks", "ops", "-v", "--runbook-cov-json", "coverage.json", faults="all")
    assert done.returncode == 0, done.stdout
    assert "ops/look.runbook.yaml::errors are told PASSED" in done.stdout
    assert "ops/look.runbook.yaml::fault: rate has no data (errors are told) PASSED" in done.stdout
    assert "ops/look.runbook.yaml::coverage PASSED" in done.stdout
    assert "look.runbook.yaml  2/2 steps, 1/2 branches  75 %" in done.stdout
    assert "not shown: bad: takes no way" in done.stdout
    [found] = json.loads((tmp_path / "coverage.json").read_text())["runbooks"]
    assert found["branches"] == {"shown": 1, "all": 2}
    assert found["missing"] == [{"step": "bad", "way": "none"}]


def test_coverage_is_whole_when_tests_run_in_several_processes(run_pytest):
    done = run_pytest("--runbooks", "ops", "-n", "2", "-p", "xdist")
    assert "look.runbook.yaml  2/2 steps, 1/2 branches  75 %" in done.stdout, done.stdout


def test_without_the_option_only_a_file_that_is_named_is_collected(run_pytest):
    assert run_pytest().returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "2 passed" in run_pytest("ops/look.runbook.yaml").stdout


def test_a_failing_scenario_shows_where_and_what_is_true_instead_and_no_traceback(run_pytest, tmp_path):
    done = run_pytest("ops/look.runbook.yaml", status="failed")
    assert done.returncode == 1
    assert f"{tmp_path}/ops/look.runbook.yaml:10:" in done.stdout
    assert ": status: succeeded, not failed" in done.stdout
    assert "coverage 0 % is below 60 %" in done.stdout
    assert "Traceback" not in done.stdout


def test_too_little_coverage_fails_the_session(run_pytest):
    done = run_pytest("--runbooks", "--runbook-cov-fail-under", "90")
    assert (done.returncode, "75 %, less than 90 %" in done.stdout) == (1, True)
    assert run_pytest("--runbooks", "--runbook-cov-fail-under", "70").returncode == 0


def test_a_file_that_is_not_valid_is_an_error_with_its_place(run_pytest):
    done = run_pytest("--runbooks", status="gone")
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "ops/look.runbook.yaml:10:" in done.stdout
