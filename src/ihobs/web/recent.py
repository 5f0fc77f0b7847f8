"""The numbers of the home in `GET /metrics`: runs, calls, tokens and cost of the trailing five minutes.

They are gauges, not counters: several processes write to one home, late spans correct what was counted, and
retention forgets, so no sum of theirs only grows. Whoever asks every five minutes or more often misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ihobs.clock import MINUTE_NS, SECOND_NS
from ihobs.model import CALL_KINDS
from ihobs.store.query import active_workflows, metrics
from ihobs.web.openmetrics import Family, Sample, gauge

if TYPE_CHECKING:
    from ihobs.model import Counters, Distribution, MetricGroup
    from ihobs.store.database import Database

WINDOW_NS = 5 * MINUTE_NS
"""As long as the window of the standard rules."""

NANO = 1e-9


class _Number(NamedTuple):
    """A family that is read from sums: its name behind "ihobs_recent_", its help, and how."""

    name: str
    help: str
    read: Callable[[Counters], float | None]


def _cost_usd(sums: Counters) -> float | None:
    """Return what the calls cost whose price is known; None when there are only others."""
    return None if sums.unpriced_calls and not sums.cost_nano_usd else sums.cost_nano_usd * NANO


_OF_WORKFLOWS = (
    _Number("runs", "Runs that ended.", lambda sums: sums.runs),
    _Number("failed_runs", "Runs that failed for good.", lambda sums: sums.failed_runs),
    _Number("timed_out_runs", "Failed runs whose error is a timeout.", lambda sums: sums.timed_out_runs),
    _Number("retries", "Attempts after the first.", lambda sums: sums.retries),
    _Number("recovered_errors", "Failed attempts that a later one made good.", lambda sums: sums.recovered_errors),
)
_OF_CALLS = (
    _Number("calls", "Calls to models, tools and retrievers.", lambda sums: sums.calls),
    _Number("failed_calls", "Calls that failed for good.", lambda sums: sums.failed_calls),
    _Number("input_tokens", "Tokens in, cached ones included.", lambda sums: sums.input_tokens),
    _Number("cached_input_tokens", "Tokens in that were cached.", lambda sums: sums.cached_input_tokens),
    _Number("output_tokens", "Tokens out, reasoning included.", lambda sums: sums.output_tokens),
    _Number("cost_usd", "Cost of the calls whose price is known, US dollars.", _cost_usd),
    _Number("unpriced_calls", "Calls with usage whose price is unknown.", lambda sums: sums.unpriced_calls),
    _Number("usage_missing_calls", "Calls that reported no usage.", lambda sums: sums.usage_missing_calls),
)
_STATS: Sequence[tuple[str, Callable[[Distribution], float | None]]] = (
    ("mean", lambda durations: durations.mean_s()),
    ("p50", lambda durations: durations.quantile_s(0.50)),
    ("p95", lambda durations: durations.quantile_s(0.95)),
    ("p99", lambda durations: durations.quantile_s(0.99)),
    ("max", lambda durations: durations.max_s()),
)


def recent(telemetry: Database, now_ns: int) -> Iterator[Family]:
    """Yield the numbers of the window that ends now.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    start_ns = now_ns - WINDOW_NS
    workflows = metrics(telemetry, start_ns=start_ns, end_ns=now_ns, by=("service", "workflow")).groups
    by_call = ("service", "kind", "provider", "model")
    found = metrics(telemetry, start_ns=start_ns, end_ns=now_ns, by=by_call).groups
    calls = [group for group in found if group.by["kind"] in CALL_KINDS]
    yield gauge("ihobs_recent_window_seconds", "How far ihobs_recent_* reach back.", WINDOW_NS / SECOND_NS, "seconds")
    for number in _OF_WORKFLOWS:
        yield _family(number, workflows)
    yield _durations("run", "Durations of runs.", workflows, lambda group: group.run_durations)
    for number in _OF_CALLS:
        yield _family(number, calls)
    yield _durations("call", "Durations of calls.", calls, lambda group: group.call_durations)
    active = active_workflows(telemetry, now_ns=now_ns)
    yield gauge("ihobs_active_workflows", "Workflows that are running, as the programs that run them say.", active)


def _family(number: _Number, groups: Sequence[MetricGroup]) -> Family:
    samples = [Sample(number.read(group.counters), group.by) for group in groups]
    return Family(f"ihobs_recent_{number.name}", "gauge", number.help, samples)


def _durations(
    of: str, text: str, groups: Sequence[MetricGroup], read: Callable[[MetricGroup], Distribution]
) -> Family:
    samples = [Sample(stat(read(group)), {**group.by, "stat": name}) for group in groups for name, stat in _STATS]
    return Family(f"ihobs_recent_{of}_duration_seconds", "gauge", text, samples, "seconds")
