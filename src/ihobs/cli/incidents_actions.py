"""`ihobs incidents actions`: what is to be done after incidents, by whom, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ihobs.cli.incidents_named import desk_of, id_of
from ihobs.cli.incidents_review import author_option, filing_of
from ihobs.cli.inert import inert
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.tables import Column, table
from ihobs.cli.who import who
from ihobs.errors import EXIT_FINDING
from ihobs.incidents.record import action_summary, is_overdue
from ihobs.store.state import actions as stored
from ihobs.store.state.migrations import open_state
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.incidents.review import ActionOutcome
    from ihobs.store.home import Home
    from ihobs.store.state.actions import Action

STYLE = {"high": "bold", "medium": "", "low": "dim"}


@click.group()
def actions() -> None:
    """See what is to be done after incidents, and close it."""


@actions.command("list")
@click.argument("incident", required=False)
@click.option("--all", "everything", is_flag=True, help="Those that are closed, too.")
@json_option
@click.pass_obj
def list_(app: AppContext, incident: str | None, *, everything: bool, as_json: bool) -> None:
    """List action items, the next one due first; of all incidents, or of INCIDENT. Ends with 1 when one is overdue."""
    home = app.home()
    named = None if incident is None else id_of(home, incident)
    with open_state(home).read() as reader:
        found = stored.listed(reader, incident=named, everything=everything)
    now_ns = app.clock()
    if as_json:
        emit_json([action_summary(one, now_ns) for one in found])
    elif found:
        _print(found, now_ns)
    else:
        click.echo("no action items" if everything else "nothing remains to be done; --all shows what was")
    if any(is_overdue(one, now_ns) for one in found):
        click.get_current_context().exit(EXIT_FINDING)


@actions.command()
@click.argument("incident")
@click.argument("text", nargs=-1, required=True)
@click.option("--owner", required=True, help="Who does it.")
@click.option("--due", required=True, help="Until when: a day such as 2027-01-22, or a time from now such as 5d.")
@click.option("--priority", type=click.Choice(("high", "medium", "low")), default="medium", show_default=True)
@click.option(
    "--test",
    "test",
    default="",
    metavar="FILE::NAME",
    help="The rule test (or RUNBOOK::SCENARIO) that must pass first.",
)
@author_option
@json_option
@click.pass_obj
def add(  # noqa: PLR0913 - the options of a command
    app: AppContext,
    incident: str,
    text: tuple[str, ...],
    *,
    owner: str,
    due: str,
    priority: str,
    test: str,
    author: str | None,
    as_json: bool,
) -> None:
    """Add an action item to an incident."""
    from ihobs.incidents.answers import planned_of
    from ihobs.incidents.review import add_action

    home = app.home()
    desk = desk_of(app, home)
    facts = {"owner": owner, "due": due, "priority": priority, "test": test}
    planned = planned_of(" ".join(text), facts, app.clock(), desk.policy.working.timezone)
    _tell(app, home, add_action(desk, id_of(home, incident), planned, who(author)), as_json=as_json)


@actions.command()
@click.argument("number", type=int)
@click.argument("outcome", nargs=-1)
@author_option
@json_option
@click.pass_obj
def close(app: AppContext, number: int, outcome: tuple[str, ...], *, author: str | None, as_json: bool) -> None:
    """Close an action item that is done; OUTCOME says what was done. A test that it names is run, and must pass."""
    from ihobs.cli.runbook_room import library_of
    from ihobs.incidents.proof import prove
    from ihobs.incidents.review import close_action

    home = app.home()

    def proved(test: str) -> None:
        prove(test, app.config, app.plugins, library_of(app))

    done = close_action(desk_of(app, home), number, who(author), " ".join(outcome), proved)
    _tell(app, home, done, as_json=as_json)


@actions.command()
@click.argument("number", type=int)
@click.argument("reason", nargs=-1, required=True)
@author_option
@json_option
@click.pass_obj
def drop(app: AppContext, number: int, reason: tuple[str, ...], *, author: str | None, as_json: bool) -> None:
    """Close an action item that will not be done; REASON says why."""
    from ihobs.incidents.review import drop_action

    home = app.home()
    _tell(app, home, drop_action(desk_of(app, home), number, who(author), " ".join(reason)), as_json=as_json)


def _tell(app: AppContext, home: Home, outcome: ActionOutcome, *, as_json: bool) -> None:
    notify(home)
    if outcome.changed:
        filing_of(app, home).refresh(outcome.action.incident)
    if as_json:
        emit_json({**action_summary(outcome.action, app.clock()), "changed": outcome.changed, "text": outcome.text})
    else:
        click.echo(outcome.text)


def _print(found: list[Action], now_ns: int) -> None:
    terminal = console()
    columns: list[Column[Action]] = [
        Column("#", lambda one: str(one.id)),
        Column("what", lambda one: inert(one.text), is_name=True),
        Column("owner", lambda one: inert(one.owner), is_left=True),
        Column("priority", lambda one: one.priority, is_left=True, rank=2, style=lambda one: STYLE[one.priority]),
        Column("due", lambda one: _due(one, now_ns), is_left=True, style=lambda one: _style(one, now_ns)),
        Column("incident", lambda one: one.incident, is_left=True, rank=1),
    ]
    terminal.print(table(terminal, columns, found))


def _due(one: Action, now_ns: int) -> str:
    from ihobs.incidents.wording import length_shown

    if one.state != "open":
        return one.state
    left_ns = one.due_ns - now_ns
    return f"in {length_shown(left_ns)}" if left_ns >= 0 else f"overdue by {length_shown(-left_ns)}"


def _style(one: Action, now_ns: int) -> str:
    return "bold red" if is_overdue(one, now_ns) else ""
