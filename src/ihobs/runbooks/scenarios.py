"""Play the scenarios of a runbook, and say what they expect and did not get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ihobs.documents import parse
from ihobs.errors import InvalidInputError
from ihobs.runbooks.checking import effect_of
from ihobs.runbooks.masking import Secrets
from ihobs.runbooks.model import Action, Loop, Node, Parallel, Runbook, Scenario, children, walk
from ihobs.runbooks.running import Request, Result, Walk, new_run
from ihobs.runbooks.scenarios_stage import Inline, Kill, KilledError, Stage, StagedJournal, name_of
from ihobs.store.state.runs import RunEvent

if TYPE_CHECKING:
    from ihobs.documents import At
    from ihobs.runbooks.library import Library
    from ihobs.store.state.runs import Run

MAX_WALKS = 1_000
"""A scenario that is asked more often than that asks for ever."""

Way = tuple[str, str]
"""The name of a node, and a way that was taken there."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a scenario.

    Attributes:
        events: the journal. ways: those that were taken.
        path: names of what ran, in order, each once. done: paths of steps, whenever one was done.
        problems: what is wrong with the fakes.
        first_process: how many of the events were written before the process died; 0: it did not.
    """

    result: Result
    events: tuple[RunEvent, ...]
    ways: frozenset[Way]
    path: tuple[str, ...]
    done: tuple[str, ...]
    problems: tuple[str, ...] = ()
    first_process: int = 0

    def tried(self, name: str) -> int:
        """Return how often a step was tried."""
        return sum(event.name == "outcome" and name_of(event.path) == name for event in self.events)

    def succeeded(self) -> Iterator[str]:
        """Yield the names of steps as they succeed."""
        for event in self.events:
            if event.name == "outcome" and event.fields["status"] == "succeeded":
                yield name_of(event.path)

    def undone(self) -> list[str]:
        """Return the names of steps that were undone, in order."""
        return [name.removesuffix(".undo") for name in self.succeeded() if name.endswith(".undo")]


@dataclass(frozen=True, slots=True)
class Unmet:
    """An expectation that is not met; `at` is where it stands in the runbook."""

    at: At
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scenario and what came of it. `failures` have "file:line:column: reason" for each unmet expectation."""

    scenario: Scenario
    played: Played | None
    failures: tuple[str, ...]


def check(runbook: Runbook, library: Library, scenario: Scenario) -> Outcome:
    """Play a scenario and compare."""
    try:
        played = play(runbook, library, scenario)
    except InvalidInputError as error:
        return Outcome(scenario, None, placed(runbook, [Unmet((*scenario.at, "inputs"), error.reason)]))
    found = [*unmet(runbook, library, scenario, played)]
    return Outcome(scenario, played, placed(runbook, found))


def placed(runbook: Runbook, found: Iterable[Unmet]) -> tuple[str, ...]:
    """Return what is not met with file, line and column."""
    found = list(found)
    if not found:
        return ()
    document = parse(runbook.path, runbook.source)
    texts = []
    for one in found:
        place = document.values.get(one.at) or document.place(one.at)
        where = f"{runbook.path}:{place.line}:{place.column}" if place else str(runbook.path)
        texts.append(f"{where}: {one.reason}")
    return tuple(texts)


def play(
    runbook: Runbook, library: Library, scenario: Scenario, *, kill: Kill | None = None, is_strict: bool = True
) -> Played:
    """Play a scenario.

    Args:
        kill: when the process dies; the run is resumed then.
        is_strict: whether answers that are missing, or not asked for, are problems.

    Raises:
        InvalidInputError: its inputs do not fit.
    """
    stage = Stage(runbook, library.kinds, library.find, scenario.fakes, is_strict, journal=StagedJournal(kill=kill))
    ways: set[Way] = set()

    def taken(path: str, way: str) -> None:
        if not stage.journal.is_dead:
            ways.add((name_of(path), way))
            if way != "skipped":
                stage.journal.trail.append(name_of(path))

    run = new_run(runbook, Request(scenario.inputs, "a test"), stage.time.timing())
    player = Walk(
        runbook=runbook,
        run=run,
        library=replace(library, kinds=stage.staged_kinds()),
        journal=stage.journal,
        performer=Inline(),
        secrets=_canaries(runbook, library),
        timing=stage.time.timing(),
        taken=taken,
    )
    result, first_process = _to_the_end(player, stage, run)
    return Played(
        result=result,
        events=tuple(stage.journal.kept),
        ways=frozenset(ways),
        path=_in_order(runbook, stage.journal),
        done=tuple(stage.done),
        problems=tuple(dict.fromkeys((*stage.problems, *(stage.unused() if is_strict else ())))),
        first_process=first_process,
    )


def canary(name: str) -> str:
    """Return what a secret is on the stage: a value that can be looked for wherever it must not be."""
    return f"canary-of-{name}-7Hq2"


