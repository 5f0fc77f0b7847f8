"""`ihobs rules backtest`: what rules would have done over the stored past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.cli.inert import inert
from ihobs.cli.moments import SINCE_HELP, length_shown, shown, since_ns
from ihobs.cli.output import console, emit_json, json_option
from ihobs.clock import isoformat

if TYPE_CHECKING:
    from rich.text import Text

    from ihobs.alerts.backtest import Backtest, Course, Firing
    from ihobs.alerts.rules import RuleSet
    from ihobs.cli.context import AppContext
    from ihobs.config import Settings

LISTED = 12
"""Firings that are listed one by one, newest first; `--json` has all."""

_MARKS = {None: ("·", "dim"), "ok": ("▁", "green"), "warning": ("▅", "yellow"), "critical": ("█", "bold red")}


@click.command()
@click.option("--since", default="30d", show_default=True, metavar="T", help=SINCE_HELP)
@click.option(
    "--rules", "file", type=click.Path(path_type=Path), help="Rules of this file instead of those that are installed."
)
@click.option("--rule", "names", multiple=True, metavar="ID", help="Only this rule; can be given several times.")
@json_option
@click.pass_obj
def backtest(app: AppContext, *, since: str, file: Path | None, names: tuple[str, ...], as_json: bool) -> None:
    """Show when the rules would have fired since T, for how long, and how often a week they would have told you.

    Reads the stored roll-ups, and evaluates once a minute. Before the last 14 days only hours are kept: there no
    window is shorter than an hour. Changes nothing, and tells nobody.
    """
    from ihobs.alerts.backtest import Past, backtest
    from ihobs.alerts.evaluator import timezone_of
    from ihobs.store.schema import open_telemetry

    home = app.home()
    rules, settings = _rules(app, file, names)
    start_ns = since_ns(since, app.clock)
    past = Past(open_telemetry(home), start_ns, app.clock(), settings.quotas, timezone_of(settings))
    found = backtest(past, rules)
    if as_json:
        emit_json(_report(found))
    else:
        _print(found)


def _rules(app: AppContext, file: Path | None, names: Sequence[str]) -> tuple[RuleSet, Settings]:
    """Return the rules to play.

    Raises:
        InvalidInputError: the file is not valid.
        click.BadParameter: there is no such rule.
    """
    from ihobs.alerts.rules import collect
    from ihobs.alerts.suites import suite

    settings = app.config.settings
    rules = collect(app.plugins, settings)
    if file:
        one = suite(file, app.config, app.plugins)
        settings, own = one.settings, set(one.own)
        chosen = tuple(rule for rule in one.rules.rules if rule.id in own)
        rules = replace(one.rules, rules=chosen, refused=tuple(why for why in one.rules.refused if why[0] in own))
    known = {rule.id for rule in rules.rules} | {name for name, _ in rules.refused}
    for name in names:
        if name not in known:
            raise click.BadParameter(f"there is no rule {name!r}; there are {', '.join(sorted(known))}")
    if names:
        chosen = tuple(rule for rule in rules.rules if rule.id in names)
        rules = replace(rules, rules=chosen, refused=tuple(why for why in rules.refused if why[0] in names))
    return rules, settings


def _report(found: Backtest) -> dict[str, object]:
    return {
        "start": isoformat(found.start_ns),
        "end": isoformat(found.end_ns),
        "hours_only_before": isoformat(found.hours_only_before_ns) if found.hours_only_before_ns else None,
        "rules": [
            {
                "rule": course.rule,
                "error": course.error,
                "told": course.told,
                "told_a_week": round(found.a_week(course), 2),
                "firing_s": course.firing_ns / 1e9,
                "firings": [_firing(one) for one in course.firings],
            }
            for course in found.courses.values()
        ],
    }


def _firing(one: Firing) -> dict[str, object]:
    return {
        "alert": one.alert,
        "start": isoformat(one.start_ns),
        "end": None if one.end_ns is None else isoformat(one.end_ns),
        "level": one.level,
        "text": one.text,
    }


def _print(found: Backtest) -> None:
    from rich.text import Text

    from ihobs.cli.tables import plain_table

    terminal = console()
    table = plain_table()
    table.add_column("rule", overflow="ellipsis", no_wrap=True)
    table.add_column(f"{shown(found.start_ns)[:16]} to {shown(found.end_ns)[:16]} UTC", no_wrap=True)
    for title in ("fired", "told a week", "firing for"):
        table.add_column(title, justify="right", no_wrap=True)
    for course in found.courses.values():
        if course.error:
            table.add_row(inert(course.rule), Text(inert(course.error), style="dim"), "-", "-", "-")
        else:
            counts = (str(len(course.firings)), f"{found.a_week(course):.3g}", _length(course.firing_ns))
            table.add_row(inert(course.rule), _picture(course), *counts)
    terminal.print(table)
    terminal.print(Text("▁ ok  ▅ warning  █ critical  · no data", style="dim"))
    for line in _newest(found):
        terminal.print(line, soft_wrap=True)
    if found.start_ns < found.hours_only_before_ns:
        border = shown(found.hours_only_before_ns)
        click.echo(f"before {border} UTC only hours are stored: no window is shorter than an hour there", err=True)


def _picture(course: Course) -> Text:
    from rich.text import Text

    picture = Text()
    for level in course.levels:
        mark, style = _MARKS[level]
        picture.append(mark, style)
    return picture


def _newest(found: Backtest) -> list[Text]:
    from rich.text import Text

    every = [one for course in found.courses.values() for one in course.firings]
    newest = sorted(every, key=lambda one: one.start_ns, reverse=True)[:LISTED]
    lines = [Text("")] if newest else []
    for one in newest:
        lasted = "goes on" if one.end_ns is None else _length(one.end_ns - one.start_ns)
        lines.append(Text(f"{shown(one.start_ns)[:16]}  {lasted:>8}  {inert(one.text)}", style=_MARKS[one.level][1]))
    if len(every) > LISTED:
        lines.append(Text(f"and {len(every) - LISTED} before", style="dim"))
    return lines


def _length(length_ns: int) -> str:
    return "-" if not length_ns else length_shown(length_ns)
