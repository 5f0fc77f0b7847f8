"""`ihobs controls`: what is set for a while, and by whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.tables import Column, table
from ihobs.cli.who import who
from ihobs.clock import DAY_NS, SECOND_NS, isoformat
from ihobs.errors import InvalidInputError
from ihobs.quantities import seconds
from ihobs.store.state.controls import (
    KNOWN,
    Control,
    ControlChange,
    Setting,
    active,
    changes,
    clear_control,
    set_control,
    value_of,
)
from ihobs.store.state.migrations import open_state
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext

LONGEST_NS = 30 * DAY_NS
"""A control is for now; what shall hold for ever stands in ihobs.yaml."""

MAX_CHANGES = 50


@click.group(cls=Group)
def controls() -> None:
    """See and set what holds for a while: every control ends by itself."""


@controls.command("list")
@click.option("--history", is_flag=True, help="The latest changes instead, newest first.")
@json_option
@click.pass_obj
def list_(app: AppContext, *, history: bool, as_json: bool) -> None:
    """List every control with its value, or their latest changes."""
    database, now_ns = open_state(app.home()), app.clock()
    if history:
        found = changes(database, limit=MAX_CHANGES)
        emit_json([_change_figures(change) for change in found]) if as_json else _print_changes(found)
        return
    held = active(database, now_ns)
    if as_json:
        emit_json([_figures(name, held.get(name)) for name in KNOWN])
    else:
        _print(held)


@controls.command("set")
@click.argument("name")
@click.argument("value")
@click.option(
    "--for", "length", default="1h", metavar="D", show_default=True, help="How long it holds, such as 30m or 2d."
)
@click.option("--reason", default="", help="Why, for whoever looks later.")
@json_option
@click.pass_obj
def set_(app: AppContext, name: str, value: str, *, length: str, reason: str, as_json: bool) -> None:
    """Set a control for a while."""
    wanted, now_ns, home = value_of(name, value), app.clock(), app.home()
    setting = Setting(wanted, who(), reason, now_ns + _length_ns(length))
    control = set_control(open_state(home), name, setting, now_ns)
    notify(home)
    if as_json:
        emit_json(_figures(name, control))
    else:
        click.echo(f"{name} is {_word(control.value)} until {shown(control.expires_ns)} UTC")


@controls.command()
@click.argument("name")
@click.option("--reason", default="", help="Why, for whoever looks later.")
@json_option
@click.pass_obj
def clear(app: AppContext, name: str, *, reason: str, as_json: bool) -> None:
    """End a control now; its default holds again."""
    home = app.home()
    was_set = clear_control(open_state(home), name, owner=who(), reason=reason, now_ns=app.clock())
    notify(home)
    if as_json:
        emit_json({"name": name, "was_set": was_set, "value": KNOWN[name].default})
    else:
        click.echo(f"{name} is {_word(KNOWN[name].default)}" + ("" if was_set else "; it was not set"))


def _length_ns(text: str) -> int:
    try:
        length_ns = round(seconds(text) * SECOND_NS)
    except ValueError as error:
        raise InvalidInputError("--for", str(error)) from error
    if not 0 < length_ns <= LONGEST_NS:
        raise InvalidInputError("--for", f"{text} is not more than nothing and at most 30d")
    return length_ns


def _word(value: object) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _figures(name: str, control: Control | None) -> dict[str, object]:
    """Return a control with the names that `--json` promises."""
    if control is None:
        return {"name": name, "value": KNOWN[name].default, "is_set": False, "description": KNOWN[name].description}
    return {
        "name": name,
        "value": control.value,
        "is_set": True,
        "description": KNOWN[name].description,
        "version": control.version,
        "owner": control.owner,
        "reason": control.reason,
        "since": isoformat(control.set_ns),
        "until": isoformat(control.expires_ns),
    }


def _change_figures(change: ControlChange) -> dict[str, object]:
    return {
        "name": change.name,
        "at": isoformat(change.at_ns),
        "value": change.value,
        "previous": change.previous,
        "owner": change.owner,
        "reason": change.reason,
        "until": None if change.expires_ns is None else isoformat(change.expires_ns),
    }


def _print(held: Mapping[str, Control]) -> None:
    def of(name: str, text: str) -> str:
        return inert(text) if name in held else "-"

    columns: list[Column[str]] = [
        Column("control", lambda name: name, is_name=True),
        Column("value", lambda name: _word(held[name].value if name in held else KNOWN[name].default), is_left=True),
        Column("until (UTC)", lambda name: shown(held[name].expires_ns) if name in held else "-", is_left=True),
        Column("by", lambda name: of(name, held[name].owner if name in held else ""), rank=1, is_left=True),
        Column("reason", lambda name: of(name, held[name].reason if name in held else ""), rank=2, is_name=True),
        Column("what it does", lambda name: KNOWN[name].description, rank=3, is_name=True),
    ]
    terminal = console()
    terminal.print(table(terminal, columns, list(KNOWN)))


def _print_changes(found: Sequence[ControlChange]) -> None:
    if not found:
        click.echo("no control was ever changed")
        return
    columns: list[Column[ControlChange]] = [
        Column("at (UTC)", lambda change: shown(change.at_ns), is_left=True),
        Column("control", lambda change: inert(change.name), is_name=True),
        Column("change", lambda change: f"{_stood(change.previous)} -> {_stood(change.value)}", is_left=True),
        Column("until", lambda change: shown(change.expires_ns) if change.expires_ns else "-", rank=2, is_left=True),
        Column("by", lambda change: inert(change.owner), rank=1, is_left=True),
        Column("reason", lambda change: inert(change.reason) or "-", rank=3, is_name=True),
    ]
    terminal = console()
    terminal.print(table(terminal, columns, found))


def _stood(value: object) -> str:
    return "not set" if value is None else _word(value)
