"""What is looked at when an incident opens. Each function returns one piece, ready for JSON.

Everything was redacted before it was stored; nothing here reads an environment, a command line or a file of the host.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from ihobs.clock import DAY_NS, HOUR_NS, MINUTE_NS, isoformat
from ihobs.incidents.health import health_of
from ihobs.spans.severity import LEVELS
from ihobs.store.log_query import LogEntry, LogFilter, newest_logs
from ihobs.store.query import metrics
from ihobs.store.state import controls, incidents
from ihobs.store.trace_analysis import error_classes, versions
from ihobs.store.trace_query import TraceSummary, recent_traces

if TYPE_CHECKING:
    from ihobs.model import MetricGroup
    from ihobs.store.database import Database
    from ihobs.store.home import Home

WINDOW_NS = HOUR_NS
"""How far traces and metrics go back."""

LOGS_NS = 15 * MINUTE_NS
CHANGES_NS = DAY_NS
MAX_LOGS = 200
MAX_ROWS = 20
EXAMPLES = 5


@dataclass(frozen=True)
class Place:
    """Where to look, and at which moment: the one at which the incident opened."""

    home: Home
    telemetry: Database
    state: Database
    at_ns: int


def health(place: Place) -> Mapping[str, Any]:
    """Return the health check of that moment."""
    return _plain(health_of(place.telemetry, place.at_ns))


def system(place: Place) -> Mapping[str, Any]:
    """Return how the machine is: of this moment, as nobody keeps what it was."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(place.home.path))
    one_s, five_s, fifteen_s = psutil.getloadavg()
    return {
        "cpu_count": psutil.cpu_count() or 0,
        "load_1m": one_s,
        "load_5m": five_s,
        "load_15m": fifteen_s,
        "memory_total_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "swap_used_bytes": psutil.swap_memory().used,
        "disk_total_bytes": disk.total,
        "disk_free_bytes": disk.free,
        "booted": isoformat(round(psutil.boot_time() * 1e9)),
        "processes": len(psutil.pids()),
        "home_bytes": sum(file.stat().st_size for file in place.home.path.rglob("*.db*") if file.is_file()),
    }


def metric_windows(place: Place) -> Mapping[str, Any]:
    """Return the last hour minute by minute, and the same hour a day before to compare it with."""
    first = place.at_ns // MINUTE_NS * MINUTE_NS - WINDOW_NS
    minutes = [
        {"minute": isoformat(start), **_figures(_total(place, start, start + MINUTE_NS))}
        for start in range(first, place.at_ns, MINUTE_NS)
    ]
    return {
        "minutes": minutes,
        "hour": _figures(_total(place, place.at_ns - WINDOW_NS, place.at_ns)),
        "day_before": _figures(_total(place, place.at_ns - DAY_NS - WINDOW_NS, place.at_ns - DAY_NS)),
    }


def traces(place: Place) -> Mapping[str, Any]:
    """Return which nodes, and calls in them, are slow or fail, and why; which models cost what; and examples."""
    start_ns, end_ns = place.at_ns - WINDOW_NS, place.at_ns
    nodes = metrics(place.telemetry, start_ns=start_ns, end_ns=end_ns, by=("node", "kind")).groups
    models = metrics(place.telemetry, start_ns=start_ns, end_ns=end_ns, by=("provider", "model")).groups
    named = [group for group in nodes if group.by["node"] and group.counters.calls]
    failing = sorted(filter(_failures, named), key=_failures, reverse=True)
    found = recent_traces(place.telemetry, limit=MAX_LOGS, since_ns=start_ns)
    failed = recent_traces(place.telemetry, limit=EXAMPLES, since_ns=start_ns, failed_only=True)
    errors = error_classes(place.telemetry, start_ns=start_ns, end_ns=end_ns, limit=MAX_ROWS)
    return {
        "slowest_nodes": [_calls(one) for one in sorted(named, key=_slowness, reverse=True)[:MAX_ROWS]],
        "failing_nodes": [_calls(one) for one in failing[:MAX_ROWS]],
        "errors": [one._asdict() for one in errors],
        "models": [_calls(one) for one in models if one.by["model"]][:MAX_ROWS],
        "failed_examples": [_trace(one) for one in failed],
        "slowest_examples": [_trace(one) for one in sorted(found, key=lambda one: -one.duration_ns)[:EXAMPLES]],
    }


