"""What people do about incidents: open, take, note, judge anew, resolve, merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ihobs.cli.incidents_named import desk_of, id_of
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.who import who
from ihobs.incident_settings import SEVERITIES
from ihobs.store.state.migrations import open_state
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.incident_settings import SeverityName
    from ihobs.incidents.people import Outcome
    from ihobs.store.home import Home

_author = click.option("--author", default=None, help="Who; the name of the user when not given.")
_severity = click.Choice(SEVERITIES, case_sensitive=False)


@click.command("open")
@click.argument("title", nargs=-1, required=True)
@click.option("--severity", type=_severity, required=True, help="How bad it is; when in doubt, the worse.")
@_author
@json_option
@click.pass_obj
def open_(
    app: AppContext, title: tuple[str, ...], *, severity: SeverityName, author: str | None, as_json: bool
) -> None:
    """Open an incident by hand. While one of the same TITLE goes on, it is that one."""
    from ihobs.incidents.people import open_by_hand

    home = app.home()
    outcome = open_by_hand(desk_of(app, home), " ".join(title), severity, who(author))
    if outcome.changed:
        _freeze(app, home)
    tell(home, outcome, as_json=as_json)


@click.command()
@click.argument("incident")
@_author
@json_option
@click.pass_obj
def ack(app: AppContext, incident: str, *, author: str | None, as_json: bool) -> None:
    """Take an incident: nobody else is called, and the deadline for a response is met. Who is first leads it."""
    from ihobs.incidents.people import acknowledge

    home = app.home()
    tell(home, acknowledge(desk_of(app, home), id_of(home, incident), who(author)), as_json=as_json)


@click.command()
@click.argument("incident")
@click.argument("text", nargs=-1)
@_author
@json_option
@click.pass_obj
def mitigate(app: AppContext, incident: str, text: tuple[str, ...], *, author: str | None, as_json: bool) -> None:
    """Note that users feel nothing of it any more, though it is not over. TEXT says how."""
    from ihobs.incidents import people

    home = app.home()
    outcome = people.mitigate(desk_of(app, home), id_of(home, incident), who(author), " ".join(text))
    tell(home, outcome, as_json=as_json)


@click.command()
@click.argument("incident")
@click.argument("resolution", nargs=-1, required=True)
@_author
@json_option
@click.pass_obj
def resolve(app: AppContext, incident: str, resolution: tuple[str, ...], *, author: str | None, as_json: bool) -> None:
    """End an incident; RESOLUTION says what ended it. It is reopened when its alerts come back within two hours."""
    from ihobs.incidents import people

    home = app.home()
    outcome = people.resolve(desk_of(app, home), id_of(home, incident), who(author), " ".join(resolution))
    tell(home, outcome, as_json=as_json)


@click.command()
@click.argument("incident")
@click.option("--into", required=True, metavar="INCIDENT", help="The one that it is a part of.")
@_author
@json_option
@click.pass_obj
def merge(app: AppContext, incident: str, *, into: str, author: str | None, as_json: bool) -> None:
    """Make an incident a part of another one: its alerts belong to that one, and it is closed."""
    from ihobs.incidents import people

    home = app.home()
    outcome = people.merge(desk_of(app, home), id_of(home, incident), id_of(home, into), who(author))
    tell(home, outcome, as_json=as_json)


@click.command()
@click.argument("incident")
@click.argument("severity", type=_severity)
@click.option("--reason", default="", help="Why; asked for when it is lowered.")
@_author
@json_option
@click.pass_obj
def severity(
    app: AppContext, incident: str, severity: SeverityName, *, reason: str, author: str | None, as_json: bool
) -> None:
    """Judge an incident anew. Anybody may raise it; lowering it needs a reason."""
    from ihobs.incidents.people import set_severity

    home = app.home()
    outcome = set_severity(desk_of(app, home), id_of(home, incident), severity, who(author), reason)
    tell(home, outcome, as_json=as_json)


@click.command()
@click.argument("incident")
@click.option("--lead", help="Who decides.")
@click.option("--comms", help="Who talks to those who wait.")
@click.option("--scribe", help="Who writes down what happens.")
@_author
@json_option
@click.pass_obj
def assign(  # noqa: PLR0913 - the options of a command
    app: AppContext,
    incident: str,
    *,
    lead: str | None,
    comms: str | None,
    scribe: str | None,
    author: str | None,
    as_json: bool,
) -> None:
    """Say who has which role; one person may have all of them."""
    from ihobs.incidents import people

    named: dict[people.Role, str | None] = {"lead": lead, "comms": comms, "scribe": scribe}
    given = {role: name for role, name in named.items() if name is not None}
    if not given:
        raise click.UsageError("name a role: --lead, --comms or --scribe")
    home = app.home()
    outcome = people.assign(desk_of(app, home), id_of(home, incident), given, who(author))
    tell(home, outcome, as_json=as_json)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="INCIDENT TEXT... | --deploy TEXT...")
@click.option("--deploy", is_flag=True, help="Something was deployed: for the incidents that go on, and those to come.")
@_author
@json_option
@click.pass_obj
def note(app: AppContext, words: tuple[str, ...], *, deploy: bool, author: str | None, as_json: bool) -> None:
    """Add a line to the timeline of an incident; or note a deployment, which needs no incident."""
    from ihobs.incidents import people

    home = app.home(create=deploy)
    if deploy:
        text = " ".join(words)
        count = people.note_deployment(desk_of(app, home), who(author), text)
        notify(home)
        told = f", and on {count} incident{'s' if count != 1 else ''}" if count else ""
        emit_json({"deployment": text, "incidents": count}) if as_json else click.echo(f"deployment noted{told}")
        return
    if len(words) == 1:
        raise click.UsageError("say what to note: ihobs incidents note INCIDENT TEXT...")
    incident, *rest = words
    tell(home, people.note(desk_of(app, home), id_of(home, incident), who(author), " ".join(rest)), as_json=as_json)


def _freeze(app: AppContext, home: Home) -> None:
    """Look at everything now: a duties process would, but there may be none."""
    from ihobs.incidents.diagnostics import Diagnostics
    from ihobs.store.schema import open_telemetry

    Diagnostics(home, open_telemetry(home), open_state(home), app.clock).complete()


def tell(home: Home, outcome: Outcome, *, as_json: bool) -> None:
    """Say what became of it, and wake the duties process, which tells others."""
    from ihobs.incidents.record import summary

    notify(home)
    if as_json:
        emit_json({**summary(outcome.incident), "changed": outcome.changed, "text": outcome.text})
    else:
        click.echo(outcome.text)


CHANGES: tuple[click.Command, ...] = (open_, ack, assign, merge, mitigate, note, resolve, severity)
"""The commands, for the group."""
