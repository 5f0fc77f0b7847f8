"""`ihobs channels`: who hears of alerts, whether messages arrive there, and a test that goes the real way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.tables import Column, table
from ihobs.clock import DAY_NS, SECOND_NS, isoformat
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.policy import LEVELS, Policy, policy_of
from ihobs.delivery.sending import Sender
from ihobs.errors import EXIT_FINDING, EXIT_UNREACHABLE, NotFoundError
from ihobs.model import Notification
from ihobs.store.state import messages
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.clock import Clock
    from ihobs.store.state.messages import Message, Receiver

DEAD_LETTERS = 20
"""Dead letters that are shown, the newest first."""

ADVICE = {
    "account_inactive": "the bot was removed; make a new token",
    "channel_not_found": "name the channel by its id, and invite the bot to it",
    "invalid_auth": "check the bot's token",
    "not_in_channel": "invite the bot to the channel",
    "missing_scope": "give the bot the scope chat:write",
    "HTTP 400": "check the key in its address under 'receivers:'",
    "HTTP 401": "check the key in its address under 'receivers:'",
    "HTTP 403": "check the key in its address under 'receivers:'",
    "HTTP 404": "check its address under 'receivers:'",
    "HTTP 429": "it takes no more at the moment; try again later",
    "no connection": "check that this machine can reach the host",
    "the variable": "set it where 'ihobs serve' or 'ihobs exec' is started",
    "no plug-in": "see 'receivers' in docs/delivery.md for the addresses that there are",
}
"""What to do about a failure, by how its reason begins."""


@dataclass(frozen=True, slots=True)
class Row:
    """A receiver to show.

    Attributes:
        shown: the reference, as it may be shown. hears: levels and routes that lead there.
        way: the scheme of its address; never more, it holds secrets.
        receiver: how it is; None: nothing was ever sent there.
        missing: variables of its address that are not set here.
    """

    reference: str
    shown: str
    hears: str
    way: str
    receiver: Receiver | None
    missing: tuple[str, ...]

    @property
    def state(self) -> str:
        """How it is, in words."""
        if self.missing:
            return f"{self.missing[0]} is not set here"
        if self.receiver is None:
            return "never used"
        if self.receiver.outcome == "delivered":
            return "ok"
        if self.receiver.failures:
            return f"failing since {shown(self.receiver.since_ns)}: {self.receiver.detail}"
        return f"{self.receiver.outcome}: {self.receiver.detail}"


@dataclass(frozen=True, slots=True)
class Tried:
    """How a test of a receiver ended, and what to do about it."""

    reference: str
    outcome: str
    detail: str
    took_s: float

    @property
    def advice(self) -> str:
        """What to do; empty when it arrived, or nothing can be said."""
        return next((what for how, what in ADVICE.items() if self.detail.startswith(how)), "")


@click.group(cls=Group)
def channels() -> None:
    """See who hears of alerts, and test that it arrives."""


@channels.command("list")
@json_option
@click.pass_obj
@click.pass_context
def list_(ctx: click.Context, app: AppContext, *, as_json: bool) -> None:
    """List the receivers, how each is, and the messages that were given up.

    Ends with 1 when a receiver fails, or when a message was given up within the last day.
    """
    home = app.home()
    state, now_ns = open_state(home), app.clock()
    rows = list(_rows(app, policy_of(app.config.settings, home)))
    letters = messages.dead(state, DEAD_LETTERS)
    addresses = Addresses(home, app.config.settings.receivers)
    if as_json:
        emit_json(
            {
                "receivers": [_figures(row) for row in rows],
                "dead_letters": [_letter(*one, addresses) for one in letters],
            }
        )
    else:
        _show(rows, letters, addresses)
    recent = any(at_ns >= now_ns - DAY_NS for _, at_ns, _ in letters)
    if recent or any(row.missing or (row.receiver and row.receiver.outcome != "delivered") for row in rows):
        ctx.exit(EXIT_FINDING)


@channels.command()
@click.argument("name")
@json_option
@click.pass_obj
@click.pass_context
def test(ctx: click.Context, app: AppContext, name: str, *, as_json: bool) -> None:
    """Send a message that is marked as a test to NAME, the real way, and check the answer.

    NAME is a receiver as 'channels:' or 'routes:' names it, or a level for all who hear of it. Ends with 6 when it does
    not arrive.
    """
    home = app.home()
    policy = policy_of(app.config.settings, home)
    references = policy.channels[name] if name in LEVELS else [name]
    if name not in LEVELS and name not in policy.references():
        raise NotFoundError("receiver", name, "see 'ihobs channels list'")
    sender = Sender(app.plugins, Addresses(home, app.config.settings.receivers), app.clock)
    tried = [try_out(sender, reference, app.clock) for reference in references]
    addresses = sender.addresses
    if as_json:
        emit_json([_tried_figures(one, addresses) for one in tried])
    for one in [] if as_json else tried:
        arrived = "arrived" if one.outcome == "delivered" else f"{one.outcome}: {one.detail}"
        click.echo(f"{inert(addresses.shown(one.reference))}: {inert(arrived)} ({one.took_s:.2f} s)")
        if one.advice:
            click.echo(f"  {one.advice}")
    if any(one.outcome != "delivered" for one in tried):
        ctx.exit(EXIT_UNREACHABLE)


def try_out(sender: Sender, reference: str, clock: Clock) -> Tried:
    """Send a test to `reference` and return how it ended."""
    began_ns = clock()
    notification = Notification(
        key=f"test-{began_ns}",
        level="ok",
        title="ihobs: this is a test",
        body="Sent by 'ihobs channels test'. Nothing is wrong.",
        at_ns=began_ns,
        events=(),
        group="test",
        kind="test",
    )
    outcome = sender.send(notification, reference)
    took_s = max(0, clock() - began_ns) / SECOND_NS
    if outcome is None:
        return Tried(reference, "unknown", sender.why_unknown(reference), took_s)
    return Tried(reference, outcome.state, outcome.detail, took_s)


def _rows(app: AppContext, policy: Policy) -> Iterator[Row]:
    settings = app.config.settings
    addresses = Addresses(app.home(), settings.receivers)
    with open_state(app.home()).read() as reader:
        known = messages.receivers(reader)
    for reference in policy.references():
        levels = [level for level, references in policy.channels.items() if reference in references]
        routes = [route.name for route in policy.routes if reference in route.receivers]
        hears = ", ".join([*levels, *routes]) or "fallback"
        address = addresses.of(reference) or ""
        missing = tuple(addresses.missing(reference))
        yield Row(
            reference, addresses.shown(reference), hears, address.partition(":")[0], known.get(reference), missing
        )


def _figures(row: Row) -> dict[str, object]:
    """Return a receiver with the names that `--json` promises."""
    delivered_ns = row.receiver.delivered_ns if row.receiver else None
    return {
        "receiver": row.shown,
        "hears": row.hears,
        "way": row.way,
        "state": row.state,
        "failures": row.receiver.failures if row.receiver else 0,
        "delivered": isoformat(delivered_ns) if delivered_ns else None,
    }


def _letter(message: Message, at_ns: int, reason: str, addresses: Addresses) -> dict[str, object]:
    return {
        "receiver": addresses.shown(message.reference),
        "at": isoformat(at_ns),
        "title": message.title,
        "reason": reason,
        "attempts": message.attempts,
        "message": message.key,
    }


def _tried_figures(one: Tried, addresses: Addresses) -> dict[str, object]:
    return {
        "receiver": addresses.shown(one.reference),
        "outcome": one.outcome,
        "detail": one.detail,
        "took_s": one.took_s,
        "advice": one.advice,
    }


def _show(rows: Sequence[Row], letters: Sequence[tuple[Message, int, str]], addresses: Addresses) -> None:
    terminal = console()
    columns: list[Column[Row]] = [
        Column("receiver", lambda row: inert(row.shown), is_name=True),
        Column("hears", lambda row: row.hears, is_name=True),
        Column("way", lambda row: row.way, is_left=True, rank=2),
        Column("arrived (UTC)", _arrived, rank=1),
        Column("state", lambda row: inert(row.state), is_name=True),
    ]
    terminal.print(table(terminal, columns, rows))
    if letters:
        click.echo("\ngiven up, newest first:")
    for message, at_ns, reason in letters:
        where = inert(addresses.shown(message.reference))
        click.echo(f"  {shown(at_ns)}  {where}: {inert(reason)}: {inert(message.title)}")


def _arrived(row: Row) -> str:
    return shown(row.receiver.delivered_ns) if row.receiver and row.receiver.delivered_ns else "-"
