"""How commands show results: JSON for machines, a rich console for people."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])

PIPE_WIDTH = 120
"""Columns of a table that goes into a pipe or a file, where no terminal says how wide it is."""


def json_option(command: Command) -> Command:
    """Give a command the option `--json`, as its argument `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


def emit_json(value: object) -> None:
    """Print `value` as JSON: dataclasses as objects, tuples as lists; NaN and infinities are null (JSON has none)."""
    click.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def console(*, stderr: bool = False) -> Console:
    """Return a console for the terminal; in a pipe it writes plain text of a fixed width."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a name that the terminal's encoding lacks must not end the command
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = max(made.width, PIPE_WIDTH)
    return made


def _plain(value: object) -> object:
    """Turn `value` into what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
