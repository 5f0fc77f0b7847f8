"""Start, go on with, and end runs of runbooks: who owns one, what is written around the walk, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from ihobs.clock import SECOND_NS, isoformat
from ihobs.errors import (
    EXIT_FINDING,
    EXIT_OK,
    EXIT_PARTIAL,
    EXIT_REFUSED,
    InvalidInputError,
    NotFoundError,
    RefusedError,
)
from ihobs.runbooks.acting import Actor, Watcher
from ihobs.runbooks.engine import Engine, outputs_of_run, with_defaults
from ihobs.runbooks.journal import Journal, StoredJournal
from ihobs.runbooks.masking import Secrets, read_secrets
from ihobs.runbooks.model import FINAL
from ihobs.runbooks.outcomes import EndedError, FailedError, Frame, PausedError, StoppedError, failure
from ihobs.runbooks.performing import OnThreads, Performer, Timing
from ihobs.steps import StepFailedError
from ihobs.store.state import runs
from ihobs.store.state.runs import Ending, Run, RunEvent

if TYPE_CHECKING:
    from ihobs.runbooks.library import Library
    from ihobs.runbooks.model import EndState, Runbook
    from ihobs.store.database import Database

EXIT_CODES = {
    "succeeded": EXIT_OK,
    "rescued": EXIT_OK,
    "failed": EXIT_FINDING,
    "timed_out": EXIT_FINDING,
    "cancelled": EXIT_REFUSED,
    "waiting": EXIT_PARTIAL,
    "unknown": EXIT_PARTIAL,
}
"""What `ihobs run` ends with, unless a named end says something else."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked for.

    Attributes:
        inputs: by name. started_by: who, or which alert. reason: why.
        permission: "full", or "diagnose": a change needs a person's word first.
    """

    inputs: Mapping[str, Any]
    started_by: str
    reason: str = ""
    permission: str = "full"


@dataclass(frozen=True, slots=True)
class Result:
    """How a run stands.

    Attributes:
        paused_at: path of the step that waits for a person; "" when none does.
        undo_failures: what should have been undone, and was not.
    """

    run_id: str
    status: str
    end_state: EndState | None = None
    error: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    paused_at: str = ""
    undo_failures: tuple[Mapping[str, Any], ...] = ()

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        if self.end_state is not None and self.end_state.exit_code is not None:
            return self.end_state.exit_code
        return EXIT_CODES[self.status]


@dataclass(frozen=True)
class Walk:
    """One walk through a runbook.

    Attributes:
        approver: who has approved everything beforehand; "": nobody. watch: is told every event.
        taken: is told which way is taken at each block.
        is_dry: what expressions see as `run.dry_run`.
    """

    runbook: Runbook
    run: Run
    library: Library
    journal: Journal
    performer: Performer
    secrets: Secrets
    timing: Timing
    approver: str = ""
    watch: Watcher = lambda _: None
    taken: Callable[[str, str], None] = lambda _path, _way: None
    is_dry: bool = False

    def go(self) -> Result:
        """Walk as far as possible, and return how the run stands; nothing of that is written yet."""
        engine = Engine(self._actor(), self.library.find, self.taken)
        steps: dict[str, Any] = {}
        names = {"inputs": dict(self.run.inputs), "run": self._facts(), "steps": steps}
        frame = Frame(self.runbook, "", names, steps)
        status, state, error, paused_at = "succeeded", None, None, ""
        try:
            engine.walk(self.runbook.steps, frame)
        except EndedError as ended:
            state, status = ended.state, ended.state.status
        except FailedError as failed:
            status, error = "failed", failed.error
        except StoppedError as stopped:
            status, error = stopped.status, stopped.error
        except PausedError as paused:
            status, paused_at = paused.status, paused.path
        if status == "succeeded" and engine.rescued:
            status = "rescued"
        if (
            status == "rescued" and engine.undo_failures
        ):  # something is neither done nor undone: nobody may call it well
            first = engine.undo_failures[0]
            status, error = "failed", {**first, "message": f"could not be undone: {first['message']}"}
        outputs = self.secrets.mask(outputs_of_run(self.runbook, frame)) if status in {"succeeded", "rescued"} else {}
        return Result(
            self.run.id, status, state, self.secrets.mask(error), outputs, paused_at, tuple(engine.undo_failures)
        )

    def _actor(self) -> Actor:
        return Actor(
            run_id=self.run.id,
            kinds=self.library.kinds,
            journal=self.journal,
            performer=self.performer,
            secrets=self.secrets,
            timing=self.timing,
            deadline_ns=self.timing.clock() + round(self.runbook.timeout_s * SECOND_NS),
            permission=self.run.permission,
            approver=self.approver,
            watch=self.watch,
        )

    def _facts(self) -> dict[str, Any]:
        """Return what expressions see as `run`; the same whenever the run is resumed."""
        return {
            "id": self.run.id,
            "runbook": self.runbook.id,
            "by": self.run.started_by,
            "reason": self.run.reason,
            "started_at": isoformat(self.run.started_ns),
            "status": "running",
            "dry_run": self.is_dry,
        }


@dataclass(frozen=True)
class Desk:
    """Where runs are started and gone on with.

    Attributes:
        database: state.db. environ: where secrets are.
    """

    database: Database
    library: Library
    environ: Mapping[str, str]
    timing: Timing = field(default_factory=Timing)
    performer: Performer = field(default_factory=OnThreads)

    def start(self, runbook: Runbook, request: Request) -> Run:
        """Store a new run, which nobody has begun to walk.

        Raises:
            InvalidInputError: an input does not fit.
            RefusedError: another run holds the lock, or a secret is missing.
        """
        run = new_run(runbook, request, self.timing)
        run = replace(run, definitions=self.library.definitions(runbook))
        known = self._secrets(run, self.library.keeping(run.definitions))
        if known.mask(run.inputs) != run.inputs:
            raise InvalidInputError("--input", "holds a secret, and would be stored", "use `secrets:` of the runbook")
        runs.start(self.database, run)
        return run

    def walk(self, run: Run, *, by: str = "", approver: str = "", watch: Watcher = lambda _: None) -> Result:
        """Walk a run as far as possible, as its only owner.

        Args:
            by: who lets it go on, for the journal.
            approver: who has approved of everything beforehand; "": nobody.
            watch: is told every event.

        Raises:
            RefusedError: another process owns it, or it has ended.
        """
        with self.database.home.locked(lock_of(run.id), wait=False) as is_ours:
            if not is_ours:
                owner = self.database.home.lock_owner(lock_of(run.id))
                raise RefusedError(f"the run {run.id} is under way in process {owner}", "wait for it, or cancel it")
            run = runs.find(self.database, run.id)
            if run.status in FINAL:
                raise RefusedError(f"the run {run.id} has ended: {run.status}", "start a new one")
            journal = StoredJournal(self.database, run.id, self.timing.clock)
            if len(journal.events()) > 1:
                runs.resume(self.database, run.id, RunEvent("resumed", self.timing.clock(), fields={"by": by}))
            return self._walk(run, journal, approver, watch)

    def answer(self, run_id: str, path: str, *, by: str, answer: Any) -> None:
        """Store the answer to a question.

        Raises:
            NotFoundError: there is no such question. InvalidInputError: the answer does not fit it.
            RefusedError: it has been answered.
        """
        asked = self._open_question(run_id, path, ("ask",))
        schema = asked.fields.get("schema") or {"type": "string"}
        error = next(iter(Draft202012Validator(schema).iter_errors(answer)), None)
        if error is not None:
            raise InvalidInputError(f"{run_id} {path}", error.message)
        self._tell(run_id, path, by=by, answer=answer)

    def approve(self, run_id: str, path: str, *, by: str, yes: bool, note: str = "") -> None:
        """Store that somebody approves of what a run is about to do, or has done what it asked for; or does not.

        Raises:
            NotFoundError: it does not ask for that. RefusedError: it has been answered.
        """
        self._open_question(run_id, path, ("approve", "manual"))
        self._tell(run_id, path, by=by, yes=yes, note=note)

    def assume(self, run_id: str, path: str, *, by: str, status: str, outputs: Mapping[str, Any]) -> None:
        """Store a person's word on a step of which nobody knows what became: "done", "redo" or "failed".

        Raises:
            NotFoundError: there is no such step.
        """
        if not any(event.path == path for event in runs.events(self.database, run_id)):
            raise NotFoundError("step", path, f"see 'ihobs runs show {run_id}'")
        fields: dict[str, Any] = {"status": status, "by": by}
        if status == "done":
            fields["outputs"] = dict(outputs)
        elif status == "failed":
            fields["error"] = failure(path.rpartition("/")[2], f"{by} says that it failed", "assumed")
        attempt = max(event.attempt for event in runs.events(self.database, run_id) if event.path == path)
        event = RunEvent("assumed", self.timing.clock(), path, attempt, fields)
        runs.append(self.database, run_id, event)

    def cancel(self, run_id: str, *, by: str) -> bool:
        """Store that a run is to stop; return False when it has ended already."""
        return runs.cancel(self.database, run_id, by=by, at_ns=self.timing.clock())

    def questions(self, run_id: str) -> list[RunEvent]:
        """Return the questions of a run that wait for an answer, oldest first."""
        asked: dict[str, RunEvent] = {}
        for event in runs.events(self.database, run_id):
            if event.name == "asked":
                asked[event.path] = event
            elif event.name in {"answered", "outcome"}:
                asked.pop(event.path, None)
        return list(asked.values())

    def _open_question(self, run_id: str, path: str, kinds: tuple[str, ...]) -> RunEvent:
        waiting = {event.path: event for event in self.questions(run_id)}
        if path in waiting and waiting[path].fields["kind"] in kinds:
            return waiting[path]
        known = [event for event in runs.events(self.database, run_id) if event.path == path and event.name == "asked"]
        if known and path not in waiting:
            raise RefusedError(f"{path} of {run_id} has been answered", f"see 'ihobs runs show {run_id}'")
        hint = f"{path} is answered by 'ihobs runs {'answer' if kinds[0] == 'approve' else 'approve'}'" if known else ""
        raise NotFoundError("question", path, hint or f"see 'ihobs runs show {run_id}'")

    def _tell(self, run_id: str, path: str, **fields: Any) -> None:
        runs.append(self.database, run_id, RunEvent("answered", self.timing.clock(), path, 0, fields))

    def _walk(self, run: Run, journal: Journal, approver: str, watch: Watcher) -> Result:
        library = self.library.keeping(run.definitions)
        walk = Walk(
            runbook=library.find(run.runbook),
            run=run,
            library=library,
            journal=journal,
            performer=self.performer,
            secrets=self._secrets(run, library),
            timing=self.timing,
            approver=approver,
            watch=watch,
        )
        result = walk.go()
        watch(journal.end(ending_of(result, self.timing.clock())))
        return result

    def _secrets(self, run: Run, library: Library) -> Secrets:
        """Return the secrets of a run and of all that it calls."""
        names = {name for one in run.definitions for name in library.find(one).secrets}
        return read_secrets(sorted(names), self.environ)


def new_run(runbook: Runbook, request: Request, timing: Timing) -> Run:
    """Return a run as it begins.

    Raises:
        InvalidInputError: an input does not fit.
    """
    try:
        inputs = with_defaults(runbook, request.inputs)
    except StepFailedError as error:
        raise InvalidInputError("--input", error.message) from error
    now_ns = timing.clock()
    moment = datetime.fromtimestamp(now_ns / SECOND_NS, UTC)
    return Run(
        id=f"RUN-{moment:%Y%m%d-%H%M%S}-{int(timing.chance() * 0xFFFF):04x}",
        runbook=runbook.id,
        hash=runbook.hash,
        lock=runbook.lock,
        definitions={},
        inputs=inputs,
        permission=request.permission,
        started_by=request.started_by,
        reason=request.reason,
        started_ns=now_ns,
        changed_ns=now_ns,
    )


def ending_of(result: Result, at_ns: int) -> Ending:
    """Return what is stored of a result."""
    return Ending(
        status=result.status,
        at_ns=at_ns,
        is_final=result.status in FINAL,
        end_state=result.end_state.name if result.end_state else "",
        error=result.error,
        outputs=result.outputs,
    )


def lock_of(run_id: str) -> str:
    """Return the name of the lock that the owner of a run holds."""
    return f"run-{run_id}"
