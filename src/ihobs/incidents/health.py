"""The health check: how many runs succeed now, how many are in progress, and what fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.clock import MINUTE_NS
from ihobs.store.query import active_workflows, metrics
from ihobs.store.trace_analysis import ErrorClass, error_classes

if TYPE_CHECKING:
    from ihobs.store.database import Database

WINDOW_NS = 5 * MINUTE_NS
MAX_ERRORS = 10

MIN_RUNS = 5
"""Fewer runs that fail are bad luck; as with rules, nothing can be said of so few."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the orchestrator is.

    Attributes:
        start_ns, end_ns: the window.
        runs, failed_runs: that ended in it.
        success_ratio: of the runs that ended; None: none did.
        active_workflows: in progress now.
        errors: what fails, the most frequent first.
    """

    start_ns: int
    end_ns: int
    runs: int
    failed_runs: int
    success_ratio: float | None
    active_workflows: int
    errors: tuple[ErrorClass, ...]

    @property
    def nothing_succeeds(self) -> bool:
        """Whether runs ended, and each of them failed."""
        return self.runs >= MIN_RUNS and self.failed_runs == self.runs


def health_of(telemetry: Database, now_ns: int) -> Health:
    """Return how the orchestrator is at `now_ns`.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    start_ns = now_ns - WINDOW_NS
    groups = metrics(telemetry, start_ns=start_ns, end_ns=now_ns, durations=False).groups
    runs, failed = (groups[0].counters.runs, groups[0].counters.failed_runs) if groups else (0, 0)
    return Health(
        start_ns=start_ns,
        end_ns=now_ns,
        runs=runs,
        failed_runs=failed,
        success_ratio=(runs - failed) / runs if runs else None,
        active_workflows=active_workflows(telemetry, now_ns=now_ns),
        errors=tuple(error_classes(telemetry, start_ns=start_ns, end_ns=now_ns, limit=MAX_ERRORS)),
    )


def nothing_succeeds(telemetry: Database, now_ns: int) -> bool:
    """Whether, of the runs that ended lately, each failed.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    groups = metrics(telemetry, start_ns=now_ns - WINDOW_NS, end_ns=now_ns, durations=False).groups
    sums = groups[0].counters if groups else None
    return sums is not None and sums.runs >= MIN_RUNS and sums.failed_runs == sums.runs
