"""`ihobs init`, `config check` and `config show`, as they are typed."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ihobs.cli import main
from ihobs.config import load
from ihobs.settings import TABLE

Run = Callable[..., Result]

EXISTING = {
    "enabled": True,
    "check_interval": 300,
    "thresholds": {
        "error_rate": {"warning": 0.05, "critical": 0.15},
        "response_time": {"warning": 20, "critical": 45.5},
        "cost_per_hour": {"warning": 10.0, "critical": 25.0},
    },
    "channels": {
        "critical": ["slack://team-alerts", "email://on-call@insighthub.com", "sms://+1234567890"],
        "warning": ["slack://monitoring", "email://team-leads@insighthub.com"],
    },
}


@pytest.fixture(autouse=True)
def no_key_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own key would be asked about."""
    for name in ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **options: CliRunner().invoke(main, arguments, **options)


def in_force() -> object:
    return load(environ={}).settings


def test_a_new_file_is_valid_holds_the_defaults_and_the_home_exists(run, tmp_path):
    before = in_force()
    result = run("init")
    assert (result.exit_code, result.stderr) == (0, "")
    assert in_force() == before
    assert (tmp_path / ".ihobs" / "CURRENT").exists()
    assert run("config", "check").stdout == "ihobs.yaml: valid\n"


def test_the_first_line_names_a_schema_that_is_there(run, tmp_path):
    run("init")
    first = (tmp_path / "ihobs.yaml").read_text().splitlines()[0]
    schema = Path(first.removeprefix("# yaml-language-server: $schema="))
    assert json.loads(schema.read_text())["title"] == "ihobs.yaml"


def test_each_example_in_a_comment_is_valid_when_it_is_uncommented(run, tmp_path):
    run("init")
    path = tmp_path / "ihobs.yaml"
    lines = path.read_text().splitlines()
    examples = {"# service:", "# targets:", "# arguments:", "# rules:", "#   - {", "# quotas:", "# retention:"}
    examples |= {"# destinations:", "#   langsmith:", "#   collector:"}
    examples |= {"# channels:", "#   critical", "#   warning", "# receivers:", '#   "slack'}
    shown = [
        line.replace("# ", "", 1) if any(line.lstrip().startswith(one) for one in examples) else line for line in lines
    ]
    assert len([1 for old, new in zip(lines, shown, strict=True) if old != new]) == len(examples)
    path.write_text("\n".join(shown))
    assert run("config", "check").stdout == "ihobs.yaml: valid\n"
    assert load(environ={}).origins.keys() == {row.key for row in TABLE}


def test_an_existing_file_is_never_replaced_without_force(run, tmp_path):
    (tmp_path / "ihobs.yaml").write_text("service: mine\n")
    result = run("init")
    assert (result.exit_code, result.stderr) == (5, "error: ihobs.yaml exists; use --force to replace it\n")
    assert (tmp_path / "ihobs.yaml").read_text() == "service: mine\n"
    assert not (tmp_path / ".ihobs").exists()


@pytest.mark.parametrize("name", ["other: #x", "null", "true", "12", 'a"b', "ünïcode"])
def test_the_name_of_the_service_is_taken_as_it_is(run, name):
    assert run("init", "--service", name).exit_code == 0
    assert in_force().service == name


@pytest.mark.parametrize("dump", [lambda value: json.dumps(value, indent="\t"), json.dumps])
@pytest.mark.parametrize("name", ["old.json", "old.yaml"])
def test_an_alert_configuration_is_carried_over_whole(run, tmp_path, name, dump):
    text = dump(EXISTING)
    if name.endswith("yaml"):
        text = text.replace("\t", "  ")
    (tmp_path / name).write_text(text)
    result = run("init", "--from", name, "--json")
    assert json.loads(result.stdout)["not_carried_over"] == [
        "check_interval: 300 is not needed; ihobs evaluates when data arrives"
    ]
    settings = in_force()
    assert settings.thresholds["response_time"] == {"warning": 20, "critical": 45.5}
    assert settings.thresholds["api_quota"] == {"warning": 0.8, "critical": 0.95}
    assert {level: list(names) for level, names in settings.channels.items()} == EXISTING["channels"]


