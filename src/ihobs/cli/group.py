"""A group of commands whose help shows the first sentence of each, whole."""

from __future__ import annotations

import click

WHOLE_SENTENCE = 400
"""Characters of a sentence that help shows; click itself cuts at what is left of the line."""


class Group(click.Group):
    """Like click's, but a summary that is longer than the line goes on in the next one."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their first sentences."""
        rows = [(name, self._summary(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _summary(self, ctx: click.Context, name: str) -> str:
        """Return the first sentence of the help of command `name`."""
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=WHOLE_SENTENCE) if command else ""
