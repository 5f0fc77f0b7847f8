"""`ihobs run`, `runs` and `runbooks`, as they are used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ihobs.cli import main
from ihobs.runbooks.loading import load_text

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = """
id: restart
title: Restart the worker
inputs: {n: {type: integer, default: 2}}
outputs: {said: echo.stdout}
steps:
  - {id: echo, command: [echo, "$(id); {{ inputs.n }}"], effect: read}
  - id: change
    try:
      - {id: ok, approve: "Restart {{ inputs.n }} times?"}
      - {id: quiet, silence: {match: [rule=error_rate], for: 10m, why: restart}, undo: true}
      - {id: fine, check: {that: inputs.n < 3, text: too many}}
    always: [{id: tell, notify: "restart: {{ run.status }}"}]
"""


@pytest.fixture
def ihobs(tmp_path, monkeypatch):
    """Return a function that runs the command line in a directory with a configuration and a runbook."""
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "restart.runbook.yaml").write_text(RUNBOOK)
    (tmp_path / "ihobs.yaml").write_text("runbooks: {paths: [ops], allow: {commands: [echo]}}\n")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0, **options):
        result = CliRunner().invoke(main, [*arguments], **options)
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_a_run_waits_is_approved_and_ends(ihobs):
    assert "Restart 2 times?" in ihobs("run", "restart", code=4)
    [row] = json.loads(ihobs("runs", "list", "--open", "--json"))
    assert (row["status"], row["runbook"]) == ("waiting", "restart")
    assert "ihobs runs approve" in ihobs("runs", "show", "last")
    assert "succeeded" in ihobs("runs", "approve", row["run"][-4:])
    shown = json.loads(ihobs("runs", "show", "last", "--json"))
    assert shown["outputs"] == {"said": "$(id); 2\n"}
    assert [event["step"] for event in shown["events"] if event["event"] == "outcome"] == [
        *("echo", "ok", "quiet", "fine", "tell"),
    ]
    [silence] = json.loads(ihobs("silences", "list", "--json"))
    assert silence["author"] == f"run {row['run']}"
    ihobs("runs", "cancel", "last", code=5)


def test_a_failing_run_is_undone(ihobs):
    output = ihobs("run", "restart", "--input", "n=7", "--yes", code=1)
    assert "too many" in output
    assert "quiet.undo" in output
    assert json.loads(ihobs("silences", "list", "--json")) == []


def test_a_refused_approval_ends_the_run(ihobs):
    ihobs("run", "restart", code=4)
    assert "said no: not now" in ihobs("runs", "approve", "last", "--no", "--note", "not now", code=1)


def test_a_waiting_run_can_be_cancelled_and_an_answer_stored_for_later(ihobs):
    ihobs("run", "restart", code=4)
    assert "stored" in ihobs("runs", "approve", "last", "--later")
    assert "cancelled" in ihobs("runs", "cancel", "last", code=5)


def test_a_dry_run_does_nothing(ihobs, tmp_path):
    output = ihobs("run", "restart", "--dry-run")
    assert "nothing was done" in output
    assert not (tmp_path / ".ihobs").exists()
    events = json.loads(ihobs("run", "restart", "--dry-run", "--json"))["events"]
    assert [event["step"] for event in events if event["event"] == "outcome"] == ["echo", "ok", "quiet", "fine", "tell"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "restrat"), 3),
        (("run", "restart", "--input", "m=1"), 2),
        (("run", "restart", "--input", "n=x"), 2),
        (("run", "restart", "--input", "n"), 2),
        (("runs", "show", "RUN-1"), 3),
        (("runbooks", "check", "nowhere.yaml"), 3),
        (("runbooks", "steps", "nothing"), 2),
    ],
)
def test_mistakes_have_their_exit_codes(ihobs, arguments, code):
    if arguments[0] == "runs":
        ihobs("run", "restart", code=4)
    ihobs(*arguments, code=code)


def test_runbooks_are_listed_checked_and_drawn(ihobs, tmp_path):
    [row] = [one for one in json.loads(ihobs("runbooks", "list", "--json"))["runbooks"] if one["id"] == "restart"]
    assert row["title"] == "Restart the worker"
    assert "CHANGES    quiet: silence" in ihobs("runbooks", "show", "restart")
    assert "flowchart TD" in ihobs("runbooks", "graph", "restart", "--mermaid")
    assert "restart.runbook.yaml: ok" in ihobs("runbooks", "check")
    bad = tmp_path / "ops" / "bad.runbook.yaml"
    bad.write_text("id: bad\ntitle: t\nsteps: [{id: a, qurey: {}}]\n")
    assert "bad.runbook.yaml:3:24: unknown key 'qurey'; did you mean 'query'?" in ihobs("runbooks", "check", code=2)
    [found] = json.loads(ihobs("runbooks", "check", str(bad), "--json", code=2))["findings"]
    assert (found["findings"][0]["line"], found["findings"][0]["column"]) == (3, 24)
    assert "not usable" in ihobs("runbooks", "list")


def test_steps_are_documented(ihobs):
    assert "tell people" in ihobs("runbooks", "steps")
    assert "match (required)" in ihobs("runbooks", "steps", "silence")
    kinds = json.loads(ihobs("runbooks", "steps", "--json"))
    assert {"query", "notify", "command"} <= {one["kind"] for one in kinds}
    assert json.loads(ihobs("runbooks", "steps", "--schema"))["title"] == "ihobs runbook"


def test_the_runbooks_in_the_documents_are_valid(kinds):
    text = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "steps:" in block]
    assert blocks
    for block in blocks:
        assert load_text(Path("docs"), block, kinds).steps
