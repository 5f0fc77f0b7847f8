"""What a runbook is, once it is read: frozen values that the engine walks.

A runbook is a tree. Leaves are actions (a kind of step with its parameters); the other nodes say which of them run,
how often, and what happens when one fails. There is no goto, so it is well defined what a test covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ihobs.documents import At
    from ihobs.runbooks.expressions import Expression
    from ihobs.steps import Effect, JsonSchema

DEFAULT_TIMEOUT_S = 60.0
"""How long a step may take when nobody says."""

DEFAULT_RUN_TIMEOUT_S = 3600.0

Auto = Literal["none", "diagnose", "full"]
"""What a run that nobody started by hand may do: nothing, look and tell, or all of it."""

RunStatus = Literal["running", "waiting", "unknown", "succeeded", "rescued", "failed", "timed_out", "cancelled"]
"""How a run is. `waiting` wants an answer; `unknown` wants a person's word on a step that may or may not be done."""

FINAL: frozenset[str] = frozenset({"succeeded", "rescued", "failed", "timed_out", "cancelled"})


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried.

    Attributes:
        attempts: at most, the first included.
        backoff_s: the longest wait before the second attempt; doubled each time.
        max_backoff_s: the longest wait of all.
        jitter: wait for a random part of that ("full jitter"), so that many do not come back at once.
        condition: retry only when it holds; it sees `error`. None: whenever the step fails.
    """

    attempts: int = 1
    backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    jitter: bool = True
    condition: Expression | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """A step that does something.

    Attributes:
        id: unique in the runbook; expressions find the outputs under it.
        kind: name of a `StepKind`.
        parameters: as they stand in the file; text with `{{ }}` is filled in when the step runs.
        at: where the step stands in the document.
        when: the step is skipped when it does not hold.
        timeout_s: for each attempt.
        continue_on_error: its failure is recorded, and the run goes on.
        effect, idempotent: what the runbook says over the kind's own; None: the kind's own.
        undo: a step that takes it back; True: as its kind does it; None: it is not taken back.
        outputs: JSON Schema of its outputs, with examples, where the kind cannot know them (http, command, python).
        note: for people.
    """

    id: str
    kind: str
    parameters: Any
    at: At
    when: Expression | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    retry: Retry = field(default_factory=Retry)
    continue_on_error: bool = False
    effect: Effect | None = None
    idempotent: bool | None = None
    undo: Action | Literal[True] | None = None
    outputs: JsonSchema | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """One way out of a choice.

    Attributes:
        name: unique in the choice: "then", "else", "case1", "default".
        when: taken when it holds; None: taken when no other is.
    """

    name: str
    when: Expression | None
    steps: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """`if` or `switch`: the first branch whose condition holds; none when there is none."""

    id: str
    at: At
    branches: tuple[Branch, ...]
    word: Literal["if", "switch"] = "switch"
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """`for_each`: the same steps for each item of a list.

    Attributes:
        items: yields the list. name: what the item is called in the steps; its number is `<name>_index`.
        concurrency: how many items at a time.
        limit: more items than that is a mistake.
    """

    id: str
    at: At
    items: Expression
    name: str
    steps: tuple[Node, ...]
    concurrency: int = 1
    limit: int = 100
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Parallel:
    """Branches that run at the same time. One that fails does not stop the others; then the whole fails."""

    id: str
    at: At
    branches: Mapping[str, tuple[Node, ...]]
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """`try`: when a step of it fails, its finished changes are undone, last first; then `rescue`, then `always`."""

    id: str
    at: At
    steps: tuple[Node, ...]
    rescue: tuple[Node, ...] = ()
    always: tuple[Node, ...] = ()
    when: Expression | None = None


Node = Action | Choice | Loop | Parallel | Attempt


@dataclass(frozen=True, slots=True)
class EndState:
    """A named way for a run to end.

    Attributes:
        status: what it counts as.
        exit_code: what `ihobs run` ends with; None: as for the status.
        summary: one line for people.
    """

    name: str
    status: Literal["succeeded", "failed"] = "succeeded"
    exit_code: int | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts the runbook by itself.

    Attributes:
        on: "alert" or "incident".
        where: labels and what they must be, e.g. {"rule": "error_rate", "level": "critical"}.
        inputs: values or templates for the inputs; they see `event`.
    """

    on: Literal["alert", "incident"]
    where: Mapping[str, str]
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A test inside the runbook: what the world answers, and what must come of it.

    Attributes:
        fakes: for each step by its id: outputs, or a list of them, one for each call; `{"error": {...}}` fails.
        expect: status, path, ran, not_ran, calls, undone, end_state, outputs.
    """

    name: str
    at: At
    inputs: Mapping[str, Any]
    fakes: Mapping[str, Any]
    expect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """Something that a run is given: JSON Schema, with `default` and `description`. Required without a default."""

    name: str
    schema: JsonSchema

    @property
    def is_required(self) -> bool:
        """Whether a run cannot start without it."""
        return "default" not in self.schema


@dataclass(frozen=True, slots=True)
class Runbook:
    """A runbook that was read and found right.

    Attributes:
        id: its name. path: the file.
        source: its text; a run keeps it, so that a later change of the file does not reach runs under way.
        hash: of what the document says, not of how it is laid out.
        lock: runs of all runbooks with the same lock come one after another; "" : none.
        timeout_s: for a run, counted anew when it is resumed.
        auto: what it may do when nobody started it by hand.
        secrets: names of the environment variables that steps may use as secrets.
        outputs: what a run yields, by name; shown, and given to whoever calls it.
        faults: whether fault cases are generated for its tests: "all" or "none".
        fail_under_percent: least coverage by scenarios.
    """

    id: str
    path: Path
    source: str
    hash: str
    title: str
    steps: tuple[Node, ...]
    description: str = ""
    owner: str = ""
    links: Mapping[str, Any] = field(default_factory=dict)
    lock: str = ""
    timeout_s: float = DEFAULT_RUN_TIMEOUT_S
    auto: Auto = "none"
    inputs: Mapping[str, Input] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    outputs: Mapping[str, Expression] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] = ()
    end_states: Mapping[str, EndState] = field(default_factory=dict)
    scenarios: tuple[Scenario, ...] = ()
    faults: Literal["all", "none"] = "none"
    fail_under_percent: float = 0.0


def children(node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
    """Yield the lists of steps inside `node`, each with its name in paths."""
    match node:
        case Choice():
            yield from ((branch.name, branch.steps) for branch in node.branches)
        case Loop():
            yield "item", node.steps
        case Parallel():
            yield from node.branches.items()
        case Attempt():
            yield from (("try", node.steps), ("rescue", node.rescue), ("always", node.always))


def walk(steps: tuple[Node, ...]) -> Iterator[Node]:
    """Yield all nodes in the order of the file, parents first."""
    for node in steps:
        yield node
        for _, inner in children(node):
            yield from walk(inner)


def actions(steps: tuple[Node, ...]) -> Iterator[Action]:
    """Yield all actions, undo steps included, in the order of the file."""
    for node in walk(steps):
        if isinstance(node, Action):
            yield node
            if isinstance(node.undo, Action):
                yield node.undo
