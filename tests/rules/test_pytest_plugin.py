"""pytest runs the tests of rules: in a process of its own, as a user's pytest does."""

from __future__ import annotations

import subprocess
import sys

import pytest

RULES = """
rules:
  - {id: failing, metric: error_rate, warning: 0.1}
tests:
  - name: half of them fail
    rule: failing
    series: [{count: runs, values: "20x9 0x9"}, {count: failed_runs, values: "10x4 0x20"}]
    expect:
      - {at: 4m, level: LEVEL}
      - {at: 15m, value: null}
"""


@pytest.fixture
def run_pytest(tmp_path):
    def run(*arguments, level="warning"):
        (tmp_path / "rules").mkdir(exist_ok=True)
        (tmp_path / "rules" / "failing.yaml").write_text(RULES.replace("LEVEL", level))
        (tmp_path / "values.yaml").write_text("a: 1\n")
        command = [sys.executable, "-m", "pytest", "-p", "ihobs.pytest_rules", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_the_option_collects_the_files_of_directories_named_rules(run_pytest):
    done = run_pytest("--ihobs-rules", "-v")
    assert done.returncode == 0, done.stdout
    assert "rules/failing.yaml::half of them fail PASSED" in done.stdout
    assert "failing  1/3   not shown: clears, no data" in done.stdout
    assert "1 passed" in done.stdout


def test_without_the_option_only_a_file_that_is_named_is_collected(run_pytest):
    assert run_pytest().returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "1 passed" in run_pytest("rules/failing.yaml").stdout


def test_a_failing_test_shows_what_is_true_instead_and_no_traceback(run_pytest, tmp_path):
    done = run_pytest("rules/failing.yaml", level="ok")
    assert done.returncode == 1
    assert f"{tmp_path}/rules/failing.yaml:9:9: at 4m failing is warning, not ok; the value is 50 %" in done.stdout
    assert "Traceback" not in done.stdout


def test_too_little_coverage_fails_the_session(run_pytest):
    done = run_pytest("--ihobs-rules", "--ihobs-rules-cov-fail-under", "50")
    assert (done.returncode, "33 %, less than 50 %" in done.stdout) == (1, True)
    assert run_pytest("--ihobs-rules", "--ihobs-rules-cov-fail-under", "30").returncode == 0


def test_a_file_that_is_not_valid_is_an_error_with_its_place(run_pytest):
    done = run_pytest("rules/failing.yaml", level="high")
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "rules/failing.yaml:9:25: tests.0.expect.0.level: 'high' is not known" in done.stdout
