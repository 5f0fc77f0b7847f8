"""`ihobs doctor`, as it is typed: what it prints and ends with, also where nothing else works any more."""

import json

import pytest
from click.testing import CliRunner

from ihobs.cli import main


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["doctor", "--offline", *arguments])


def test_a_new_home_is_well_and_ends_with_0(doctor):
    assert CliRunner().invoke(main, ["init"]).exit_code == 0
    result = doctor()
    assert (result.exit_code, "0 problems, 0 warnings" in result.stdout) == (0, True), result.stdout
    assert doctor("--quiet").stdout.count("\n") == 1


def test_no_home_is_a_finding_and_none_is_made(doctor, tmp_path):
    result = doctor()
    assert result.exit_code == 1
    assert "-> 'ihobs exec', 'ihobs serve' and 'ihobs init' make one" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_json_holds_every_finding_with_what_it_means_and_what_to_do(doctor):
    told = json.loads(doctor("--json").stdout)
    assert told["ok"] is False
    assert {tuple(finding) for finding in told["findings"]} == {("level", "subject", "text", "meaning", "advice")}
    assert {finding["subject"] for finding in told["findings"]} >= {"configuration", "home", "plug-ins", "langsmith"}


def test_a_broken_configuration_is_told_whole_and_the_rest_is_looked_at_all_the_same(doctor, tmp_path):
    (tmp_path / "ihobs.yaml").write_text("thresolds: {}\nservise: x\n")
    result = doctor()
    assert result.exit_code == 1
    assert "ihobs.yaml:1:1" in result.stdout
    assert "ihobs.yaml:2:1" in result.stdout
    assert "plug-ins" in result.stdout
    assert json.loads(doctor("--json").stdout)["findings"][0]["level"] == "problem"


def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(doctor, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for line in doctor().stdout.splitlines():
        assert line == line.rstrip()
        assert len(line) <= 200


def test_what_others_wrote_cannot_move_the_cursor(doctor, tmp_path):
    (tmp_path / "ihobs.yaml").write_text('channels: {critical: ["slack://\\u001b[2Jevil"]}\n')
    assert "\x1b[2J" not in doctor().stdout
