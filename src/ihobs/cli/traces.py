"""`ihobs traces`: the newest traces, and one of them as a waterfall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ihobs.cli.group import Group
from ihobs.cli.moments import NO_DATA, SINCE_HELP, shown, since_ns
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.traces_explain import explain

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.store.log_query import LogCount

LIST_LIMIT = 20
SHOW_LIMIT = 100
"""Spans of a waterfall: two screens."""

TRACE_DIGITS = 12
"""Digits of a trace's id that tell it from the others."""


@click.group(cls=Group)
def traces() -> None:
    """List traces, show one as a waterfall, and explain its numbers."""


traces.add_command(explain)


@traces.command("list")
@click.option("--failed", is_flag=True, help="Only traces with a run that failed for good.")
@click.option("--limit", type=click.IntRange(1), default=LIST_LIMIT, show_default=True, help="How many.")
@click.option("--since", metavar="T", help=SINCE_HELP)
@json_option
@click.pass_obj
def list_(app: AppContext, *, failed: bool, limit: int, since: str | None, as_json: bool) -> None:
    """List the traces that ended last, newest first."""
    from ihobs.cli.trace_figures import summary_figures
    from ihobs.store.query import newest_ns
    from ihobs.store.schema import open_telemetry
    from ihobs.store.trace_query import recent_traces

    database = open_telemetry(app.home())
    after_ns = None if since is None else since_ns(since, app.clock)
    found = recent_traces(database, limit=limit + 1, since_ns=after_ns, failed_only=failed)
    kept = found[:limit]
    if as_json:
        emit_json([summary_figures(trace) for trace in kept])
    elif kept:
        from ihobs.cli.render_traces import render

        render(console(), kept)
    if not kept:
        click.echo(_nothing(newest_ns(database), failed=failed), err=True)
    elif len(found) > limit and not as_json:
        click.echo(f"there are more: --limit {10 * limit}, or --since", err=True)


@traces.command("show")
@click.argument("trace")
@click.option("--attributes", is_flag=True, help="Also show attributes and events, cut to the width.")
@click.option("--limit", type=click.IntRange(1), default=SHOW_LIMIT, show_default=True, help="How many spans.")
@json_option
@click.pass_obj
def show(app: AppContext, trace: str, *, attributes: bool, limit: int, as_json: bool) -> None:
    """Show the trace whose id begins with TRACE, or the `latest`, as a waterfall.

    A larger trace is cut down to its runs, its failures and its longest spans. JSON holds all spans, with all
    attributes whole.
    """
    from ihobs.store.log_query import count_logs
    from ihobs.store.schema import open_telemetry
    from ihobs.store.trace_query import find_trace

    database = open_telemetry(app.home())
    found = find_trace(database, trace)
    logged = count_logs(database, found.summary.trace_id)
    if as_json:
        from ihobs.cli.trace_figures import trace_figures

        emit_json({**trace_figures(found), "log_records": logged.records, "log_errors": logged.errors})
    else:
        from ihobs.cli.waterfall import render

        render(console(), found, limit=limit, attributes=attributes)
        if logged.records:
            click.echo(_logged(logged, found.summary.trace_id))


def _logged(logged: LogCount, trace_id: str) -> str:
    """Return how much was logged in a trace, and where to see it."""
    from ihobs.cli.units import plural

    errors = f", {plural(logged.errors, 'error')} among them" if logged.errors else ""
    return f"{plural(logged.records, 'log record')}{errors}: ihobs logs list --trace {trace_id[:TRACE_DIGITS]}"


def _nothing(newest_ns: int | None, *, failed: bool) -> str:
    if newest_ns is None:
        return NO_DATA
    what = "no trace with a failed run" if failed else "no trace"
    return f"{what} in this time; newest data: {shown(newest_ns)} UTC"
