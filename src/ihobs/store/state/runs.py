"""Runs of runbooks in state.db, and their journal: what was about to be done, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ihobs.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    import sqlite3

    from ihobs.store.database import Database


@dataclass(frozen=True, slots=True)
class Definition:
    """The text of a runbook, as it was when a run began; `path` is where it came from."""

    path: str
    source: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a runbook.

    Attributes:
        hash: of the runbook. definitions: of it and of all that it calls, by id.
        inputs: as they were given, with defaults.
        permission: what it may do by itself: "full", or "diagnose": a change needs a person's word.
        started_by: who, or which alert. reason: why.
        end_state: the name of its end, or "".
        error: what ended it, as `error` in runbooks.
        cancelled_by: who wants it to stop.
    """

    id: str
    runbook: str
    hash: str
    lock: str
    definitions: Mapping[str, Definition]
    inputs: Mapping[str, Any]
    permission: str
    started_by: str
    reason: str
    started_ns: int
    status: str = "running"
    end_state: str = ""
    error: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None
    cancelled_by: str | None = None
    changed_ns: int = 0
    finished_ns: int | None = None


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A line of a run's journal.

    Attributes:
        seq: grows; 0 until it is stored.
        path: of the step, "" for the run.
        attempt: of the step, from 1.
        name: "started", "resumed", "intent", "outcome", "asked", "answered", "assumed", "cancel", "finished".
        fields: what else there is to say, of what JSON can hold.
    """

    name: str
    at_ns: int
    path: str = ""
    attempt: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run stands when its process lets go of it."""

    status: str
    at_ns: int
    is_final: bool
    end_state: str = ""
    error: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None


Within = Callable[["sqlite3.Connection"], Mapping[str, Any]]
"""Writes rows in the transaction of an event, and returns what the event's fields get beside its own."""


def start(database: Database, run: Run) -> RunEvent:
    """Store a new run and the beginning of its journal.

    Raises:
        RefusedError: another run holds its lock.
    """
    with database.write() as writer:
        if run.lock:
            row = writer.execute(
                "SELECT id, status FROM run WHERE lock = ? AND finished_ns IS NULL", [run.lock]
            ).fetchone()
            if row is not None:
                hint = f"see 'ihobs runs show {row[0]}'; resume it or cancel it"
                raise RefusedError(f"the run {row[0]} ({row[1]}) holds the lock {run.lock!r}", hint)
        definitions = {name: [one.path, one.source] for name, one in run.definitions.items()}
        writer.execute(
            """INSERT INTO run (id, runbook, hash, lock, definitions, inputs, permission, started_by, reason, status,
            started_ns, changed_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'running', ?10, ?10)""",
            [
                run.id,
                run.runbook,
                run.hash,
                run.lock,
                json.dumps(definitions),
                json.dumps(dict(run.inputs)),
                run.permission,
                run.started_by,
                run.reason,
                run.started_ns,
            ],
        )
        fields = {"by": run.started_by, "reason": run.reason, "hash": run.hash}
        return _append(writer, run.id, RunEvent("started", run.started_ns, fields=fields))


def append(database: Database, run_id: str, event: RunEvent, within: Within | None = None) -> RunEvent:
    """Store a line of a journal in one transaction, with what `within` writes; return it as it is stored."""
    with database.write() as writer:
        if within is not None:
            event = _with_fields(event, within(writer))
        return _append(writer, run_id, event)


def resume(database: Database, run_id: str, event: RunEvent) -> RunEvent:
    """Store that a run goes on."""
    with database.write() as writer:
        writer.execute("UPDATE run SET status = 'running', changed_ns = ? WHERE id = ?", [event.at_ns, run_id])
        return _append(writer, run_id, event)


def end(database: Database, run_id: str, ending: Ending) -> RunEvent:
    """Store how a run stands when its process lets go of it."""
    fields: dict[str, Any] = {"status": ending.status}
    if ending.end_state:
        fields["end_state"] = ending.end_state
    if ending.error:
        fields["error"] = dict(ending.error)
    with database.write() as writer:
        writer.execute(
            "UPDATE run SET status = ?, end_state = ?, error = ?, outputs = ?, changed_ns = ?, finished_ns = ? "
            "WHERE id = ?",
            [
                ending.status,
                ending.end_state,
                _json(ending.error),
                _json(ending.outputs),
                ending.at_ns,
                ending.at_ns if ending.is_final else None,
                run_id,
            ],
        )
        name = "finished" if ending.is_final else "paused"
        return _append(writer, run_id, RunEvent(name, ending.at_ns, fields=fields))


