"""A draft of what to tell those who wait: how it stands, by numbers, and what was done. A person sends it, or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.incidents.lifecycle import UNRESOLVED
from ihobs.incidents.wording import length_shown, moment_shown
from ihobs.store.query import metrics

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.incidents.health import Health
    from ihobs.incidents.record import Record
    from ihobs.store.database import Database
    from ihobs.store.state.incidents import Incident

DONE = frozenset({"note", "mitigated", "deployment", "roles", "resolved"})
"""Lines of the timeline that say what people did."""

MAX_DONE = 5


def status_update(record: Record, telemetry: Database, health: Health, now_ns: int, timezone: tzinfo | None) -> str:
    """Return a status update, in Markdown.

    Raises:
        StoreUnavailableError: the telemetry database cannot be read.
    """
    one = record.incident
    lines = [f"**{one.severity}: {one.title}** ({one.id})", "", f"- Status: {_status(one, now_ns, timezone)}"]
    lines.append(f"- Since {moment_shown(one.began_ns, timezone)}: {_impact(one, telemetry, now_ns)}")
    if one.state in UNRESOLVED:
        lines.append(f"- Now: {_now(health)}")
        lines += [f"- Most frequent error: {_error(health)}"] if health.errors else []
    lines += [f"- People meet at {one.bridge}"] if one.bridge and one.state in UNRESOLVED else []
    done = [entry for entry in record.timeline if entry.author and entry.name in DONE][-MAX_DONE:]
    if done:
        lines += ["", "What was done:", ""]
        lines += [f"- {moment_shown(entry.at_ns, timezone, '%H:%M')} {entry.text} ({entry.author})" for entry in done]
    return "\n".join(lines)


def _status(one: Incident, now_ns: int, timezone: tzinfo | None) -> str:
    if one.state not in UNRESOLVED:
        ended_ns = one.resolved_ns if one.resolved_ns is not None else now_ns
        why = f": {one.resolution}" if one.resolution else ""
        return f"{one.state} at {moment_shown(ended_ns, timezone)}, after {length_shown(ended_ns - one.opened_ns)}{why}"
    lead = f", {one.lead} leads" if one.lead else ", nobody has taken it yet"
    return f"{one.state} for {length_shown(max(0, now_ns - one.opened_ns))}{lead}"


def _impact(one: Incident, telemetry: Database, now_ns: int) -> str:
    end_ns = one.resolved_ns if one.resolved_ns is not None else now_ns
    groups = metrics(telemetry, start_ns=one.began_ns, end_ns=max(end_ns, one.began_ns + 1), durations=False).groups
    if not groups or not groups[0].counters.runs:
        return "no run has ended"
    sums = groups[0].counters
    mean_s = groups[0].run_durations.mean_s() or 0.0
    return (
        f"{sums.failed_runs} of {sums.runs} runs failed ({sums.failed_runs / sums.runs:.0%}); they took {mean_s:.3g} s"
    )


def _now(health: Health) -> str:
    if health.success_ratio is None:
        return f"no run has ended in 5 min, {health.active_workflows} in progress"
    return f"{health.success_ratio:.0%} of the runs of the last 5 min succeed, {health.active_workflows} in progress"


def _error(health: Health) -> str:
    worst = health.errors[0]
    where = f" in {worst.node}" if worst.node else ""
    return f"{worst.error or 'unknown'}{where}, {worst.spans} times in 5 min"