@pytest.mark.parametrize(
    ("existing", "said"),
    [
        ({"thresholds": {}, "enabled": False}, "enabled: alerts are on in ihobs"),
        ({"thresholds": {}, "colour": 1}, "colour: not known to ihobs"),
        ({"thresholds": []}, "thresholds: not a mapping"),
        ({"thresholds": {"success_rate": {"warning": 1}}}, "thresholds.success_rate: not a standard metric"),
        ({"thresholds": {"error_rate": 5}}, "thresholds.error_rate: needs 'warning' and 'critical'"),
        ({"thresholds": {"error_rate": {"warning": "5"}}}, "warning is not a number of 0 or more; the default stays"),
        ({"thresholds": {"error_rate": {"warning": True}}}, "warning is not a number"),
        ({"thresholds": {"error_rate": {"warning": 2, "critical": 1}}}, "critical is not greater than warning"),
        ({"channels": 5}, "channels: not a mapping"),
        ({"channels": {"info": []}}, "channels.info: no such level"),
        ({"channels": {"critical": "slack://a"}}, "channels.critical: not a list of receivers"),
        ({"channels": {"critical": ["\ud800"]}}, "channels.critical: not a list of receivers"),
        ({"thresholds": {"error_rate": {"warning": 5, "critical": 15}}}, "thresholds.error_rate: it is a part of 1"),
    ],
)
def test_what_cannot_be_carried_over_is_said_and_the_defaults_stay(run, tmp_path, existing, said):
    before = in_force()
    (tmp_path / "old.json").write_text(json.dumps(existing))
    result = run("init", "--from", "old.json")
    assert result.exit_code == 0
    assert any(line.startswith("not carried over: ") and said in line for line in result.stdout.splitlines())
    assert in_force().thresholds == before.thresholds


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("old.json", '{"thresholds": NaN}', 2, "NaN is not JSON"),
        ("old.json", '{"thresholds": {}', 2, "old.json:1:18: Expecting ',' delimiter"),
        ("old.json", "[" * 100_000, 2, "old.json: nested too deeply"),
        ("old.json", "[1]", 2, "is not an alert configuration"),
        ("old.yaml", "a: b: c", 2, "old.yaml:1:5: mapping values are not allowed here"),
        ("old.yaml", "unrelated: 1", 2, "it has neither 'thresholds' nor 'channels'"),
        ("other.yaml", "", 3, "no file 'old.yaml'"),
    ],
)
def test_what_is_no_alert_configuration_writes_nothing(run, tmp_path, name, content, code, said):
    (tmp_path / name).write_text(content)
    result = run("init", "--from", name.replace("other", "old"))
    assert result.exit_code == code
    assert said in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_directory_that_cannot_be_written_is_one_clear_error(run):
    result = run("--config", "/proc/ihobs.yaml", "init")
    assert result.exit_code == 6
    assert result.stderr.startswith("error: /proc/ihobs.yaml: ")


def test_a_home_of_ones_own_is_written_relative_to_the_file(run, tmp_path):
    (tmp_path / "etc").mkdir()
    assert run("--config", "etc/ihobs.yaml", "--home", "data", "init").exit_code == 0
    assert (tmp_path / "data" / "CURRENT").exists()
    assert (tmp_path / "etc" / "ihobs.yaml").read_text().count('home: "../data"') == 1
    assert Path(os.path.normpath(load(Path("etc/ihobs.yaml"), environ={}).settings.home)) == tmp_path / "data"


def test_prompt_contents_are_kept_when_told_and_masked_without_a_terminal(run):
    assert json.loads(run("init", "--json").stdout)["content"] == "mask"
    assert json.loads(run("init", "--json", "--force", "--content", "keep").stdout)["content"] == "keep"
    assert in_force().instrument.content == "keep"


@pytest.mark.parametrize(("typed", "content"), [("keep", "keep"), ("", "mask"), ("no\nkeep", "keep")])
def test_on_a_terminal_it_asks_what_becomes_of_prompt_contents(tmp_path, typed, content):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ihobs", "init"]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    os.write(ours, f"{typed}\n".encode())
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the process is
        while chunk := os.read(ours, 1024):
            shown += chunk
    os.close(ours)
    assert process.wait(30) == 0
    assert b"Keep or mask" in shown
    assert load(tmp_path / "ihobs.yaml", environ={}).settings.instrument.content == content


