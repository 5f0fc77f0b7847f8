"""Walk the tree of a runbook.

A resumed run walks it again from the beginning: steps that the journal has an outcome of yield it again instead of
being done, conditions are evaluated on the same values, and so the walk arrives where it was. Nothing else is stored
of where a run is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from ihobs.runbooks.acting import UNDO
from ihobs.runbooks.evaluation import evaluate, fill_in_all, holds
from ihobs.runbooks.expressions import Expression, ExpressionError
from ihobs.runbooks.model import Action, Attempt, Choice, Loop, Node, Parallel, Runbook
from ihobs.runbooks.outcomes import (
    Change,
    EndedError,
    FailedError,
    Frame,
    PausedError,
    StoppedError,
    failure,
)
from ihobs.steps import Context, StepFailedError, StepKind, Values

if TYPE_CHECKING:
    from ihobs.runbooks.acting import Actor

MAX_CALLS_DEEP = 10

Find = Callable[[str], Runbook]
"""Returns a runbook that is called."""

Taken = Callable[[str, str], None]
"""Told the path of a block and which way was taken: coverage asks for it."""


@dataclass
class Engine:
    """Walks a runbook for one run.

    Attributes:
        actor: does its steps. find: returns runbooks that it calls. taken: is told which ways are taken.
        rescued: whether a failure was rescued. undo_failures: what could not be undone.
    """

    actor: Actor
    find: Find
    taken: Taken = lambda _path, _way: None
    rescued: bool = False
    undo_failures: list[dict[str, Any]] = field(default_factory=list)

    def walk(self, steps: Sequence[Node], frame: Frame) -> None:
        """Do steps one after another.

        Raises:
            FailedError: one failed. StoppedError, PausedError, EndedError: the run goes no further for now.
        """
        for node in steps:
            self._node(node, frame)

    def _node(self, node: Node, frame: Frame) -> None:
        path = f"{frame.prefix}{node.id}"
        if node.when is not None and not self._holds(node.when, frame, node.id):
            frame.note(node.id, "skipped")
            self.taken(path, "skipped")
            return
        match node:
            case Action():
                self._action(node, frame, path)
            case Choice():
                self._choice(node, frame, path)
            case Loop():
                self._loop(node, frame, path)
            case Parallel():
                self._parallel(node, frame)
            case Attempt():
                self._attempt(node, frame, path)
        if not isinstance(node, Action):
            frame.note(node.id, "succeeded")

    def _holds(self, condition: Expression, frame: Frame, step: str) -> bool:
        try:
            return holds(condition, frame.names)
        except ExpressionError as error:
            raise FailedError(failure(step, error.reason, "expression")) from error

    def _action(self, node: Action, frame: Frame, path: str) -> None:
        try:
            outputs = self._call(node, frame, path) if node.kind == "call" else self._do(node, frame, path)
        except FailedError as error:
            attempts = sum(event.name == "outcome" for event in self.actor.history.of(path))
            frame.note(node.id, "failed", attempts, error.error)
            if not node.continue_on_error:
                raise
            return
        frame.names[node.id] = outputs

    def _do(self, node: Action, frame: Frame, path: str) -> Values:
        outputs, event = self.actor.perform(node, frame, path)
        frame.note(node.id, "succeeded", event.attempt)
        if node.undo is not None:
            frame.changes.append(Change(event.seq, node, path, frame, outputs))
        if node.kind == "end":
            raise EndedError(frame.runbook.end_states[outputs["state"]])
        return outputs

    def _choice(self, node: Choice, frame: Frame, path: str) -> None:
        for branch in node.branches:
            if branch.when is None or self._holds(branch.when, frame, node.id):
                self.taken(path, branch.name)
                self.walk(branch.steps, frame)
                return
        self.taken(path, "none")

    def _loop(self, node: Loop, frame: Frame, path: str) -> None:
        try:
            items = evaluate(node.items, frame.names)
        except ExpressionError as error:
            raise FailedError(failure(node.id, error.reason, "expression")) from error
        if not isinstance(items, list) or len(items) > node.limit:
            reason = f"{len(items)} items are more than {node.limit}" if isinstance(items, list) else "this is no list"
            raise FailedError(failure(node.id, reason, "expression"))
        self.taken(path, "none" if not items else "one" if len(items) == 1 else "many")
        names = [{node.name: item, f"{node.name}_index": index} for index, item in enumerate(items)]
        frames = [frame.inside(f"{path}[{index}]/", **one) for index, one in enumerate(names)]
        if node.concurrency == 1:
            for inner in frames:
                self.walk(node.steps, inner)
        else:
            self._together([(node.steps, inner) for inner in frames], node.concurrency)
        own = {one.id for one in node.steps if isinstance(one, Action)}
        results = [{name: inner.names[name] for name in own if name in inner.names} for inner in frames]
        frame.names[node.id] = {"count": len(items), "results": results}

    def _parallel(self, node: Parallel, frame: Frame) -> None:
        self._together([(steps, frame) for steps in node.branches.values()], len(node.branches))

    def _together(self, branches: Sequence[tuple[Sequence[Node], Frame]], at_a_time: int) -> None:
        """Walk branches at the same time, all of them to their end; then the gravest of what happened happens here."""
        if not branches:
            return
        with ThreadPoolExecutor(at_a_time, thread_name_prefix="ihobs-branch") as pool:
            ends = list(pool.map(lambda one: self._ended(*one), branches))
        for kind in (PausedError, StoppedError, FailedError, EndedError):
            paused = sorted((end for end in ends if isinstance(end, kind)), key=_gravity)
            if paused:
                raise paused[0]

    def _ended(self, steps: Sequence[Node], frame: Frame) -> Exception | None:
        try:
            self.walk(steps, frame)
        except (PausedError, StoppedError, FailedError, EndedError) as end:
            return end
        return None

    def _attempt(self, node: Attempt, frame: Frame, path: str) -> None:
        inner = frame.trying()
        end: Exception | None = None
        try:
            self.walk(node.steps, inner)
        except (FailedError, StoppedError) as failed:
            end = failed
            self.taken(path, "failed")
            self._undo(inner)
        except EndedError as ended:
            end = ended
            frame.changes.extend(inner.changes)
        else:
            self.taken(path, "succeeded")
            frame.changes.extend(inner.changes)
        if isinstance(end, FailedError) and node.rescue:
            end = self._rescued(node, frame, end)
        status = "failed" if isinstance(end, FailedError | StoppedError) else "succeeded"
        names: dict[str, Any] = {"run": {**frame.names["run"], "status": status}}
        if isinstance(end, FailedError | StoppedError):
            names["error"] = end.error
        self.walk(node.always, frame.seeing(is_cleanup=True, **names))
        if end is not None:
            raise end

    def _rescued(self, node: Attempt, frame: Frame, failed: FailedError) -> Exception | None:
        try:
            self.walk(node.rescue, frame.seeing(error=failed.error))
        except (FailedError, StoppedError, EndedError) as end:
            return end
        self.rescued = True
        return None

    def _undo(self, frame: Frame) -> None:
        """Take back what was changed, last first. What cannot be taken back is noted, and the rest still is."""
        for change in sorted(frame.changes, key=lambda one: one.seq, reverse=True):
            try:
                node, kind = self._reverse(change)
                self.actor.perform(node, change.frame.seeing(is_cleanup=True), f"{change.path}{UNDO}", kind)
            except FailedError as error:
                self.undo_failures.append(error.error)
        frame.changes.clear()

    def _reverse(self, change: Change) -> tuple[Action, StepKind]:
        """Return the step that takes a change back, and what it does."""
        action, kind = change.action, self.actor.kinds[change.action.kind]
        if isinstance(action.undo, Action):
            return action.undo, self.actor.kinds[action.undo.kind]

        def run(context: Context, _: Values) -> Values:
            if kind.undo is not None:
                kind.undo(context, self.actor.parameters(action, kind, change.frame), change.outputs)
            return {}

        reverse = StepKind(kind.name, kind.summary, "change", True, {}, {}, run, fake=lambda _context, _given: {})
        return Action(f"{action.id}.undo", kind.name, {}, action.at), reverse

    def _call(self, node: Action, frame: Frame, path: str) -> Values:
        runbook = self.find(str(node.parameters["runbook"]))
        try:
            given = fill_in_all(node.parameters.get("inputs", {}), frame.names)
            inputs = with_defaults(runbook, given)
        except (ExpressionError, StepFailedError) as error:
            raise FailedError(failure(node.id, str(error), "parameters")) from error
        if path.count("/") > MAX_CALLS_DEEP * 4:
            raise FailedError(failure(node.id, "calls are nested too deeply", "parameters"))
        steps: dict[str, Any] = {}
        names = {"inputs": inputs, "run": frame.names["run"], "steps": steps}
        inner = Frame(runbook, f"{path}/", names, steps, frame.changes, frame.is_cleanup)
        try:
            self.walk(runbook.steps, inner)
        except EndedError as ended:
            if ended.state.status == "failed":
                text = f"{runbook.id} ended as {ended.state.name}"
                raise FailedError(failure(node.id, text, "fail")) from ended
        frame.note(node.id, "succeeded", 1)
        return outputs_of_run(runbook, inner)


def with_defaults(runbook: Runbook, given: Values) -> dict[str, Any]:
    """Return the inputs of a run.

    Raises:
        StepFailedError: one is missing, unknown or does not fit.
    """
    inputs: dict[str, Any] = {}
    for name in given:
        if name not in runbook.inputs:
            raise StepFailedError(f"there is no input {name!r}; there are {', '.join(runbook.inputs) or 'none'}")
    for name, one in runbook.inputs.items():
        if name not in given and one.is_required:
            raise StepFailedError(f"the input {name!r} is missing")
        inputs[name] = given.get(name, one.schema.get("default"))
        error = next(iter(Draft202012Validator(dict(one.schema)).iter_errors(inputs[name])), None)
        if error is not None:
            raise StepFailedError(f"the input {name!r}: {error.message}"[:300])
    return inputs


def outputs_of_run(runbook: Runbook, frame: Frame) -> dict[str, Any]:
    """Return what a run yields; nothing for what was never set."""
    outputs = {}
    for name, expression in runbook.outputs.items():
        try:
            outputs[name] = evaluate(expression, frame.names)
        except ExpressionError:
            outputs[name] = None
    return outputs


def _gravity(end: Exception) -> bool:
    """Return what sorts a step that nobody knows of before one that waits."""
    return isinstance(end, PausedError) and end.status != "unknown"
