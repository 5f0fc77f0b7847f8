"""`ihobs import`: files when files are named, else one of the sources that have a name."""

from __future__ import annotations

import click

from ihobs.cli.group import Group
from ihobs.cli.import_ import import_files
from ihobs.cli.import_langsmith import langsmith

FILES = "FILE..."
"""The name of the command for files, which nobody types: help lists it."""


class ImportGroup(Group):
    """A group whose first word may also be a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the command for files before what names no other."""
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [FILES, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a source's command; whatever is no source is a file."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, FILES)


@click.group("import", cls=ImportGroup, subcommand_metavar="FILE... | langsmith [OPTIONS]")
def import_() -> None:
    """Bring spans in from OTLP files, or runs from LangSmith.

    What is known already is not counted twice. Imported spans count in their own minutes, and raise no alert.
    """


import_.add_command(import_files, FILES)
import_.add_command(langsmith)
