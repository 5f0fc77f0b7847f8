"""The test that proves an action item: of a rule, or a scenario of a runbook. It must exist, and pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.alerts.rule_tests import run
from ihobs.alerts.suites import suite
from ihobs.errors import RefusedError
from ihobs.runbooks.scenarios import check

if TYPE_CHECKING:
    from ihobs.config import Config
    from ihobs.plugins import Plugins
    from ihobs.runbooks.library import Library

BETWEEN = "::"
RUNBOOK = ".runbook.yaml"
RULE_SUFFIXES = (".yaml", ".yml")


def prove(test: str, config: Config, plugins: Plugins, library: Library) -> None:
    """Run a test: FILE::NAME, or RUNBOOK::SCENARIO. Files are relative to the configuration.

    Raises:
        RefusedError: there is no such test, or it fails.
        NotFoundError: there is no such file or runbook.
        InvalidInputError: the file is not valid.
    """
    where, _, name = test.partition(BETWEEN)
    path = (config.path.parent if config.path else Path()) / where
    if where.endswith(RULE_SUFFIXES) and not where.endswith(RUNBOOK):
        failures = _of_rule(path, name, config, plugins)
    else:
        failures = _of_runbook(str(path) if where.endswith(RUNBOOK) else where, name, library)
    if failures:
        raise RefusedError(f"the test {test} fails: {'; '.join(failures)}", "close the action item when it passes")


def _of_rule(path: Path, name: str, config: Config, plugins: Plugins) -> Sequence[str]:
    found = suite(path, config, plugins)
    mine = next((one for one in found.tests if one.name == name), None)
    if mine is None:
        raise _absent(path, name, [one.name for one in found.tests])
    return [f"{one.where}: {one.reason}" for one in run(mine, found.rules, found.settings).failures]


def _of_runbook(named: str, name: str, library: Library) -> Sequence[str]:
    runbook = library.find(named)
    mine = next((one for one in runbook.scenarios if one.name == name), None)
    if mine is None:
        raise _absent(named, name, [one.name for one in runbook.scenarios])
    return check(runbook, library, mine).failures


def _absent(where: Path | str, name: str, known: Sequence[str]) -> RefusedError:
    return RefusedError(f"{where} has no test {name!r}", f"its tests: {', '.join(map(repr, known)) or 'none'}")
