"""`ihobs doctor`: look at everything that can be wrong, and say what to do."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.cli.inert import inert
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.units import plural
from ihobs.errors import EXIT_FINDING, IhobsError

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.doctor.examined import Examined
    from ihobs.doctor.finding import Finding

MARK_WIDTH, SUBJECT_WIDTH = 9, 17

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "red")}


@click.command()
@click.option("--deep", is_flag=True, help="Read every page of the databases, however large they are.")
@click.option("--offline", is_flag=True, help="Ask nobody on the network.")
@click.option("--quiet", is_flag=True, help="Leave out what is as it should be.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, /, *, deep: bool, offline: bool, quiet: bool, as_json: bool) -> None:
    """Look at everything that can be wrong, and say what it means and what to do.

    Changes nothing, and works when the configuration or the home is broken. Ends with 1 when there is a warning or a
    problem.
    """
    from ihobs.doctor.examine import examine

    examined = _examined(ctx.obj, deep=deep, online=not offline)
    try:
        if as_json:
            found = list(examine(examined))
            emit_json({"ok": not _wanting(found), "findings": found})
        else:
            found = _show(examine(examined), quiet=quiet)
    finally:
        examined.close()
    if _wanting(found):
        ctx.exit(EXIT_FINDING)


def _examined(app: AppContext, *, deep: bool, online: bool) -> Examined:
    """Return what there is to examine; a configuration that cannot be used is a finding."""
    from ihobs.doctor.examined import Examined
    from ihobs.plugins import load

    config, reason = None, ""
    try:
        config = app.config
    except IhobsError as error:
        reason = str(error)
    home = config.settings.home if config else (app.home_option or Path(os.environ.get("IHOBS_HOME") or ".ihobs"))
    return Examined(
        config=config,
        config_error=reason,
        home_path=home.absolute(),
        environ=os.environ,
        plugins=load(quiet=True),
        clock=app.clock,
        deep=deep,
        online=online,
    )


def _wanting(found: Iterable[Finding]) -> bool:
    return any(finding.level != "ok" for finding in found)


def _show(findings: Iterable[Finding], *, quiet: bool) -> list[Finding]:
    """Print findings as they come, and then how many there are of each kind."""
    width, found = console().width, []
    for finding in findings:
        found.append(finding)
        if not quiet or finding.level != "ok":
            click.echo("\n".join(_lines(finding, width)))
    counts = Counter(finding.level for finding in found)
    told = [plural(counts["problem"], "problem"), plural(counts["warning"], "warning"), f"{counts['ok']} ok"]
    click.secho(", ".join(told), bold=True)
    return found


def _lines(finding: Finding, width: int) -> Iterator[str]:
    """Yield a finding as lines: mark and subject stand left of its text, what it means and what to do below."""
    mark, colour = _MARKS[finding.level]
    left = MARK_WIDTH + SUBJECT_WIDTH
    subject = inert(finding.subject).ljust(SUBJECT_WIDTH - 1) + " "
    head = click.style(mark.ljust(MARK_WIDTH), fg=colour) + click.style(subject, bold=True)
    texts = [line for line in finding.text.splitlines() if line.strip()]
    first, *rest = [part for line in texts for part in textwrap.wrap(inert(line), max(30, width - left))]
    yield f"{head}{first}"
    for line in rest:
        yield " " * left + line
    for arrow, text in (("", finding.meaning), ("-> ", finding.advice)):
        for index, line in enumerate(textwrap.wrap(inert(text), max(30, width - left - len(arrow)))):
            yield " " * left + (arrow if index == 0 else " " * len(arrow)) + line
