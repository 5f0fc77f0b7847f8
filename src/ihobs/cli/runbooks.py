"""`ihobs runbooks`: which there are, whether they are right, what they look like, and what their steps can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.runbook_room import library_of
from ihobs.cli.runbooks_test import test
from ihobs.cli.tables import Column, table
from ihobs.documents import DocumentInvalidError
from ihobs.errors import EXIT_INVALID
from ihobs.runbooks.graph import mermaid, outline
from ihobs.runbooks.schema import document_schema

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.runbooks.model import Runbook
    from ihobs.runbooks.registry import Kinds
    from ihobs.steps import StepKind

MARKS = {"read": "reads", "notify": "tells", "change": "CHANGES", "manual": "asks"}


@click.group(cls=Group)
def runbooks() -> None:
    """List, check, test and look at runbooks."""


runbooks.add_command(test)


@runbooks.command("list")
@json_option
@click.pass_obj
def list_(app: AppContext, *, as_json: bool) -> None:
    """List the runbooks of `runbooks.paths`, and those that come with ihobs."""
    found, broken = library_of(app).all()
    rows = sorted(found.values(), key=lambda one: one.id)
    if as_json:
        invalid = [{"path": error.path, "error": str(error)} for error in broken]
        emit_json({"runbooks": [_figures(one) for one in rows], "invalid": invalid})
        return
    for error in broken:
        click.echo(inert(f"not usable: {error.path}; see 'ihobs runbooks check'"), err=True)
    if not rows:
        click.echo("no runbooks; name directories with *.runbook.yaml under runbooks.paths in ihobs.yaml")
        return
    columns: list[Column[Runbook]] = [
        Column("runbook", lambda one: one.id, is_name=True),
        Column("title", lambda one: inert(one.title), is_name=True),
        Column("owner", lambda one: inert(one.owner) or "-", rank=1, is_left=True),
        Column("by itself", lambda one: one.auto if one.triggers else "-", rank=2, is_left=True),
        Column("tests", lambda one: str(len(one.scenarios)), rank=3),
    ]
    terminal = console()
    terminal.print(table(terminal, columns, rows))


@runbooks.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(app: AppContext, name: str, *, as_json: bool) -> None:
    """Show the runbook NAME (or a file): what it is for, what it is given, and its steps."""
    library = library_of(app)
    runbook = library.find(name)
    lines = outline(runbook, library.kinds)
    if as_json:
        steps = [{"depth": line.depth, "text": line.text, "effect": line.mark or None} for line in lines]
        emit_json({**_figures(runbook), "description": runbook.description, "steps": steps, "hash": runbook.hash})
        return
    click.echo(f"{click.style(runbook.id, bold=True)}  {inert(runbook.title)}")
    if runbook.description:
        click.echo(inert(runbook.description))
    for label, text in _facts(runbook):
        click.echo(f"{label:<10} {inert(text)}")
    click.echo("")
    _print_outline(runbook, library.kinds)


@runbooks.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check FILES, or all runbooks that there are: every mistake by line and column."""
    app: AppContext = ctx.obj
    library = library_of(app)
    valid: list[Runbook] = []
    broken: list[DocumentInvalidError] = []
    for file in files or tuple(library.files()):
        try:
            valid.append(library.read(file))
        except DocumentInvalidError as error:
            broken.append(error)
    if as_json:
        emit_json({"valid": [str(one.path) for one in valid], "findings": [_finding(error) for error in broken]})
    else:
        for runbook in valid:
            click.echo(inert(f"{runbook.path}: ok"))
        for invalid in broken:
            for line in str(invalid).splitlines():
                click.echo(inert(line), err=True)
    if broken:
        ctx.exit(EXIT_INVALID)


@runbooks.command()
@click.argument("name")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="A flowchart of Mermaid, for documents.")
@json_option
@click.pass_obj
def graph(app: AppContext, name: str, *, as_mermaid: bool, as_json: bool) -> None:
    """Draw the runbook NAME (or a file): an outline, or a flowchart."""
    library = library_of(app)
    runbook = library.find(name)
    if as_json:
        emit_json({"runbook": runbook.id, "mermaid": mermaid(runbook, library.kinds)})
    elif as_mermaid:
        click.echo(mermaid(runbook, library.kinds), nl=False)
    else:
        _print_outline(runbook, library.kinds)


