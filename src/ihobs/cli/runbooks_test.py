"""`ihobs runbooks test`: play the scenarios that stand in runbooks, and the faults that follow from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ihobs.cli.inert import inert
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.runbook_room import library_of
from ihobs.errors import EXIT_FINDING
from ihobs.runbooks.scenarios_report import Report, report
from ihobs.runbooks.scenarios_report import as_json as report_as_json

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext


@click.command()
@click.argument("names", nargs=-1)
@click.option("--cov-fail-under", type=float, metavar="PERCENT", help="Fail when the scenarios show less than this.")
@json_option
@click.pass_context
def test(ctx: click.Context, names: tuple[str, ...], *, cov_fail_under: float | None, as_json: bool) -> None:
    """Run the tests of the runbooks NAMES (or files), or of all that there are.

    The real engine plays each scenario with the scenario's fakes, on a clock of its own; nothing is done and nobody is
    told. Coverage says which steps and ways the scenarios show; generated faults do not count for it.
    """
    app: AppContext = ctx.obj
    library = library_of(app)
    runbooks = [library.find(name) for name in names] if names else [*library.all()[0].values()]
    found = [report(runbook, library) for runbook in runbooks]
    if as_json:
        emit_json({"runbooks": [report_as_json(one) for one in found]})
    else:
        for line in _lines(found):
            click.echo(line)
    too_low = [one for one in found if one.is_below(cov_fail_under)]
    for one in too_low:
        bound = max(cov_fail_under or 0.0, one.runbook.fail_under_percent)
        text = f"{one.runbook.id}: coverage {one.coverage.percent:.0f} % is below {bound:g} %"
        click.echo(inert(text), err=True)
    if too_low or any(one.failed for one in found):
        ctx.exit(EXIT_FINDING)


def _lines(found: Sequence[Report]) -> Iterator[str]:
    for one in found:
        yield click.style(inert(one.runbook.id), bold=True)
        for outcome in one.outcomes:
            yield from _result(outcome.scenario.name, outcome.failures)
        yield from _faults(one)
        yield _coverage(one)
        yield from (f"        not shown: {inert(str(goal))}" for goal in one.coverage.missing)
    scenarios, faults = sum(len(one.outcomes) for one in found), sum(len(one.faults) for one in found)
    failed = sum(one.failed for one in found)
    yield f"{scenarios} scenarios and {faults} generated faults in {len(found)} runbooks, {failed} failed"


def _result(name: str, failures: Sequence[str]) -> Iterator[str]:
    mark = click.style("FAIL", fg="red", bold=True) if failures else click.style("ok  ", fg="green")
    yield f"  {mark}  {inert(name)}"
    yield from (f"        {inert(text)}" for text in failures)


def _faults(found: Report) -> Iterator[str]:
    failed = [case for case in found.faults if case.failures]
    if found.faults and not failed:
        yield from _result(f"{len(found.faults)} generated faults", ())
    for case in failed:
        yield from _result(f"fault: {case.name}", case.failures)


def _coverage(found: Report) -> str:
    steps, branches = found.coverage.counts(branches=False), found.coverage.counts(branches=True)
    return (
        f"        coverage {found.coverage.percent:.0f} %: "
        f"{steps[0]} of {steps[1]} steps, {branches[0]} of {branches[1]} branches"
    )
