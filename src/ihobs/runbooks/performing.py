"""How a step is really done: on a thread that can be given up, or by a stand-in that touches nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Protocol

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.errors import IhobsError
from ihobs.runbooks.evaluation import evaluate
from ihobs.runbooks.expressions import ExpressionError, parse
from ihobs.steps import Act, StepFailedError, Values

if TYPE_CHECKING:
    from ihobs.runbooks.model import Action
    from ihobs.steps import JsonSchema, StepKind

GRACE_S = 2.0
"""How long a step that is to stop may take to do so."""

LONGEST_NAP_S = 0.1
"""How soon a step, or the wait between two attempts, notices that it is to stop."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Time and chance, so that tests have their own.

    Attributes:
        sleep: waits for seconds. chance: returns a number from 0 to 1.
        longest_nap_s: how long to sleep at a time.
    """

    clock: Clock = now_ns
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    longest_nap_s: float = LONGEST_NAP_S

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Wait, or until `is_over`."""
        until_ns = self.clock() + round(seconds * SECOND_NS)
        while (left_ns := until_ns - self.clock()) > 0 and not is_over():
            self.sleep(min(left_ns / SECOND_NS, self.longest_nap_s))


@dataclass
class StepContext:
    """The `Context` that a step is given.

    Attributes:
        names: what expressions see. secrets: those of the runbook. stopping: whether the run is to stop.
    """

    run_id: str
    step: str
    attempt: int
    deadline_ns: int
    timing: Timing
    names: Mapping[str, Any]
    secrets: Mapping[str, str]
    stopping: Callable[[], bool]
    given_up: Event = field(default_factory=Event)

    @property
    def clock(self) -> Clock:
        """Tells the time."""
        return self.timing.clock

    @property
    def key(self) -> str:
        """The same for all attempts."""
        return f"{self.run_id}/{self.step}"

    def cancelled(self) -> bool:
        """Return whether the step is to stop."""
        return self.given_up.is_set() or self.clock() >= self.deadline_ns or self.stopping()

    def sleep(self, seconds: float) -> None:
        """Wait; less long when the step is to stop."""
        left_s = (self.deadline_ns - self.clock()) / SECOND_NS
        self.timing.wait(min(seconds, left_s), lambda: self.given_up.is_set() or self.stopping())
        if self.cancelled():
            raise StepFailedError("was ended before it was done", kind="timeout")

    def secret(self, name: str) -> str:
        """Return a secret of the runbook."""
        if name not in self.secrets:
            raise StepFailedError(f"the runbook does not name {name} under secrets", kind="refused")
        return self.secrets[name]

    def evaluate(self, expression: str, names: Values) -> Any:
        """Return what an expression yields."""
        try:
            return evaluate(parse(expression), {**self.names, **names})
        except ExpressionError as error:
            raise StepFailedError(error.reason, kind="expression") from error


class UnfinishedError(Exception):
    """A step did not end in time: nobody knows what it has done."""


class Performer(Protocol):
    """Does steps."""

    is_real: bool
    """Whether rows are written for steps whose effect is a row, and people are asked."""

    def do(self, node: Action, act: Act, context: StepContext, given: Values) -> Values:
        """Do a step of a kind with `run`, and return what it yields.

        Raises:
            StepFailedError: it failed.
            UnfinishedError: its time was up, or the run was to stop, before it ended.
        """

    def stand_in(
        self, node: Action, kind: StepKind, outputs: JsonSchema, context: StepContext, given: Values
    ) -> Values:
        """Return what stands for a step that is not really done."""


class OnThreads:
    """Does steps for real, each attempt on a thread of its own, which is left behind when it does not end."""

    is_real = True

    def do(self, node: Action, act: Act, context: StepContext, given: Values) -> Values:
        """Do a step, and wait for it no longer than it may take."""
        call = _Call(act, context, given, name=f"ihobs-step-{node.id}")
        call.start()
        try:
            while not call.ended.wait(_nap_s(context)):
                if context.cancelled():
                    call.give_up()
                    break
        except BaseException:  # Ctrl-C: what the step has started must not outlive us
            call.give_up()
            raise
        if call.outputs is not None:
            return call.outputs
        if call.error is None or (
            context.cancelled() and isinstance(call.error, StepFailedError) and call.error.kind == "timeout"
        ):
            raise UnfinishedError
        raise call.error

    def stand_in(
        self, node: Action, kind: StepKind, outputs: JsonSchema, context: StepContext, given: Values
    ) -> Values:
        """Refuse: everything is done for real."""
        raise AssertionError(node.id, kind.name, outputs, context, given)


class Examples:
    """Stands in for steps by the examples of their outputs: what a dry run shows."""

    is_real = False

    def do(self, node: Action, act: Act, context: StepContext, given: Values) -> Values:
        """Refuse: nothing is done for real."""
        raise AssertionError(node.id, act, context, given)

    def stand_in(
        self,
        node: Action,  # noqa: ARG002 - one signature for all
        kind: StepKind,
        outputs: JsonSchema,
        context: StepContext,
        given: Values,
    ) -> Values:
        """Return what the kind's own fake says, else examples."""
        if kind.fake is not None:
            return kind.fake(context, given)
        return {name: one["examples"][0] for name, one in outputs.get("properties", {}).items() if one.get("examples")}


class _Call(Thread):
    """One attempt of a step."""

    def __init__(self, act: Act, context: StepContext, given: Values, *, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._act, self._context, self._given = act, context, given
        self.ended = Event()
        self.outputs: Values | None = None
        self.error: Exception | None = None

    def give_up(self) -> None:
        """Tell the step to stop, and let it do so for a moment."""
        self._context.given_up.set()
        self.ended.wait(GRACE_S)

    def run(self) -> None:
        """Do it; whatever a plug-in raises is the step's failure."""
        try:
            self.outputs = self._act(self._context, self._given)
        except IhobsError as error:
            self.error = error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: its failure is the step's
            self.error = StepFailedError(f"{type(error).__name__}: {error}"[:500], kind="crashed")
        finally:
            self.ended.set()


def _nap_s(context: StepContext) -> float:
    left_s = (context.deadline_ns - context.clock()) / SECOND_NS
    return max(0.0, min(left_s, context.timing.longest_nap_s))
