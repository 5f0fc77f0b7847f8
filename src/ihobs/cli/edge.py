"""The one place where an error becomes text on stderr and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ihobs.cli.context import AppContext
from ihobs.clock import isoformat
from ihobs.errors import EXIT_INTERNAL, IhobsError

EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141
"""What a shell reports for a program that SIGINT or SIGPIPE ended: 128 + the signal."""


def run(ctx: click.Context, command: Callable[[click.Context], Any]) -> Any:
    """Run `command`, and end with the exit code of what it raises.

    Usage errors are left to click, which shows the usage and ends with 2.
    """
    try:
        result = command(ctx)
        sys.stdout.flush()  # a closed pipe is noticed here, not while the interpreter ends
    except IhobsError as error:
        click.echo(f"error: {error}", err=True)
        ctx.exit(error.exit_code)
    except BrokenPipeError:
        _forget_stdout()
        ctx.exit(EXIT_PIPE_CLOSED)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        ctx.exit(EXIT_INTERRUPTED)
    except (click.exceptions.Exit, click.ClickException):
        raise
    except Exception as error:  # noqa: BLE001 - the last frame: whatever arrives here is a fault of ours
        _report_fault(error, ctx.ensure_object(AppContext))
        ctx.exit(EXIT_INTERNAL)
    return result


def _forget_stdout() -> None:
    """Point stdout at /dev/null, so that flushing at exit does not complain a second time."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)


def _report_fault(error: Exception, app: AppContext) -> None:
    """Say that ihobs failed, and where the traceback is."""
    from ihobs.redact.text import scrubbed  # what failed may quote a span

    text = scrubbed("".join(traceback.format_exception(error)))
    click.echo(f"error: ihobs failed: {type(error).__name__}: {scrubbed(str(error))}", err=True)
    if app.debug:
        click.echo(text, err=True)
        return
    try:
        path = _write_report(text, app)
    except OSError as failure:
        click.echo(f"{text}\nthe traceback could not be written to a file: {failure}", err=True)
    else:
        click.echo(f"the traceback is in {path}; please report it (--debug shows it here)", err=True)


def _write_report(text: str, app: AppContext) -> Path:
    """Write a traceback into the home's logs when there is a home, else into the system's temporary directory."""
    try:
        directory = app.home().directory("logs")
    except IhobsError:
        directory = Path(tempfile.gettempdir())
    stamp = isoformat(app.clock()).replace(":", "")
    descriptor, name = tempfile.mkstemp(prefix=f"ihobs-fault-{stamp}-", suffix=".txt", dir=directory, text=True)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return Path(name)