def _canaries(runbook: Runbook, library: Library) -> Secrets:
    names = {name for one in library.definitions(runbook) for name in library.find(one).secrets}
    return Secrets({name: canary(name) for name in sorted(names)})


def _to_the_end(player: Walk, stage: Stage, run: Run) -> tuple[Result, int]:
    """Walk, answer questions and walk on, until the run ends or nobody answers."""
    first_process = 0
    result = Result(run.id, "waiting")
    for _ in range(MAX_WALKS):
        try:
            result = player.go()
        except KilledError:
            first_process = len(stage.journal.kept)
            stage.journal.revive()
            continue
        if result.status != "waiting" or not _answer(stage, result.paused_at):
            break
    return result, first_process


def _answer(stage: Stage, path: str) -> bool:
    """Answer a question as the scenario says; return whether it did."""
    asked = next(event for event in reversed(stage.journal.kept) if event.path == path and event.name == "asked")
    answer = stage.answer_to(asked)
    if answer:
        stage.journal.append(RunEvent("answered", stage.time(), path, 0, answer))
    return answer is not None


def _in_order(runbook: Runbook, journal: StagedJournal) -> tuple[str, ...]:
    """Return what ran, each once: blocks before what is in them, branches that ran together one after another."""
    above = dict(_above(runbook.steps, ()))
    names: dict[str, None] = {}
    for full_name in journal.trail:
        name = full_name.partition("/")[0]  # of what is called here, the call is what ran here
        if name in above:
            names |= dict.fromkeys((*above[name], name))
    path = list(names)
    for node in walk(runbook.steps):
        if isinstance(node, Parallel):
            numbers = {one.id: n for n, steps in enumerate(node.branches.values()) for one in walk(steps)}
        elif isinstance(node, Loop) and node.concurrency > 1:
            numbers = {one.id: n for n, one in enumerate(walk(node.steps))}
        else:
            continue
        slots = [index for index, name in enumerate(path) if name in numbers]
        for index, name in zip(slots, sorted((path[slot] for slot in slots), key=numbers.__getitem__), strict=True):
            path[index] = name
    return tuple(path)


def _above(steps: tuple[Node, ...], blocks: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each node with the blocks that it is in, outermost first."""
    for node in steps:
        yield node.id, blocks
        for _, inner in children(node):
            yield from _above(inner, (*blocks, node.id))


def unmet(runbook: Runbook, library: Library, scenario: Scenario, played: Played) -> Iterator[Unmet]:
    """Yield the expectations of a scenario that are not met."""
    expect, at = scenario.expect, (*scenario.at, "expect")
    for problem in played.problems:
        yield Unmet((*scenario.at, "fake"), problem)
    status = expect.get("status", None if "end_state" in expect else "succeeded")
    if status not in (None, played.result.status):
        place = (*at, "status") if "status" in expect else at
        yield Unmet(place, f"status: {played.result.status}, not {status}{_why(played)}")
    for key, actual in _actual(runbook, library, played).items():
        if key in expect and expect[key] != actual:
            yield Unmet((*at, key), f"{key}: {actual}, not {expect[key]}")
    yield from _steps_unmet(expect, at, played)
    for name, value in expect.get("outputs", {}).items():
        if played.result.outputs.get(name) != value:
            yield Unmet((*at, "outputs", name), f"{name}: {played.result.outputs.get(name)!r}, not {value!r}")


def _actual(runbook: Runbook, library: Library, played: Played) -> dict[str, Any]:
    """Return what is compared as a whole."""
    nodes = {node.id: node for node in walk(runbook.steps) if isinstance(node, Action)}
    telling = {name for name, node in nodes.items() if effect_of(node, library.kinds[node.kind])[0] == "notify"}
    return {
        "end_state": played.result.end_state.name if played.result.end_state else None,
        "path": list(played.path),
        "undone": played.undone(),
        "notified": [name for name in played.succeeded() if name in telling],
    }


def _steps_unmet(expect: Mapping[str, Any], at: At, played: Played) -> Iterator[Unmet]:
    ran = {*played.path, *(name_of(event.path) for event in played.events if event.name == "outcome")}
    for index, name in enumerate(expect.get("ran", ())):
        if name not in ran:
            yield Unmet((*at, "ran", index), f"{name} did not run{_why(played)}")
    for index, name in enumerate(expect.get("not_ran", ())):
        if name in ran:
            yield Unmet((*at, "not_ran", index), f"{name} ran")
    for name, count in expect.get("calls", {}).items():
        if played.tried(name) != count:
            yield Unmet((*at, "calls", name), f"{name} was tried {played.tried(name)} times, not {count}")


def _why(played: Played) -> str:
    """Return where a run stopped, for a message."""
    if played.result.error:
        return f" ({played.result.error['step'] or 'the run'}: {played.result.error['message']})"
    return f" (at {played.result.paused_at})" if played.result.paused_at else ""
