"""`ihobs destinations`: where spans go beside the home, how far each destination is, and another try."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.tables import Column, table
from ihobs.cli.units import UNKNOWN, count, duration, plural
from ihobs.clock import SECOND_NS, isoformat
from ihobs.errors import EXIT_FINDING, NotFoundError
from ihobs.forward.destinations import Destination, destinations_of
from ihobs.store.dead_letters import DeadLetter, ask_again, newest_dead_letters
from ihobs.store.forwarding import Backlog, backlogs, resume
from ihobs.store.schema import open_telemetry
from ihobs.store.state.controls import FORWARD_PAUSED, Control, active
from ihobs.store.state.migrations import open_state
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext

MAX_LETTERS = 20
"""Dead letters of a destination in `--json`, newest first."""

_STYLES = {"paused": "bold red", "trying again": "yellow", "held": "yellow"}


@dataclass(frozen=True, slots=True)
class Row:
    """A destination to show.

    Attributes:
        destination: as it is configured. backlog: how far it is; None: no duties process has seen it yet.
        state: in words. letters: its newest dead letters.
    """

    destination: Destination
    backlog: Backlog | None
    state: str
    letters: Sequence[DeadLetter]


@click.group(cls=Group)
def destinations() -> None:
    """See what waits for each destination, and let one be tried again."""


@destinations.command()
@json_option
@click.pass_obj
@click.pass_context
def status(ctx: click.Context, app: AppContext, *, as_json: bool) -> None:
    """Show how far each destination is, and why one gets nothing.

    Ends with 1 when one is paused: its address, its key or its project must be put right. After that, or when the
    cause was at the other end, 'ihobs destinations retry' tries at once.
    """
    now_ns = app.clock()
    held = _held(app, now_ns)
    rows = list(read_rows(app, held))
    if as_json:
        emit_json({"held": held, "destinations": [_figures(row, now_ns) for row in rows]})
    else:
        _show(rows, held, now_ns)
    if any(row.state == "paused" for row in rows):
        ctx.exit(EXIT_FINDING)


@destinations.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--dead", is_flag=True, help="Send the spans again that were refused one by one.")
@json_option
@click.pass_obj
def retry(app: AppContext, names: tuple[str, ...], *, dead: bool, as_json: bool) -> None:
    """Try these destinations, or all, at once: paused ones, too."""
    home, database = app.home(), open_telemetry(app.home())
    known = {one.name for one in backlogs(database) if one.active}
    for name in names:
        if name not in known:
            raise NotFoundError("destination", name, f"there are: {', '.join(sorted(known)) or 'none'}")
    asked = {}
    for name in names or sorted(known):
        resume(database, name)
        asked[name] = ask_again(database, name) if dead else 0
    notify(home)
    if as_json:
        emit_json([{"name": name, "dead_letters": letters} for name, letters in asked.items()])
        return
    for name, letters in asked.items():
        click.echo(f"{name}: tried again at once" + (f", with {plural(letters, 'dead letter')}" if dead else ""))
    if not asked:
        click.echo("no destinations yet; name some in 'destinations' of ihobs.yaml and start a duties process")
    elif home.lock_owner("duties") is None:
        click.echo("no duties process is alive: it begins when one does, such as 'ihobs serve'", err=True)


def read_rows(app: AppContext, held: Control | None) -> Iterator[Row]:
    """Yield the configured destinations, each with how far it is.

    Raises:
        NotFoundError: there is no home.
        StoreUnavailableError: the database cannot be read.
    """
    database = open_telemetry(app.home())
    known = {one.name: one for one in backlogs(database)}
    for destination in destinations_of(app.config.settings):
        backlog = known.get(destination.name)
        letters = newest_dead_letters(database, destination.name, limit=MAX_LETTERS)
        yield Row(destination, backlog, state_of(backlog, is_held=held is not None), letters)


def state_of(backlog: Backlog | None, *, is_held: bool) -> str:
    """Return in a word how a destination is."""
    if backlog is None or not backlog.active:
        return "not started"
    if backlog.paused:
        return "paused"
    if is_held:
        return "held"
    return "trying again" if backlog.problem else "ok"


def _held(app: AppContext, now_ns: int) -> Control | None:
    """Return the control that holds everything back, if it is on."""
    control = active(open_state(app.home()), now_ns).get(FORWARD_PAUSED)
    return control if control is not None and control.value else None


def _figures(row: Row, now_ns: int) -> dict[str, object]:
    """Return a destination with the names that `--json` promises."""
    found = row.backlog
    figures: dict[str, object] = {
        "name": row.destination.name,
        "url": row.destination.url,
        "protocol": row.destination.protocol,
        "state": row.state,
    }
    if found is None:
        return figures
    return figures | {
        "waiting_spans": found.spans,
        "waiting_s": _age_s(found, now_ns),
        "sent_spans": found.sent_spans,
        "rejected_spans": found.rejected_spans,
        "last_sent": _moment(found.acknowledged_ns),
        "problem": found.problem or None,
        "problem_since": _moment(found.problem_ns),
        "next_try": _moment(found.next_ns or None),
        "dead_letters": found.dead_letters,
        "newest_dead_letters": [
            {
                "trace_id": letter.trace_id.hex(),
                "span_id": letter.span_id.hex(),
                "payload_id": letter.payload_id,
                "reason": letter.reason,
                "at": isoformat(letter.at_ns),
            }
            for letter in row.letters
        ],
    }


def _show(rows: Sequence[Row], held: Control | None, now_ns: int) -> None:
    if not rows:
        click.echo("no destinations; name some in 'destinations' of ihobs.yaml")
        return
    terminal = console()
    terminal.print(table(terminal, _columns(now_ns), rows))
    for line in _remarks(rows, held):
        click.echo(inert(line))


def _columns(now_ns: int) -> list[Column[Row]]:
    def number(row: Row, of: str) -> str:
        return UNKNOWN if row.backlog is None else count(getattr(row.backlog, of))

    return [
        Column("destination", lambda row: inert(row.destination.name), is_name=True),
        Column("state", lambda row: row.state, is_left=True, style=lambda row: _STYLES.get(row.state, "")),
        Column("waiting", lambda row: number(row, "spans")),
        Column("for", lambda row: duration(_age_s(row.backlog, now_ns)), rank=2),
        Column("sent", lambda row: number(row, "sent_spans"), rank=1),
        Column("rejected", lambda row: number(row, "rejected_spans"), rank=3),
        Column("dead letters", lambda row: number(row, "dead_letters"), rank=1),
        Column("url", lambda row: inert(row.destination.url), rank=4, is_name=True),
    ]


def _remarks(rows: Iterable[Row], held: Control | None) -> Iterator[str]:
    """Yield why destinations get nothing, and why spans were refused."""
    if held is not None:
        why = f" ({held.reason})" if held.reason else ""
        yield f"held: {held.owner} has set {FORWARD_PAUSED} until {shown(held.expires_ns)} UTC{why}"
    for row in rows:
        found = row.backlog
        if found is not None and found.problem:
            since = f" since {shown(found.problem_ns)} UTC" if found.problem_ns else ""
            then = f"; the next try at {shown(found.next_ns)} UTC" if found.next_ns else ""
            yield f"{row.destination.name}{since}: {found.problem}{then}"
        for reason in dict.fromkeys(letter.reason for letter in row.letters):
            yield f"{row.destination.name}: refused a span: {reason}"


def _age_s(backlog: Backlog | None, now_ns: int) -> float | None:
    if backlog is None or backlog.oldest_ns is None:
        return None
    return max(0, now_ns - backlog.oldest_ns) / SECOND_NS


def _moment(moment_ns: int | None) -> str | None:
    return None if moment_ns is None else isoformat(moment_ns)
