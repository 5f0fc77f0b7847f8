"""`ihobs explain`: an alert's value over time against its thresholds, the traces behind it, and who was told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ihobs.alerts.backtest import Past
from ihobs.alerts.evaluator import timezone_of
from ihobs.alerts.explaining import Point, points, traces
from ihobs.alerts.metrics import METRICS
from ihobs.alerts.metrics import shown as in_words
from ihobs.alerts.rules import collect
from ihobs.cli.inert import inert
from ihobs.cli.moments import SINCE_HELP, length_shown, shown, since_ns
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.units import duration, plural, usd
from ihobs.clock import HOUR_NS, SECOND_NS, isoformat
from ihobs.delivery.story import story
from ihobs.errors import NotFoundError
from ihobs.store.schema import open_telemetry
from ihobs.store.state.alerts import AlertRow, load
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
    from ihobs.alerts.metrics import Unit
    from ihobs.cli.context import AppContext
    from ihobs.delivery.story import Chapter
    from ihobs.model import Rule
    from ihobs.store.trace_query import TraceSummary

WIDTH = 60
CHANGES = 10
LONGEST_NS = 24 * HOUR_NS
"""An alert that is older is explained by its last day, unless `--since` says otherwise."""

_BARS = "▁▂▃▄▅▆▇█"
_COLOURS = {"ok": "green", "warning": "yellow", "critical": "red"}


@dataclass(frozen=True, slots=True)
class Explained:
    """What there is to say of one alert.

    Attributes:
        row: the alert as the duties process left it. rule: as it is configured now.
        points: its value over time. traces: behind it, worst first. told: its newest changes and who heard of them.
    """

    row: AlertRow
    rule: Rule
    points: Sequence[Point]
    traces: Sequence[TraceSummary]
    told: Sequence[Chapter]


@click.command()
@click.argument("alert")
@click.option("--since", metavar="T", help=SINCE_HELP + " An hour before the alert's last change when not given.")
@json_option
@click.pass_obj
def explain(app: AppContext, alert: str, *, since: str | None, as_json: bool) -> None:
    """Show why ALERT is as it is: values against thresholds over time, the traces behind it, and who was told.

    ALERT is a rule's id, or the key of one instance; of a rule with several, those that are not inactive.
    """
    home = app.home()
    state = open_state(home)
    rules = {rule.id: rule for rule in collect(app.plugins, app.config.settings).rules}
    rows = _rows(load(state).values(), alert)
    found = []
    for row in rows:
        if row.rule not in rules:
            raise NotFoundError("rule", row.rule, "it is not configured any more; see 'ihobs alerts history'")
        now = app.clock()
        start_ns = since_ns(since, app.clock) if since else max(min(row.since_ns, now) - HOUR_NS, now - LONGEST_NS)
        settings = app.config.settings
        past = Past(open_telemetry(home), start_ns, now, settings.quotas, timezone_of(settings))
        rule = rules[row.rule]
        told = story(state, row.key, CHANGES)
        found.append(Explained(row, rule, points(past, rule, row.by), traces(past, rule, row.by), told))
    if as_json:
        emit_json([_figures(one) for one in found])
        return
    for one in found:
        for line in _lines(one):
            click.echo(line)


def _rows(known: Iterable[AlertRow], alert: str) -> list[AlertRow]:
    """Return the alerts that `alert` means.

    Raises:
        NotFoundError: there is none.
    """
    every = list(known)
    exact = [row for row in every if row.key == alert]
    of_rule = [row for row in every if row.rule == alert]
    telling = [row for row in of_rule if row.state != "inactive"]
    found = exact or telling or of_rule[:1]
    if not found:
        raise NotFoundError("alert", alert, "see 'ihobs alerts list'; a rule has one when it was evaluated")
    return found


def _figures(one: Explained) -> dict[str, object]:
    return {
        "alert": one.row.key,
        "rule": one.rule.id,
        "metric": one.rule.metric,
        "level": one.row.level,
        "state": one.row.state,
        "since": isoformat(one.row.since_ns),
        "value": one.row.value,
        "warning": one.rule.warning,
        "critical": one.rule.critical,
        "rungs": one.rule.at,
        "samples": [{"at": isoformat(each.at_ns), "value": each.value, "level": each.level} for each in one.points],
        "traces": [
            {
                "trace_id": each.trace_id,
                "end": isoformat(each.start_ns + each.duration_ns),
                "workflow": each.workflow,
                "duration_s": each.duration_ns / SECOND_NS,
                "failed_spans": each.failed_spans,
                "cost_usd": each.cost_nano_usd / 1e9,
            }
            for each in one.traces
        ],
        "told": [
            {
                "at": isoformat(chapter.event.at_ns),
                "level": chapter.event.level,
                "text": chapter.event.text,
                "receivers": [
                    {"receiver": each.reference, "state": each.state, "reason": each.reason}
                    for each in chapter.hearings
                ],
            }
            for chapter in one.told
        ],
    }


def _lines(one: Explained) -> Iterator[str]:
    row, unit = one.row, METRICS[one.rule.metric].unit
    level = click.style(row.level, fg=_COLOURS[row.level], bold=True)
    yield f"{click.style(inert(row.key), bold=True)} is {level} ({row.state}) since {shown(row.since_ns)} UTC"
    yield f"  {inert(_condition(one.rule))}"
    yield f"  the value is {in_words(row.value, unit)}"
    if one.points:
        yield ""
        yield from _picture(one, unit)
    yield ""
    yield from _trace_lines(one)
    yield ""
    yield "  who was told ('ihobs alerts history' has every attempt)"
    if not one.told:
        yield "    nothing has changed yet"
    for chapter in one.told:
        yield f"    {shown(chapter.event.at_ns)}  {inert(chapter.event.text)}"
        for each in chapter.hearings:
            why = f": {each.reason}" if each.reason else ""
            yield f"      {each.state:8} {inert(each.reference or 'nobody')}{inert(why)}"


def _condition(rule: Rule) -> str:
    """Return what the rule asks, in words."""
    unit = METRICS[rule.metric].unit
    levels = [
        f"{name} above {in_words(threshold, unit)}"
        for name, threshold in (("warning", rule.warning), ("critical", rule.critical))
        if threshold is not None and not rule.at
    ]
    if rule.at:
        levels = [f"told at {', '.join(in_words(rung, unit) for rung in rule.at)}"]
    if rule.for_s:
        levels.append(f"for {length_shown(round(rule.for_s * SECOND_NS))}")
    window = f"over {length_shown(round(rule.window_s * SECOND_NS))}"
    what = f"{rule.slo.metric}, {rule.metric}" if rule.slo else f"{rule.metric} {window}"
    return f"{what}: {', '.join(levels)}. {rule.summary}".rstrip()


def _picture(one: Explained, unit: Unit) -> Iterator[str]:
    """Yield the values as bars, coloured by level, and the scale."""
    slots = [list[Point]() for _ in range(min(WIDTH, len(one.points)))]
    for index, point in enumerate(one.points):
        slots[index * len(slots) // len(one.points)].append(point)
    known = [point.value for point in one.points if point.value is not None]
    top = max([*known, *(each for each in (one.rule.warning, one.rule.critical) if each is not None)], default=0.0)
    bars = "".join(_bar(slot, top) for slot in slots)
    first, last = one.points[0], one.points[-1]
    yield f"  {shown(first.at_ns)[11:16]} {bars} {shown(last.at_ns)[11:16]} UTC"
    ends = f"from {in_words(min(known), unit)} to {in_words(max(known), unit)}" if known else "no data"
    yield f"        {ends}; a full bar is {in_words(top, unit)}, · is no data"


def _bar(slot: Sequence[Point], top: float) -> str:
    """Return the highest value of a slot as a bar in the colour of its level."""
    known = [point for point in slot if point.value is not None]
    if not known:
        return "·"
    worst = max(known, key=lambda point: point.value or 0.0)
    height = min(len(_BARS) - 1, int((worst.value or 0.0) / top * (len(_BARS) - 1) + 0.5)) if top else 0
    return click.style(_BARS[height], fg=_COLOURS[worst.level])


def _trace_lines(one: Explained) -> Iterator[str]:
    if not one.traces:
        yield "  no trace of this time is behind it"
        return
    yield "  traces behind it ('ihobs traces show ID')"
    for each in one.traces:
        ended = shown(each.start_ns + each.duration_ns)
        failed = f", {plural(each.failed_spans, 'failed span')}" if each.failed_spans else ""
        cost = f", {usd(each.cost_nano_usd / 1e9)}" if each.cost_nano_usd else ""
        took = duration(each.duration_ns / SECOND_NS)
        yield f"    {each.trace_id[:12]}  {ended}  {inert(each.workflow or each.service)}  {took}{failed}{cost}"
