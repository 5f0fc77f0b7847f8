"""`ihobs incidents review` and `close`: what an incident has cost, what was learned, and what follows from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.cli.incidents_named import desk_of, id_of
from ihobs.cli.inert import inert
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.who import who
from ihobs.store.state.migrations import open_state
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.cli.context import AppContext
    from ihobs.incidents.answers import Answers, Planned
    from ihobs.incidents.filing import Filing
    from ihobs.incidents.impact import Impact
    from ihobs.store.home import Home

author_option = click.option("--author", default=None, help="Who; the name of the user when not given.")
DUE = "5d"


@click.command()
@click.argument("incident")
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="Answers in YAML; see docs/incidents.md.")
@click.option("--answers", "words", multiple=True, metavar="KEY=TEXT", help="One answer, such as root_cause=TEXT.")
@click.option(
    "--action", "spoken", multiple=True, metavar="TEXT", help="'What to do; owner=anna; due=5d; test=FILE::NAME'."
)
@click.option("--show", is_flag=True, help="Print the document of a review that was written.")
@author_option
@json_option
@click.pass_obj
def review(  # noqa: PLR0913 - the options of a command
    app: AppContext,
    incident: str,
    *,
    file: Path | None,
    words: tuple[str, ...],
    spoken: tuple[str, ...],
    show: bool,
    author: str | None,
    as_json: bool,
) -> None:
    """Review an incident that is over: five questions, and what follows from the answers.

    What it has cost is computed. On a terminal, the questions that --file and --answers leave open are asked. The
    document and a chart are saved beside the incident.
    """
    home = app.home()
    incident_id = id_of(home, incident)
    filing = filing_of(app, home)
    if show:
        _show(filing, incident_id, as_json=as_json)
        return
    from ihobs.incidents import answers, impact
    from ihobs.incidents.record import read
    from ihobs.incidents.review import check_reviewable, write

    desk = desk_of(app, home)
    zone, now_ns = desk.policy.working.timezone, app.clock()
    record = read(desk.state, incident_id)
    check_reviewable(record.incident)
    given = answers.from_words(words, spoken, now_ns, zone)
    if file is not None:
        given = answers.together(answers.from_file(file, now_ns, zone), given)
    cost = filing.impact(record)
    if given.missing() and sys.stdin.isatty():
        _say_impact(cost)
        given = _ask(given, now_ns, zone)
    outcome = write(desk, incident_id, given, impact.to_json(cost), who(author))
    path = filing.save(incident_id)
    notify(home)
    if as_json:
        emit_json({"incident": incident_id, "text": outcome.text, "file": path, "impact": impact.to_json(cost)})
    else:
        click.echo(f"{outcome.text}\nthe document is {path}")


@click.command()
@click.argument("incident")
@author_option
@json_option
@click.pass_obj
def close(app: AppContext, incident: str, *, author: str | None, as_json: bool) -> None:
    """Close an incident of which nothing remains to be done. A P1 or P2 must be reviewed before."""
    from ihobs.incidents import review as reviewing
    from ihobs.incidents.record import summary

    home = app.home()
    outcome = reviewing.close(desk_of(app, home), id_of(home, incident), who(author))
    notify(home)
    if as_json:
        emit_json({**summary(outcome.incident), "changed": outcome.changed, "text": outcome.text})
    else:
        click.echo(outcome.text)


def filing_of(app: AppContext, home: Home) -> Filing:
    """Return who reads the numbers of a home for its incidents, by the rules in force."""
    from ihobs.alerts.rules import collect
    from ihobs.incidents.filing import Filing
    from ihobs.store.schema import open_telemetry

    settings = app.config.settings
    rules = collect(app.plugins, settings)
    return Filing(home, open_telemetry(home), open_state(home), settings, rules, app.clock)


def _show(filing: Filing, incident_id: str, *, as_json: bool) -> None:
    from ihobs.incidents.document import markdown
    from ihobs.incidents.impact import to_json

    contents = filing.contents(incident_id)
    if as_json:
        found = {"incident": incident_id, "answers": contents.review.answers, "impact": to_json(contents.impact)}
        emit_json({**found, "actions": contents.actions})
    else:
        click.echo(markdown(contents), nl=False)


def _say_impact(cost: Impact) -> None:
    """Say what is known before the first question."""
    from ihobs.incidents.document import impact_lines

    for name, value in impact_lines(cost):
        click.echo(f"{name:<34}{inert(value)}")
    click.echo("")


def _ask(given: Answers, now_ns: int, zone: tzinfo | None) -> Answers:
    """Ask what has no answer yet; after each answer, what is to be done about it."""
    from ihobs.incidents.answers import LISTS, QUESTIONS, Answers, together

    texts: dict[str, str] = {}
    planned: list[Planned] = []
    for key in given.missing():
        texts[key] = click.prompt(f"{QUESTIONS[key]}\n ", prompt_suffix=" ").strip()
        planned += _ask_actions(key, now_ns, zone)
    lists = {key: _ask_lines(title) if not getattr(given, key) else [] for key, title in LISTS.items()}
    return together(given, Answers(texts, lists["contributing"], lists["lessons"], planned))


def _ask_actions(question: str, now_ns: int, zone: tzinfo | None) -> list[Planned]:
    from ihobs.errors import InvalidInputError
    from ihobs.incidents.answers import PRIORITIES, planned_of

    found: list[Planned] = []
    while text := click.prompt("  what is to be done (empty: nothing more)", default="", show_default=False).strip():
        facts = {
            "owner": click.prompt("  who"),
            "due": click.prompt("  until when", default=DUE),
            "priority": click.prompt("  priority", default="medium", type=click.Choice(PRIORITIES)),
            "test": click.prompt("  proved by the rule test FILE::NAME (empty: none)", default="", show_default=False),
            "for": question,
        }
        try:
            found.append(planned_of(text, facts, now_ns, zone))
        except InvalidInputError as error:
            click.echo(f"  {error}")
    return found


def _ask_lines(title: str) -> list[str]:
    found: list[str] = []
    while line := click.prompt(f"{title} (empty: no more)", default="", show_default=False).strip():
        found.append(line)
    return found
