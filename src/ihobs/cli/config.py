"""`ihobs config`: is the file right, and where does each value come from?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ihobs.cli.context import AppContext
from ihobs.cli.group import Group
from ihobs.cli.output import console, emit_json, json_option
from ihobs.config import Config, Entry, load
from ihobs.errors import EXIT_INVALID, InvalidInputError

_REFERENCE = re.compile(r"\$\{env:[A-Za-z_]\w*\}")


@click.group(cls=Group)
def config() -> None:
    """Check the configuration, and see where each value came from."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, file: Path | None, *, as_json: bool) -> None:
    """Check FILE, or the configuration in force; all mistakes are listed with line and column.

    Also says which parts of the file are valid, but not used by this version.
    """
    app = ctx.ensure_object(AppContext)
    try:
        checked = load(file) if file else app.config
    except InvalidInputError as error:
        if not as_json:
            raise
        emit_json({"valid": False, "path": file or app.config_option, "problems": str(error).splitlines()})
        ctx.exit(EXIT_INVALID)
    if as_json:
        emit_json({"valid": True, "path": checked.path, "problems": [], "unused": checked.unused})
        return
    for line in checked.unused:
        click.echo(f"note: {line}")
    click.echo(f"{checked.path}: valid" if checked.path else "there is no ihobs.yaml; the defaults hold")


@config.command()
@json_option
@click.pass_obj
def show(app: AppContext, *, as_json: bool) -> None:
    """Show each setting in force, and whether an argument, a variable, the file or a default set it."""
    if as_json:
        emit_json({"path": app.config.path, "settings": [_shown(entry, app.config) for entry in app.config.entries]})
        return
    from ihobs.cli.tables import plain_table

    table = plain_table("setting", "value", "from")
    for entry in app.config.entries:
        shown = _shown(entry, app.config)
        table.add_row(shown["setting"], _text(shown["value"]), shown["from"])
    console().print(table)


def _shown(entry: Entry, config: Config) -> dict[str, Any]:
    """Return an entry as it may be shown: without secrets, and with the home in full."""
    value = entry.value
    if entry.key == "home":
        value = str(config.settings.home)
    elif entry.key == "receivers":
        value = {name: redacted(address) for name, address in value.items()}
    elif entry.key == "channels":
        value = {level: [_without_password(one) for one in receivers] for level, receivers in value.items()}
    return {"setting": entry.key, "value": value, "from": entry.origin}


def redacted(address: str | Mapping[str, Any]) -> str:
    """Return a receiver's address without what may be secret: its scheme, or the reference that it is."""
    if isinstance(address, Mapping):
        address = str(address["url"])
    if _REFERENCE.fullmatch(address):
        return address
    scheme, separator, _ = address.partition("://")
    return f"{scheme}://***" if separator else "***"


def _without_password(reference: str) -> str:
    """Return a reference from `channels` without the password that a URL may carry."""
    return re.sub(r"(?<=://)([^/@\s:]*):[^/@\s]+@", r"\1:***@", reference)


def _text(value: object) -> str:
    """Return a value on one line: mappings as `name: value`, lists with commas, nothing as a dash."""
    if value in (None, (), {}, []):
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(item.get("id", item) if isinstance(item, Mapping) else item) for item in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