@runbooks.command()
@click.argument("kind", required=False)
@click.option("--schema", "as_schema", is_flag=True, help="The JSON Schema of runbooks, for editors.")
@json_option
@click.pass_obj
def steps(app: AppContext, kind: str | None, *, as_schema: bool, as_json: bool) -> None:
    """List the kinds of steps, those of plug-ins too, or show one with its parameters and outputs."""
    kinds = library_of(app).kinds
    if as_schema:
        emit_json(document_schema(kinds))
    elif as_json:
        emit_json([_kind_figures(one, kinds.sources[one.name]) for one in kinds.values() if kind in {None, one.name}])
    elif kind is not None:
        _print_kind(kind, kinds)
    else:
        _print_kinds(kinds)


def _figures(runbook: Runbook) -> dict[str, object]:
    return {
        "id": runbook.id,
        "title": runbook.title,
        "path": runbook.path,
        "owner": runbook.owner,
        "auto": runbook.auto,
        "inputs": {name: dict(one.schema) for name, one in runbook.inputs.items()},
        "secrets": runbook.secrets,
        "triggers": [{"on": one.on, "where": one.where} for one in runbook.triggers],
        "tests": len(runbook.scenarios),
    }


def _facts(runbook: Runbook) -> list[tuple[str, str]]:
    inputs = ", ".join(name if one.is_required else f"[{name}]" for name, one in runbook.inputs.items())
    facts = [
        ("file", str(runbook.path)),
        ("owner", runbook.owner),
        ("inputs", inputs),
        ("secrets", ", ".join(runbook.secrets)),
        ("lock", runbook.lock),
        ("ends as", ", ".join(runbook.end_states)),
    ]
    return [(label, text) for label, text in facts if text]


def _print_outline(runbook: Runbook, kinds: Kinds) -> None:
    for line in outline(runbook, kinds):
        mark = MARKS.get(line.mark, "")
        styled = click.style(f"{mark:<8}", fg="yellow") if line.mark == "change" else f"{mark:<8}"
        click.echo(f"{styled} {'  ' * line.depth}{inert(line.text)}")


def _finding(error: DocumentInvalidError) -> Mapping[str, object]:
    found = [
        {
            "line": one.place.line if one.place else None,
            "column": one.place.column if one.place else None,
            "reason": one.reason,
            "hint": one.hint,
        }
        for one in error.findings
    ]
    return {"path": error.path, "findings": found}


def _kind_figures(kind: StepKind, source: str) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "summary": kind.summary,
        "effect": kind.effect,
        "idempotent": kind.idempotent,
        "source": source,
        "parameters": dict(kind.parameters),
        "outputs": dict(kind.outputs),
    }


def _print_kinds(kinds: Kinds) -> None:
    columns: list[Column[StepKind]] = [
        Column("step", lambda one: one.name, is_name=True),
        Column("effect", lambda one: one.effect, is_left=True),
        Column("what it does", lambda one: inert(one.summary), is_name=True),
        Column("from", lambda one: inert(kinds.sources[one.name]), rank=1, is_left=True),
    ]
    terminal = console()
    terminal.print(table(terminal, columns, sorted(kinds.values(), key=lambda one: one.name)))


def _print_kind(name: str, kinds: Kinds) -> None:
    if name not in kinds:
        raise click.BadParameter(f"there is no kind of step {name!r}; {kinds.like(name)}", param_hint="'KIND'")
    kind = kinds[name]
    twice = "may be done twice" if kind.idempotent else "is never done twice by itself"
    click.echo(f"{click.style(kind.name, bold=True)}  {inert(kind.summary)}")
    click.echo(f"effect: {kind.effect}; {twice}")
    for title, schema in (("parameters", kind.parameters), ("outputs", kind.outputs)):
        properties = schema.get("properties", {})
        click.echo(f"{title}:" if properties else f"{title}: none that are known beforehand")
        for key, one in properties.items():
            needed = " (required)" if title == "parameters" and key in schema.get("required", ()) else ""
            click.echo(f"  {key}{needed}: {inert(_described(one))}")


def _described(schema: Mapping[str, Any]) -> str:
    words: Sequence[str] = [str(schema.get("description", "")).rstrip(".")]
    if "enum" in schema:
        words = [*words, f"one of {', '.join(map(str, schema['enum']))}"]
    if "default" in schema:
        words = [*words, f"default {schema['default']}"]
    return "; ".join(word for word in words if word)
