"""Runs that have begun and do not end, with what they did last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.alerts.measurements import Measurements, Sample
from ihobs.clock import DAY_NS, MINUTE_NS, SECOND_NS
from ihobs.store.unended import Unended, unended_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.model import Distribution, Rule

LEAST_NS = 10 * MINUTE_NS
USUAL_FACTOR = 3.0
"""Without `older_than`, a run is stuck after 10 min, or three times the p99 of its workflow if that is longer."""


def stuck_runs(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return how many runs are stuck, and what the oldest of them did last."""
    known_for_ns = LEAST_NS if rule.older_than_s is None else round(rule.older_than_s * SECOND_NS)
    now = measurements.now_ns
    found = unended_runs(measurements.stored, now, now - known_for_ns)
    if rule.older_than_s is None and found:
        usual = _durations(measurements, "workflow")
        found = [one for one in found if now - one.start_ns > _limit_ns(usual.get(one.workflow))]
    found = [one for one in found if all(getattr(one, name) == value for name, value in rule.where.items())]
    groups: dict[tuple[str, ...], list[Unended]] = {} if rule.by else {(): []}
    for one in found:
        groups.setdefault(tuple(getattr(one, name) for name in rule.by), []).append(one)
    return [
        Sample(dict(zip(rule.by, place, strict=True)), float(len(runs)), _note(measurements, runs))
        for place, runs in groups.items()
    ]


def _limit_ns(usual: Distribution | None) -> float:
    p99_s = usual.quantile_s(0.99) if usual else None
    return max(LEAST_NS, USUAL_FACTOR * (p99_s or 0.0) * SECOND_NS)


def _durations(measurements: Measurements, name: str) -> Mapping[str | None, Distribution]:
    """Return how long the runs of each workflow, or each node, took within a day."""
    day = measurements.since(measurements.now_ns - DAY_NS, by=(name,), durations=True)
    if name == "workflow":
        return {group.by[name]: group.run_durations for group in day.groups}
    return {group.by[name]: group.call_durations for group in day.groups}


def _note(measurements: Measurements, runs: list[Unended]) -> str:
    """Return e.g. `import for 32 min in trace 4f3a..., after node fetch 31 min ago (p99 of a node fetch: 2.1 s)`."""
    if not runs:
        return ""
    oldest, now = runs[0], measurements.now_ns
    text = f"{oldest.workflow} for {_minutes(now - oldest.start_ns)} in trace {oldest.trace_id[:12]}"
    if oldest.node:
        text += f", last heard of in node {oldest.node} {_minutes(now - oldest.node_end_ns)} ago"
        usual = _durations(measurements, "node").get(oldest.node)
        p99_s = usual.quantile_s(0.99) if usual else None
        text += f", whose p99 is {p99_s:.3g} s" if p99_s is not None else ""
    return text


def _minutes(length_ns: int) -> str:
    return f"{length_ns // MINUTE_NS} min"
