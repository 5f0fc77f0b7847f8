"""`ihobs alerts`: what is firing, since when, and by how much."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from ihobs.alerts.evaluator import Evaluator
from ihobs.alerts.machine import threshold_shown
from ihobs.alerts.metrics import METRICS
from ihobs.alerts.metrics import shown as in_words
from ihobs.alerts.rules import RuleSet, collect
from ihobs.cli.alerts_told import ack, history
from ihobs.cli.group import Group
from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.tables import Column, table
from ihobs.clock import isoformat
from ihobs.duties import Duties
from ihobs.store.schema import open_telemetry
from ihobs.store.state.alerts import AlertRow, RuleHealth, load, unhealthy_rules
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext

_ORDER = ("firing", "pending", "resolved", "inactive")
_STYLES = {"critical": "bold red", "warning": "yellow"}


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to list.

    Attributes:
        rules: the rules in force. rows: their alerts. unhealthy: rules that cannot be evaluated.
        is_watched: whether a duties process keeps the rows up to date; else they were evaluated just now.
    """

    rules: RuleSet
    rows: Sequence[AlertRow]
    unhealthy: Sequence[RuleHealth]
    is_watched: bool


@click.group(cls=Group)
def alerts() -> None:
    """See what is firing, and since when."""


alerts.add_command(ack)
alerts.add_command(history)


@alerts.command("list")
@json_option
@click.option("--all", "everything", is_flag=True, help="Every instance of rules that are split, also the inactive.")
@click.pass_obj
def list_(app: AppContext, *, as_json: bool, everything: bool) -> None:
    """List the alerts, those that fire first.

    A rule of which nothing is firing, pending or just resolved is listed once, with its highest value. When no
    duties process is alive the rules are evaluated on the spot: nothing is stored and nobody is told.
    """
    found = find(app)
    of_ihobs = {rule.id for rule in found.rules.rules if METRICS[rule.metric].of_ihobs}
    listed = sorted(listing(found, everything=everything), key=lambda row: _rank(row, of_ihobs))
    if as_json:
        emit_json([_figures(row) for row in listed])
    else:
        _print(listed, found.rules)
    if not found.is_watched:
        click.echo("no duties process is alive: evaluated just now, and nobody is told", err=True)
    for sick in found.unhealthy:
        since = shown(sick.since_ns)
        click.echo(f"rule {inert(sick.rule)} cannot be evaluated since {since} UTC: {inert(sick.error)}", err=True)


def find(app: AppContext) -> Found:
    """Return the alerts as the duties process keeps them, or as they are now when there is none.

    Raises:
        NotFoundError: there is no home.
        StoreUnavailableError: a database cannot be read.
    """
    home = app.home()
    rules = collect(app.plugins, app.config.settings)
    state = open_state(home)
    stored = load(state)
    if Duties.owner(home) is not None:
        return Found(rules, list(stored.values()), unhealthy_rules(state), is_watched=True)
    evaluator = Evaluator(open_telemetry(home), state, app.config.settings, app.clock)
    now = evaluator.preview(rules)
    rows = [row if key in stored or row.state != "inactive" else _since_ever(row) for key, row in now.rows.items()]
    return Found(rules, rows, now.unhealthy, is_watched=False)


def _since_ever(row: AlertRow) -> AlertRow:
    """Return an inactive alert that nobody has looked at before: since when it is so is not known."""
    return replace(row, since_ns=0)


def listing(found: Found, *, everything: bool) -> Iterator[AlertRow]:
    """Yield the alerts to show; of a rule without any, one that is inactive and has no value."""
    names = dict.fromkeys([*(rule.id for rule in found.rules.rules), *(row.rule for row in found.rows)])
    for name in names:
        rows = [row for row in found.rows if row.rule == name]
        telling = [row for row in rows if everything or row.state != "inactive"]
        if telling:
            yield from telling
        elif rows:
            yield max(rows, key=lambda row: (row.value is not None, row.value or 0.0))
        else:
            yield _not_evaluated(found.rules, name)


def _not_evaluated(rules: RuleSet, name: str) -> AlertRow:
    rule = next(rule for rule in rules.rules if rule.id == name)
    threshold = threshold_shown("ok", rule)
    return AlertRow(name, name, {}, rule.source, "inactive", "ok", 0, None, threshold, "{}")


def _rank(row: AlertRow, of_ihobs: Container[str]) -> tuple[int, bool, bool, str]:
    """Return the place of an alert; what tells of ihobs itself comes after what tells of the orchestrator."""
    return _ORDER.index(row.state), row.level != "critical", row.rule in of_ihobs, row.key


def _figures(row: AlertRow) -> dict[str, object]:
    """Return an alert with the names that `--json` promises."""
    return {
        "rule": row.rule,
        "level": row.level,
        "state": row.state,
        "since": isoformat(row.since_ns) if row.since_ns else None,
        "value": row.value,
        "threshold": row.threshold,
        "by": dict(row.by),
    }


def _print(rows: Sequence[AlertRow], rules: RuleSet) -> None:
    terminal = console()
    if rows:
        terminal.print(table(terminal, _columns(rules, rows), rows))
    else:
        click.echo("no rules; give 'thresholds' or 'rules' in ihobs.yaml")


def _columns(rules: RuleSet, rows: Iterable[AlertRow]) -> list[Column[AlertRow]]:
    units = {rule.id: METRICS[rule.metric].unit for rule in rules.rules}
    columns: list[Column[AlertRow]] = [
        Column("rule", lambda row: inert(row.rule), is_name=True),
        Column("level", lambda row: row.level, is_left=True, style=lambda row: _STYLES.get(row.level, "")),
        Column("state", lambda row: row.state, is_left=True, style=lambda row: _STYLES.get(row.level, "")),
        Column("value", lambda row: in_words(row.value, units.get(row.rule, "count"))),
        Column("threshold", lambda row: in_words(row.threshold, units.get(row.rule, "count")), rank=1),
        Column("since (UTC)", lambda row: shown(row.since_ns) if row.since_ns else "-", rank=2),
    ]
    if any(row.by for row in rows):
        columns.insert(1, Column("by", _instance, is_name=True))
    return columns


def _instance(row: AlertRow) -> str:
    return ", ".join(f"{name}={inert(value or 'unknown')}" for name, value in sorted(row.by.items()))
