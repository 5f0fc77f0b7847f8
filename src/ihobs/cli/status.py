"""`ihobs status`: what is watched, what is running, and what needs attention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ihobs.cli.disk import disk_figures, disk_text, is_urgent
from ihobs.cli.forwarded import destination_figures, destination_findings, destination_lines
from ihobs.cli.inert import inert
from ihobs.cli.moments import NO_DATA, shown
from ihobs.cli.output import emit_json, json_option
from ihobs.cli.spooled import (
    Spooled,
    loss_figures,
    loss_findings,
    loss_lines,
    read_spooled,
    spool_figures,
    spool_lines,
    wait_findings,
)
from ihobs.cli.units import count, plural, size
from ihobs.clock import DAY_NS, isoformat
from ihobs.errors import EXIT_FINDING

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.store.database import Database
    from ihobs.store.forecast import Forecast
    from ihobs.store.forwarding import Backlog
    from ihobs.store.health import Health
    from ihobs.store.home import Home
    from ihobs.store.losses import Loss
    from ihobs.store.redaction import Removed
    from ihobs.store.state.incidents import Incident


@dataclass(frozen=True, slots=True)
class AlertCount:
    """How many alerts fire and how many are about to, which rules cannot be evaluated, and messages given up today."""

    firing: int
    pending: int
    unhealthy_rules: tuple[str, ...]
    dead_letters: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that `ihobs status` knows.

    Attributes:
        home, config: the home in use, and the configuration file, if there is one.
        content: what happens to the texts of prompts and answers.
        generation: the live one.
        sizes_bytes: size of each database; None: it does not exist yet.
        duties_pid: the process that evaluates and delivers; None: none is alive.
        telemetry: what the telemetry database says; None: it does not exist yet.
        spooled: what waits for it on disk.
        disk: what it takes of the disk, and will take; None: it does not exist yet.
        redacted: what was removed from spans before they were stored.
        active_workflows: running now, as the processes that run them say.
        alerts: None: no rule has been evaluated yet.
        destinations: how far those are that are configured.
        incidents: those that go on, the oldest first.
        evaluated_until_ns: when the last duties process ended in good order; None: none did.
    """

    home: Path
    config: Path | None
    content: str
    generation: str
    sizes_bytes: dict[str, int | None]
    duties_pid: int | None
    telemetry: Health | None
    spooled: Spooled
    disk: Forecast | None
    redacted: tuple[Removed, ...]
    active_workflows: int
    alerts: AlertCount | None
    destinations: tuple[Backlog, ...] = ()
    incidents: tuple[Incident, ...] = ()
    evaluated_until_ns: int | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What was lost, told by the database or beside the spool."""
        return (*(self.telemetry.losses if self.telemetry else ()), *self.spooled.losses)


@click.command()
@json_option
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show what is watched, what is running and what needs attention.

    Ends with 1 when something needs attention: an alert fires, a rule cannot be evaluated, a destination is paused,
    spans were lost within the last day, spans wait on disk and nobody takes them, or a program is being watched while
    no duties process is alive to evaluate its alerts. With IHOBS_ENDPOINT it shows what waits for the endpoint.
    """
    app: AppContext = ctx.obj
    now_ns = app.clock()
    if app.config.settings.endpoint is None:
        found = read_status(app, now_ns)
        wanting, figures, lines = list(findings(found, now_ns)), _figures(found, now_ns), list(_lines(found))
    else:
        spooled = read_spooled(app.config.settings)
        wanting = [*loss_findings(spooled.losses, now_ns), *wait_findings(spooled, now_ns)]
        figures, lines = _endpoint_figures(spooled), [*spool_lines(spooled), *loss_lines(spooled.losses)]
    if as_json:
        emit_json({**figures, "findings": wanting})
    else:
        _show(lines, wanting)
    if wanting:
        ctx.exit(EXIT_FINDING)


