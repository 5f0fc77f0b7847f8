"""`ihobs rules`: are the rules right, do their tests pass, and what would they have done?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.alerts.rule_tests import Outcome, run
from ihobs.alerts.suites import Suite, coverage, covered_ratio, suites
from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.rules_backtest import backtest
from ihobs.cli.units import plural
from ihobs.errors import EXIT_FINDING

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext

Covered = Mapping[str, Mapping[str, bool]]

files_argument = click.argument("files", nargs=-1, type=click.Path(path_type=Path))


@click.group(cls=Group)
def rules() -> None:
    """Check alert rules, run their tests, and see what they would have done."""


rules.add_command(backtest)


@rules.command()
@files_argument
@json_option
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check the rules of FILES, or those of the configuration, and the form of their tests.

    Mistakes are listed with line and column. Ends with 1 when a rule could not be evaluated.
    """
    app: AppContext = ctx.obj
    found = suites(app.config, app.plugins, files)
    problems = [text for one in found for text in one.refused().values()]
    if as_json:
        emit_json({"files": [_counts(one) for one in found], "problems": problems})
    else:
        for one in found:
            click.echo(f"{one.document.path}: {plural(len(one.own), 'rule')}, {plural(len(one.tests), 'test')}")
        if not found:
            click.echo("there is no ihobs.yaml; the standard rules hold")
        for text in problems:
            click.echo(inert(text), err=True)
    if problems:
        ctx.exit(EXIT_FINDING)


def _counts(one: Suite) -> dict[str, object]:
    return {"path": str(one.document.path), "rules": len(one.own), "tests": len(one.tests)}


@rules.command()
@files_argument
@click.option(
    "--cov-fail-under",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="End with 1 when the tests show less than this part of what the rules can do.",
)
@json_option
@click.pass_context
def test(ctx: click.Context, files: tuple[Path, ...], *, cov_fail_under: float | None, as_json: bool) -> None:
    """Run the tests in FILES, or those of the configuration and its files of rules.

    They run the real evaluation on the numbers of each test, with a clock of its own. Coverage says for each rule
    whether a test shows that it fires at each level, clears, and what it does without data.
    """
    app: AppContext = ctx.obj
    found = suites(app.config, app.plugins, files)
    outcomes = {str(one.document.path): [run(each, one.rules, one.settings) for each in one.tests] for one in found}
    every = [outcome for of_file in outcomes.values() for outcome in of_file]
    covered = coverage(found, every)
    percent = 100 * covered_ratio(covered)
    if as_json:
        emit_json(_report(outcomes, covered, percent))
    else:
        for line in (*_lines(outcomes), *_coverage_lines(covered, percent)):
            click.echo(line)
    is_too_low = cov_fail_under is not None and percent < cov_fail_under
    if is_too_low:
        click.echo(f"coverage {percent:.0f} % is below {cov_fail_under:g} %", err=True)
    if is_too_low or any(outcome.failures for outcome in every):
        ctx.exit(EXIT_FINDING)


def _lines(outcomes: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    for path, of_file in outcomes.items():
        if not of_file:
            continue
        yield path
        for outcome in of_file:
            mark = click.style("FAIL", fg="red", bold=True) if outcome.failures else click.style("ok  ", fg="green")
            yield f"  {mark}  {inert(outcome.test.name)}"
            yield from (f"        {inert(f'{one.where}: {one.reason}')}" for one in outcome.failures)
    total = sum(map(len, outcomes.values()))
    failed = sum(bool(outcome.failures) for of_file in outcomes.values() for outcome in of_file)
    none = "no tests; write some under 'tests:' beside the rules"
    yield f"{plural(total, 'test')}, {failed} failed" if total else none


def _coverage_lines(covered: Covered, percent: float) -> Iterator[str]:
    if not covered:
        return
    yield ""
    width = max(map(len, covered))
    for rule, goals in covered.items():
        missing = [goal for goal, is_shown in goals.items() if not is_shown]
        rest = f"   not shown: {', '.join(missing)}" if missing else ""
        yield f"{rule:<{width}}  {len(goals) - len(missing)}/{len(goals)}{rest}"
    yield f"coverage of the rules: {percent:.0f} %"


def _report(outcomes: Mapping[str, Sequence[Outcome]], covered: Covered, percent: float) -> dict[str, object]:
    tests = [
        {
            "path": path,
            "test": outcome.test.name,
            "passed": not outcome.failures,
            "failures": [{"where": one.where, "reason": one.reason} for one in outcome.failures],
        }
        for path, of_file in outcomes.items()
        for outcome in of_file
    ]
    return {"tests": tests, "coverage": covered, "coverage_percent": round(percent, 1)}
