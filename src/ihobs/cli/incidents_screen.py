"""Incidents on a terminal: a list, and one with all that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from rich.text import Text

from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.cli.tables import Column, table
from ihobs.clock import SECOND_NS
from ihobs.incidents.lifecycle import UNRESOLVED
from ihobs.incidents.record import is_overdue, standing
from ihobs.incidents.wording import length_shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from ihobs.incidents.health import Health
    from ihobs.incidents.record import Record
    from ihobs.store.home import Home
    from ihobs.store.state.actions import Review
    from ihobs.store.state.incidents import Deadline, Entry, Incident

SEVERITY_STYLE = {"P1": "bold red", "P2": "red", "P3": "yellow", "P4": "cyan"}
STATE_STYLE = {"open": "bold", "acknowledged": "", "mitigated": "green", "resolved": "green"}
DEADLINE_STYLE = {"breached": "bold red", "at risk": "bold yellow", "met": "green"}
AHEAD = 11
"""Columns of the names on the left."""

Row: TypeAlias = "tuple[Incident, Sequence[Deadline]]"


def print_list(terminal: Console, rows: Sequence[Row], now_ns: int) -> None:
    """Print a table of incidents."""
    columns: list[Column[Row]] = [
        Column("incident", lambda row: row[0].id, is_left=True),
        Column("sev", lambda row: row[0].severity, is_left=True, style=lambda row: SEVERITY_STYLE[row[0].severity]),
        Column("state", lambda row: row[0].state, is_left=True, style=lambda row: STATE_STYLE.get(row[0].state, "")),
        Column("what", lambda row: inert(row[0].title), is_name=True),
        Column("lasts", lambda row: _lasts(row[0], now_ns), rank=2),
        Column("lead", lambda row: inert(row[0].lead) or "-", rank=3, is_left=True),
        Column("deadline", lambda row: _next(row, now_ns), rank=1, is_left=True, style=lambda row: _style(row, now_ns)),
    ]
    terminal.print(table(terminal, columns, rows))


def print_record(terminal: Console, record: Record, health: Health, now_ns: int, home: Home) -> None:
    """Print an incident with all that belongs to it."""
    one = record.incident
    head = Text(one.severity, style=SEVERITY_STYLE[one.severity])
    head.append(f" {one.id} ", style="bold").append(one.state, style=STATE_STYLE.get(one.state, ""))
    terminal.print(head.append(f"  {inert(one.title)}"), soft_wrap=True)
    for name, text, style in _lines(record, health, now_ns):
        line = Text(f"{name:<{AHEAD}}", style="dim")
        terminal.print(line.append(text, style=style), soft_wrap=True)
    _print_parts(terminal, record, home)
    terminal.print(Text("timeline (UTC)", style="bold"))
    for entry in record.timeline:
        terminal.print(_entry(entry, one), soft_wrap=True)


def _lines(record: Record, health: Health, now_ns: int) -> Iterator[tuple[str, str, str]]:
    """Yield the facts: a name, a text and its style."""
    one = record.incident
    yield "opened", f"{shown(one.opened_ns)} UTC by {inert(one.author) or 'an alert'}, {_detected(one)}", ""
    if one.state in UNRESOLVED:
        yield "lasts", _lasts(one, now_ns), ""
    elif one.resolved_ns is not None:
        why = f": {inert(one.resolution)}" if one.resolution else ""
        yield "resolved", f"{shown(one.resolved_ns)} UTC after {_lasts(one, now_ns)}{why}", ""
    if one.merged_into:
        yield "part of", one.merged_into, ""
    people = ", ".join(f"{role} {inert(who)}" for role in ("lead", "comms", "scribe") if (who := getattr(one, role)))
    yield "people", people or "nobody has taken it", ""
    if one.bridge:
        yield "bridge", inert(one.bridge), ""
    for deadline in record.deadlines:
        word = standing(deadline, now_ns)
        yield deadline.kind, _deadline(deadline, now_ns), DEADLINE_STYLE.get(word, "")
    for member in record.alerts:
        state = "fires" if member.cleared_ns is None else f"over since {shown(member.cleared_ns)} UTC"
        yield "alert", f"{inert(member.alert)}: {state}", ""
    if one.state in UNRESOLVED:
        yield "now", _health(health), ""
    if record.review is not None:
        yield "review", *_review(record.review, now_ns)
    for action in record.actions:
        late = "overdue, " if is_overdue(action, now_ns) else ""
        style = DEADLINE_STYLE["breached"] if late else ""
        yield "action", f"#{action.id} {late}{action.state}, {inert(action.owner)}: {inert(action.text)}", style


def _review(one: Review, now_ns: int) -> tuple[str, str]:
    if one.written_ns is not None:
        return f"written by {inert(one.author)} at {shown(one.written_ns)} UTC", ""
    if one.due_ns is None or now_ns <= one.due_ns:
        return "none yet" if one.due_ns is None else f"due in {length_shown(one.due_ns - now_ns)}", ""
    return f"overdue by {length_shown(now_ns - one.due_ns)}", DEADLINE_STYLE["breached"]


def _detected(one: Incident) -> str:
    passed_ns = one.opened_ns - one.began_ns
    return f"{length_shown(passed_ns)} after it began" if passed_ns >= SECOND_NS else "as soon as it began"


def _health(health: Health) -> str:
    if health.success_ratio is None:
        return f"no run ended within 5 min, {health.active_workflows} in progress"
    text = f"{health.success_ratio:.0%} of {health.runs} runs within 5 min succeeded"
    text += f", {health.active_workflows} in progress"
    if health.errors:
        worst = health.errors[0]
        text += f"; most often: {inert(worst.error) or 'unknown'}" + (f" in {inert(worst.node)}" if worst.node else "")
    return text


def _print_parts(terminal: Console, record: Record, home: Home) -> None:
    """Print what was seen at the opening: where it is, and what is missing, with the reason."""
    files = [one for one in record.parts if one.state == "done" and one.detail.endswith(".json")]
    if files:
        place = home.path / "incidents" / record.incident.id
        line = Text(f"{'seen':<{AHEAD}}", style="dim")
        terminal.print(line.append(f"{', '.join(one.name for one in files)}: {place}"), soft_wrap=True)
    for one in record.parts:
        if one.state != "done":
            text = "not collected yet" if one.state == "waiting" else f"missing: {inert(one.detail)}"
            line = Text(f"{'seen':<{AHEAD}}", style="dim")
            terminal.print(line.append(f"{one.name} is {text}", style="yellow"), soft_wrap=True)


def _entry(entry: Entry, one: Incident) -> Text:
    passed_ns = entry.at_ns - one.opened_ns
    ago = f"+{length_shown(passed_ns)}" if passed_ns >= SECOND_NS else ""
    line = Text(f"  {shown(entry.at_ns)}  {ago:>9}  ", style="dim")
    line.append(inert(entry.text))
    return line.append(f"  ({inert(entry.author)})", style="dim") if _says_not_who(entry) else line


def _says_not_who(entry: Entry) -> bool:
    return bool(entry.author) and entry.author not in entry.text


def _lasts(one: Incident, now_ns: int) -> str:
    ended_ns = now_ns if one.resolved_ns is None else one.resolved_ns
    return length_shown(max(0, ended_ns - one.opened_ns))


def _next(row: Row, now_ns: int) -> str:
    """Return the deadline that matters most: one that was breached, else the next."""
    one = _pressing(row)
    return "-" if one is None else f"{one.kind} {_deadline(one, now_ns)}"


def _style(row: Row, now_ns: int) -> str:
    one = _pressing(row)
    return "" if one is None else DEADLINE_STYLE.get(standing(one, now_ns), "")


def _pressing(row: Row) -> Deadline | None:
    if row[0].state not in UNRESOLVED:
        return None
    open_ones = [one for one in row[1] if one.state == "running" or (one.state == "breached" and one.ended_ns is None)]
    return min(open_ones, key=lambda one: (one.state != "breached", one.due_ns), default=None)


def _deadline(one: Deadline, now_ns: int) -> str:
    word = standing(one, now_ns)
    if one.state == "running":
        return f"due in {length_shown(max(0, one.due_ns - now_ns))}" + (", at risk" if word == "at risk" else "")
    if one.ended_ns is None:
        return f"breached {length_shown(max(0, now_ns - one.due_ns))} ago"
    if one.state == "void":
        return "does not matter any more"
    after = length_shown(max(0, one.ended_ns - one.started_ns))
    return f"{word} after {after}, asked for within {length_shown(one.due_ns - one.started_ns)}"
