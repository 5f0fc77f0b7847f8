"""Everything that the tests of one runbook say: its scenarios, its generated faults, and what the scenarios show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihobs.runbooks.coverage import Coverage, covered
from ihobs.runbooks.faults import broken, faults_of
from ihobs.runbooks.scenarios import Outcome, check

if TYPE_CHECKING:
    from ihobs.runbooks.library import Library
    from ihobs.runbooks.model import Runbook


@dataclass(frozen=True, slots=True)
class Case:
    """A generated fault, and what did not hold in it."""

    name: str
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of the tests of one runbook.

    Attributes:
        faults: the generated cases; none unless the runbook says `faults: all`.
    """

    runbook: Runbook
    outcomes: tuple[Outcome, ...]
    faults: tuple[Case, ...]
    coverage: Coverage

    @property
    def failed(self) -> int:
        """How many scenarios and cases failed."""
        return sum(bool(one.failures) for one in self.outcomes) + sum(bool(one.failures) for one in self.faults)

    def is_below(self, percent: float | None) -> bool:
        """Whether the scenarios show less than `percent`, or than the runbook itself demands."""
        return self.coverage.percent < max(percent or 0.0, self.runbook.fail_under_percent)


def report(runbook: Runbook, library: Library) -> Report:
    """Run all tests of a runbook."""
    outcomes = tuple(check(runbook, library, scenario) for scenario in runbook.scenarios)
    cases = tuple(Case(one.name, tuple(broken(runbook, library, one))) for one in faults_of(runbook, library))
    return Report(runbook, outcomes, cases, coverage_of(runbook, outcomes))


def coverage_of(runbook: Runbook, outcomes: Iterable[Outcome]) -> Coverage:
    """Return what scenarios show that got what they expect; the others show nothing."""
    return covered(runbook, [one.played for one in outcomes if one.played and not one.failures])


def as_json(found: Report) -> dict[str, Any]:
    """Return a report as JSON says it."""
    return {
        "runbook": found.runbook.id,
        "path": str(found.runbook.path),
        "scenarios": [{"name": one.scenario.name, "failures": list(one.failures)} for one in found.outcomes],
        "faults": [{"name": one.name, "failures": list(one.failures)} for one in found.faults],
        "coverage": coverage_as_json(found.coverage),
    }


def coverage_as_json(found: Coverage) -> dict[str, Any]:
    """Return the coverage of a runbook as JSON says it."""
    steps, branches = found.counts(branches=False), found.counts(branches=True)
    return {
        "percent": round(found.percent, 1),
        "steps": {"shown": steps[0], "all": steps[1]},
        "branches": {"shown": branches[0], "all": branches[1]},
        "missing": [{"step": goal.step, "way": goal.way} for goal in found.missing],
    }
