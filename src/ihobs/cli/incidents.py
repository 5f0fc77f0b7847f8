"""`ihobs incidents`: what went wrong, who takes care of it, and until when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.cli import incidents_changes, incidents_review, incidents_screen, incidents_test
from ihobs.cli.incidents_actions import actions
from ihobs.cli.incidents_named import id_of
from ihobs.cli.output import console, emit_json, json_option
from ihobs.errors import EXIT_FINDING
from ihobs.store.state import incidents as stored
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.incidents.record import Record
    from ihobs.store.home import Home

LISTED = 50


@click.group()
def incidents() -> None:
    """See incidents, take them, and lead them to their end.

    INCIDENT is an id such as INC-20261122-203000, or `latest`.
    """


@incidents.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@json_option
@click.pass_obj
def list_(app: AppContext, *, everything: bool, as_json: bool) -> None:
    """List the incidents that go on, the newest first. Ends with 1 when there are any."""
    from ihobs.incidents.lifecycle import UNRESOLVED
    from ihobs.incidents.record import summary

    state = open_state(app.home())
    if everything:
        found = stored.newest(state, LISTED)
    else:
        with state.read() as reader:
            found = list(reversed(stored.in_states(reader, UNRESOLVED)))
    if as_json:
        emit_json([summary(one) for one in found])
    elif found:
        with state.read() as reader:
            rows = [(one, stored.deadlines(reader, one.id)) for one in found]
        incidents_screen.print_list(console(), rows, app.clock())
    else:
        click.echo("no incidents" if everything else "no incident goes on; --all shows those that are over")
    if any(one.state in UNRESOLVED for one in found):
        click.get_current_context().exit(EXIT_FINDING)


@incidents.command()
@click.argument("incident")
@click.option("--update", is_flag=True, help="A draft of a status update instead, in Markdown.")
@json_option
@click.pass_obj
def show(app: AppContext, incident: str, *, update: bool, as_json: bool) -> None:
    """Show an incident: how it stands, its alerts and deadlines, what was seen, and its timeline."""
    from ihobs.incidents.record import document

    home = app.home()
    record = _record(home, incident)
    if as_json:
        emit_json(document(record, app.clock()))
    elif update:
        click.echo(_update(app, home, record))
    else:
        from ihobs.incidents.health import health_of
        from ihobs.store.schema import open_telemetry

        health = health_of(open_telemetry(home), app.clock())
        incidents_screen.print_record(console(), record, health, app.clock(), home)


def _update(app: AppContext, home: Home, record: Record) -> str:
    from ihobs.incidents.drafting import status_update
    from ihobs.incidents.health import health_of
    from ihobs.incidents.policy import policy_of
    from ihobs.store.schema import open_telemetry

    telemetry, now_ns = open_telemetry(home), app.clock()
    timezone = policy_of(app.config.settings).working.timezone
    return status_update(record, telemetry, health_of(telemetry, now_ns), now_ns, timezone)


@incidents.command()
@click.argument("incident")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write; standard output when not given."
)
@click.option("--as-test", is_flag=True, help="The numbers of the incident instead, as a test of rules in YAML.")
@click.option("--rule", help="With --as-test: the rule that should notice it; the one that did when not given.")
@click.option("--within", metavar="DURATION", help="With --as-test: how soon; in half the time when not given.")
@json_option
@click.pass_obj
def export(  # noqa: PLR0913 - the options of a command
    app: AppContext,
    incident: str,
    *,
    out: Path | None,
    as_test: bool,
    rule: str | None,
    within: str | None,
    as_json: bool,
) -> None:
    """Write all that is known of an incident as one JSON document, with what was seen when it opened.

    With --as-test it is a test of rules, which fails as long as the incident would be noticed as late as it was.
    """
    from ihobs.incidents.record import document

    home = app.home()
    record = _record(home, incident)
    if as_test:
        incidents_test.export_test(app, home, record, out=out, rule=rule, within=within, as_json=as_json)
        return
    if rule or within:
        raise click.UsageError("--rule and --within belong to --as-test")
    found = document(record, app.clock(), home)
    if out is None:
        emit_json(found)
        return
    import json

    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if as_json:
        emit_json({"incident": record.incident.id, "file": out})
    else:
        click.echo(f"{record.incident.id} is in {out}")


def _record(home: Home, named: str) -> Record:
    from ihobs.incidents import record

    return record.read(open_state(home), id_of(home, named))


for _command in (*incidents_changes.CHANGES, incidents_review.review, incidents_review.close, actions):
    incidents.add_command(_command)
