"""`ihobs silences`: what nobody is to be told of for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.moments import shown, window_ns
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.tables import Column, table
from ihobs.cli.who import who
from ihobs.clock import isoformat
from ihobs.errors import InvalidInputError, NotFoundError
from ihobs.matchers import Matcher, parse
from ihobs.store.state import silences as stored
from ihobs.store.state.migrations import open_state
from ihobs.store.state.silences import Silence
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext

KEPT = 100
"""Silences that `--all` shows, those that have ended too."""


@click.group(cls=Group)
def silences() -> None:
    """Keep alerts quiet for a while."""


@silences.command()
@click.argument("conditions", nargs=-1, required=True, metavar="CONDITION...")
@click.option("--for", "for_", required=True, metavar="D", help="For how long: 30m, 2h, 1d.")
@click.option("--reason", required=True, help="Why; whoever looks for the alert reads it.")
@click.option("--author", default=None, help="Who; the name of the user when not given.")
@json_option
@click.pass_obj
def add(
    app: AppContext, conditions: tuple[str, ...], *, for_: str, reason: str, author: str | None, as_json: bool
) -> None:
    """Tell nobody of alerts that fit every CONDITION, until the time is over.

    A condition is name=value, name!=value, name=~REGEX or name!~REGEX; the names are those of labels: rule, level,
    metric, alert, the dimensions of the rule (node, model, ...) and the labels of your own. What is silenced still
    fires and is listed. Whoever was told before that an alert fires is told when it is resolved.
    """
    home = app.home()
    now_ns = app.clock()
    matchers = tuple(_matcher(text) for text in conditions)
    silence = Silence(0, matchers, now_ns, now_ns + window_ns(for_, "--for"), who(author), reason)
    number = stored.add(open_state(home), silence, now_ns)
    notify(home)
    if as_json:
        emit_json({"id": number, "ends": isoformat(silence.ends_ns)})
    else:
        click.echo(f"silence {number}: nobody is told of {_conditions(silence)} until {shown(silence.ends_ns)} UTC")


@silences.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that have ended, too, the newest first.")
@json_option
@click.pass_obj
def list_(app: AppContext, *, everything: bool, as_json: bool) -> None:
    """List the silences that are in force."""
    state, now_ns = open_state(app.home()), app.clock()
    if everything:
        found = stored.newest(state, KEPT)
    else:
        with state.read() as reader:
            found = stored.not_ended(reader, now_ns)
    if as_json:
        emit_json([_figures(one, now_ns) for one in found])
    elif found:
        terminal = console()
        columns: list[Column[Silence]] = [
            Column("id", lambda one: str(one.id)),
            Column("quiet are", _conditions, is_name=True),
            Column("until (UTC)", lambda one: shown(one.ends_ns) if one.ends_ns > now_ns else "ended"),
            Column("by", lambda one: inert(one.author), is_name=True),
            Column("because", lambda one: inert(one.reason), is_name=True, rank=1),
        ]
        terminal.print(table(terminal, columns, found))
    else:
        click.echo("no silences; 'ihobs silences add rule=... --for 2h --reason ...' makes one")


@silences.command()
@click.argument("number", type=int, metavar="ID")
@json_option
@click.pass_obj
def expire(app: AppContext, number: int, *, as_json: bool) -> None:
    """End the silence ID now: what still fires is told."""
    home = app.home()
    if not stored.expire(open_state(home), number, app.clock()):
        raise NotFoundError("running silence", str(number), "see 'ihobs silences list'")
    notify(home)
    if as_json:
        emit_json({"id": number})
    else:
        click.echo(f"silence {number} has ended")


def _matcher(text: str) -> Matcher:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidInputError("CONDITION", str(error)) from error


def _conditions(silence: Silence) -> str:
    return inert(", ".join(map(str, silence.matchers)))


def _figures(silence: Silence, now_ns: int) -> dict[str, object]:
    """Return a silence with the names that `--json` promises."""
    return {
        "id": silence.id,
        "conditions": [str(one) for one in silence.matchers],
        "starts": isoformat(silence.starts_ns),
        "ends": isoformat(silence.ends_ns),
        "author": silence.author,
        "reason": silence.reason,
        "in_force": silence.starts_ns <= now_ns < silence.ends_ns,
    }
