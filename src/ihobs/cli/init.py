"""`ihobs init`: a commented ihobs.yaml, and the home."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.checks import checked
from ihobs.cli.carry_over import Carried, carry_over
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.starter import starter_text
from ihobs.config import FILE_NAME, load
from ihobs.errors import RefusedError, StoreUnavailableError
from ihobs.langsmith.access import by_variables
from ihobs.store.home import Home

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext


@click.command()
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    help="Carry over an alert configuration: JSON or YAML with thresholds and channels.",
)
@click.option("--content", type=click.Choice(["keep", "mask"]), help="Keep or mask the texts of prompts and answers.")
@click.option("--service", help="Name of the orchestrator.")
@click.option("--langsmith", "project", metavar="PROJECT", help="Forward spans to this project of LangSmith.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option
@click.pass_obj
def init(  # noqa: PLR0913 - an option each
    app: AppContext,
    *,
    source: Path | None,
    content: str | None,
    service: str | None,
    project: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a commented ihobs.yaml and make the home; an existing file is never replaced without --force."""
    target = app.config_option or Path(os.environ.get("IHOBS_CONFIG") or FILE_NAME)
    if os.path.lexists(target) and not force:
        raise RefusedError(f"{target} exists", "use --force to replace it")
    carried = carry_over(source) if source else Carried()
    content = content or _ask_content()
    project = project or _ask_langsmith(os.environ)
    home = app.home_option or Path(".ihobs")
    text = starter_text(
        home=_beside(home, target), content=content, service=service, carried=carried, langsmith_project=project
    )
    _write(target, text)
    made = Home.open(load(target, overrides={"home": app.home_option}).settings.home, create=True)
    if as_json:
        emit_json({"path": target, "home": made.path, "content": content, "not_carried_over": carried.left})
        return
    click.echo(f"wrote {target} (prompt contents: {content})\nhome: {made.path}")
    if project:
        click.echo(f"spans will be forwarded to LangSmith, project {project}; see whether it works with 'ihobs doctor'")
    for line in carried.left:
        click.echo(f"not carried over: {line}")
    click.echo("next: ihobs exec -- COMMAND, or ihobs demo")


def _ask_content() -> str:
    """Ask on a terminal; elsewhere mask, which is the default."""
    if not _is_on_terminal():
        return "mask"
    answer: str = click.prompt(
        "Keep or mask the texts of prompts and answers? Keys and personal data are always removed",
        type=click.Choice(["keep", "mask"]),
        default="mask",
    )
    return answer


def _ask_langsmith(environ: Mapping[str, str]) -> str | None:
    """Ask on a terminal, when there is a key, whether spans are forwarded: a key alone starts nothing."""
    found = by_variables(environ)
    if not (found.key and _is_on_terminal()):
        return None
    question = f"{found.key_from} is set. Forward spans to LangSmith, project '{found.project}'?"
    return found.project if click.confirm(question, default=False) else None


def _is_on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _beside(home: Path, target: Path) -> Path:
    """Return `home` as the file must name it: a relative home is relative to the file."""
    home = home.expanduser()
    return home if home.is_absolute() else Path(os.path.relpath(home, target.parent))


def _write(target: Path, text: str) -> None:
    """Write the file whole and valid, or not at all."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        checked(beside)
        beside.replace(target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreUnavailableError(target, reason, "choose another place with --config") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
