"""The test that proves an action item: it must exist, and pass with the rules in force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.alerts.rule_tests import run
from ihobs.alerts.suites import suite
from ihobs.errors import RefusedError

if TYPE_CHECKING:
    from ihobs.config import Config
    from ihobs.plugins import Plugins

BETWEEN = "::"


def prove(test: str, config: Config, plugins: Plugins) -> None:
    """Run a test of rules, named FILE::NAME; FILE is relative to the configuration.

    Raises:
        RefusedError: there is no such test, or it fails.
        NotFoundError: there is no such file.
        InvalidInputError: the file is not valid.
    """
    file, _, name = test.partition(BETWEEN)
    found = suite((config.path.parent if config.path else Path()) / file, config, plugins)
    mine = next((one for one in found.tests if one.name == name), None)
    if mine is None:
        names = ", ".join(repr(one.name) for one in found.tests) or "none"
        raise RefusedError(f"{file} has no test {name!r}", f"its tests: {names}")
    failures = run(mine, found.rules, found.settings).failures
    if failures:
        why = "; ".join(f"{one.where}: {one.reason}" for one in failures)
        raise RefusedError(f"the test {test} fails: {why}", "close the action item when it passes")
