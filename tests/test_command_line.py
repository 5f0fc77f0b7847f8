"""The root command and the edge: help, exit codes, faults, pipes, and commands of plug-ins."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import ihobs
from ihobs.cli import main, root
from ihobs.cli.strangers import strangers_installed
from ihobs.errors import InvalidInputError, NotFoundError, RefusedError, StoreRefusedError, StoreUnavailableError

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `ihobs ARGUMENTS` in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **options: CliRunner().invoke(main, arguments, **options)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that puts a callback into the table as `ihobs try`."""

    def put(callback: Callable[[], object]) -> None:
        module = type(sys)("tests_try_command")
        module.command = click.command("try")(callback)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(root.COMMANDS, "try", root.Entry(module.__name__, "command", "Try."))

    return put


def raising(error: BaseException) -> Callable[[], None]:
    def callback() -> None:
        raise error

    return callback


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InvalidInputError("a.yaml:1:2", "is wrong", "do this"), 2, "a.yaml:1:2: is wrong; do this"),
        (NotFoundError("trace", "ab", "look"), 3, "no trace 'ab'; look"),
        (RefusedError("it exists", "use --force"), 5, "it exists; use --force"),
        (StoreRefusedError("/h", "is newer", "upgrade"), 5, "/h: is newer; upgrade"),
        (StoreUnavailableError("/h", "is locked", "wait"), 6, "/h: is locked; wait"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_is_one_line_on_stderr_and_its_own_exit_code(run, command, error, code, text):
    command(raising(error))
    result = run("try")
    assert (result.exit_code, result.stderr, result.stdout) == (code, f"error: {text}\n", "")


def test_a_fault_of_ours_ends_with_70_and_leaves_its_traceback_in_the_home(run, command, tmp_path):
    command(raising(ZeroDivisionError("oops")))
    assert run("init").exit_code == 0
    result = run("try")
    assert result.exit_code == 70
    assert result.stderr.splitlines()[0] == "error: ihobs failed: ZeroDivisionError: oops"
    [report] = (tmp_path / ".ihobs" / "logs").iterdir()
    assert str(report) in result.stderr
    assert "ZeroDivisionError: oops" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


def test_a_fault_without_a_home_leaves_its_traceback_in_the_temporary_directory(run, command, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command(raising(ZeroDivisionError("oops")))
    assert run("try").exit_code == 70
    assert [path.suffix for path in tmp_path.iterdir()] == [".txt"]


def test_debug_shows_the_traceback_instead(run, command, tmp_path):
    command(raising(ZeroDivisionError("oops")))
    result = run("--debug", "try")
    assert result.exit_code == 70
    assert "Traceback (most recent call last)" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()], ids=["ctrl-c", "abort"])
def test_an_interrupt_ends_with_130(run, command, error):
    command(raising(error))
    result = run("try")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_a_command_chooses_its_exit_code(run, command):
    command(lambda: click.get_current_context().exit(4))
    assert run("try").exit_code == 4


@pytest.mark.parametrize("arguments", [["nope"], ["config", "nope"], ["config", "check", "--nope"], []])
def test_wrong_usage_ends_with_2_and_shows_the_usage(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_a_pipe_that_closes_early_is_no_fault(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "ihobs", "config", "show", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), error) == (128 + signal.SIGPIPE, b"")


def test_version_and_help_name_what_there_is(run):
    assert run("--version").stdout == f"ihobs {ihobs.__version__}\n"
    text = run("--help").stdout
    assert all(name in text for name in root.COMMANDS)
    assert "Exit codes: 0 ok" in text


@pytest.mark.parametrize("name", ["alerts", "channels", "import", "plugins", "rules", "traces"])
def test_the_help_of_a_group_cuts_no_sentence(run, name):
    _, _, commands = run(name, "--help", terminal_width=80).stdout.partition("Commands:")
    assert commands
    assert "..." not in commands.replace("FILE...", "")


def leaves_of(command):
    """The commands that do something, also those of groups within groups."""
    if not isinstance(command, click.Group):
        return [command]
    assert command.help
    return [leaf for each in command.commands.values() for leaf in leaves_of(each)]


@pytest.mark.parametrize("name", sorted(root.COMMANDS))
def test_every_command_of_the_table_exists_has_help_and_its_leaves_print_json(name):
    entry = root.COMMANDS[name]
    found = main.get_command(click.Context(main), name)
    assert found is not None
    assert found.name == name
    assert found.help
    assert entry.summary.endswith(".")
    for leaf in leaves_of(found):
        assert leaf.help
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert "--json" in options or name in {"exec", "demo", "serve"}, f"{name} {leaf.name}"


STRANGER = """
    import click, ihobs

    @ihobs.hookimpl
    def ihobs_register_commands(group):
        @group.command()
        @click.pass_obj
        def greet(app):
            "Greet from outside."
            click.echo(f"hello from {app.config.settings.home.name}")
        %s
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setattr(main, "commands", dict(main.commands))

    def install(more: str = "") -> None:
        site = tmp_path / "site"
        (site / "greeter-1.dist-info").mkdir(parents=True)
        (site / "greeter-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: greeter\nVersion: 1\n")
        (site / "greeter-1.dist-info" / "entry_points.txt").write_text("[ihobs]\ngreeter = greeter_plugin\n")
        (site / "greeter_plugin.py").write_text(textwrap.dedent(STRANGER % more))
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "greeter_plugin", raising=False)

    return install


def test_a_plugin_adds_a_command_that_gets_the_context(run, stranger):
    assert run("greet").exit_code == 2
    stranger()
    assert run("--home", "x", "greet").stdout == "hello from x\n"
    assert "Greet from outside." in run("--help").stdout


def test_a_plugin_cannot_take_the_name_of_a_command(run, stranger, caplog):
    stranger("group.add_command(click.Command('metrics'))")
    assert run("greet").exit_code == 0
    assert [record.message for record in caplog.records] == [
        "plug-in greeter: ihobs_register_commands: ValueError: the command name 'metrics' is taken"
    ]


def test_strangers_are_noticed_by_their_metadata_alone(tmp_path):
    def distribution(name: str, entry_points: str | None) -> None:
        (tmp_path / f"{name}.dist-info").mkdir()
        if entry_points is not None:
            (tmp_path / f"{name}.dist-info" / "entry_points.txt").write_text(entry_points)

    distribution("ihobs-0.1.0", "[ihobs]\na = b\n")
    distribution("other-1", "[console_scripts]\na = b\n")
    distribution("bare-1", None)
    assert not strangers_installed([str(tmp_path), str(tmp_path / "gone"), ""])
    distribution("theirs-1", "[ihobs]\na = b\n")
    assert strangers_installed([str(tmp_path)])
