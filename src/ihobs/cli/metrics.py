"""`ihobs metrics`: the numbers of a window, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from ihobs.cli.group import Group
from ihobs.cli.metrics_reprice import reprice
from ihobs.cli.moments import NO_DATA, SINCE_HELP, shown, since_ns, window_ns
from ihobs.cli.output import console, emit_json, json_option
from ihobs.clock import HOUR_NS, isoformat
from ihobs.model import DIMENSIONS, MetricsResult, Of

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.store.database import Database

DEFAULT_WINDOW_NS = HOUR_NS


class Stretch(NamedTuple):
    """The window that was asked for; `end_ns` is exclusive."""

    start_ns: int
    end_ns: int


@click.group(cls=Group, invoke_without_command=True)
@click.option("--since", metavar="T", help=SINCE_HELP)
@click.option("--window", metavar="D", help="The last D: 15m, 1h, 7d. Default: 1h.")
@click.option("--all", "everything", is_flag=True, help="Everything that is kept (hours are kept for 400 days).")
@click.option("--by", multiple=True, metavar="DIMENSION,...", help=f"Group by {', '.join(DIMENSIONS)}.")
@click.option("--where", multiple=True, metavar="DIMENSION=VALUE", help="Count only these; may be repeated.")
@click.option(
    "--of",
    type=click.Choice(["run", "node", "llm", "tool"]),
    help="Whose durations the table shows; node, llm and tool also choose what counts as a call.",
)
@json_option
@click.pass_context
def metrics(ctx: click.Context, /, **options: Any) -> None:
    """Show runs, errors, durations, tokens and cost of a window.

    What is not known is "-", or null in JSON: runs when grouped by model, provider or node (a run has none),
    a cost when no price is known. Durations are within 1 %.
    """
    if ctx.invoked_subcommand is None:
        _print(ctx.obj, **options)
    else:
        _refuse_options(ctx, ctx.invoked_subcommand)


metrics.add_command(reprice)


def _print(  # noqa: PLR0913 - one argument for each option
    app: AppContext,
    *,
    since: str | None,
    window: str | None,
    everything: bool,
    by: Sequence[str],
    where: Sequence[str],
    of: Of | None,
    as_json: bool,
) -> None:
    """Print the groups of the window."""
    from ihobs.cli.figures import figures
    from ihobs.store.query import RUN_DIMENSIONS
    from ihobs.store.query import metrics as query
    from ihobs.store.schema import open_telemetry

    dimensions, conditions = _dimensions(by), _conditions(where)
    database = open_telemetry(app.home())
    start_ns, end_ns = _window(app, database, since=since, window=window, everything=everything)
    result = query(database, start_ns=start_ns, end_ns=end_ns, by=dimensions, where=conditions, of=of)
    runs_known = RUN_DIMENSIONS.issuperset((*dimensions, *conditions))
    groups = [figures(group, runs_known=runs_known) for group in result.groups]
    if as_json:
        emit_json({"window": {"start": isoformat(result.start_ns), "end": isoformat(result.end_ns)}, "groups": groups})
    elif groups:
        from ihobs.cli.render_metrics import render

        render(console(), result, groups, by=dimensions, of=of)
    if not groups:
        click.echo(_nothing(result, filtered=bool(conditions)), err=True)


def _refuse_options(ctx: click.Context, subcommand: str) -> None:
    """Refuse options that stand before a sub-command: they would say nothing there."""
    for parameter in ctx.command.params:
        if ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} goes behind '{subcommand}'")


def _window(app: AppContext, database: Database, *, since: str | None, window: str | None, everything: bool) -> Stretch:
    """Return the window that the options name."""
    if sum((since is not None, window is not None, everything)) > 1:
        raise click.UsageError("use one of --since, --window and --all")
    now = app.clock()
    if everything:
        return _whole(database, now)
    if since is not None:
        return Stretch(since_ns(since, app.clock), now)
    return Stretch(max(0, now - (window_ns(window) if window else DEFAULT_WINDOW_NS)), now)


def _whole(database: Database, now_ns: int) -> Stretch:
    """Return the window of everything that is kept."""
    from ihobs.store.health import oldest_ns
    from ihobs.store.query import newest_ns

    oldest, newest = oldest_ns(database), newest_ns(database)
    return Stretch(oldest or now_ns, newest or now_ns)


def _dimensions(by: Sequence[str]) -> tuple[str, ...]:
    """Return the dimensions of all `--by`, each once."""
    names = [name.strip() for entry in by for name in entry.split(",")]
    return tuple(dict.fromkeys(filter(None, names)))


def _conditions(where: Sequence[str]) -> dict[str, str]:
    """Return dimension -> value of all `--where`."""
    conditions: dict[str, str] = {}
    for entry in where:
        name, separator, value = entry.partition("=")
        if not separator:
            raise click.BadParameter(f"{entry!r} is not of the form model=gpt-4o", param_hint="'--where'")
        if conditions.setdefault(name.strip(), value) != value:
            raise click.BadParameter(f"{name.strip()} cannot have two values", param_hint="'--where'")
    return conditions


def _nothing(result: MetricsResult, *, filtered: bool) -> str:
    """Say why there are no groups, and what to do."""
    if result.newest_ns is None:
        return NO_DATA
    newest = f"newest data: {shown(result.newest_ns)} UTC"
    if filtered and result.start_ns < result.newest_ns <= result.end_ns:
        return f"nothing in this window matches; {newest}"
    return f"nothing in this window; {newest}; use --all"
