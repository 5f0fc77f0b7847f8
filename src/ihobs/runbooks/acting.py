"""One step: its attempts, what is written of them, and what a resumed run makes of what was written before."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from ihobs.clock import SECOND_NS
from ihobs.errors import IhobsError
from ihobs.quantities import seconds
from ihobs.runbooks.checking import effect_of, outputs_of
from ihobs.runbooks.evaluation import fill_in_all, holds
from ihobs.runbooks.expressions import ExpressionError
from ihobs.runbooks.journal import History, Journal, fields_of, last_of
from ihobs.runbooks.kinds.people import QUESTIONS
from ihobs.runbooks.outcomes import NOT_TRIED_AGAIN, FailedError, Frame, PausedError, StoppedError, error_of, failure
from ihobs.runbooks.performing import Performer, StepContext, Timing, UnfinishedError
from ihobs.steps import StepFailedError, StepKind, Values
from ihobs.store.state.runs import RunEvent

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ihobs.runbooks.masking import Secrets
    from ihobs.runbooks.model import Action
    from ihobs.runbooks.registry import Kinds

MAX_OUTPUT_CHARS = 131_072
"""Of a step's outputs as JSON; two streams of a command fit."""

UNDO = ".undo"
"""Ends the path of what takes a step back."""

Watcher = Callable[[RunEvent], None]
"""Told every event of a run as it is written, from the thread that writes it."""


