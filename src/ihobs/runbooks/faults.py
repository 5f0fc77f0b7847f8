"""Cases that nobody wrote: everything that a scenario does goes wrong once, and what must hold then is checked.

Which end is right, only a scenario can say. What must hold whatever happens: the run ends in a state that has a name,
nothing that may be done only once is done twice, what is undone is undone once and last first, `always` is always,
a process that dies costs nothing but time, and no secret stands in the journal.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ihobs.runbooks.checking import effect_of
from ihobs.runbooks.kinds.people import QUESTIONS
from ihobs.runbooks.model import (
    FINAL,
    Action,
    Attempt,
    Loop,
    Node,
    Parallel,
    Runbook,
    Scenario,
    actions,
    children,
    walk,
)
from ihobs.runbooks.scenarios import Played, canary, check, play
from ihobs.runbooks.scenarios_stage import AND_SO_ON, TIMED_OUT, Kill, name_of

if TYPE_CHECKING:
    from ihobs.runbooks.library import Library

NO_DATA: Mapping[str, Mapping[str, Any]] = {
    "query": {"value": None, "by": {}, "groups": []},
    "health": {"success_rate": None, "runs": 0, "failed_runs": 0, "active_workflows": 0},
}
"""What kinds of steps that look at numbers yield when there are none."""

FAILS = {"error": {"message": "a generated fault", "kind": "failed"}}
MISFIT = {"generated_fault": "an output that the step does not have"}
NOT_ITS_FAULT = frozenset({"expression", "parameters"})
"""Kinds of failures that are mistakes of the runbook: it did not reckon with what it was given."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A case: a scenario in which something goes wrong.

    Attributes:
        name: for people. base: what comes of the scenario as it is written. scenario: with the fault in it.
        kill: when the process dies; None: it lives.
    """

    name: str
    base: Played
    scenario: Scenario
    kill: Kill | None = None


def faults_of(runbook: Runbook, library: Library) -> Iterator[Fault]:
    """Yield the cases of a runbook; none unless it says `faults: all`.

    Each fault of a step is tried in the first scenario that reaches the step. Scenarios that fail as they are yield
    none.
    """
    if runbook.faults == "none":
        return
    seen: set[str] = set()
    for scenario in runbook.scenarios:
        outcome = check(runbook, library, scenario)
        if outcome.played is None or outcome.failures:
            continue
        for fault in (*_answers(runbook, library, scenario, outcome.played), *_kills(scenario, outcome.played)):
            key = fault.name.partition(" (")[0]
            if key not in seen:
                seen.add(key)
                yield fault


def _answers(runbook: Runbook, library: Library, scenario: Scenario, played: Played) -> Iterator[Fault]:
    """Yield cases in which a step answers what it should not."""
    reached = {name_of(event.path) for event in played.events if event.name == "outcome"}
    for node in actions(runbook.steps):
        if node.id not in reached:
            continue
        for what, answer in _wrong_answers(node, library, scenario.fakes.get(node.id, {})):
            fakes = {**scenario.fakes, node.id: answer}
            yield Fault(f"{node.id} {what} ({scenario.name})", played, replace(scenario, fakes=fakes))


def _wrong_answers(node: Action, library: Library, right: Any) -> Iterator[tuple[str, Any]]:
    kind = library.kinds[node.kind]
    if node.kind in QUESTIONS:
        if node.kind != "ask":
            yield "is refused", "rejected"
        if "expires" in node.parameters:
            yield "expires", "expired"
        return
    if kind.is_pure or node.kind == "wait":
        return
    yield "fails", FAILS
    if kind.store is None:  # what is a row is written or not: it neither hangs nor answers
        yield "times out", TIMED_OUT
        if node.retry.attempts > 1 and node.kind != "wait_until":
            yield "fails once", [FAILS, *(right if isinstance(right, list) else (right, AND_SO_ON))]
        if kind.outputs.get("additionalProperties") is False:
            yield "answers nonsense", MISFIT
    if node.kind in NO_DATA:
        yield "has no data", NO_DATA[node.kind]


def _kills(scenario: Scenario, played: Played) -> Iterator[Fault]:
    """Yield cases in which the process dies around each attempt of each step."""
    moments = {
        "asked": (("after", "asked and not answered"),),
        "intent": (("before", "about to begin"), ("after", "begun and not done")),
        "outcome": (("before", "done and not written"), ("after", "written")),
    }
    for event in played.events:
        for moment, what in moments.get(event.name, ()):
            kill = Kill(moment, event.name, event.path, event.attempt)
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            yield Fault(f"killed with {event.path} {what}{again} ({scenario.name})", played, scenario, kill)


def broken(runbook: Runbook, library: Library, fault: Fault) -> list[str]:
    """Play a case, and return what does not hold."""
    played = play(runbook, library, fault.scenario, kill=fault.kill, is_strict=False)
    nodes = {node.id: node for node in actions(runbook.steps)}
    texts = [*_end(played), *_once(nodes, library, played), *_undone(runbook, played), *_always(runbook, played)]
    texts += _secrets(runbook, played)
    if fault.kill is not None:
        texts += _survived(nodes, library, fault.kill, fault.base, played)
    return texts


def _end(played: Played) -> Iterator[str]:
    status, error = played.result.status, played.result.error
    if status not in FINAL | {"waiting", "unknown"}:
        yield f"the run ends in no state: {status}"
    if error is not None and error["kind"] in NOT_ITS_FAULT:
        yield f"the run fails by a mistake of the runbook: {error['step']}: {error['message']}"


def _once(nodes: Mapping[str, Action], library: Library, played: Played) -> Iterator[str]:
    """Nothing is done twice that may be done once: not even when nobody knows whether it was."""
    for path, count in Counter(played.done).items():
        node = nodes.get(name_of(path))
        if node is None or count == 1:
            continue
        if not effect_of(node, library.kinds[node.kind])[1]:
            yield f"{path} is done {count} times; it is not idempotent"
    for path, count in Counter(_succeeded(played)).items():
        if count > 1:
            yield f"{path} is {'undone' if path.endswith('.undo') else 'done'} again after it was finished"


def _undone(runbook: Runbook, played: Played) -> Iterator[str]:
    """What is undone is undone once; of what one `try` changed, the last first."""
    done_at: dict[str, int] = {}
    undone_at: dict[str, int] = {}
    for index, path in enumerate(_succeeded(played)):
        if path.endswith(".undo"):
            undone_at[path.removesuffix(".undo")] = index
        else:
            done_at[path] = index
    tries = dict(_tries(runbook.steps, ""))
    for first, second in itertools.combinations(sorted(undone_at, key=undone_at.__getitem__), 2):
        if _together(tries, first) != _together(tries, second):
            continue
        if done_at[first] < done_at[second] < undone_at[first]:
            yield f"{first} is undone before {second}, which was done after it"


def _tries(steps: tuple[Node, ...], found: str) -> Iterator[tuple[str, str]]:
    """Yield for each step the `try` in whose order it is undone; branches that run together have their own."""
    for node in steps:
        yield node.id, found
        for _, inner in children(node):
            if isinstance(node, Parallel) or (isinstance(node, Loop) and node.concurrency > 1):
                yield from _tries(inner, f"{node.id}/")
            elif isinstance(node, Attempt) and found.endswith("/"):
                yield from _tries(inner, node.id)
            else:
                yield from _tries(inner, found)


def _together(tries: Mapping[str, str], path: str) -> tuple[str, str]:
    """Return what is the same for steps that are undone in one order."""
    found = tries.get(name_of(path), "")
    is_apart = bool(found) and not found.endswith("/")
    return found if is_apart else "", path.rpartition("/")[0] if is_apart else ""


def _always(runbook: Runbook, played: Played) -> Iterator[str]:
    """Whenever a step of a `try` ran and the run is over, its `always` began."""
    if played.result.status not in FINAL:
        return
    reached = {*played.path, *(name for name, way in played.ways if way == "skipped")}
    for node in walk(runbook.steps):
        if isinstance(node, Attempt) and node.always and node.id in played.path and node.always[0].id not in reached:
            yield f"the always of {node.id} does not begin"


def _secrets(runbook: Runbook, played: Played) -> Iterator[str]:
    text = json.dumps([dict(event.fields) for event in played.events], default=str)
    text += json.dumps([dict(played.result.outputs), dict(played.result.error or {})], default=str)
    for name in runbook.secrets:
        if canary(name) in text:
            yield f"the secret {name} stands in the journal"


def _survived(nodes: Mapping[str, Action], library: Library, kill: Kill, base: Played, played: Played) -> Iterator[str]:
    """A process that dies costs nothing, but the certainty about a step that may not be done twice."""
    node = nodes.get(name_of(kill.path))
    may_be_unknown = (
        node is not None
        and (kill.event, kill.moment) in {("intent", "after"), ("outcome", "before")}
        and not effect_of(node, library.kinds[node.kind])[1]
    )
    if may_be_unknown and played.result.status == "unknown":
        return
    if played.result.status != base.result.status:
        yield f"the resumed run is {played.result.status}; without the kill it is {base.result.status}"
    elif Counter(_succeeded(played)) != Counter(_succeeded(base)):
        yield "the resumed run has not done the same steps"


def _succeeded(played: Played) -> list[str]:
    return [
        event.path for event in played.events if event.name == "outcome" and event.fields.get("status") == "succeeded"
    ]