def logs(place: Place) -> Mapping[str, Any]:
    """Return the records of the traces that failed last, and the newest warnings and errors of all."""
    failed = recent_traces(place.telemetry, limit=EXAMPLES, since_ns=place.at_ns - WINDOW_NS, failed_only=True)
    wanted = LogFilter(min_severity=LEVELS["WARNING"], since_ns=place.at_ns - LOGS_NS)
    return {
        "by_trace": {
            one.trace_id: [
                _log(entry) for entry in newest_logs(place.telemetry, LogFilter(trace=one.trace_id), limit=MAX_ROWS)
            ]
            for one in failed
        },
        "recent": [_log(entry) for entry in newest_logs(place.telemetry, wanted, limit=MAX_LOGS)],
    }


def controls_in_force(place: Place) -> Mapping[str, Any]:
    """Return the controls that were set, and their latest changes."""
    held = controls.active(place.state, place.at_ns)
    return {
        "set": [_plain(one) for one in held.values()],
        "changes": [_plain(one) for one in controls.changes(place.state, limit=MAX_ROWS)],
    }


def changes(place: Place) -> Mapping[str, Any]:
    """Return what was changed within a day: what people noted, configuration, and versions that spans tell of."""
    with place.state.read() as reader:
        found = incidents.happenings(reader, start_ns=place.at_ns - CHANGES_NS, end_ns=place.at_ns, limit=MAX_LOGS)
    seen = versions(place.telemetry, start_ns=place.at_ns - CHANGES_NS, end_ns=place.at_ns)
    return {"noted": [_plain(one) for one in found], "versions": [one._asdict() for one in seen]}


PIECES: Mapping[str, Callable[[Place], Mapping[str, Any]]] = {
    "changes": changes,
    "controls": controls_in_force,
    "health": health,
    "logs": logs,
    "metrics": metric_windows,
    "system": system,
    "traces": traces,
}
"""Every piece by its name."""


def _plain(value: Any) -> dict[str, Any]:
    """Return a value's fields; named tuples in it become mappings by the one who writes JSON."""
    found = dataclasses.asdict(value)
    return {
        name: [one._asdict() if hasattr(one, "_asdict") else one for one in item] if isinstance(item, tuple) else item
        for name, item in found.items()
    }


def _total(place: Place, start_ns: int, end_ns: int) -> MetricGroup | None:
    groups = metrics(place.telemetry, start_ns=start_ns, end_ns=end_ns).groups
    return groups[0] if groups else None


def _figures(group: MetricGroup | None) -> dict[str, Any]:
    if group is None:
        return {"runs": 0, "failed_runs": 0, "calls": 0, "failed_calls": 0, "cost_usd": 0.0, "tokens": 0}
    sums = group.counters
    return {
        "runs": sums.runs,
        "failed_runs": sums.failed_runs,
        "run_mean_s": group.run_durations.mean_s(),
        "run_p95_s": group.run_durations.quantile_s(0.95),
        "calls": sums.calls,
        "failed_calls": sums.failed_calls,
        "retries": sums.retries,
        "tokens": sums.input_tokens + sums.output_tokens,
        "cost_usd": sums.cost_nano_usd / 1e9,
        "unpriced_calls": sums.unpriced_calls,
    }


def _calls(group: MetricGroup) -> dict[str, Any]:
    sums = group.counters
    return {
        **group.by,
        "calls": sums.calls,
        "failed_calls": sums.failed_calls,
        "mean_s": group.call_durations.mean_s(),
        "p95_s": group.call_durations.quantile_s(0.95),
        "tokens": sums.input_tokens + sums.output_tokens,
        "cost_usd": sums.cost_nano_usd / 1e9,
        "unpriced_calls": sums.unpriced_calls,
    }


def _slowness(group: MetricGroup) -> float:
    return group.call_durations.mean_s() or 0.0


def _failures(group: MetricGroup) -> int:
    return group.counters.failed_calls


def _trace(one: TraceSummary) -> dict[str, Any]:
    return {**dataclasses.asdict(one), "start": isoformat(one.start_ns)}


def _log(entry: LogEntry) -> dict[str, Any]:
    return {
        "at": isoformat(entry.time_ns),
        "level": entry.level,
        "service": entry.service,
        "logger": entry.logger,
        "trace_id": entry.trace_id,
        "body": str(entry.body),
    }
