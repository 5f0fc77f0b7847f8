"""`ihobs runs`: what runs of runbooks there were, what they wait for, and how to go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.run import answer_of, result_figures, walk_and_ask
from ihobs.cli.run_screen import advice, event_figures, line_of, run_figures, standing
from ihobs.cli.runbook_room import desk_of
from ihobs.cli.tables import Column, table
from ihobs.cli.who import who
from ihobs.clock import SECOND_NS
from ihobs.errors import InvalidInputError, NotFoundError, RefusedError
from ihobs.runbooks.running import lock_of
from ihobs.store.state import runs as stored

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.runbooks.running import Desk
    from ihobs.store.state.runs import Run, RunEvent

Command = Callable[..., Any]


@click.group(cls=Group)
def runs() -> None:
    """See runs of runbooks, answer what they ask, resume and cancel them."""


run_argument = click.argument("name", metavar="RUN")
step_option = click.option("--step", default=None, help="Which of its questions, when there are several.")
later_option = click.option("--later", is_flag=True, help="Only store it; the run goes on when it is resumed.")


@runs.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@json_option
@click.pass_obj
def list_(app: AppContext, *, only_open: bool, limit: int, as_json: bool) -> None:
    """List runs, newest first."""
    desk = desk_of(app)
    found = stored.runs(desk.database, limit=limit, only_open=only_open)
    if as_json:
        emit_json([run_figures(one, is_owned=_is_owned(desk, one)) for one in found])
        return
    if not found:
        click.echo("no run is open" if only_open else "nothing was run yet; see 'ihobs runbooks list'")
        return
    columns: list[Column[Run]] = [
        Column("run", lambda one: one.id, is_left=True),
        Column("runbook", lambda one: one.runbook, is_name=True),
        Column("status", lambda one: standing(one, is_owned=_is_owned(desk, one)), is_left=True),
        Column("started (UTC)", lambda one: shown(one.started_ns), rank=1, is_left=True),
        Column("took", _took, rank=3),
        Column("by", lambda one: inert(one.started_by), rank=2, is_left=True),
        Column("error", lambda one: inert(one.error["message"]) if one.error else "-", rank=4, is_name=True),
    ]
    terminal = console()
    terminal.print(table(terminal, columns, found))


@runs.command()
@run_argument
@json_option
@click.pass_obj
def show(app: AppContext, name: str, *, as_json: bool) -> None:
    """Show what a RUN did, step by step; RUN is its id, a part of it, or "last"."""
    desk = desk_of(app)
    run = stored.find(desk.database, name)
    events = stored.events(desk.database, run.id)
    is_owned = _is_owned(desk, run)
    if as_json:
        emit_json({**run_figures(run, is_owned=is_owned), "events": [event_figures(event) for event in events]})
        return
    status = standing(run, is_owned=is_owned)
    click.echo(
        f"{click.style(run.id, bold=True)}  {run.runbook}  {status}{f' ({run.end_state})' if run.end_state else ''}"
    )
    click.echo(f"started {shown(run.started_ns)} UTC by {inert(run.started_by)}" + _because(run))
    _print_events(events)
    if run.error:
        click.echo(f"error: {inert(run.error['message'])}")
    if status == "interrupted":
        click.echo(f"its process has ended; go on with: ihobs runs resume {run.id}")
    for line in advice(run.id, status, _paused_at(events), desk.questions(run.id)):
        click.echo(line)


@runs.command()
@run_argument
@click.option(
    "--assume",
    type=click.Choice(["done", "redo", "failed"]),
    default=None,
    help="What became of the step of which nobody knows.",
)
@click.option("--outputs", default="{}", metavar="JSON", help="With --assume done: what the step yielded.")
@click.option("--yes", is_flag=True, help="Approve beforehand of everything that asks for approval.")
@json_option
@click.pass_context
def resume(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Go on with a RUN that was interrupted, or that waited; what is done is not done again."""
    desk = desk_of(ctx.obj)
    run = stored.find(desk.database, name)
    if options["assume"]:
        path = _unknown_step(stored.events(desk.database, run.id), run.id)
        outputs = _outputs(options["outputs"])
        desk.assume(run.id, path, by=who(), status=options["assume"], outputs=outputs)
    _go_on(ctx, desk, run.id, approver=who() if options["yes"] else "", as_json=options["as_json"])


