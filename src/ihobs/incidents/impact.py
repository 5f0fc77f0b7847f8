"""What an incident has cost, computed: runs, users, minutes, money. Of what is not known, it says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ihobs.clock import DAY_NS, MINUTE_NS, SECOND_NS
from ihobs.store.affected import affected
from ihobs.store.moments import moments
from ihobs.store.parts import Question
from ihobs.store.query import group_of, metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.model import Counters
    from ihobs.store.database import Database
    from ihobs.store.state.incidents import Incident

USUAL_NS = DAY_NS
"""What is usual is that of the day before it began."""


@dataclass(frozen=True, slots=True)
class Impact:
    """What happened between the beginning of an incident and its end.

    Attributes:
        start_ns, end_ns: the time that is counted.
        runs, failed_runs, timed_out_runs: that ended in it; failed: for good.
        usual_failed_ratio: of the day before; None: no run ended then.
        failing_minutes: minutes in which at least one run failed.
        users, sessions: that failed runs name; None: none of them names any. named_of_runs: how many of the failed
            traces could be asked; fewer than `failed_traces`: at least so many users.
        failed_traces: traces that hold a failed run.
        cost_usd: of all calls in this time. failed_cost_usd: of the traces with failed runs, which was for nothing.
        usual_cost_usd: what as much time costs otherwise; None: nothing ran the day before.
        unpriced_calls: calls whose price is unknown: with any, the sums are lower bounds.
    """

    start_ns: int
    end_ns: int
    runs: int
    failed_runs: int
    timed_out_runs: int
    usual_failed_ratio: float | None
    failing_minutes: int
    users: int | None
    sessions: int | None
    named_of_runs: int
    failed_traces: int
    cost_usd: float
    failed_cost_usd: float
    usual_cost_usd: float | None
    unpriced_calls: int

    @property
    def lasted_s(self) -> float:
        """How long it lasted."""
        return (self.end_ns - self.start_ns) / SECOND_NS

    @property
    def extra_failed_runs(self) -> int:
        """How many runs failed that would not have, had it been as the day before."""
        return max(0, round(self.failed_runs - self.runs * (self.usual_failed_ratio or 0.0)))


def impact_of(telemetry: Database, incident: Incident, now_ns: int, start_ns: int | None = None) -> Impact:
    """Return what an incident has cost until its end, or until now.

    Args:
        start_ns: since when; None: since its alert fired, or somebody opened it.

    Raises:
        StoreUnavailableError: the telemetry database cannot be read.
    """
    start_ns = min(incident.began_ns, incident.opened_ns) if start_ns is None else start_ns
    ended_ns = incident.mitigated_ns or incident.resolved_ns or now_ns
    end_ns = max(ended_ns, start_ns + SECOND_NS)
    sums, usual = _sums(telemetry, start_ns, end_ns), _sums(telemetry, start_ns - USUAL_NS, start_ns)
    concerned = affected(telemetry, start_ns=start_ns, end_ns=end_ns)
    share = (end_ns - start_ns) / USUAL_NS
    return Impact(
        start_ns=start_ns,
        end_ns=end_ns,
        runs=sums.runs if sums else 0,
        failed_runs=sums.failed_runs if sums else 0,
        timed_out_runs=sums.timed_out_runs if sums else 0,
        usual_failed_ratio=usual.failed_runs / usual.runs if usual and usual.runs else None,
        failing_minutes=_failing_minutes(telemetry, start_ns, end_ns),
        users=concerned.users or None,
        sessions=concerned.sessions or None,
        named_of_runs=concerned.looked_at,
        failed_traces=concerned.traces,
        cost_usd=sums.cost_nano_usd / 1e9 if sums else 0.0,
        failed_cost_usd=concerned.cost_nano_usd / 1e9,
        usual_cost_usd=usual.cost_nano_usd / 1e9 * share if usual and usual.calls else None,
        unpriced_calls=sums.unpriced_calls if sums else 0,
    )


def to_json(impact: Impact) -> dict[str, Any]:
    """Return an impact as it is stored."""
    return asdict(impact)


def from_json(value: Mapping[str, Any]) -> Impact:
    """Return the impact that was stored."""
    return Impact(**value)


def _sums(telemetry: Database, start_ns: int, end_ns: int) -> Counters | None:
    groups = metrics(telemetry, start_ns=start_ns, end_ns=end_ns, durations=False).groups
    return groups[0].counters if groups else None


def _failing_minutes(telemetry: Database, start_ns: int, end_ns: int) -> int:
    """Return in how many minutes runs failed; where only hours are kept, an hour counts as sixty."""
    question = Question((), (), (), durations=False)
    minutes: set[int] = set()
    for moment in moments(telemetry, question, start_ns // SECOND_NS, -(-end_ns // MINUTE_NS) * 60):
        if any(group_of(question, place, moment.part).counters.failed_runs for place in moment.part.sums):
            minutes.update(range((moment.end_s - moment.width_s) // 60, -(-moment.end_s // 60)))
    return len(minutes)
