"""`ihobs logs`: what programs logged, by trace, level, service and time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.moments import SINCE_HELP, shown, since_ns
from ihobs.cli.output import console, emit_json, json_option
from ihobs.clock import DAY_NS, SECOND_NS, isoformat
from ihobs.spans.severity import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from ihobs.cli.context import AppContext
    from ihobs.store.log_query import LogEntry

LIMIT = 50
TRACE_DIGITS = 12
"""Digits of a trace's id that are shown: enough for `ihobs traces show`."""

_LEVEL_WIDTH = max(map(len, LEVELS))
_STYLES = {"CRITICAL": "bold red", "ERROR": "red", "WARNING": "yellow", "DEBUG": "dim", "TRACE": "dim"}

NOTHING = "no log records are kept; instrument(logs='WARNING') or 'instrument: {logs: WARNING}' keeps a program's own"


@click.group(cls=Group)
def logs() -> None:
    """Show what programs logged."""


@logs.command("list")
@click.option("--trace", default="", metavar="ID", help="Only those of the trace whose id begins so.")
@click.option("--level", type=click.Choice(list(LEVELS), case_sensitive=False), help="Of this level and above.")
@click.option("--since", metavar="T", help=SINCE_HELP)
@click.option("--service", default="", help="Only those of this service.")
@click.option("--limit", type=click.IntRange(1), default=LIMIT, show_default=True, help="How many.")
@json_option
@click.pass_obj
def list_(  # noqa: PLR0913 - one for each option
    app: AppContext, *, trace: str, level: str | None, since: str | None, service: str, limit: int, as_json: bool
) -> None:
    """List the newest log records, the newest last.

    Times are UTC. JSON also holds attributes and the whole trace id.
    """
    from ihobs.cli.units import plural
    from ihobs.store.log_query import LogFilter, lost_logs, newest_logs
    from ihobs.store.schema import open_telemetry

    database = open_telemetry(app.home())
    after_ns = None if since is None else since_ns(since, app.clock)
    wanted = LogFilter(trace, 0 if level is None else LEVELS[level.upper()], service, after_ns)
    found = newest_logs(database, wanted, limit=limit + 1)
    kept = found[:limit][::-1]
    if as_json:
        emit_json([_figures(entry) for entry in kept])
    else:
        _render(console(), kept)
    for loss in lost_logs(database):
        if app.clock() - loss.last_ns < DAY_NS:
            click.echo(
                f"{plural(loss.records, 'record')} lost ({loss.reason}), the last at {shown(loss.last_ns)} UTC",
                err=True,
            )
    if not kept:
        anything = newest_logs(database, LogFilter(), limit=1)
        said = f"no log record fits; the newest is of {shown(anything[0].time_ns)} UTC" if anything else NOTHING
        click.echo(said, err=True)
    elif len(found) > limit and not as_json:
        click.echo(f"there are older ones: --limit {10 * limit}", err=True)


def _figures(entry: LogEntry) -> dict[str, object]:
    from ihobs.cli.trace_figures import without_bytes

    return {
        "time": isoformat(entry.time_ns),
        "level": entry.level or None,
        "severity_number": entry.severity or None,
        "service": entry.service or None,
        "logger": entry.logger or None,
        "trace_id": entry.trace_id,
        "span_id": entry.span_id,
        "event": entry.event or None,
        "body": without_bytes(entry.body),
        "attributes": without_bytes(entry.attributes),
    }


def _render(output: Console, entries: Sequence[LogEntry]) -> None:
    """Print records, one a line."""
    for entry in entries:
        output.print(_line(entry), soft_wrap=True)


def _line(entry: LogEntry) -> Text:
    from rich.text import Text

    milliseconds = entry.time_ns % SECOND_NS // 1_000_000
    told = [part for part in (entry.service, entry.logger, entry.event) if part]
    return Text.assemble(
        (f"{shown(entry.time_ns)}.{milliseconds:03d}", "dim"),
        "  ",
        (f"{entry.level or '-':{_LEVEL_WIDTH}}", _STYLES.get(entry.level, "")),
        "  ",
        (f"{(entry.trace_id or '-')[:TRACE_DIGITS]:{TRACE_DIGITS}}", "cyan"),
        "  ",
        (inert(" ".join(told)), "magenta"),
        "  " if told else "",
        inert(_body(entry)),
    )


def _body(entry: LogEntry) -> str:
    """Return a body on one line, and what an exception was."""
    from ihobs.cli.trace_figures import without_bytes

    body = "" if entry.body is None else entry.body
    text = body if isinstance(body, str) else json.dumps(without_bytes(body), ensure_ascii=False)
    kind = entry.attributes.get("exception.type")
    return " ".join((f"{text} ({kind})" if kind else text).split())
