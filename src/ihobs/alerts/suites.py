"""Files with rules and their tests: what is in them, and which rules the tests run on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.alerts.rule_tests import Outcome, RuleTest, goals, tests_in
from ihobs.alerts.rules import RuleSet, collect
from ihobs.checks import RULE_FILE_KEYS, checked, checked_rules
from ihobs.config import load
from ihobs.documents import read
from ihobs.rule_settings import rules_of

if TYPE_CHECKING:
    from ihobs.config import Config, Settings
    from ihobs.documents import Document
    from ihobs.plugins import Plugins

CONFIG_NAME = "ihobs.yaml"


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one file.

    Attributes:
        document: the file.
        rules: what its tests run on: its own rules, and those of the configuration.
        settings: the configuration, with the file's rules in it.
        tests: its tests.
    """

    document: Document
    rules: RuleSet
    settings: Settings
    tests: Sequence[RuleTest]

    @property
    def own(self) -> tuple[str, ...]:
        """Ids of the rules that stand in the file."""
        return tuple(rule["id"] for rule in self.document.value.get("rules", ()))

    def refused(self) -> dict[str, str]:
        """Return why rules of this file cannot be evaluated, by id, with file, line and column."""
        why = dict(self.rules.refused)
        places = {}
        for index, name in enumerate(self.own):
            if name in why:
                place = self.document.place(("rules", index, "id"))
                where = f"{self.document.path}:{place.line}:{place.column}" if place else str(self.document.path)
                places[name] = f"{where}: rule {name!r}: {why[name]}"
        return places


def suites(config: Config, plugins: Plugins, files: Iterable[Path] = ()) -> list[Suite]:
    """Return the suite of each of `files`; without any, those of the configuration and of its files of rules.

    Raises:
        InvalidInputError: a file is not valid.
        NotFoundError: there is no such file.
    """
    named = list(files) or [*([config.path] if config.path else []), *config.rule_files]
    return [suite(path, config, plugins) for path in named]


def suite(path: Path, config: Config, plugins: Plugins) -> Suite:
    """Return the suite of one file: a configuration, or a file of rules.

    Raises:
        InvalidInputError: it is not valid.
        NotFoundError: there is no such file.
    """
    is_config = _is_same(path, config.path)
    if not is_config and not _holds_rules_only(path):
        config, is_config = load(path), True
    is_part = is_config or any(_is_same(path, one) for one in config.rule_files)
    document = checked(path) if is_config else checked_rules(path, {})
    settings = config.settings if is_part else _with_rules_of(document, config.settings)
    rules = collect(plugins, settings)
    known = [*(rule.id for rule in rules.rules), *(name for name, _ in rules.refused)]
    return Suite(document, rules, settings, tests_in(document, known))


def near(path: Path) -> Config:
    """Return the configuration for a file that is named by itself: the next `ihobs.yaml` above it, or the defaults.

    Raises:
        InvalidInputError: that configuration is not valid.
    """
    for directory in path.absolute().parents:
        if (directory / CONFIG_NAME).is_file():
            return load(directory / CONFIG_NAME)
    return load(environ={})


def coverage(found: Sequence[Suite], outcomes: Iterable[Outcome]) -> dict[str, dict[str, bool]]:
    """Return for each rule of the suites, and each other rule that is tested, which of its goals are shown."""
    shown = {pair for outcome in outcomes for pair in outcome.shown}
    rules = {rule.id: rule for one in found for rule in one.rules.rules}
    names = dict.fromkeys([*(name for one in found for name in one.own), *sorted(rule for rule, _ in shown)])
    return {name: {goal: (name, goal) in shown for goal in goals(rules[name])} for name in names if name in rules}


def covered_ratio(covered: Mapping[str, Mapping[str, bool]]) -> float:
    """Return which part of all goals is shown; 1 when there are none."""
    every = [is_shown for of_rule in covered.values() for is_shown in of_rule.values()]
    return sum(every) / len(every) if every else 1.0


def _with_rules_of(document: Document, settings: Settings) -> Settings:
    """Return the settings with the rules of a file that is not installed; it replaces those of the same ids."""
    own = rules_of(document.value.get("rules", ()))
    ids = {rule["id"] for rule in own}
    return replace(settings, rules=(*(rule for rule in settings.rules if rule["id"] not in ids), *own))


def _holds_rules_only(path: Path) -> bool:
    value = read(path).value
    return isinstance(value, dict) and set(value) <= set(RULE_FILE_KEYS)


def _is_same(path: Path, other: Path | None) -> bool:
    return other is not None and path.absolute() == other.absolute()
