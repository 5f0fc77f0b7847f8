"""The ways in which a step, or a whole run, does not simply go on; and the names that expressions see."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ihobs.steps import StepFailedError, Values

if TYPE_CHECKING:
    from ihobs.runbooks.model import Action, EndState, Runbook

NOT_TRIED_AGAIN = frozenset({"expression", "parameters", "refused", "fail", "check", "rejected", "expired", "assumed"})
"""Kinds of failures that would be the same the next time."""


class FailedError(Exception):
    """A step failed for good; `error` is what a runbook sees of it."""

    def __init__(self, error: Values) -> None:
        super().__init__(str(error.get("message", "")))
        self.error = dict(error)


class StoppedError(Exception):
    """The run is to stop: it was cancelled, or its time is up. What is to be undone is undone, nothing is rescued."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"message": message, "kind": status, "step": "", "status": None, "details": {}}


class PausedError(Exception):
    """The run cannot go on before somebody says something: an answer ("waiting"), or what became of a step."""

    def __init__(self, status: str, path: str) -> None:
        super().__init__(path)
        self.status, self.path = status, path


class EndedError(Exception):
    """A step said that the run ends here."""

    def __init__(self, state: EndState) -> None:
        super().__init__(state.name)
        self.state = state


def error_of(error: StepFailedError, step: str) -> dict[str, Any]:
    """Return what a runbook sees of a failure."""
    return {
        "message": error.message,
        "kind": error.kind,
        "step": step,
        "status": error.status,
        "details": error.details,
    }


def failure(step: str, message: str, kind: str) -> dict[str, Any]:
    """Return what a runbook sees of a failure of ours."""
    return error_of(StepFailedError(message, kind=kind), step)


@dataclass(frozen=True, slots=True)
class Change:
    """A step that has changed something, and how to take it back."""

    seq: int
    action: Action
    path: str
    frame: Frame
    outputs: Values


@dataclass(frozen=True)
class Frame:
    """Where the engine is: what is seen from there, and what would have to be undone.

    Attributes:
        runbook: the one that is run here: the run's, or one that it calls.
        prefix: of the paths of steps.
        names: what expressions see. steps: how each step went.
        changes: what was changed since the innermost `try` began.
        is_cleanup: goes on although the run is to stop: undo and `always`.
    """

    runbook: Runbook
    prefix: str
    names: MutableMapping[str, Any]
    steps: MutableMapping[str, Any]
    changes: list[Change] = field(default_factory=list)
    is_cleanup: bool = False

    def inside(self, prefix: str, **names: Any) -> Frame:
        """Return a frame for an item of a loop: it sees this one, and this one does not see into it."""
        steps: MutableMapping[str, Any] = ChainMap({}, self.steps)
        inner: MutableMapping[str, Any] = ChainMap({**names, "steps": steps}, self.names)
        return Frame(self.runbook, prefix, inner, steps, self.changes, self.is_cleanup)

    def seeing(self, *, is_cleanup: bool = False, **names: Any) -> Frame:
        """Return a frame that sees more; what its steps yield is seen here, too."""
        return Frame(
            self.runbook,
            self.prefix,
            _Over(names, self.names),
            self.steps,
            self.changes,
            self.is_cleanup or is_cleanup,
        )

    def trying(self) -> Frame:
        """Return a frame that begins anew with what would have to be undone."""
        return Frame(self.runbook, self.prefix, self.names, self.steps, [], self.is_cleanup)

    def note(self, name: str, status: str, attempts: int = 0, error: Values | None = None) -> None:
        """Note how a step went."""
        self.steps[name] = {"status": status, "attempts": attempts, **({"error": dict(error)} if error else {})}


class _Over(ChainMap[str, Any]):
    """Names over others; what is set goes to the others."""

    def __init__(self, names: dict[str, Any], below: MutableMapping[str, Any]) -> None:
        super().__init__(names, below)
        self._below = below

    def __setitem__(self, key: str, value: Any) -> None:
        """Set a name where it is seen by all."""
        self._below[key] = value
