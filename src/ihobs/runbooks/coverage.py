"""What the scenarios of a runbook show: which of its steps run, and which ways are taken where there are several.

Only scenarios count. Generated faults go everywhere, and nobody has said what is right there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.runbooks.model import Action, Attempt, Choice, Loop, Node, Runbook, actions, walk
from ihobs.runbooks.scenarios_stage import name_of

if TYPE_CHECKING:
    from ihobs.runbooks.scenarios import Played

RUNS = "runs"
"""The way of a step that is simply there to run."""

_LABELS = {"skipped": "is skipped", "none": "takes no way", "rejected": "is refused", "expired": "expires"}


@dataclass(frozen=True, slots=True, order=True)
class Goal:
    """Something that a scenario can show.

    Attributes:
        step: the id of a step or block. way: what it does.
    """

    step: str
    way: str

    @property
    def is_branch(self) -> bool:
        """Whether it is one of several ways, not only a step that runs."""
        return self.way != RUNS

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.step}: {_LABELS.get(self.way, self.way)}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which goals of a runbook are shown.

    Attributes:
        goals: all, in the order of the file. shown: those that some scenario shows.
    """

    runbook: str
    goals: tuple[Goal, ...]
    shown: frozenset[Goal]

    @property
    def missing(self) -> tuple[Goal, ...]:
        """What no scenario shows."""
        return tuple(goal for goal in self.goals if goal not in self.shown)

    @property
    def percent(self) -> float:
        """How much is shown; 100 when there is nothing to show."""
        return 100 * (1 - len(self.missing) / len(self.goals)) if self.goals else 100.0

    def counts(self, *, branches: bool) -> tuple[int, int]:
        """Return how many branches, or steps, are shown, and how many there are."""
        wanted = [goal for goal in self.goals if goal.is_branch == branches]
        return sum(goal in self.shown for goal in wanted), len(wanted)


def covered(runbook: Runbook, played: Iterable[Played]) -> Coverage:
    """Return what scenarios show of a runbook."""
    goals = tuple(goals_of(runbook))
    shown = {goal for one in played for goal in shown_by(one)}
    return Coverage(runbook.id, goals, frozenset(shown & set(goals)))


def goals_of(runbook: Runbook) -> Iterator[Goal]:
    """Yield what there is to show, in the order of the file."""
    for node in walk(runbook.steps):
        if node.when is not None:
            yield Goal(node.id, "skipped")
        for action in actions((node,)) if isinstance(node, Action) else ():
            yield Goal(action.id, RUNS)
        if isinstance(node, Action):
            if node.undo is True:
                yield Goal(f"{node.id}.undo", RUNS)
            yield from (Goal(node.id, way) for way in _ways_of_action(node))
        else:
            yield from (Goal(node.id, way) for way in _ways_of_block(node))


def _ways_of_block(node: Node) -> Iterator[str]:
    match node:
        case Choice():
            yield from (branch.name for branch in node.branches)
            if all(branch.when is not None for branch in node.branches):
                yield "none"
        case Loop():
            if node.items.paths:
                yield from ("none", "one", "many")
        case Attempt():
            yield from ("succeeded", "failed")


def _ways_of_action(node: Action) -> Iterator[str]:
    """Yield the ways on which an action can go that the runbook has written something for."""
    if node.kind in {"approve", "manual"}:
        yield "rejected"
    if node.kind in {"approve", "manual", "ask"} and "expires" in node.parameters:
        yield "expired"
    if node.kind in {"check", "wait_until"}:
        yield "does not hold"
    if node.retry.attempts > 1:
        yield from ("is tried again", "is given up")
    if node.continue_on_error and node.kind not in {"fail", "check", "wait_until"}:
        yield "fails, and the run goes on"


def shown_by(played: Played) -> set[Goal]:
    """Return what one scenario shows, of the runbook itself and of those that it calls."""
    shown = {Goal(name, way) for name, way in played.ways}
    for path in {event.path for event in played.events if event.name == "outcome"}:
        outcomes = [event for event in played.events if event.path == path and event.name == "outcome"]
        shown |= {Goal(name_of(path), way) for way in _shown_ways([dict(event.fields) for event in outcomes])}
    shown |= {Goal(name, RUNS) for name in played.path}
    return shown


def _shown_ways(outcomes: list[dict[str, object]]) -> Iterator[str]:
    yield RUNS
    last = outcomes[-1]
    if len(outcomes) > 1:
        yield "is tried again"
    if last["status"] == "succeeded":
        return
    error = last.get("error")
    kind = error.get("kind") if isinstance(error, dict) else ""
    yield "fails, and the run goes on"
    if len(outcomes) > 1:
        yield "is given up"
    if kind in {"rejected", "expired"}:
        yield str(kind)
    if kind in {"check", "timeout"}:
        yield "does not hold"