def test_a_project_of_langsmith_becomes_a_destination(run, tmp_path):
    result = run("init", "--langsmith", "Insight: Hub")
    assert "'ihobs doctor'" in result.stdout
    [(name, destination)] = load(tmp_path / "ihobs.yaml", environ={}).settings.destinations.items()
    assert (name, destination.type, destination.project) == ("langsmith", "langsmith", "Insight: Hub")


def test_a_key_of_langsmith_alone_starts_nothing_and_is_not_asked_about_without_a_terminal(run, tmp_path, monkeypatch):
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_pt_secret")
    result = run("init")
    assert load(tmp_path / "ihobs.yaml", environ={}).settings.destinations == {}
    assert "lsv2" not in result.output + (tmp_path / "ihobs.yaml").read_text()


@pytest.mark.parametrize(("typed", "projects"), [("\n\n", []), ("\ny\n", ["Mine"])])
def test_on_a_terminal_it_asks_whether_a_key_of_langsmith_is_to_be_used(tmp_path, typed, projects):
    ours, theirs = pty.openpty()
    environ = {**os.environ, "LANGSMITH_API_KEY": "lsv2_pt_secret", "LANGSMITH_PROJECT": "Mine"}
    with subprocess.Popen(
        [sys.executable, "-m", "ihobs", "init"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    ) as process:
        os.write(ours, typed.encode())
        assert process.wait(timeout=30) == 0
    os.close(theirs)
    os.close(ours)
    found = load(tmp_path / "ihobs.yaml", environ={}).settings.destinations.values()
    assert [destination.project for destination in found] == projects


def test_show_says_where_each_value_comes_from(run, tmp_path, monkeypatch):
    (tmp_path / "ihobs.yaml").write_text("service: a\nretention: {payload: 2d}\n")
    monkeypatch.setenv("IHOBS_HOME", "/elsewhere")
    shown = {row["setting"]: row for row in json.loads(run("config", "show", "--json").stdout)["settings"]}
    assert shown["home"] == {"setting": "home", "value": "/elsewhere", "from": "IHOBS_HOME"}
    assert shown["retention.payload"] == {"setting": "retention.payload", "value": "2d", "from": "ihobs.yaml:2"}
    assert shown["rules"]["from"] == "default"
    assert json.loads(run("--home", "x", "config", "show", "--json").stdout)["settings"][0]["from"] == "argument"
    text = run("config", "show").stdout
    assert all(key in text for key in shown)


def test_show_never_shows_a_secret(run, tmp_path):
    (tmp_path / "ihobs.yaml").write_text(
        'receivers: {a: "mailtos://me:hunter2@example.com", b: "${env:HOOK}", c: hunter2,\n'
        ' d: {url: "https://me:hunter2@example.com", secret: "${env:KEY}"}}\n'
        'channels: {critical: ["https://me:hunter2@example.com/x"]}\n'
    )
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        text = run(*arguments).stdout
        assert "hunter2" not in text
        assert "${env:HOOK}" in text
        assert "mailtos://***" in text


def test_check_lists_mistakes_and_what_is_not_used_as_json(run, tmp_path):
    (tmp_path / "a.yaml").write_text("thresolds: 1\nhome: 5\n")
    result = run("config", "check", "a.yaml", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "valid": False,
        "path": "a.yaml",
        "problems": [
            "a.yaml:1:1: unknown key 'thresolds'; did you mean 'thresholds'?",
            "a.yaml:2:7: home: must be text, not a number",
        ],
    }
    (tmp_path / "a.yaml").write_text("backups: {}\n")
    found = json.loads(run("config", "check", "a.yaml", "--json").stdout)
    assert (found["valid"], found["unused"]) == (True, ["a.yaml:1:1: 'backups' is not used yet by this version"])


def test_check_without_a_file_says_that_the_defaults_hold(run):
    assert run("config", "check").stdout == "there is no ihobs.yaml; the defaults hold\n"
