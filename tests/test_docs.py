"""What is documented exists, and what exists is documented."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import click
import pytest
import yaml

import ihobs.hookspecs
from ihobs import errors
from ihobs.checks import NOT_READ_YET
from ihobs.cli import edge, main, root
from ihobs.plugins import installed
from ihobs.resources import shipped
from ihobs.settings import TABLE
from ihobs.testing import check_keeps_contract

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
PLUGINS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = [value for name, value in vars(ihobs.hookspecs).items() if name.startswith("ihobs_")]


@pytest.mark.parametrize("command", sorted(root.COMMANDS))
def test_every_command_is_in_the_readme(command):
    assert f"| `ihobs {command}` |" in README


def test_every_command_in_the_readme_exists():
    context = click.Context(main)
    for line in re.findall(r"^ihobs ([^#\n]+)", README, re.MULTILINE):
        words = line.split()
        command = main.get_command(context, words[0])
        assert command is not None, line
        is_sub = len(words) > 1 and not words[1].startswith("-")
        if isinstance(command, click.Group) and (is_sub or not command.invoke_without_command):
            command = command.get_command(context, words[1])
            assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        if words[0] != "exec":
            assert {word for word in words if word.startswith("--")} <= known, line


def test_every_exit_code_is_in_the_readme_and_the_other_way_round():
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")} | {edge.EXIT_INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} == codes


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_says_when_with_what_and_what_if_it_raises(hook):
    text = inspect.getdoc(hook)
    assert "Called" in text
    assert "If it raises: " in text
    signature = inspect.signature(hook)
    assert signature.return_annotation is not inspect.Signature.empty
    for name, parameter in signature.parameters.items():
        assert f"{name}: " in text
        assert parameter.annotation is not inspect.Parameter.empty
    assert f"| `{hook.__name__}` |" in PLUGINS


def _cell(line: str, index: int) -> str:
    return line.split("|")[index].strip().strip("`")


@pytest.mark.parametrize("setting", [row for row in TABLE if row.key not in NOT_READ_YET])
def test_every_setting_is_documented_with_its_default_and_variable(setting):
    [line] = re.findall(rf"^\| `{re.escape(setting.key)}` \|.*$", CONFIGURATION, re.MULTILINE)
    default = yaml.safe_load(_cell(line, 2))
    assert default == (list(setting.default) if setting.default == () else setting.default)
    assert _cell(line, 3) == setting.variable


def test_what_is_not_used_yet_is_named():
    for key in NOT_READ_YET:
        assert f"`{key}`" in CONFIGURATION


def test_every_key_of_a_rule_is_documented():
    schema = json.loads((shipped("schemas") / "config.schema.json").read_text(encoding="utf-8"))
    for key in schema["properties"]["rules"]["items"]["properties"]:
        assert f"`{key}`" in CONFIGURATION


def test_the_yaml_in_the_documents_is_a_valid_configuration(tmp_path):
    from ihobs.config import load

    blocks = re.findall(r"```yaml\n(.*?)```", README + CONFIGURATION, re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        path = tmp_path / "ihobs.yaml"
        path.write_text(block)
        assert load(path, environ={}).unused == ()


def test_the_links_of_the_documents_lead_somewhere():
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("candidate", installed(), ids=lambda candidate: candidate.name)
def test_every_installed_plugin_keeps_the_contract_of_its_rules(candidate):
    from ihobs.config import load

    plugin = candidate.load()
    if hasattr(plugin, "ihobs_rules"):
        assert check_keeps_contract(plugin, "ihobs_rules", settings=load(environ={}).settings)