@runs.command()
@run_argument
@click.option("--no", "is_no", is_flag=True, help="Refuse instead.")
@click.option("--note", default="", help="Why, for whoever looks later.")
@step_option
@later_option
@json_option
@click.pass_context
def approve(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Approve of what a RUN is about to do, or say that what it asked for is done; then it goes on."""
    desk = desk_of(ctx.obj)
    run = stored.find(desk.database, name)
    path = _question(desk, run, options["step"], ("approve", "manual")).path
    desk.approve(run.id, path, by=who(), yes=not options["is_no"], note=options["note"])
    _go_on_unless(ctx, desk, run, options)


@runs.command()
@run_argument
@click.argument("answer")
@step_option
@later_option
@json_option
@click.pass_context
def answer(ctx: click.Context, /, name: str, answer: str, **options: Any) -> None:
    """Answer what a RUN asks: text, or JSON where it wants something else; then it goes on."""
    desk = desk_of(ctx.obj)
    run = stored.find(desk.database, name)
    question = _question(desk, run, options["step"], ("ask",))
    desk.answer(run.id, question.path, by=who(), answer=answer_of(answer, question.fields.get("schema")))
    _go_on_unless(ctx, desk, run, options)


@runs.command()
@run_argument
@later_option
@json_option
@click.pass_context
def cancel(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Stop a RUN: a step under way is ended, what its `try` has changed is undone, and `always` runs."""
    desk = desk_of(ctx.obj)
    run = stored.find(desk.database, name)
    if not desk.cancel(run.id, by=who()):
        raise RefusedError(f"the run {run.id} has ended: {run.status}", "there is nothing to cancel")
    _go_on_unless(ctx, desk, run, options)


def _go_on_unless(ctx: click.Context, desk: Desk, run: Run, options: dict[str, Any]) -> None:
    """Go on with a run here, unless somebody else has it, or it shall wait."""
    if options["later"] or _is_owned(desk, run):
        if options["as_json"]:
            emit_json({"run": run.id, "status": run.status, "stored": True})
        else:
            click.echo(f"{run.id}: stored")
        return
    _go_on(ctx, desk, run.id, approver="", as_json=options["as_json"])


def _go_on(ctx: click.Context, desk: Desk, run_id: str, *, approver: str, as_json: bool) -> None:
    result, events = walk_and_ask(desk, run_id, approver, as_json=as_json)
    if as_json:
        emit_json({**result_figures(result), "events": events})
    ctx.exit(result.exit_code)


def _is_owned(desk: Desk, run: Run) -> bool:
    return run.finished_ns is None and desk.database.home.lock_owner(lock_of(run.id)) is not None


def _question(desk: Desk, run: Run, step: str | None, kinds: tuple[str, ...]) -> RunEvent:
    """Return the question that is meant.

    Raises:
        NotFoundError: there is none. InvalidInputError: there are several.
    """
    waiting = [one for one in desk.questions(run.id) if one.fields["kind"] in kinds and step in {None, one.path}]
    if not waiting:
        raise NotFoundError("question", step or run.id, f"see 'ihobs runs show {run.id}'")
    if len(waiting) > 1:
        raise InvalidInputError("--step", f"is one of {', '.join(one.path for one in waiting)}")
    return waiting[0]


def _unknown_step(events: list[RunEvent], run_id: str) -> str:
    path = _paused_at(events)
    if not path:
        raise NotFoundError("step of which nobody knows what became in run", run_id, "resume it without --assume")
    return path


def _paused_at(events: list[RunEvent]) -> str:
    """Return the path of the step that began and did not end; "" when there is none."""
    last = {event.path: event for event in events if event.path}
    for path, event in last.items():
        if event.name == "intent" or event.fields.get("status") == "unknown":
            return path
    return ""


def _outputs(text: str) -> dict[str, Any]:
    try:
        outputs = json.loads(text)
    except ValueError as error:
        raise InvalidInputError("--outputs", f"is no JSON: {error}") from error
    if not isinstance(outputs, dict):
        raise InvalidInputError("--outputs", "is no JSON object")
    return outputs


def _took(run: Run) -> str:
    return f"{(run.finished_ns - run.started_ns) / SECOND_NS:.1f} s" if run.finished_ns else "-"


def _because(run: Run) -> str:
    return f": {inert(run.reason)}" if run.reason else ""


def _print_events(events: list[RunEvent]) -> None:
    began: dict[str, int] = {}
    last = {event.path: event for event in events}
    for event in events:
        if event.name == "intent":
            began[event.path] = event.at_ns
            if last[event.path] is event:
                click.echo(f"{shown(event.at_ns)[11:]} {'began':<10} {event.path}")
            continue
        text = line_of(event, event.at_ns - began.get(event.path, event.at_ns))
        if text:
            click.echo(f"{shown(event.at_ns)[11:]} {text}")
