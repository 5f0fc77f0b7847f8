"""`ihobs plugins`: what is installed, who brought it, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ihobs.cli.context import AppContext
from ihobs.cli.group import Group
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.root import RootGroup
from ihobs.errors import EXIT_FINDING
from ihobs.plugins import load

if TYPE_CHECKING:
    from ihobs.plugins import Plugins


@click.group(cls=Group)
def plugins() -> None:
    """List the plug-ins that are installed, and what is wrong with them."""


@plugins.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, *, as_json: bool) -> None:
    """List the plug-ins, the hooks that each answers, and its problems; ends with 1 when there are problems.

    Each is asked for its rules and commands, to see whether it can answer. One with a problem harms only itself.
    """
    found = load(quiet=True)
    found.call_each("ihobs_rules", settings=ctx.ensure_object(AppContext).config.settings)
    found.call_each("ihobs_register_commands", group=RootGroup("ihobs"))
    if as_json:
        emit_json({"plugins": found.loaded, "problems": found.problems})
    else:
        _print(found)
    if found.problems:
        ctx.exit(EXIT_FINDING)


def _print(found: Plugins) -> None:
    from ihobs.cli.tables import plain_table

    table = plain_table("plug-in", "distribution", "version", "hooks")
    for plugin in found.loaded:
        table.add_row(plugin.name, plugin.distribution, plugin.version, ", ".join(plugin.hooks))
    console().print(table)
    for problem in found.problems:
        click.echo(f"problem: {problem.plugin}: {problem.hook}: {problem.error}")
