"""pytest runs the tests of runbooks: `pytest --runbooks ops/`, or a file by its name, `pytest failover.runbook.yaml`.

Loaded by pytest itself (entry point `pytest11`) in every environment that has ihobs: everything that it needs is
imported when a runbook is really collected. What scenarios show travels with the reports of tests, so that coverage is
whole with pytest-xdist, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest._code.code import ExceptionInfo
    from _pytest.terminal import TerminalReporter

    from ihobs.runbooks.coverage import Coverage, Goal
    from ihobs.runbooks.faults import Fault
    from ihobs.runbooks.library import Library
    from ihobs.runbooks.model import Runbook, Scenario

SUFFIXES = (".runbook.yaml", ".runbook.yml")
PROPERTY = "ihobs_runbook"


class NotMetError(Exception):
    """What a scenario expects and did not get, or what did not hold in a generated fault, one line each."""

    def __init__(self, failures: tuple[str, ...]) -> None:
        super().__init__("\n".join(failures))
        self.failures = failures


class Shown:
    """What the tests of this session showed of each runbook.

    Attributes:
        goals: of each runbook, by its path: step and way. shown: those that a scenario showed.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.goals: dict[str, list[tuple[str, str]]] = {}
        self.shown: dict[str, set[tuple[str, str]]] = {}

    @property
    def bound(self) -> float:
        """The least percentage."""
        return float(self._config.getoption("--runbook-cov-fail-under") or 0.0)

    def coverages(self) -> dict[str, Coverage]:
        """Return the coverage of each runbook by its path."""
        from ihobs.runbooks.coverage import Coverage, Goal

        return {
            path: Coverage(
                Path(path).name,
                tuple(Goal(*goal) for goal in goals),
                frozenset(Goal(*goal) for goal in self.shown[path]),
            )
            for path, goals in sorted(self.goals.items())
        }

    def percent(self) -> float:
        """Return how much of all runbooks is shown."""
        total = sum(map(len, self.goals.values()))
        return 100 * sum(map(len, self.shown.values())) / total if total else 100.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a test showed; with pytest-xdist, in another process."""
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name == PROPERTY:
                found = json.loads(str(value))
                self.goals[found["path"]] = [tuple(goal) for goal in found["goals"]]
                self.shown.setdefault(found["path"], set()).update(tuple(goal) for goal in found["shown"])

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail the session when too little is shown."""
        if self.goals and exitstatus == pytest.ExitCode.OK and self.percent() < self.bound:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Say what of each runbook the scenarios show, and write it to the file that was asked for."""
        if not self.goals:
            return
        terminalreporter.section("coverage of the runbooks")
        for found in self.coverages().values():
            steps, branches = found.counts(branches=False), found.counts(branches=True)
            figures = f"{steps[0]}/{steps[1]} steps, {branches[0]}/{branches[1]} branches"
            terminalreporter.write_line(f"{found.runbook}  {figures}  {found.percent:.0f} %")
            for goal in found.missing:
                terminalreporter.write_line(f"    not shown: {goal}")
        failed = f", less than {self.bound:g} %" if self.percent() < self.bound else ""
        terminalreporter.write_line(f"{self.percent():.0f} %{failed}", red=bool(failed))
        file = self._config.getoption("--runbook-cov-json")
        if file is not None:
            file.write_text(json.dumps(self._document(), indent=1) + "\n", encoding="utf-8")

    def _document(self) -> dict[str, Any]:
        from ihobs.runbooks.scenarios_report import coverage_as_json

        runbooks = [{"path": path, **coverage_as_json(found)} for path, found in self.coverages().items()]
        return {"percent": round(self.percent(), 1), "runbooks": runbooks}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("ihobs-runbooks", "tests of runbooks")
    group.addoption(
        "--runbooks", action="store_true", help="Collect the scenarios in *.runbook.yaml, and their generated faults."
    )
    group.addoption(
        "--runbook-cov-fail-under",
        type=float,
        metavar="PERCENT",
        help="Fail when scenarios show less than this of the steps and branches of all runbooks.",
    )
    group.addoption(
        "--runbook-cov-json", type=Path, metavar="FILE", help="Write what the scenarios show of each runbook, as JSON."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the place for what is shown."""
    config.pluginmanager.register(Shown(config), "ihobs-runbooks-shown")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a runbook that was named, or all when they are wanted."""
    if not file_path.name.endswith(SUFFIXES):
        return None
    if parent.config.getoption("--runbooks") or parent.session.isinitpath(file_path):
        file: RunbookFile = RunbookFile.from_parent(parent, path=file_path)
        return file
    return None


class RunbookFile(pytest.File):
    """A runbook."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield its scenarios, its generated faults, and the coverage that it demands.

        Raises:
            CollectError: it is not valid; with file, line and column.
        """
        from ihobs.errors import IhobsError
        from ihobs.runbooks.faults import faults_of

        try:
            library = _library(self.path)
            runbook = library.read(self.path)
        except IhobsError as error:
            raise self.CollectError(str(error)) from error
        for scenario in runbook.scenarios:
            yield _item(ScenarioItem, self, scenario.name, runbook=runbook, library=library, scenario=scenario)
        for fault in faults_of(runbook, library):
            yield _item(FaultItem, self, f"fault: {fault.name}", runbook=runbook, library=library, fault=fault)
        if runbook.fail_under_percent:
            yield _item(CoverageItem, self, "coverage", runbook=runbook, library=library)


def _library(path: Path) -> Library:
    """Return the runbooks beside `path`, those of the next configuration above it, and those that come with ihobs."""
    from ihobs.alerts.suites import near
    from ihobs.plugins import load
    from ihobs.runbooks.kinds.own import all_kinds
    from ihobs.runbooks.kinds.surroundings import Surroundings
    from ihobs.runbooks.library import Library

    config = near(path)
    base = config.path.absolute().parent if config.path else path.parent
    configured = (base / one for one in config.settings.runbooks.paths)
    return Library(all_kinds(Surroundings(), load()), (path.parent, *configured))


def _item(kind: type[RunbookItem], parent: RunbookFile, name: str, **more: Any) -> RunbookItem:
    item: RunbookItem = kind.from_parent(parent, name=name, **more)
    return item


class RunbookItem(pytest.Item):
    """A test of a runbook."""

    def __init__(self, *, runbook: Runbook, library: Library, **more: Any) -> None:
        super().__init__(**more)
        self._runbook, self._library = runbook, library

    def repr_failure(self, excinfo: ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what is not met, without a traceback."""
        if isinstance(excinfo.value, NotMetError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the test stands."""
        return self.path, None, self.name


class ScenarioItem(RunbookItem):
    """One scenario."""

    def __init__(self, *, scenario: Scenario, **more: Any) -> None:
        super().__init__(**more)
        self._scenario = scenario

    def runtest(self) -> None:
        """Play it.

        Raises:
            NotMetError: with every expectation that is not met.
        """
        from ihobs.runbooks.scenarios import check
        from ihobs.runbooks.scenarios_report import coverage_of

        outcome = check(self._runbook, self._library, self._scenario)
        found = coverage_of(self._runbook, [outcome])
        shown = {"path": str(self.path), "goals": _pairs(found.goals), "shown": _pairs(found.shown)}
        self.user_properties.append((PROPERTY, json.dumps(shown)))
        if outcome.failures:
            raise NotMetError(outcome.failures)


class FaultItem(RunbookItem):
    """A generated fault."""

    def __init__(self, *, fault: Fault, **more: Any) -> None:
        super().__init__(**more)
        self._fault = fault

    def runtest(self) -> None:
        """Play it.

        Raises:
            NotMetError: with everything that does not hold.
        """
        from ihobs.runbooks.faults import broken

        found = broken(self._runbook, self._library, self._fault)
        if found:
            raise NotMetError(tuple(f"{self.path}: {self._fault.name}: {text}" for text in found))


class CoverageItem(RunbookItem):
    """What a runbook demands of its scenarios by `coverage: {fail_under: ...}`."""

    def runtest(self) -> None:
        """Play all scenarios, whatever else is selected.

        Raises:
            NotMetError: they show too little.
        """
        from ihobs.runbooks.scenarios import check
        from ihobs.runbooks.scenarios_report import coverage_of

        outcomes = [check(self._runbook, self._library, scenario) for scenario in self._runbook.scenarios]
        found, bound = coverage_of(self._runbook, outcomes), self._runbook.fail_under_percent
        if found.percent < bound:
            lines = [f"not shown: {goal}" for goal in found.missing]
            raise NotMetError((f"{self.path}: coverage {found.percent:.0f} % is below {bound:g} %", *lines))


def _pairs(goals: tuple[Goal, ...] | frozenset[Goal]) -> list[tuple[str, str]]:
    return [(goal.step, goal.way) for goal in goals]
