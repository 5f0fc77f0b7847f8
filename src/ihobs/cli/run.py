"""`ihobs run`: run a runbook, and watch it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ihobs.cli.inert import inert
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.run_screen import Screen, event_figures, print_result
from ihobs.cli.runbook_room import desk_of, library_of
from ihobs.cli.who import who
from ihobs.errors import InvalidInputError
from ihobs.runbooks.journal import MemoryJournal
from ihobs.runbooks.masking import stand_ins
from ihobs.runbooks.performing import Examples, Timing
from ihobs.runbooks.running import Request, Result, Walk, ending_of, new_run

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.runbooks.model import Runbook
    from ihobs.runbooks.running import Desk
    from ihobs.store.state.runs import RunEvent


@click.command()
@click.argument("name", metavar="RUNBOOK")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; may come several times.")
@click.option("--dry-run", is_flag=True, help="Show what it would do by examples of what steps yield; do nothing.")
@click.option("--yes", is_flag=True, help="Approve beforehand of everything that asks for approval.")
@click.option("--reason", default="", help="Why, for whoever looks later.")
@json_option
@click.pass_context
def run(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Run RUNBOOK, the name of one or a file.

    It can be stopped at any time, also by a crash, and gone on with by `ihobs runs resume`. Where it needs a person,
    it asks on a terminal; else it ends with 4, and `ihobs runs` says what it waits for.
    """
    app: AppContext = ctx.obj
    as_json, by = options["as_json"], who()
    if options["dry_run"]:
        library = library_of(app)
        runbook = library.find(name)
        request = Request(read_inputs(runbook, options["inputs"]), by, options["reason"])
        result, events = _dry(app, runbook, request, None if as_json else Screen().show)
    else:
        desk = desk_of(app, create=True)
        runbook = desk.library.find(name)
        started = desk.start(runbook, Request(read_inputs(runbook, options["inputs"]), by, options["reason"]))
        result, events = walk_and_ask(desk, started.id, by if options["yes"] else "", as_json=as_json)
    if as_json:
        emit_json({**result_figures(result), "dry_run": options["dry_run"], "events": events})
    ctx.exit(result.exit_code)


def walk_and_ask(desk: Desk, run_id: str, approver: str, *, as_json: bool) -> tuple[Result, list[dict[str, object]]]:
    """Walk a run, asking on a terminal what it wants to know, and print how it stands; return its events, too."""
    from ihobs.store.state import runs

    events: list[dict[str, object]] = []
    screen = Screen()

    def watch(event: RunEvent) -> None:
        if as_json:
            events.append(event_figures(event))
        else:
            screen.show(event)

    while True:
        result = desk.walk(runs.find(desk.database, run_id), by=who(), approver=approver, watch=watch)
        questions = desk.questions(run_id) if result.status == "waiting" else []
        if not questions or as_json or not sys.stdin.isatty():
            break
        ask_on_terminal(desk, run_id, questions[0])
    if not as_json:
        print_result(result, questions)
    return result, events


def ask_on_terminal(desk: Desk, run_id: str, question: RunEvent) -> None:
    """Ask whoever sits there, and store what is said; what does not fit is asked again."""
    text, path = inert(question.fields["text"]), question.path
    if question.fields["kind"] != "ask":
        desk.approve(run_id, path, by=who(), yes=click.confirm(f"{path}: {text}"))
        return
    while True:
        said = click.prompt(f"{path}: {text}")
        try:
            desk.answer(run_id, path, by=who(), answer=answer_of(said, question.fields.get("schema")))
        except InvalidInputError as error:
            click.echo(inert(error), err=True)
        else:
            return


def answer_of(text: str, schema: Mapping[str, Any] | None) -> Any:
    """Return what somebody typed as the value that a schema wants: JSON, when it wants anything but text."""
    if schema is None or schema.get("type") == "string":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    wanted = schema.get("enum")
    return text if wanted is not None and text in wanted else value


def read_inputs(runbook: Runbook, given: tuple[str, ...]) -> dict[str, Any]:
    """Return the inputs that were typed as NAME=VALUE.

    Raises:
        InvalidInputError: one has not that form.
    """
    inputs: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInputError("--input", f"{text!r} is not of the form NAME=VALUE")
        one = runbook.inputs.get(name)
        inputs[name] = answer_of(value, None if one is None else one.schema)
    return inputs


def result_figures(result: Result) -> dict[str, object]:
    """Return a result with the names that `--json` promises."""
    return {
        "run": result.run_id,
        "status": result.status,
        "end_state": result.end_state.name if result.end_state else None,
        "exit_code": result.exit_code,
        "waits_at": result.paused_at or None,
        "error": result.error,
        "outputs": result.outputs,
        "not_undone": result.undo_failures,
    }


def _dry(
    app: AppContext, runbook: Runbook, request: Request, watch: Callable[[RunEvent], None] | None
) -> tuple[Result, list[dict[str, object]]]:
    """Walk a runbook on examples, and write nothing."""
    library, timing = library_of(app), Timing(app.clock, sleep=lambda _: None, longest_nap_s=float("inf"))
    journal, run = MemoryJournal(), new_run(runbook, request, timing)
    walk = Walk(
        runbook=runbook,
        run=run,
        library=library,
        journal=journal,
        performer=Examples(),
        secrets=stand_ins(runbook.secrets),
        timing=timing,
        watch=watch or (lambda _: None),
        is_dry=True,
    )
    result = walk.go()
    journal.end(ending_of(result, timing.clock()))
    if watch is not None:
        click.echo("dry run: nothing was done; outputs are examples")
        print_result(result, [])
    return result, [event_figures(event) for event in journal.events()]
