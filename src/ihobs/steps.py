"""What a kind of runbook step is: the contract between the engine and whoever brings a kind, us or a plug-in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ihobs.errors import IhobsError

if TYPE_CHECKING:
    import sqlite3

    from ihobs.clock import Clock

Effect = Literal["read", "notify", "change", "manual"]
"""What a step does to the world: looks, tells people, changes something, or asks a person to act."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""How kinds, steps and inputs are named, so that expressions can speak of them."""

JsonSchema = Mapping[str, Any]
"""A JSON Schema (2020-12)."""

Values = Mapping[str, Any]
"""What JSON can hold, by name: parameters that go into a step, outputs that come out."""


class StepFailedError(IhobsError):
    """A step did not do what it was to do, and says so: what `error` is in a runbook.

    Attributes:
        message: one line for people. No secrets: it is stored and shown.
        kind: for conditions, such as "failed", "timeout", "refused", "unreachable", "expired".
        status: the number that the other side gave (HTTP status, exit code); None: it gave none.
        details: more facts, of what JSON can hold.
    """

    def __init__(
        self, message: str, *, kind: str = "failed", status: int | None = None, details: Values | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.kind, self.status, self.details = message, kind, status, dict(details or {})


class Context(Protocol):
    """What a step is given to work with while it runs.

    Attributes:
        run_id: of the run. step: the step's path in it, unique in the run.
        attempt: counts from 1.
        deadline_ns: when the step must have ended, by `clock`.
    """

    run_id: str
    step: str
    attempt: int
    deadline_ns: int

    @property
    def key(self) -> str:
        """The same for all attempts of this step, also after a crash: an idempotency key for the other side."""

    @property
    def clock(self) -> Clock:
        """Tells the time."""

    def cancelled(self) -> bool:
        """Return whether the step is to stop: its time is up, or its run is cancelled."""

    def sleep(self, seconds: float) -> None:
        """Wait; less long when the step is to stop.

        Raises:
            StepFailedError: the step is to stop.
        """

    def secret(self, name: str) -> str:
        """Return a secret that the runbook names under `secrets:`.

        Raises:
            StepFailedError: it is not named there, or not set.
        """

    def evaluate(self, expression: str, names: Values) -> Any:
        """Return what an expression of the runbook yields, with `names` beside what the runbook's step can see.

        Raises:
            StepFailedError: it cannot be evaluated.
        """


Act = Callable[[Context, Values], Values]
"""Does what a step is to do, with parameters that keep the kind's schema, and returns its outputs."""

Store = Callable[[Context, Values, "sqlite3.Connection"], Values]
"""As `Act`, inside a transaction."""

Reverse = Callable[[Context, Values, Values], None]
"""Takes back what a step did, given its parameters and its outputs."""


@dataclass(frozen=True, slots=True)
class StepKind:
    """A kind of step that runbooks can use.

    Attributes:
        name: the key under which a step stands in YAML.
        summary: one line for people.
        effect: what it does to the world.
        idempotent: doing it twice is as good as once, so it may be done again after a crash.
        parameters: JSON Schema of its parameters, an object.
        outputs: JSON Schema of its outputs, an object; each property has `examples`.
        run: does it. Called on a thread of its own. It returns before `context.deadline_ns`, or looks at
            `context.cancelled()`; what it still does after that is nobody's. None: the engine does it itself.
        store: does it instead of `run`, by writing rows in the transaction of state.db that also records the outcome:
            so it is done exactly once.
        undo: takes it back, twice is as good as once; None: the runbook says how, or it cannot be undone.
        fake: stands in for `run` in dry runs and tests, and touches nothing; None: the examples of `outputs`.
        shorthand: the parameter that a value means which is no mapping: `fail: "text"`.
        expressions: parameters whose text is an expression without braces; the step evaluates it itself.
        sees: names that those expressions can use beside the runbook's.
        secrets: parameters in which the runbook may use a secret; nowhere else may it.
        effect_of: tells effect and idempotence by the parameters as they stand in the runbook, when they decide.
        open_outputs: its outputs are not known beforehand, but what the runbook declares under `outputs:`.
        is_pure: it only computes, so dry runs and tests do it as it is.
    """

    name: str
    summary: str
    effect: Effect
    idempotent: bool
    parameters: JsonSchema
    outputs: JsonSchema
    run: Act | None = None
    store: Store | None = None
    undo: Reverse | None = None
    fake: Act | None = None
    shorthand: str = ""
    expressions: frozenset[str] = field(default_factory=frozenset)
    sees: frozenset[str] = field(default_factory=frozenset)
    secrets: frozenset[str] = field(default_factory=frozenset)
    effect_of: Callable[[Values], tuple[Effect, bool]] | None = None
    open_outputs: bool = False
    is_pure: bool = False

    def __post_init__(self) -> None:
        """Refuse a kind that could not be used.

        Raises:
            ValueError: its name is no name, or an output has no example.
        """
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name for a kind of step: small letters, digits and _")
        for name, schema in self.outputs.get("properties", {}).items():
            if not schema.get("examples"):
                raise ValueError(f"output {name!r} of {self.name!r} has no example")

    def example(self) -> dict[str, Any]:
        """Return outputs as they may be: the first example of each."""
        return {name: schema["examples"][0] for name, schema in self.outputs.get("properties", {}).items()}
