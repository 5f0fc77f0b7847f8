"""What `ihobs demo` shows: a live screen on a terminal, a line for each thing that happens in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ihobs.alerts.metrics import shown as value_shown
from ihobs.cli import units
from ihobs.cli.figures import figures
from ihobs.cli.output import console
from ihobs.clock import SECOND_NS, isoformat
from ihobs.demo.faults import CONDITIONS
from ihobs.demo.place import CONFIG, PROGRAM_LOG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from ihobs.alerts.metrics import Unit
    from ihobs.demo.director import Frame
    from ihobs.demo.scenario import Course
    from ihobs.model import Event, MetricGroup

NUMBERS_EVERY_S = 5.0
"""How often the numbers are printed in a pipe."""

PHASES = ("starting", "normal", "fault", "recovery")
_STYLE = {"ok": "green", "warning": "yellow", "critical": "bold red"}


class Entry(NamedTuple):
    """Something that happened: when, what kind of thing, and in words."""

    at_ns: int
    kind: str
    text: str
    style: str = ""


def show(frames: Iterator[Frame], fault: str, place: Path) -> Frame:
    """Show a demo while it runs, and then where to look next; return its last frame."""
    terminal = console()
    last = _live(frames, fault, terminal) if terminal.is_terminal else _lines(frames, fault, terminal)
    terminal.print(_ending(last, fault, place))
    return last


def _live(frames: Iterator[Frame], fault: str, terminal: Console) -> Frame:
    with Live(console=terminal, auto_refresh=False) as live:
        for frame in frames:
            last = frame
            live.update(_screen(frame, fault), refresh=True)
    return last


def _lines(frames: Iterator[Frame], fault: str, terminal: Console) -> Frame:
    told, numbers_ns = 0, 0
    for frame in frames:
        last, entries = frame, story(frame.course, fault)
        for entry in entries[told:]:
            terminal.print(_line(entry, frame.course.started_ns), soft_wrap=True)
        told = len(entries)
        if frame.recent and frame.now_ns - numbers_ns >= NUMBERS_EVERY_S * SECOND_NS:
            numbers_ns = frame.now_ns
            terminal.print(
                _line(Entry(frame.now_ns, "", _numbers(frame.recent)), frame.course.started_ns), soft_wrap=True
            )
    return last


def story(course: Course, fault: str) -> list[Entry]:
    """Return what has happened so far, in the order in which it became known."""
    entries = [Entry(course.started_ns, "start", "InsightHub starts under `ihobs exec`, without a change to it")]
    if course.normal_ns is not None:
        entries.append(Entry(course.normal_ns, "normal", "first runs seen, all is well", "green"))
    if course.fault_ns is not None:
        entries.append(Entry(course.fault_ns, "fault", CONDITIONS[fault].summary, "magenta"))
    if course.healthy_ns is not None:
        entries.append(Entry(course.healthy_ns, "recovery", "the fault is over", "cyan"))
    entries += [Entry(event.at_ns, _kind(event), _told(event, course), _STYLE[event.level]) for event in course.events]
    return sorted(entries, key=lambda entry: entry.at_ns)


def _kind(event: Event) -> str:
    """Return what an event is about: an alert or an incident."""
    return event.name.partition(".")[0]


def _told(event: Event, course: Course) -> str:
    """Return an event in words, with the seconds since what caused it."""
    if event == course.opened:
        return f"{event.text}, {course.opened_after_s:.1f} s after the fault began"
    if _kind(event) == "incident":
        return event.text
    text = f"{'RESOLVED' if event.level == 'ok' else event.level.upper():<8}  {event.text}"
    if event == course.fired:
        return f"{text}, {course.fired_after_s:.1f} s after the fault began"
    if event == course.cleared:
        return f"{text}, {course.cleared_after_s:.1f} s after the fault ended"
    return text


def _line(entry: Entry, started_ns: int) -> Text:
    passed_s = (entry.at_ns - started_ns) / SECOND_NS
    line = Text(f"{passed_s:6.1f} s  ", style="dim")
    line.append(f"{entry.kind:<9}", style=f"bold {entry.style}".strip() if entry.kind else "dim")
    return line.append(entry.text, style=entry.style if entry.kind else "dim")


def _screen(frame: Frame, fault: str) -> Group:
    """Return the live screen."""
    course = frame.course
    head = Text(f"ihobs demo: InsightHub, fault '{fault}'   ", style="bold")
    for phase in PHASES:
        current = phase == course.phase
        head.append(f" {phase} ", style="bold reverse" if current else "dim")
    head.append(f"  {(frame.now_ns - course.started_ns) / SECOND_NS:4.0f} s   {frame.active} running", style="dim")
    told = [_line(entry, course.started_ns) for entry in story(course, fault)]
    return Group(head, Text(), _table(frame), Text(), _alerts(frame), Text(), *told)


COLUMNS = ("runs", "failed", "error rate", "p50", "p95", "calls", "recovered", "tokens", "cached", "cost")


def _table(frame: Frame) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in COLUMNS:
        table.add_column(name, justify="right", min_width=7)  # so that the table stands still
    table.add_row("trailing 10 s", *_cells(frame.recent))
    table.add_row("since the start", *_cells(frame.total))
    return table


def _cells(group: MetricGroup | None) -> list[str]:
    """Return the numbers of a group, in the order of COLUMNS; dashes before there are any."""
    if group is None:
        return [units.UNKNOWN] * len(COLUMNS)
    shown = figures(group, runs_known=True)
    tokens = None if shown.input_tokens is None else shown.input_tokens + (shown.output_tokens or 0)
    return [
        units.count(shown.runs),
        units.count(shown.failed_runs),
        units.ratio(shown.error_rate),
        units.duration(shown.run_duration_s.p50),
        units.duration(shown.run_duration_s.p95),
        units.count(shown.calls),
        units.count(shown.recovered_errors),
        units.count(tokens),
        units.count(shown.cached_input_tokens),
        units.usd(shown.cost_usd) + ("+" if shown.cost_usd and shown.unpriced_calls else ""),
    ]


def _numbers(group: MetricGroup) -> str:
    """Return the most important of the trailing numbers as one line."""
    cells = dict(zip(COLUMNS, _cells(group), strict=True))
    return " · ".join(f"{name} {cells[name]}" for name in ("runs", "failed", "error rate", "p95", "tokens", "cost"))


def _alerts(frame: Frame) -> Text:
    """Return the state of each alert that has fired."""
    unit_of = {event.subject: cast("Unit", event.fields.get("unit", "count")) for event in frame.course.events}
    lines = []
    for row in frame.alerts:
        word = "resolved" if row.state == "resolved" else row.level
        text = f"{'●' if row.state == 'firing' else '○'} {row.key:<15}{word:<10}"
        lines.append(Text(text + value_shown(row.value, unit_of.get(row.key, "count")), style=_STYLE[row.level]))
    return Text("\n").join(lines) if lines else Text("no alert", style="green")


def _ending(last: Frame, fault: str, place: Path) -> Text:
    """Return the verdict and where to look next."""
    course, text = last.course, Text("\n")
    if course.normal_ns is None:
        text.append(f"No run was seen in time; see {place / PROGRAM_LOG}\n", style="bold red")
    elif course.fired is None:
        text.append(f"The alert {course.rule} did not fire.\n", style="bold red")
    elif course.cleared is None:
        text.append(f"The alert {course.rule} fired and did not clear in time.\n", style="bold red")
    else:
        text.append(
            f"The alert {course.rule} fired {course.fired_after_s:.1f} s after the fault began ", style="bold green"
        )
        text.append(f"and cleared {course.cleared_after_s:.1f} s after it ended.\n", style="bold green")
    if last.done is not None:
        counted = (
            f"InsightHub itself counted {last.done.processed} documents done and {last.done.failed} failed; ihobs "
        )
        text.append(counted + ("counted the same.\n" if last.is_exact else "counted otherwise!\n"))
    _incident(text, last)
    text.append("Look further:\n")
    for command, why in (_BY[fault], _RUNS[fault], _ALERTS, _INCIDENT):
        text.append(f"  ihobs --config {place / CONFIG} {command:<24}", style="bold")
        text.append(f"{why}\n", style="dim")
    text.append("Watch a program of your own:\n")
    return text.append("  ihobs exec -- python app.py\n", style="bold")


_BY = {
    "errors": ("metrics --by node", "which node fails"),
    "slow": ("metrics --by node", "how long each node takes"),
    "cost": ("metrics --by model", "which model costs what"),
    "quota": ("metrics --by provider", "who was called how often"),
}
_RUNS = {
    "errors": ("traces list --failed", "the runs that failed; one of them: traces show ID"),
    "slow": ("traces list", "the newest runs; one of them: traces show ID"),
    "cost": ("traces list", "the newest runs; one of them: traces show ID"),
    "quota": ("traces list --failed", "the runs that failed; one of them: traces show ID"),
}
_ALERTS = ("alerts list", "what is firing, and since when")
_INCIDENT = ("incidents show latest", "what was seen when it opened")


def _incident(text: Text, last: Frame) -> None:
    """Add the incident that the fault caused: how long it took to see it and to end, and its timeline."""
    if last.incident is None:
        return
    course, one = last.course, last.incident.record.incident
    told = ", ".join(reference.partition(":")[0] for reference in last.incident.told) or "nobody yet"
    text.append(f"The incident {one.id} ({one.severity}) opened {course.opened_after_s:.1f} s after the fault began")
    ended = "has not ended" if course.ended_after_s is None else f"was resolved {course.ended_after_s:.1f} s later"
    text.append(f", was told to {told}, and {ended}:\n")
    for entry in last.incident.record.timeline:
        text.append(f"  {(entry.at_ns - one.opened_ns) / SECOND_NS:6.1f} s  {entry.text}\n", style="dim")


def facts(last: Frame, fault: str, place: Path) -> dict[str, Any]:
    """Return what a demo showed, for machines."""
    course = last.course
    return {
        "ok": last.is_good,
        "fault": fault,
        "home": place,
        "alert": {
            "rule": course.rule,
            "level": course.fired.level if course.fired else None,
            "fired_after_s": course.fired_after_s,
            "cleared_after_s": course.cleared_after_s,
        },
        "incident": _incident_facts(last),
        "program": {"processed": last.done.processed, "failed": last.done.failed} if last.done else None,
        "total": figures(last.total, runs_known=True) if last.total else None,
        "story": [
            {"at": isoformat(entry.at_ns), "kind": entry.kind, "text": entry.text} for entry in story(course, fault)
        ],
    }


def _incident_facts(last: Frame) -> dict[str, Any] | None:
    """Return the incident that the fault caused, for machines."""
    if last.incident is None:
        return None
    one = last.incident.record.incident
    return {
        "id": one.id,
        "severity": one.severity,
        "state": one.state,
        "opened_after_s": last.course.opened_after_s,
        "resolved_after_s": last.course.ended_after_s,
        "told": list(last.incident.told),
        "timeline": [
            {"at": isoformat(entry.at_ns), "name": entry.name, "text": entry.text}
            for entry in last.incident.record.timeline
        ],
    }
