"""pytest collects the tests of rules: `pytest --ihobs-rules`, or a file by its name, `pytest rules/errors.yaml`.

Loaded by pytest itself (entry point `pytest11`) in every environment that has ihobs: everything that it needs is
imported when a file of rules is really collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest._code.code import ExceptionInfo
    from _pytest.terminal import TerminalReporter

    from ihobs.alerts.rule_tests import Failure, Outcome, RuleTest
    from ihobs.alerts.suites import Suite

SUFFIXES = (".yaml", ".yml")
RUNBOOKS = (".runbook.yaml", ".runbook.yml")
"""These are collected by `ihobs.pytest_runbooks`."""

CONFIG_NAME, DIRECTORY = "ihobs.yaml", "rules"


class NotMetError(Exception):
    """Expectations of a rule's test that are not met."""

    def __init__(self, failures: tuple[Failure, ...]) -> None:
        super().__init__("\n".join(f"{one.where}: {one.reason}" for one in failures))
        self.failures = failures


class Collected:
    """What was collected and shown in this session, for the coverage at its end."""

    def __init__(self) -> None:
        self.suites: list[Suite] = []
        self.outcomes: list[Outcome] = []

    def covered(self) -> tuple[dict[str, dict[str, bool]], float]:
        """Return which goals of each rule are shown, and the percentage of all."""
        from ihobs.alerts.suites import coverage, covered_ratio

        covered = coverage(self.suites, self.outcomes)
        return covered, 100 * covered_ratio(covered)


_collected = pytest.StashKey[Collected]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("ihobs", "tests of alert rules")
    group.addoption(
        "--ihobs-rules",
        action="store_true",
        help=f"Collect the tests of rules in {CONFIG_NAME} and in the YAML files of directories named '{DIRECTORY}'.",
    )
    group.addoption(
        "--ihobs-rules-cov-fail-under",
        type=float,
        metavar="PERCENT",
        help="Fail when the tests of rules show less than this part of what the rules can do.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the place for what is collected."""
    config.stash[_collected] = Collected()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a file that was named, or that is where rules are."""
    if file_path.suffix not in SUFFIXES or file_path.name.endswith(RUNBOOKS):
        return None
    is_wanted = parent.config.getoption("--ihobs-rules") and (
        file_path.name == CONFIG_NAME or file_path.parent.name == DIRECTORY
    )
    if is_wanted or parent.session.isinitpath(file_path):
        file: RuleFile = RuleFile.from_parent(parent, path=file_path)
        return file
    return None


class RuleFile(pytest.File):
    """A configuration, or a file of rules."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield its tests.

        Raises:
            InvalidInputError: it is not valid; shown with file, line and column.
        """
        from ihobs.alerts.suites import near, suite
        from ihobs.errors import IhobsError
        from ihobs.plugins import load

        try:
            found = suite(self.path, near(self.path), load())
        except IhobsError as error:
            raise self.CollectError(str(error)) from error
        self.config.stash[_collected].suites.append(found)
        for test in found.tests:
            item: RuleItem = RuleItem.from_parent(self, name=test.name, test=test, found=found)
            yield item


class RuleItem(pytest.Item):
    """One test of rules."""

    def __init__(self, *, test: RuleTest, found: Suite, **more: Any) -> None:
        super().__init__(**more)
        self._test, self._found = test, found

    def runtest(self) -> None:
        """Run it.

        Raises:
            NotMetError: with every expectation that is not met.
        """
        from ihobs.alerts.rule_tests import run

        outcome = run(self._test, self._found.rules, self._found.settings)
        self.config.stash[_collected].outcomes.append(outcome)
        if outcome.failures:
            raise NotMetError(outcome.failures)

    def repr_failure(self, excinfo: ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the expectations that are not met, without a traceback."""
        if isinstance(excinfo.value, NotMetError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the test stands."""
        line = self._test.where.removeprefix(str(self.path)).strip(":").partition(":")[0]
        return self.path, int(line) - 1 if line.isdigit() else None, self.name


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the session when too little is shown."""
    bound = session.config.getoption("--ihobs-rules-cov-fail-under")
    collected = session.config.stash[_collected]
    if bound is not None and collected.suites and exitstatus == pytest.ExitCode.OK and collected.covered()[1] < bound:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Say what of each rule the tests show."""
    collected = config.stash[_collected]
    if not collected.suites:
        return
    covered, percent = collected.covered()
    terminalreporter.section("coverage of the rules")
    for rule, goals in covered.items():
        missing = [goal for goal, is_shown in goals.items() if not is_shown]
        rest = f"   not shown: {', '.join(missing)}" if missing else ""
        terminalreporter.write_line(f"{rule}  {len(goals) - len(missing)}/{len(goals)}{rest}")
    bound = config.getoption("--ihobs-rules-cov-fail-under")
    failed = f", less than {bound:g} %" if bound is not None and percent < bound else ""
    terminalreporter.write_line(f"{percent:.0f} %{failed}", red=bool(failed))
