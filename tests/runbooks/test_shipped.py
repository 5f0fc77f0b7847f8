"""The runbooks that come with ihobs: every scenario and every generated fault passes, and everything is covered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ihobs.resources import shipped
from ihobs.runbooks.coverage import Goal
from ihobs.runbooks.library import Library
from ihobs.runbooks.model import Action, Choice, actions, walk
from ihobs.runbooks.scenarios_report import report

FILES = sorted(Path(str(shipped("runbooks"))).glob("*.runbook.yaml"))

EXPECTED = {
    "cost-spike",
    "critical-response",
    "high-response",
    "low-response",
    "medium-response",
    "provider-errors",
    "quota-exhausted",
    "slow-responses",
    "triage",
}


@pytest.fixture(scope="module")
def library(kinds) -> Library:
    """Return the shipped runbooks."""
    return Library(kinds)


def test_these_runbooks_are_shipped(library):
    found, broken = library.all()
    assert broken == []
    assert set(found) >= EXPECTED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.partition(".")[0])
def test_a_shipped_runbook_passes_its_scenarios_and_faults_and_is_covered(library, path):
    found = report(library.read(path), library)
    assert [(one.scenario.name, one.failures) for one in found.outcomes if one.failures] == []
    assert [(one.name, one.failures) for one in found.faults if one.failures] == []
    assert [str(goal) for goal in found.coverage.missing] == []
    assert found.faults, "faults: all"
    assert found.runbook.fail_under_percent == 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.partition(".")[0])
def test_a_shipped_runbook_names_its_owner_and_its_purpose_and_touches_nothing_outside(library, path):
    runbook = library.read(path)
    assert runbook.owner
    assert runbook.description
    assert not {action.kind for action in actions(runbook.steps)} & {"http", "command", "python"}


def test_scenarios_notice_when_a_way_is_taken_that_should_not_be(library):
    """A mutant: the first condition of a runbook is gone."""
    runbook = library.find("provider-errors")
    [choice] = [node for node in runbook.steps if isinstance(node, Choice)]
    mutant = replace(runbook, steps=(runbook.steps[0], replace(choice, branches=choice.branches[1:])))
    found = report(replace(mutant, faults="none"), library)
    assert found.failed > 0


def test_scenarios_notice_when_what_was_changed_is_not_undone(library):
    """A mutant: emergency mode is not taken back."""
    runbook = library.find("critical-response")
    [local] = [node for node in walk(runbook.steps) if node.id == "local"]
    assert isinstance(local, Action)
    mutant = replace(runbook, steps=_without_undo(runbook.steps, local), faults="none")
    found = report(mutant, library)
    assert [one.scenario.name for one in found.outcomes if one.failures] == [
        "does not recover, so that emergency mode is taken back"
    ]
    assert Goal("local.undo", "runs") not in found.coverage.goals


def _without_undo(steps, target):
    """Return the steps with `target`, wherever it stands, no longer undone."""
    made = []
    for node in steps:
        if node is target:
            made.append(replace(node, undo=None))
        elif hasattr(node, "branches") and isinstance(node, Choice):
            branches = [replace(one, steps=_without_undo(one.steps, target)) for one in node.branches]
            made.append(replace(node, branches=tuple(branches)))
        elif hasattr(node, "rescue"):
            made.append(replace(node, steps=_without_undo(node.steps, target)))
        else:
            made.append(node)
    return tuple(made)
