"""`ihobs alerts ack` and `ihobs alerts history`: somebody takes care of it, and who was told of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ihobs.cli.inert import inert
from ihobs.cli.moments import shown, window_ns
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.who import who
from ihobs.clock import SECOND_NS, isoformat
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.policy import policy_of
from ihobs.delivery.story import Chapter, Prospect, in_words, prospects, story
from ihobs.errors import NotFoundError
from ihobs.store.state import acknowledgements, alerts
from ihobs.store.state.acknowledgements import Acknowledgement
from ihobs.store.state.delivery_history import known_alerts
from ihobs.store.state.migrations import open_state
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.store.database import Database
    from ihobs.store.state.delivery_history import Attempt, Hearing

_STYLES = {"sent": "green", "waiting": "yellow", "muted": "", "dead": "red"}


@click.command()
@click.argument("alert")
@click.option("--for", "for_", default="2h", metavar="D", show_default=True, help="For how long: 30m, 2h, 1d.")
@click.option("--reason", default="", help="What is being done about it.")
@click.option("--author", default=None, help="Who; the name of the user when not given.")
@json_option
@click.pass_obj
def ack(app: AppContext, alert: str, *, for_: str, reason: str, author: str | None, as_json: bool) -> None:
    """Say that somebody takes care of ALERT: it is not repeated for a while.

    ALERT is a rule's id, for all of its instances that fire, or the key of one instance, as 'ihobs alerts history'
    names them. It ends by itself: what still fires then is told again. When the alert rises above its level, or begins
    anew, that is told at once; that it is resolved, too.
    """
    home = app.home()
    state = open_state(home)
    now_ns = app.clock()
    until_ns = now_ns + window_ns(for_, "--for")
    rows = alerts.load(state)
    firing = [key for key in _keys(state, alert) if key in rows and rows[key].level != "ok"]
    if not firing:
        raise NotFoundError("firing alert", alert, "see 'ihobs alerts list'")
    given = [_given(state, key, who(author), reason, (now_ns, until_ns)) for key in firing]
    for one in given:
        acknowledgements.give(state, one)
    notify(home)
    if as_json:
        emit_json([{"alert": one.alert, "level": one.level, "until": isoformat(one.until_ns)} for one in given])
        return
    for one in given:
        click.echo(f"{inert(one.alert)} ({one.level}) is not repeated until {shown(one.until_ns)} UTC")


def _given(state: Database, alert: str, author: str, reason: str, times_ns: tuple[int, int]) -> Acknowledgement:
    newest = acknowledgements.newest_event(state, alert)
    if newest is None:
        raise NotFoundError("firing alert", alert, "see 'ihobs alerts list'")
    return Acknowledgement(alert, *newest, author, reason, *times_ns)


@click.command()
@click.argument("alert")
@click.option("--limit", default=20, show_default=True, help="The newest so many changes.")
@json_option
@click.pass_obj
def history(app: AppContext, alert: str, *, limit: int, as_json: bool) -> None:
    """Show what became of ALERT, who was told of each change, and why somebody was not.

    ALERT is a rule's id, or the key of one instance; 'message' shows what programs said by ihobs.send_alert.
    """
    home = app.home()
    state = open_state(home)
    policy, addresses = policy_of(app.config.settings, home), Addresses(home, app.config.settings.receivers)
    found = [(key, story(state, key, limit), prospects(state, policy, key, app.clock())) for key in _keys(state, alert)]
    if as_json:
        emit_json([_figures(*one, addresses) for one in found])
        return
    for key, chapters, next_ in found:
        click.secho(inert(key), bold=True)
        if not chapters:
            click.echo("  has never changed its level")
        for line in _lines(chapters, next_, addresses):
            click.echo(line)


def _keys(state: Database, name: str) -> list[str]:
    """Return the alerts that `name` means: the one with this key, else the instances of the rule.

    Raises:
        NotFoundError: there is none.
    """
    known = known_alerts(state)
    if name in known:
        return [name]
    instances = sorted(key for key, rule in known.items() if rule == name or key.startswith(f"{name}{{"))
    if not instances:
        raise NotFoundError("alert", name, "see 'ihobs alerts list'; nothing is known of one that never fired")
    return instances


def _figures(key: str, chapters: list[Chapter], next_: list[Prospect], addresses: Addresses) -> dict[str, object]:
    """Return the history of an alert with the names that `--json` promises."""
    return {
        "alert": key,
        "changes": [
            {
                "at": isoformat(chapter.event.at_ns),
                "level": chapter.event.level,
                "text": chapter.event.text,
                "receivers": [_hearing_figures(hearing, addresses) for hearing in chapter.hearings],
            }
            for chapter in chapters
        ],
        "next": [
            {
                "receiver": addresses.shown(one.reference),
                "told": one.told,
                "at": None if one.next_ns is None else isoformat(one.next_ns),
                "reason": one.reason,
            }
            for one in next_
        ],
    }


def _hearing_figures(hearing: Hearing, addresses: Addresses) -> dict[str, object]:
    return {
        "receiver": addresses.shown(hearing.reference),
        "route": hearing.route,
        "state": hearing.state,
        "reason": hearing.reason,
        "message": hearing.key,
        "attempts": [
            {
                "at": isoformat(one.at_ns),
                "took_s": one.took_ns / SECOND_NS,
                "outcome": one.outcome,
                "detail": one.detail,
            }
            for one in hearing.attempts
        ],
    }


def _attempt_figures(one: Attempt) -> dict[str, object]:
    return {
        "at": isoformat(one.at_ns),
        "took_s": one.took_ns / SECOND_NS,
        "outcome": one.outcome,
        "detail": one.detail,
    }


def _lines(chapters: list[Chapter], next_: list[Prospect], addresses: Addresses) -> Iterator[str]:
    for chapter in chapters:
        yield f"  {shown(chapter.event.at_ns)}  {inert(chapter.event.text)}"
        for hearing in chapter.hearings:
            state = click.style(f"{hearing.state:8}", fg=_STYLES[hearing.state] or None)
            yield f"    {state} {_told(hearing, addresses)}"
        if not chapter.hearings:
            yield "    waiting  no duties process has looked at it yet"
    for one in next_:
        yield f"  {inert(in_words(one, addresses))}"


def _told(hearing: Hearing, addresses: Addresses) -> str:
    """Return one receiver's part of an event in words."""
    where = inert(addresses.shown(hearing.reference)) or "nobody"
    tries = len(hearing.attempts)
    last = hearing.attempts[-1] if hearing.attempts else None
    if hearing.state == "sent" and last is not None:
        often = f", attempt {tries}" if tries > 1 else ""
        return f"{where} at {shown(last.at_ns)} in {last.took_ns / SECOND_NS:.3f} s{often}"
    why = hearing.reason or "it is next"
    return f"{where}: {inert(why)}" + (f" ({tries} attempts)" if tries else "")
