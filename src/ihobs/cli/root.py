"""The root command: global options, and a table of commands whose modules are imported when they are used."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

import ihobs
from ihobs.cli import edge
from ihobs.cli.context import AppContext
from ihobs.cli.strangers import strangers_installed


class Entry(NamedTuple):
    """A command of ours: where it is, and the line that `ihobs --help` shows without importing it."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    "alerts": Entry("ihobs.cli.alerts", "alerts", "See what is firing, and since when."),
    "channels": Entry("ihobs.cli.channels", "channels", "See who hears of alerts, and test that it arrives."),
    "config": Entry("ihobs.cli.config", "config", "Check the configuration, and see where each value came from."),
    "controls": Entry("ihobs.cli.controls", "controls", "See and set what holds for a while."),
    "demo": Entry("ihobs.cli.demo", "demo", "Watch a real orchestrator go wrong and recover, in under a minute."),
    "doctor": Entry("ihobs.cli.doctor", "doctor", "Look at everything that can be wrong, and say what to do."),
    "destinations": Entry("ihobs.cli.destinations", "destinations", "See what waits for each destination."),
    "exec": Entry("ihobs.cli.exec_", "exec_", "Run a command under observation: ihobs exec -- python app.py."),
    "explain": Entry("ihobs.cli.explain", "explain", "Show why an alert is as it is, and the traces behind it."),
    "import": Entry("ihobs.cli.import_group", "import_", "Bring spans in from OTLP files, or runs from LangSmith."),
    "incidents": Entry("ihobs.cli.incidents", "incidents", "See what went wrong, take it, and lead it to its end."),
    "init": Entry("ihobs.cli.init", "init", "Write a commented ihobs.yaml and make the home."),
    "logs": Entry("ihobs.cli.logs", "logs", "Show what programs logged, by trace, level, service and time."),
    "metrics": Entry("ihobs.cli.metrics", "metrics", "Show runs, errors, durations, tokens and cost of a window."),
    "plugins": Entry(
        "ihobs.cli.plugins", "plugins", "List the plug-ins that are installed, and what is wrong with them."
    ),
    "rules": Entry("ihobs.cli.rules", "rules", "Check alert rules, run their tests, see what they would have done."),
    "run": Entry("ihobs.cli.run", "run", "Run a runbook, and watch it."),
    "runbooks": Entry("ihobs.cli.runbooks", "runbooks", "List, check and look at runbooks."),
    "runs": Entry("ihobs.cli.runs", "runs", "See runs of runbooks, answer, resume and cancel them."),
    "serve": Entry("ihobs.cli.serve", "serve", "Receive spans over OTLP/HTTP from any program or language."),
    "redact": Entry("ihobs.cli.redact", "redact", "Show what would be taken out of a file's spans."),
    "silences": Entry("ihobs.cli.silences", "silences", "Keep alerts quiet for a while."),
    "status": Entry("ihobs.cli.status", "status", "Show what is watched, what is running and what needs attention."),
    "traces": Entry("ihobs.cli.traces", "traces", "List traces, and show one as a waterfall."),
}


class RootGroup(click.Group):
    """Looks commands up in the table, then among those of plug-ins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, ours and those of plug-ins."""
        self._ask_plugins(ctx)
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command `cmd_name`, importing its module; None when there is none."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            self._ask_plugins(ctx)
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(entry.module), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, so that help imports none of them."""
        rows = []
        for name in self.list_commands(ctx):
            known = COMMANDS.get(name)
            rows.append((name, known.summary if known else self.commands[name].get_short_help_str(limit=80)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command of a plug-in.

        Raises:
            ValueError: the name is taken.
        """
        name = name or cmd.name
        if name in COMMANDS or name in self.commands:
            raise ValueError(f"the command name {name!r} is taken")
        super().add_command(cmd, name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the global options, and make the context that every command is given."""
        rest = super().parse_args(ctx, args)
        ctx.obj = AppContext(ctx.params["home"], ctx.params["config"], debug=ctx.params["debug"])
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors become text and an exit code at the edge."""
        return edge.run(ctx, super().invoke)

    def _ask_plugins(self, ctx: click.Context) -> None:
        """Let strangers' plug-ins add their commands, once; ours have none."""
        if ctx.meta.get("ihobs.plugins_asked") or not strangers_installed():
            return
        ctx.meta["ihobs.plugins_asked"] = True
        ctx.ensure_object(AppContext).plugins.call_each("ihobs_register_commands", group=self)


@click.group(
    cls=RootGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 a finding, 2 usage or an invalid file, 3 not found, 4 partly done, 5 refused, "
    "6 unreachable, 70 a fault of ihobs, 130 interrupted.",
)
@click.option("--home", type=click.Path(path_type=Path), help="The home directory; IHOBS_HOME; default .ihobs.")
@click.option("--config", type=click.Path(path_type=Path), help="The file; IHOBS_CONFIG; default ./ihobs.yaml.")
@click.option("--debug", is_flag=True, help="Show the traceback of a fault of ihobs.")
@click.version_option(ihobs.__version__, prog_name="ihobs", message="%(prog)s %(version)s")
def main(**_: object) -> None:
    """Watch an LLM orchestrator through its OpenTelemetry spans, and act on what they show."""
