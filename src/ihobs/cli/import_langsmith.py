"""`ihobs import langsmith`: bring in the runs that LangSmith holds of a project."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ihobs.cli.moments import SINCE_HELP, shown, since_ns
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.units import plural
from ihobs.clock import isoformat
from ihobs.errors import EXIT_PARTIAL, InvalidInputError

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.langsmith.access import Access
    from ihobs.langsmith.bring_in import Brought, Progress
    from ihobs.langsmith.history import History, Wanted


@click.command()
@click.option("--project", help="The project; default: that of LANGSMITH_PROJECT, or InsightHub.")
@click.option("--since", default="30d", show_default=True, metavar="T", help=SINCE_HELP)
@click.option(
    "--until", metavar="T", help="Leave out what began later, such as what is recorded here since; as --since."
)
@click.option("--endpoint", help="The API, such as https://eu.api.smith.langchain.com; default: LANGSMITH_ENDPOINT.")
@click.option(
    "--service", help="The name under which the runs count; default: 'service' in ihobs.yaml, or the project."
)
@json_option
@click.pass_obj
@click.pass_context
def langsmith(
    ctx: click.Context,
    app: AppContext,
    /,
    *,
    as_json: bool,
    **options: str | None,
) -> None:
    """Bring in the runs that LangSmith holds of a project, so that metrics and rules can be tried on the past.

    The key is that of LANGSMITH_API_KEY. Interrupted, what was read is stored; the same again brings the rest. Ends
    with 3 when there is no such project, 6 when LangSmith cannot be reached or does not accept the key, 4 when some
    runs could not be used.
    """
    from ihobs.langsmith.history import Wanted

    since, until = options["since"] or "30d", options["until"]
    wanted = Wanted(
        start_ns=since_ns(since, app.clock),
        end_ns=since_ns(until, app.clock, "--until") if until else app.clock(),
        content=app.config.settings.instrument.content == "keep",
    )
    if wanted.end_ns <= wanted.start_ns:
        raise InvalidInputError("--until", "is not after --since")
    access = _access(app, options["endpoint"], options["project"])
    brought = _brought(app, access, wanted, options["service"])
    if as_json:
        emit_json(_as_json(access, wanted, brought))
    else:
        _show(access, brought)
    if brought.refused:
        ctx.exit(EXIT_PARTIAL)


def _access(app: AppContext, endpoint: str | None, project: str | None) -> Access:
    """Return the way to LangSmith: by the options, else as the only destination says, else by the variables.

    Raises:
        InvalidInputError: there is no key.
    """
    from dataclasses import replace

    from ihobs.langsmith.access import accesses, base_url, by_variables

    found = accesses(app.config.settings)
    access = found[0] if len(found) == 1 else by_variables()
    if endpoint:
        access = replace(access, endpoint=base_url(endpoint))
    if not access.key:
        raise InvalidInputError(access.key_from, "is not set", "set it to a key that may read the project's runs")
    return replace(access, project=project or access.project)


def _brought(app: AppContext, access: Access, wanted: Wanted, service: str | None) -> Brought:
    """Read and store; what was read before an interruption is stored, counted and told."""
    from ihobs.cli.import_ import finish
    from ihobs.langsmith.bring_in import Brought, bring_in
    from ihobs.langsmith.history import History
    from ihobs.plugins import redaction_by
    from ihobs.store.health import live_since_ns
    from ihobs.store.opening import open_store

    history, brought = History(access), Brought()
    name = service or app.config.settings.service or access.project
    hook = redaction_by(app.plugins)
    with open_store(app.home(create=True), app.config.settings, clock=app.clock, hook=hook) as store:
        _tell_overlap(live_since_ns(store.database), wanted)
        try:
            with _progress_bar(history, wanted) as progress:
                bring_in(store, history, wanted, name, progress, brought)
        except KeyboardInterrupt:
            click.echo(f"{plural(brought.accepted, 'run')} are stored; the same again brings the rest", err=True)
            raise
        finally:
            finish(store, app)
    return brought


def _tell_overlap(live_since_ns: int | None, wanted: Wanted) -> None:
    """Say that runs may count twice: what was recorded here has other ids than what LangSmith's SDK told it."""
    if live_since_ns is not None and live_since_ns < wanted.end_ns:
        until = isoformat(max(live_since_ns, wanted.start_ns + 1))
        click.echo(
            f"note: programs are recorded here since {shown(live_since_ns)} UTC; if they are the same as in LangSmith, "
            f"their runs count twice from then on: leave these out with --until {until}",
            err=True,
        )


@contextlib.contextmanager
def _progress_bar(history: History, wanted: Wanted) -> Iterator[Progress]:
    """Show how far reading came; nothing when there is no terminal."""
    shown_on = console(stderr=True)
    if not shown_on.is_terminal:
        yield lambda _read: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown_on, transient=True) as bars:
        task = bars.add_task("runs", total=history.count(wanted))
        yield lambda read: bars.update(task, completed=read)


def _as_json(access: Access, wanted: Wanted, brought: Brought) -> dict[str, object]:
    """Return what was done with the names that `--json` promises."""
    return {
        "endpoint": access.endpoint,
        "project": access.project,
        "since": shown(wanted.start_ns),
        "until": shown(wanted.end_ns),
        "runs": brought.read,
        "accepted": brought.accepted,
        "duplicates": brought.duplicates,
        "unfinished": brought.unfinished,
        "rejections": [
            {"reason": reason, "count": count, "example": brought.example.get(reason)}
            for reason, count in brought.refused.most_common()
        ],
    }


def _show(access: Access, brought: Brought) -> None:
    known = f", {brought.duplicates} known before" if brought.duplicates else ""
    running = f", {brought.unfinished} still running" if brought.unfinished else ""
    click.echo(f"{access.project}: {plural(brought.accepted, 'run')} brought in{known}{running}")
    for reason, count in brought.refused.most_common():
        example = f", such as {brought.example[reason]}" if reason in brought.example else ""
        click.echo(f"  rejected {count}: {reason}{example}", err=True)
    if brought.accepted:
        click.echo("see them with: ihobs metrics --all, ihobs traces list")