def read_status(app: AppContext, now_ns: int) -> Status:
    """Read the status of the home. Makes no database that is not there.

    Raises:
        NotFoundError: there is no home.
        StoreUnavailableError: a database cannot be read.
    """
    from ihobs.store.forwarding import backlogs
    from ihobs.store.health import health, size_bytes
    from ihobs.store.query import active_workflows
    from ihobs.store.redaction import removed
    from ihobs.store.schema import open_telemetry

    home = app.home()
    sizes = {name: size_bytes(home.database(name)) for name in ("telemetry", "state")}
    telemetry = open_telemetry(home) if sizes["telemetry"] is not None else None
    return Status(
        home=home.path,
        config=app.config.path,
        content=app.config.settings.instrument.content,
        generation=home.generation(),
        sizes_bytes=sizes,
        duties_pid=home.lock_owner("duties"),
        telemetry=health(telemetry, now_ns=now_ns) if telemetry else None,
        spooled=read_spooled(app.config.settings),
        disk=_disk(app, telemetry, now_ns) if telemetry else None,
        redacted=removed(telemetry) if telemetry else (),
        active_workflows=active_workflows(telemetry, now_ns=now_ns) if telemetry else 0,
        alerts=_alerts(home, now_ns) if sizes["state"] is not None else None,
        destinations=tuple(one for one in backlogs(telemetry) if one.active) if telemetry else (),
        incidents=_incidents(home) if sizes["state"] is not None else (),
        evaluated_until_ns=_evaluated_until_ns(home) if sizes["state"] is not None else None,
    )


def findings(found: Status, now_ns: int) -> Iterator[str]:
    """Yield what needs attention, worst first."""
    if found.incidents:
        yield f"{plural(len(found.incidents), 'incident')} not resolved; see 'ihobs incidents list'"
    if found.alerts and found.alerts.firing:
        yield f"{plural(found.alerts.firing, 'alert')} firing; see 'ihobs alerts list'"
    if found.alerts and found.alerts.unhealthy_rules:
        yield f"rules that cannot be evaluated: {', '.join(found.alerts.unhealthy_rules)}; see 'ihobs alerts list'"
    if found.alerts and found.alerts.dead_letters:
        yield f"{plural(found.alerts.dead_letters, 'message')} given up today; see 'ihobs channels list'"
    yield from loss_findings(found.losses, now_ns)
    yield from wait_findings(found.spooled, now_ns)
    yield from destination_findings(found.destinations)
    telemetry = found.telemetry
    if telemetry is None:
        return
    if found.disk and is_urgent(found.disk, now_ns):
        yield f"the file system is full on {shown(found.disk.full_ns or now_ns)} UTC at this rate"
    watched_ns = now_ns if found.active_workflows else telemetry.live_ns
    if found.duties_pid is None and watched_ns is not None and watched_ns > (found.evaluated_until_ns or 0):
        yield "a program is being watched, but no duties process is alive: nothing evaluates its alerts"


def _evaluated_until_ns(home: Home) -> int | None:
    from ihobs.store.state import progress
    from ihobs.store.state.migrations import open_state

    return progress.reached_ns(open_state(home), progress.DUTIES)


def _disk(app: AppContext, database: Database, now_ns: int) -> Forecast:
    from ihobs.store.forecast import forecast, free_bytes
    from ihobs.store.retention import retention_of

    retention = retention_of(app.config.settings.retention)
    return forecast(database, now_ns=now_ns, retention=retention, free_bytes=free_bytes(database.home.path))


def _alerts(home: Home, now_ns: int) -> AlertCount:
    from ihobs.store.state.alerts import load, unhealthy_rules
    from ihobs.store.state.messages import dead_since
    from ihobs.store.state.migrations import open_state

    database = open_state(home)
    with database.read() as reader:
        letters = dead_since(reader, now_ns - DAY_NS)
    states = [alert.state for alert in load(database).values()]
    unhealthy = tuple(rule.rule for rule in unhealthy_rules(database))
    return AlertCount(states.count("firing"), states.count("pending"), unhealthy, letters)