def cancel(database: Database, run_id: str, *, by: str, at_ns: int) -> bool:
    """Store that a run is to stop; return False when it has ended already."""
    with database.write() as writer:
        changed = writer.execute(
            "UPDATE run SET cancelled_by = coalesce(cancelled_by, ?) WHERE id = ? AND finished_ns IS NULL", [by, run_id]
        ).rowcount
        if changed:
            _append(writer, run_id, RunEvent("cancel", at_ns, fields={"by": by}))
    return bool(changed)


def cancelled_by(database: Database, run_id: str) -> str | None:
    """Return who wants a run to stop; None when nobody does."""
    with database.read() as reader:
        row = reader.execute("SELECT cancelled_by FROM run WHERE id = ?", [run_id]).fetchone()
    return None if row is None else row[0]


def events(database: Database, run_id: str) -> list[RunEvent]:
    """Return the journal of a run, oldest first."""
    with database.read() as reader:
        rows = reader.execute(
            "SELECT name, at_ns, path, attempt, fields, seq FROM run_event WHERE run = ? ORDER BY seq", [run_id]
        ).fetchall()
    return [
        RunEvent(name, at_ns, path, attempt, json.loads(text), seq) for name, at_ns, path, attempt, text, seq in rows
    ]


def runs(database: Database, *, limit: int, only_open: bool = False) -> list[Run]:
    """Return the newest runs, newest first; those that have not ended, when `only_open`."""
    condition = "WHERE finished_ns IS NULL" if only_open else ""
    with database.read() as reader:
        rows = reader.execute(
            f"SELECT {_COLUMNS} FROM run {condition} ORDER BY started_ns DESC, id DESC LIMIT ?",  # noqa: S608 - constants
            [limit],
        ).fetchall()
    return [_run(row) for row in rows]


def find(database: Database, name: str) -> Run:
    """Return the run whose id is, or begins with, or ends with `name`; the newest for "last".

    Raises:
        NotFoundError: there is none, or several.
    """
    with database.read() as reader:
        if name == "last":
            found = reader.execute(f"SELECT {_COLUMNS} FROM run ORDER BY started_ns DESC, id DESC LIMIT 1").fetchall()  # noqa: S608 - constants
        else:
            found = reader.execute(
                f"""SELECT {_COLUMNS} FROM run WHERE id = ?1 OR substr(id, 1, length(?1)) = ?1
                OR substr(id, -length(?1)) = ?1 ORDER BY id = ?1 DESC LIMIT 2""",  # noqa: S608 - constants
                [name],
            ).fetchall()
    if not found or (len(found) > 1 and found[0][0] != name):
        hint = "several begin or end so" if found else "see 'ihobs runs list'"
        raise NotFoundError("run", name, hint)
    return _run(found[0])


_COLUMNS = (
    "id, runbook, hash, lock, definitions, inputs, permission, started_by, reason, started_ns, status, end_state, "
    "error, outputs, cancelled_by, changed_ns, finished_ns"
)


def _run(row: tuple[Any, ...]) -> Run:
    values = list(row)
    values[4] = {name: Definition(*one) for name, one in json.loads(row[4]).items()}
    for index in (5, 12, 13):
        values[index] = None if row[index] is None else json.loads(row[index])
    return Run(*values)


def _append(writer: sqlite3.Connection, run_id: str, event: RunEvent) -> RunEvent:
    seq = writer.execute(
        "INSERT INTO run_event (run, path, attempt, name, at_ns, fields) VALUES (?, ?, ?, ?, ?, ?)",
        [run_id, event.path, event.attempt, event.name, event.at_ns, json.dumps(dict(event.fields))],
    ).lastrowid
    return RunEvent(event.name, event.at_ns, event.path, event.attempt, event.fields, seq or 0)


def _with_fields(event: RunEvent, fields: Mapping[str, Any]) -> RunEvent:
    return RunEvent(event.name, event.at_ns, event.path, event.attempt, {**event.fields, **fields}, event.seq)


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(dict(value))