@dataclass
class Actor:
    """Does the steps of one run.

    Attributes:
        run_id: of the run. kinds: of steps. journal: where events go. history: what was there, and what is added.
        performer: how steps are done. secrets: of the run. permission: "full" or "diagnose".
        approver: who has said yes to every approval beforehand; "": nobody.
        deadline_ns: when the run must end. watch: is told every event.
    """

    run_id: str
    kinds: Kinds
    journal: Journal
    performer: Performer
    secrets: Secrets
    timing: Timing
    deadline_ns: int
    permission: str = "full"
    approver: str = ""
    watch: Watcher = lambda _: None
    history: History = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self.journal.events())

    def write(self, name: str, path: str, attempt: int = 0, **fields: Any) -> RunEvent:
        """Write an event, without secrets."""
        event = RunEvent(name, self.timing.clock(), path, attempt, self.secrets.mask(fields))
        return self._heard(self.journal.append(event))

    def _heard(self, event: RunEvent) -> RunEvent:
        self.history.add(event)
        self.watch(event)
        return event

    def check_stop(self, frame: Frame) -> None:
        """Raise when the run is to stop, unless it is cleaning up.

        Raises:
            StoppedError: it was cancelled, or its time is up.
        """
        if frame.is_cleanup:
            return
        stopper = self.journal.cancelled_by()
        if stopper is not None:
            raise StoppedError("cancelled", f"cancelled by {stopper}")
        if self.timing.clock() >= self.deadline_ns:
            raise StoppedError("timed_out", "the time of the run is up")

    def perform(self, node: Action, frame: Frame, path: str, kind: StepKind | None = None) -> tuple[Values, RunEvent]:
        """Do a step until it is done, or return what it yielded before the run was resumed.

        Args:
            kind: what it does, when that is not what its kind's name says.

        Raises:
            FailedError: it failed for good. PausedError: a person must say something. StoppedError: the run stops.
        """
        kind = kind or self.kinds[node.kind]
        while True:
            past = self.history.of(path)
            event = self._settled(node, kind, frame, past) if past else None
            if event is not None:
                return self._result(event, frame), event
            self.check_stop(frame)
            if kind.name in QUESTIONS:
                self._question(node, frame, path)
            else:
                self._permit(node, kind, frame, path)
                self._attempt(node, kind, frame, path)

    def _result(self, event: RunEvent, frame: Frame) -> Values:
        status = event.fields.get("status")
        if status in {"succeeded", "done"}:
            outputs: Values = event.fields.get("outputs", {})
            return outputs
        self.check_stop(frame)
        raise FailedError(event.fields["error"])

    def _settled(self, node: Action, kind: StepKind, frame: Frame, past: Sequence[RunEvent]) -> RunEvent | None:
        """Return the event that settles a step; None when there is still something to do.

        Raises:
            PausedError: nobody knows what became of it.
        """
        last = past[-1]
        if last.name == "intent":
            if effect_of(node, kind)[1]:
                return None
            raise PausedError("unknown", last.path)
        if last.name == "assumed":
            return None if last.fields["status"] == "redo" else last
        if last.name != "outcome":
            return None
        status = last.fields["status"]
        if status == "unknown":
            raise PausedError("unknown", last.path)
        if status == "succeeded" or not self._tries_again(node, frame, past):
            return last
        self._wait(node, frame, past)
        return None

    def _tries_again(self, node: Action, frame: Frame, past: Sequence[RunEvent]) -> bool:
        error = past[-1].fields["error"]
        failures = sum(event.name == "outcome" for event in past)
        if failures >= node.retry.attempts or error["kind"] in NOT_TRIED_AGAIN:
            return False
        if node.retry.condition is None:
            return True
        try:
            return holds(node.retry.condition, frame.seeing(error=error).names)
        except ExpressionError:
            return False

    def _wait(self, node: Action, frame: Frame, past: Sequence[RunEvent]) -> None:
        """Wait before the next attempt: exponentially longer, with full jitter."""
        failures = sum(event.name == "outcome" for event in past)
        longest_s = min(node.retry.max_backoff_s, node.retry.backoff_s * 2.0 ** (failures - 1))
        delay_s = longest_s * self.timing.chance() if node.retry.jitter else longest_s
        waited_s = (self.timing.clock() - past[-1].at_ns) / SECOND_NS
        self.timing.wait(delay_s - max(0.0, waited_s), lambda: self._is_stopping(frame))
        self.check_stop(frame)

    def _is_stopping(self, frame: Frame) -> bool:
        try:
            self.check_stop(frame)
        except StoppedError:
            return True
        return False

    def _attempt(self, node: Action, kind: StepKind, frame: Frame, path: str) -> None:
        """Try once, and write what came of it."""
        attempt = 1 + max((event.attempt for event in self.history.of(path)), default=0)
        context = self._context(node, frame, path, attempt)
        try:
            given = self.parameters(node, kind, frame)
            if kind.store is not None and self.performer.is_real:
                self._store(node, kind, context, given)
                return
            if not kind.is_pure:
                self.write("intent", path, attempt, parameters=given)
            outputs = self._checked(node, kind, self._done(node, kind, context, given))
        except UnfinishedError:
            self._unfinished(node, kind, frame, path, attempt)
        except StepFailedError as error:
            self.write("outcome", path, attempt, status="failed", error=error_of(error, node.id))
        except IhobsError as error:
            self.write("outcome", path, attempt, status="failed", error=failure(node.id, str(error), "failed"))
        else:
            self.write("outcome", path, attempt, status="succeeded", outputs=outputs)

    def _done(self, node: Action, kind: StepKind, context: StepContext, given: Values) -> Values:
        if kind.run is not None and kind.is_pure:
            return kind.run(context, given)
        if kind.run is not None and self.performer.is_real:
            return self.performer.do(node, kind.run, context, given)
        return self.performer.stand_in(node, kind, outputs_of(node, kind), context, given)

    def _store(self, node: Action, kind: StepKind, context: StepContext, given: Values) -> None:
        """Do a step whose effect is a row, in the transaction that records it."""
        store = kind.store

        def within(connection: sqlite3.Connection) -> Mapping[str, Any]:
            outputs = store(context, given, connection) if store else {}
            return {"outputs": self.secrets.mask(self._checked(node, kind, outputs))}

        fields = self.secrets.mask({"status": "succeeded", "parameters": given})
        event = RunEvent("outcome", self.timing.clock(), context.step, context.attempt, fields)
        self._heard(self.journal.append(event, within))

    def _unfinished(self, node: Action, kind: StepKind, frame: Frame, path: str, attempt: int) -> None:
        """Write that a step was given up: a failure when it can be done again, else nobody knows."""
        is_stopped = self._is_stopping(frame)
        what = "the run was to stop" if is_stopped else f"it took longer than {node.timeout_s:g} s"
        error = failure(node.id, what, "cancelled" if is_stopped else "timeout")
        status = "failed" if effect_of(node, kind)[1] else "unknown"
        self.write("outcome", path, attempt, status=status, error=error)

    def _context(self, node: Action, frame: Frame, path: str, attempt: int) -> StepContext:
        deadline_ns = self.timing.clock() + round(node.timeout_s * SECOND_NS)
        if not frame.is_cleanup:
            deadline_ns = min(deadline_ns, self.deadline_ns)
        return StepContext(
            run_id=self.run_id,
            step=path,
            attempt=attempt,
            deadline_ns=deadline_ns,
            timing=self.timing,
            names=frame.names,
            secrets={name: self.secrets[name] for name in frame.runbook.secrets if name in self.secrets},
            stopping=lambda: not frame.is_cleanup and self.journal.cancelled_by() is not None,
        )

    def parameters(self, node: Action, kind: StepKind, frame: Frame) -> dict[str, Any]:
        """Return the parameters of a step with everything filled in.

        Raises:
            StepFailedError: an expression cannot be evaluated, or what it yields does not fit.
        """
        secret = {name: self.secrets[name] for name in frame.runbook.secrets if name in self.secrets}
        filled = {}
        for name, value in node.parameters.items():
            names = frame.seeing(secret=secret).names if name in kind.secrets else frame.names
            try:
                filled[name] = value if name in kind.expressions else fill_in_all(value, names)
            except ExpressionError as error:
                raise StepFailedError(f"{name}: {error.reason}", kind="expression") from error
        if filled != node.parameters:
            _check(kind.parameters, filled, "parameters")
        return filled

    def _checked(self, node: Action, kind: StepKind, outputs: Values) -> dict[str, Any]:
        """Return outputs as JSON keeps them, when they keep their schema.

        Raises:
            StepFailedError: they do not, or are too large.
        """
        try:
            text = json.dumps(dict(outputs), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise StepFailedError(f"the outputs are no JSON: {error}", kind="outputs") from error
        if len(text) > MAX_OUTPUT_CHARS:
            raise StepFailedError(f"the outputs are larger than {MAX_OUTPUT_CHARS} characters", kind="outputs")
        made: dict[str, Any] = json.loads(text)
        _check(outputs_of(node, kind), made, "outputs")
        return made

    def _permit(self, node: Action, kind: StepKind, frame: Frame, path: str) -> None:
        """Ask a person before a change that the run may not make by itself; what was allowed may be undone."""
        if (
            self.permission == "full"
            or path.endswith(UNDO)
            or effect_of(node, kind)[0] != "change"
            or not self.performer.is_real
        ):
            return
        question = replace(
            node, kind="approve", parameters={"text": f"{node.kind}: {node.note or node.id} (not covered by tests)"}
        )
        self.perform(question, frame, f"{path}.permit")

    def _question(self, node: Action, frame: Frame, path: str) -> None:
        """Ask a person, or take what was answered.

        Raises:
            PausedError: nobody has answered yet.
        """
        past = self.history.of(path)
        asked, answered = last_of(past, "asked"), last_of(past, "answered")
        kind = self.kinds[node.kind]
        if asked is None:
            self._ask(node, kind, frame, path)
            return
        if answered is not None:
            self._take_answer(node, path, answered)
        elif not self.performer.is_real:
            outputs = self.performer.stand_in(
                node, kind, outputs_of(node, kind), self._context(node, frame, path, 1), {}
            )
            self.write("outcome", path, 1, status="succeeded", outputs=outputs)
        elif self.approver and node.kind == "approve":
            self.write("answered", path, yes=True, by=self.approver)
        elif asked.fields["expires_ns"] is not None and self.timing.clock() >= asked.fields["expires_ns"]:
            self.write("outcome", path, 1, status="failed", error=failure(node.id, "nobody has answered", "expired"))
        else:
            raise PausedError("waiting", path)

    def _ask(self, node: Action, kind: StepKind, frame: Frame, path: str) -> None:
        try:
            given = self.parameters(node, kind, frame)
        except StepFailedError as error:
            self.write("outcome", path, 1, status="failed", error=error_of(error, node.id))
            return
        expires_ns = None
        if "expires" in given:
            expires_ns = self.timing.clock() + round(seconds(given["expires"]) * SECOND_NS)
        self.write(
            "asked",
            path,
            kind=node.kind,
            text=given["text"],
            schema=given.get("schema"),
            expires_ns=expires_ns,
            **{"from": given.get("from", [])},
        )

    def _take_answer(self, node: Action, path: str, answered: RunEvent) -> None:
        said = fields_of(answered)
        if not said.get("yes", True):
            text = f"{said['by']} said no" + (f": {said['note']}" if said.get("note") else "")
            self.write("outcome", path, 1, status="failed", error=failure(node.id, text, "rejected"))
            return
        outputs = {"by": said["by"], **({"answer": said["answer"]} if "answer" in said else {})}
        self.write("outcome", path, 1, status="succeeded", outputs=outputs)


def _check(schema: Mapping[str, Any], value: Any, what: str) -> None:
    error = next(iter(Draft202012Validator(schema).iter_errors(value)), None)
    if error is not None:
        where = ".".join(str(part) for part in error.absolute_path)
        raise StepFailedError(f"the {what} do not fit: {where + ': ' if where else ''}{error.message}"[:500], kind=what)
