"""The stage on which scenarios are played: the engine is the real one, and everything that steps touch is a fake.

Time is virtual, so that waiting takes none. Nothing leaves the process: no network, no program, no database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from jsonschema import Draft202012Validator

from ihobs.clock import SECOND_NS
from ihobs.runbooks.checking import outputs_of
from ihobs.runbooks.journal import MemoryJournal
from ihobs.runbooks.kinds.measure import wait_until_kind
from ihobs.runbooks.kinds.people import QUESTIONS
from ihobs.runbooks.model import Action, Runbook, actions
from ihobs.runbooks.performing import Timing, UnfinishedError
from ihobs.runbooks.registry import Kinds
from ihobs.steps import Context, StepFailedError, StepKind, Values

if TYPE_CHECKING:
    import sqlite3

    from ihobs.runbooks.engine import Find
    from ihobs.runbooks.performing import StepContext
    from ihobs.steps import Act, JsonSchema
    from ihobs.store.state.runs import RunEvent, Within

BEGINS_NS = 1_767_225_600 * SECOND_NS
"""When every scenario begins: on 1 January 2026."""

AND_SO_ON = "..."
"""The last item of a list of answers: from here on, the answer before it is given again."""

TIMED_OUT = "timed_out"
"""The answer of a step that does not end in time."""

SAME_AS_REAL = frozenset({"wait"})
"""Kinds whose own code runs on the stage, as virtual time is all that they touch."""

_ITEM = re.compile(r"[^/]*\[\d+\]/")


def name_of(path: str) -> str:
    """Return how scenarios call the step at `path`: items of loops do not count, runbooks that are called do."""
    return _ITEM.sub("", path)


class KilledError(Exception):
    """The process is gone, as far as the run is concerned."""


@dataclass(frozen=True, slots=True)
class Kill:
    """When the process dies.

    Attributes:
        moment: "before" or "after" the event is written.
        event: "intent" or "outcome". path, attempt: of the step.
    """

    moment: str
    event: str
    path: str
    attempt: int


@dataclass
class VirtualTime:
    """A clock that only waiting moves."""

    now_ns: int = BEGINS_NS
    _lock: Lock = field(default_factory=Lock)

    def __call__(self) -> int:
        """Return the time."""
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        """Move on."""
        with self._lock:
            self.now_ns += round(seconds * SECOND_NS)

    def timing(self) -> Timing:
        """Return this time for the engine; chance always yields the middle."""
        return Timing(self, self.sleep, lambda: 0.5, longest_nap_s=1e9)


@dataclass
class StagedJournal(MemoryJournal):
    """A journal whose process can die at a given moment, and which notes the order in which steps are reached.

    Attributes:
        kill: when it dies. is_dead: nothing can be written any more.
        trail: names of steps, whenever something is written of them.
    """

    kill: Kill | None = None
    is_dead: bool = False
    trail: list[str] = field(default_factory=list)

    def append(self, event: RunEvent, within: Within | None = None) -> RunEvent:
        """Keep an event, together with what `within` does.

        Raises:
            KilledError: the process is dead.
        """
        self._die(event, "before")
        if within is not None:
            made = within(cast("sqlite3.Connection", None))  # kinds on the stage write no rows
            event = replace(event, fields={**event.fields, **made})
        self.trail.append(name_of(event.path))
        stored = super().append(event)
        self._die(event, "after")
        return stored

    def revive(self) -> None:
        """Go on in a new process."""
        self.kill, self.is_dead = None, False

    def _die(self, event: RunEvent, moment: str) -> None:
        kill = self.kill
        if kill is not None and (kill.moment, kill.event, kill.path, kill.attempt) == (
            moment,
            event.name,
            event.path,
            event.attempt,
        ):
            self.is_dead = True
        if self.is_dead:
            raise KilledError(event.path)


class Inline:
    """Does steps at once, on the thread that asks."""

    is_real = True

    def do(self, node: Action, act: Act, context: StepContext, given: Values) -> Values:  # noqa: ARG002 - one form
        """Do a step.

        Raises:
            StepFailedError: it failed.
            UnfinishedError: its time was up.
        """
        try:
            return act(context, given)
        except StepFailedError as error:
            if context.cancelled() and error.kind == "timeout":
                raise UnfinishedError from error
            raise

    def stand_in(
        self, node: Action, kind: StepKind, outputs: JsonSchema, context: StepContext, given: Values
    ) -> Values:
        """Refuse: fakes are part of the kinds."""
        raise AssertionError(node.id, kind.name, outputs, context, given)


@dataclass
class Stage:
    """Fakes for one scenario.

    Attributes:
        runbook: what is played. kinds: the real ones. find: returns runbooks that are called.
        fakes: what each step answers, by its name.
        is_strict: an answer that is missing is a problem; else examples stand in.
        journal: of the run. done: paths of steps in the order in which they were, or may have been, done.
        problems: what is wrong with the fakes themselves.
    """

    runbook: Runbook
    kinds: Kinds
    find: Find
    fakes: Mapping[str, Any]
    is_strict: bool = True
    time: VirtualTime = field(default_factory=VirtualTime)
    journal: StagedJournal = field(default_factory=StagedJournal)
    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _turns: dict[tuple[str, int], int] = field(default_factory=dict)
    _readings: dict[tuple[str, int], int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.nodes = dict(_nodes(self.runbook, self.find, ""))

    def staged_kinds(self) -> Kinds:
        """Return the kinds of steps with fakes in place of what they do."""
        return Kinds(self._staged(kind) for kind in self.kinds.values())

    def _staged(self, kind: StepKind) -> StepKind:
        if kind.is_pure or kind.name in QUESTIONS:
            return kind

        def run(context: Context, given: Values) -> Values:
            return self._act(kind, context, given)

        def store(context: Context, given: Values, connection: object) -> Values:  # noqa: ARG001 - the contract
            return self._act(kind, context, given)

        def undo(context: Context, given: Values, made: Values) -> None:  # noqa: ARG001 - the contract
            self._answered({}, context)
            self.done.append(context.step)

        is_row = kind.store is not None
        return replace(
            kind, run=None if is_row else run, store=store if is_row else None, undo=undo if kind.undo else None
        )

    def _act(self, kind: StepKind, context: Context, given: Values) -> Values:
        """Return what a step of the scenario yields, in place of what it does."""
        node = self.nodes[name_of(context.step)]
        if kind.name == "wait_until" and name_of(context.step) in self.fakes:
            outputs = self._waited(kind, context, given)
        elif kind.name in SAME_AS_REAL and kind.run is not None and name_of(context.step) not in self.fakes:
            outputs = kind.run(context, given)
        else:
            schema = outputs_of(node, kind)
            standard = kind.fake(context, given) if kind.fake else _examples(schema)
            outputs = {**standard, **self._answered({}, context)}
            self._check(context.step, schema, outputs)
        with self._lock:
            self.done.append(context.step)
        return outputs

    def _waited(self, kind: StepKind, context: Context, given: Values) -> Values:
        """Let the real kind wait; what it reads are the answers of the scenario, one after another."""

        def read(_context: Context, _given: Values) -> Values:
            with self._lock:
                turn = self._readings.get((context.step, context.attempt), 0)
                self._readings[context.step, context.attempt] = turn + 1
            reader = self.kinds[next(one for one in names if one in given)]
            made = {**_examples(reader.outputs), **self._plain(context, self._pick(context.step, turn, repeats=True))}
            self._check(context.step, reader.outputs, made)
            return made

        names = [one["required"][0] for one in kind.parameters["oneOf"]]
        readers = {name: replace(self.kinds[name], run=read) for name in names}
        wait = wait_until_kind(readers).run
        return wait(context, given) if wait else {}

    def _answered(self, otherwise: Values, context: Context) -> Values:
        """Return the scenario's answer for this attempt; the same when the attempt is made again after a crash."""
        if name_of(context.step) not in self.fakes:
            return otherwise
        return self._plain(context, self._pick(context.step, self._turn(context.step)))

    def _turn(self, path: str) -> int:
        """Return how many calls of the step came before; the same until this one's outcome is written."""
        name = name_of(path)
        outcomes = sum(event.path == path and event.name == "outcome" for event in self.journal.kept)
        with self._lock:
            before = sum(name_of(known) == name for known, _ in self._turns)
            return self._turns.setdefault((path, outcomes), before)

    def _pick(self, path: str, turn: int, *, repeats: bool = False) -> Any:
        """Return the answer for a turn."""
        answers = self.fakes[name_of(path)]
        if not isinstance(answers, list):
            return answers
        if turn < len(answers) and answers[turn] != AND_SO_ON:
            return answers[turn]
        goes_on = bool(answers) and answers[-1] == AND_SO_ON
        given = answers[:-1] if goes_on else answers
        if not goes_on and not repeats and self.is_strict:
            self.problems.append(f"{name_of(path)} is asked {turn + 1} times; there are {len(given)} answers")
        return given[-1] if given else {}

    def _plain(self, context: Context, answer: Any) -> Values:
        """Return an answer as outputs.

        Raises:
            StepFailedError: the answer is that the step fails.
            UnfinishedError: the answer is that it does not end in time.
        """
        if answer == TIMED_OUT:
            left_s = (context.deadline_ns - context.clock()) / SECOND_NS
            self.time.sleep(max(0.0, left_s))
            self.done.append(context.step)  # it may have been
            raise UnfinishedError
        if not isinstance(answer, Mapping):
            self.problems.append(f"{name_of(context.step)} cannot answer {answer!r}")
            return {}
        if isinstance(answer.get("error"), Mapping):
            error = dict(answer["error"])
            raise StepFailedError(str(error.pop("message", "failed, as the scenario says")), **error)
        return answer

    def answer_to(self, asked: RunEvent) -> Mapping[str, Any] | None:
        """Return the fields of the answer to a question; {} when it expires, None when nobody answers."""
        name = name_of(asked.path)
        if name not in self.fakes:
            return None
        answer = self._pick(asked.path, self._turn(asked.path))
        if answer == "expired":
            return self._expired(asked)
        if answer in ("approved", "done"):
            return {"yes": True, "by": "somebody"}
        if answer == "rejected":
            return {"yes": False, "by": "somebody"}
        if isinstance(answer, Mapping) and "answer" in answer and asked.fields["kind"] == "ask":
            self._check(asked.path, asked.fields["schema"] or {"type": "string"}, answer["answer"])
            return {"by": answer.get("by", "somebody"), "answer": answer["answer"]}
        if isinstance(answer, Mapping) and set(answer) == {"by"} and asked.fields["kind"] != "ask":
            return {"yes": True, "by": answer["by"]}
        self.problems.append(f"{name} is no question that can be answered with {answer!r}")
        return None

    def _expired(self, asked: RunEvent) -> Mapping[str, Any] | None:
        expires_ns = asked.fields["expires_ns"]
        if expires_ns is None:
            self.problems.append(f"{name_of(asked.path)} never expires: give it 'expires'")
            return None
        self.time.now_ns = max(self.time.now_ns, expires_ns)
        return {}

    def _check(self, path: str, schema: JsonSchema, value: Any) -> None:
        """Note when a fake is something that the real step could not yield."""
        error = next(iter(Draft202012Validator(dict(schema)).iter_errors(value)), None)
        if error is not None:
            where = ".".join(str(part) for part in error.absolute_path)
            self.problems.append(f"the fake of {name_of(path)} does not fit: {where and f'{where}: '}{error.message}")

    def unused(self) -> list[str]:
        """Return what is wrong with fakes that nobody asked for."""
        used = {name_of(path): 0 for path, _ in (*self._turns, *self._readings)}
        for path, _ in self._turns:
            used[name_of(path)] += 1
        for (path, _), count in self._readings.items():
            used[name_of(path)] = max(used[name_of(path)], count)
        texts = []
        for name, answers in self.fakes.items():
            if name not in used:
                texts.append(f"the fake of {name} is not used: the step does not run, or only computes")
            elif isinstance(answers, list) and answers[-1:] != [AND_SO_ON] and used[name] < len(answers):
                texts.append(f"{name} is asked {used[name]} times; there are {len(answers)} answers")
        return texts


def _nodes(runbook: Runbook, find: Find, prefix: str) -> Iterable[tuple[str, Action]]:
    """Yield every action by its name, those of called runbooks as well."""
    for node in actions(runbook.steps):
        yield f"{prefix}{node.id}", node
        if node.kind == "call":
            yield from _nodes(find(str(node.parameters["runbook"])), find, f"{prefix}{node.id}/")


def _examples(schema: JsonSchema) -> dict[str, Any]:
    return {name: one["examples"][0] for name, one in schema.get("properties", {}).items() if one.get("examples")}