def _incidents(home: Home) -> tuple[Incident, ...]:
    from ihobs.incidents.lifecycle import UNRESOLVED
    from ihobs.store.state.incidents import in_states
    from ihobs.store.state.migrations import open_state

    with open_state(home).read() as reader:
        return tuple(in_states(reader, UNRESOLVED))


def _figures(found: Status, now_ns: int) -> dict[str, object]:
    """Return the status with the names that `--json` promises."""
    telemetry = found.telemetry
    return {
        "home": found.home,
        "generation": found.generation,
        "config": found.config,
        "content": found.content,
        "databases": {name: {"bytes": size_bytes} for name, size_bytes in found.sizes_bytes.items()},
        "disk": disk_figures(found.disk, now_ns) if found.disk else None,
        "duties": {"alive": found.duties_pid is not None, "pid": found.duties_pid},
        "spans": telemetry.spans if telemetry else 0,
        "traces": telemetry.traces if telemetry else 0,
        "oldest": _moment(telemetry.oldest_ns) if telemetry else None,
        "newest": _moment(telemetry.newest_ns) if telemetry else None,
        "redacted": [
            {"reason": each.kind, "count": each.times, "last": isoformat(each.last_ns)} for each in found.redacted
        ],
        "active_workflows": found.active_workflows,
        "alerts": found.alerts,
        "incidents": [{"id": one.id, "severity": one.severity, "state": one.state} for one in found.incidents],
        "destinations": [destination_figures(one) for one in found.destinations],
        "spool": spool_figures(found.spooled),
        "dropped": loss_figures(found.losses),
    }


def _endpoint_figures(spooled: Spooled) -> dict[str, object]:
    return {
        "endpoint": spooled.endpoint,
        "spool": spool_figures(spooled),
        "dropped": loss_figures(spooled.losses),
    }


def _moment(moment_ns: int | None) -> str | None:
    return None if moment_ns is None else isoformat(moment_ns)


def _show(lines: Iterable[tuple[str, str]], wanting: Iterable[str]) -> None:
    """Print the status, a fact a line, then what needs attention."""
    for label, text in lines:
        click.echo(f"{click.style(f'{label:<10}', bold=True)} {text}")
    for finding in wanting:
        click.secho(f"attention  {finding}", fg="red")


def _lines(found: Status) -> Iterator[tuple[str, str]]:
    telemetry = found.telemetry
    sizes = ", ".join(f"{name} {size(bytes_)}" for name, bytes_ in found.sizes_bytes.items() if bytes_ is not None)
    yield "home", f"{found.home}, generation {found.generation}: {sizes or 'no database yet'}"
    if found.disk:
        yield "disk", disk_text(found.disk)
    yield "config", str(found.config) if found.config else "defaults; 'ihobs init' writes a file"
    yield "content", f"prompts and answers are {'kept' if found.content == 'keep' else 'masked'}"
    if found.redacted:
        kinds = ", ".join(f"{each.kind} {count(each.times)}" for each in found.redacted)
        yield "redacted", f"before it was stored: {kinds}"
    none = "no process: alerts are not evaluated"
    yield "duties", none if found.duties_pid is None else f"process {found.duties_pid}"
    if telemetry is None or telemetry.oldest_ns is None or telemetry.newest_ns is None:
        yield "data", NO_DATA
    else:
        yield "data", f"{plural(telemetry.spans, 'span')}, {plural(telemetry.traces, 'trace')} kept"
        yield "from, to", f"{shown(telemetry.oldest_ns)}, {shown(telemetry.newest_ns)} UTC"
    yield "running", plural(found.active_workflows, "workflow")
    if found.alerts:
        yield "alerts", f"{count(found.alerts.firing)} firing, {count(found.alerts.pending)} pending"
    else:
        yield "alerts", "no rule was evaluated yet"
    for one in found.incidents:
        yield "incident", f"{one.severity} {one.id} {one.state}: {inert(one.title)}"
    yield from destination_lines(found.destinations)
    yield from spool_lines(found.spooled)
    yield from loss_lines(found.losses)
