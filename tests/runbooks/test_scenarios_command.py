"""`ihobs runbooks test`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ihobs.cli.root import main

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples" / "runbooks").glob("*.runbook.yaml"))

LOOK = """
id: look
title: look
faults: all
steps:
  - {id: rate, query: error_rate}
  - {id: bad, if: rate.value > 0.1, then: [{id: tell, notify: bad}]}
tests:
  - {name: errors are told, fake: {rate: {value: 0.4}}, expect: {notified: [tell]}}
"""


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "look.runbook.yaml").write_text(LOOK, encoding="utf-8")
    return lambda *arguments: CliRunner().invoke(main, ["runbooks", "test", *map(str, arguments)])


def test_a_fault_that_the_runbook_does_not_reckon_with_is_shown_with_its_reason(invoke):
    result = invoke("look.runbook.yaml")
    assert result.exit_code == 1, result.output
    assert "  ok    errors are told" in result.stdout
    assert "  FAIL  fault: rate has no data (errors are told)" in result.stdout
    assert "bad: rate.value > 0.1: nothing and a number have no order" in result.stdout
    assert "coverage 75 %: 2 of 2 steps, 1 of 2 branches" in result.stdout


def test_json_has_the_same_and_too_little_coverage_is_a_finding(invoke):
    result = invoke("look.runbook.yaml", "--json", "--cov-fail-under", "90")
    assert result.exit_code == 1
    assert "look: coverage 75 % is below 90 %" in result.stderr
    [found] = json.loads(result.stdout)["runbooks"]
    assert found["scenarios"] == [{"name": "errors are told", "failures": []}]
    assert found["coverage"]["missing"] == [{"step": "bad", "way": "none"}]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name.partition(".")[0])
def test_examples_pass_and_are_covered(invoke, path):
    result = invoke(path, "--cov-fail-under", "100")
    assert result.exit_code == 0, result.output
