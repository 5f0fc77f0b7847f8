"""Incidents in state.db: each as it is now, and all that ever happened to it.

Functions that take a connection run within the transaction of whoever changes an incident: its row, its timeline, its
deadlines and what people are told of it are one commit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from ihobs.errors import NotFoundError
from ihobs.store.state.incident_tables import HEARD_THROUGH

if TYPE_CHECKING:
    from ihobs.incident_settings import SeverityName
    from ihobs.store.database import Database

DeadlineKind = Literal["response", "resolution"]
DeadlineState = Literal["running", "met", "breached", "void"]
PartState = Literal["waiting", "done", "missing"]


@dataclass(frozen=True, slots=True)
class Tier:
    """A step of the escalation chain as it was when the incident opened: who is told after how long."""

    receivers: tuple[str, ...]
    after_ns: int


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it is now.

    Attributes:
        version: grows with every change.
        state: of `ihobs.incidents.lifecycle`.
        origin: an alert or a person opened it; `author`: who, empty for an alert.
        join_key: alerts with this key belong to it; empty: none does by itself.
        began_ns: when what is wrong began, as far as known; not after `opened_ns`.
        acknowledged_ns: when somebody first took it. mitigated_ns: when it last got well. resolved_ns: when it ended.
            None: not yet, or not any more since it was reopened.
        reopened: how often it came back.
        lead, comms, scribe: people; empty: nobody yet.
        resolution: what ended it, in words.
        merged_into: the incident that it turned out to be a part of.
        bridge: link to where people meet.
        chain: who is told while nobody acknowledges, as of the opening. chain_from_ns: since when it counts;
            chain_told: how many of its steps were told.
    """

    id: str
    version: int
    state: Any
    severity: SeverityName
    title: str
    origin: Literal["alert", "person"]
    author: str
    join_key: str
    began_ns: int
    opened_ns: int
    acknowledged_ns: int | None = None
    mitigated_ns: int | None = None
    resolved_ns: int | None = None
    reopened: int = 0
    lead: str = ""
    comms: str = ""
    scribe: str = ""
    resolution: str = ""
    merged_into: str | None = None
    bridge: str = ""
    chain: tuple[Tier, ...] = ()
    chain_from_ns: int = 0
    chain_told: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a timeline. `author` is empty when ihobs did it; `id` is its place among all lines."""

    at_ns: int
    name: str
    author: str
    text: str
    details: Mapping[str, Any]
    id: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """An alert that belongs to an incident; `cleared_ns` is None while it fires."""

    alert: str
    joined_ns: int
    cleared_ns: int | None


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when somebody must respond, or the incident must be resolved.

    Attributes:
        due_ns: the moment itself: it does not move when clocks or settings change.
        state: "met" in time, "breached", or "void": it does not matter any more.
        warned: whether people were told that it is at risk.
        ended_ns: when it was met, also when that was too late.
    """

    kind: DeadlineKind
    started_ns: int
    due_ns: int
    state: DeadlineState = "running"
    warned: bool = False
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of what was seen when an incident opened.

    Attributes:
        detail: its file, or why it is missing.
        at_ns: when it was collected; of one that waits, since when.
    """

    name: str
    state: PartState
    detail: str = ""
    at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was changed: a deployment, a version, the configuration."""

    at_ns: int
    kind: str
    text: str
    author: str


_FIELDS = tuple(field.name for field in fields(Incident))
_COLUMNS = ", ".join(_FIELDS)
_MARKS = ", ".join("?" * len(_FIELDS))
_IS_UNRESOLVED = "state IN ('open', 'acknowledged', 'mitigated')"
_HOLDERS = (
    f"SELECT alert, {_COLUMNS} FROM incident JOIN incident_alert ON incident = id "  # noqa: S608 - constants
    f"WHERE ({_IS_UNRESOLVED} OR cleared_ns IS NULL)"
)
_LAST_COUNTS = f"{_IS_UNRESOLVED}, opened_ns, id"
"""The order in which the unresolved ones come last, and of these the newest."""


def find(reader: sqlite3.Connection, incident_id: str) -> Incident:
    """Return the incident of this id.

    Raises:
        NotFoundError: there is none.
    """
    row = reader.execute(f"SELECT {_COLUMNS} FROM incident WHERE id = ?", (incident_id,)).fetchone()  # noqa: S608 - constants
    if row is None:
        raise NotFoundError("incident", incident_id, "see 'ihobs incidents list'")
    return _incident(row)


def exists(reader: sqlite3.Connection, incident_id: str) -> bool:
    """Return whether an id is taken."""
    return reader.execute("SELECT 1 FROM incident WHERE id = ?", (incident_id,)).fetchone() is not None


def in_states(reader: sqlite3.Connection, states: Collection[str]) -> list[Incident]:
    """Return the incidents in these states, oldest first."""
    marks = ", ".join("?" * len(states))
    query = f"SELECT {_COLUMNS} FROM incident WHERE state IN ({marks}) ORDER BY opened_ns, id"  # noqa: S608 - constants
    return [_incident(row) for row in reader.execute(query, tuple(states))]


def newest(database: Database, limit: int) -> list[Incident]:
    """Return the newest `limit` incidents, newest first."""
    with database.read() as reader:
        rows = reader.execute(f"SELECT {_COLUMNS} FROM incident ORDER BY opened_ns DESC, id DESC LIMIT ?", (limit,))  # noqa: S608 - constants
        return [_incident(row) for row in rows]


def open_with_key(reader: sqlite3.Connection, join_key: str) -> Incident | None:
    """Return the newest unresolved incident that alerts of this key belong to."""
    row = reader.execute(
        f"SELECT {_COLUMNS} FROM incident WHERE {_IS_UNRESOLVED} AND join_key = ? "  # noqa: S608 - constants
        "ORDER BY opened_ns DESC, id DESC LIMIT 1",
        (join_key,),
    ).fetchone()
    return None if row is None else _incident(row)


def merged_with_key(reader: sqlite3.Connection, join_key: str) -> str | None:
    """Return the id of the incident that the newest one of this key was merged into; None: it was not."""
    row = reader.execute(
        "SELECT merged_into FROM incident WHERE join_key = ? ORDER BY opened_ns DESC, id DESC LIMIT 1", (join_key,)
    ).fetchone()
    return None if row is None else row[0]


def ended_since(reader: sqlite3.Connection, join_key: str, since_ns: int) -> Incident | None:
    """Return the newest incident of this key that ended at `since_ns` or later and may be reopened."""
    row = reader.execute(
        f"""SELECT {_COLUMNS} FROM incident WHERE join_key = ? AND state IN ('resolved', 'reviewed')
        AND resolved_ns >= ? ORDER BY resolved_ns DESC LIMIT 1""",  # noqa: S608 - constants
        (join_key, since_ns),
    ).fetchone()
    return None if row is None else _incident(row)


def insert(writer: sqlite3.Connection, incident: Incident) -> None:
    """Store a new incident."""
    writer.execute(f"INSERT INTO incident ({_COLUMNS}) VALUES ({_MARKS})", _values(incident))  # noqa: S608 - constants


def update(writer: sqlite3.Connection, incident: Incident) -> Incident:
    """Store an incident as it is now, as its next version; return it."""
    newer = replace(incident, version=incident.version + 1)
    writer.execute(f"UPDATE incident SET ({_COLUMNS}) = ({_MARKS}) WHERE id = ?", [*_values(newer), newer.id])  # noqa: S608 - constants
    return newer


def add_entry(writer: sqlite3.Connection, incident_id: str, entry: Entry) -> None:
    """Add a line to the timeline."""
    details = json.dumps(dict(entry.details), sort_keys=True)
    writer.execute(
        "INSERT INTO incident_event (incident, at_ns, name, author, text, details) VALUES (?, ?, ?, ?, ?, ?)",
        (incident_id, entry.at_ns, entry.name, entry.author, entry.text, details),
    )


def timeline(reader: sqlite3.Connection, incident_id: str) -> list[Entry]:
    """Return all that happened to an incident, in the order in which it became known."""
    rows = reader.execute(
        "SELECT at_ns, name, author, text, details, id FROM incident_event WHERE incident = ? ORDER BY id",
        (incident_id,),
    )
    return [
        Entry(at_ns, name, author, text, json.loads(rest), number) for at_ns, name, author, text, rest, number in rows
    ]


def members(reader: sqlite3.Connection, incident_id: str) -> list[Member]:
    """Return the alerts of an incident, in the order in which they joined."""
    rows = reader.execute(
        "SELECT alert, joined_ns, cleared_ns FROM incident_alert WHERE incident = ? ORDER BY joined_ns, alert",
        (incident_id,),
    )
    return [Member(*row) for row in rows]


def holder_of(reader: sqlite3.Connection, alert: str) -> Incident | None:
    """Return the incident that an alert belongs to: an unresolved one, or one that ended while the alert fired."""
    rows = reader.execute(f"{_HOLDERS} AND alert = ? ORDER BY {_LAST_COUNTS}", (alert,)).fetchall()
    return _incident(rows[-1][1:]) if rows else None


def holders(reader: sqlite3.Connection) -> dict[str, Incident]:
    """Return the incident that each alert belongs to, as `holder_of` does."""
    rows = reader.execute(f"{_HOLDERS} ORDER BY {_LAST_COUNTS}")
    return {row[0]: _incident(row[1:]) for row in rows}


def put_member(writer: sqlite3.Connection, incident_id: str, member: Member) -> None:
    """Store how an alert stands in an incident."""
    writer.execute(
        "INSERT OR REPLACE INTO incident_alert VALUES (?, ?, ?, ?)",
        (incident_id, member.alert, member.joined_ns, member.cleared_ns),
    )


def deadlines(reader: sqlite3.Connection, incident_id: str) -> list[Deadline]:
    """Return the deadlines of an incident: the response first."""
    rows = reader.execute(
        """SELECT kind, started_ns, due_ns, state, warned, ended_ns FROM incident_deadline
        WHERE incident = ? ORDER BY kind DESC""",
        (incident_id,),
    )
    return [Deadline(kind, start, due, state, bool(warned), end) for kind, start, due, state, warned, end in rows]


def running_deadlines(reader: sqlite3.Connection) -> dict[str, list[Deadline]]:
    """Return the deadlines that run, by incident."""
    found: dict[str, list[Deadline]] = {}
    rows = reader.execute(
        "SELECT incident, kind, started_ns, due_ns, warned FROM incident_deadline WHERE state = 'running'"
    )
    for incident, kind, started_ns, due_ns, warned in rows:
        found.setdefault(incident, []).append(Deadline(kind, started_ns, due_ns, warned=bool(warned)))
    return found


def put_deadline(writer: sqlite3.Connection, incident_id: str, one: Deadline) -> None:
    """Store a deadline, in place of the one before of its kind."""
    writer.execute(
        "INSERT OR REPLACE INTO incident_deadline VALUES (?, ?, ?, ?, ?, ?, ?)",
        (incident_id, one.kind, one.started_ns, one.due_ns, one.state, one.warned, one.ended_ns),
    )


def parts(reader: sqlite3.Connection, incident_id: str) -> list[Part]:
    """Return the pieces of what was seen when an incident opened."""
    rows = reader.execute(
        "SELECT name, state, detail, at_ns FROM incident_part WHERE incident = ? ORDER BY name", (incident_id,)
    )
    return [Part(*row) for row in rows]


def expect_parts(writer: sqlite3.Connection, incident_id: str, names: Iterable[str], now_ns: int) -> None:
    """Store that these pieces are to be collected from now on; what is collected stays."""
    writer.executemany(
        "INSERT OR IGNORE INTO incident_part VALUES (?, ?, 'waiting', '', ?)",
        ((incident_id, name, now_ns) for name in names),
    )


def waiting_parts(reader: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the pieces that are not collected yet: incident and name, oldest incident first."""
    rows = reader.execute("SELECT incident, name FROM incident_part WHERE state = 'waiting' ORDER BY incident, name")
    return [(row[0], row[1]) for row in rows]


def has_waiting_parts(reader: sqlite3.Connection) -> bool:
    """Return whether some piece is not collected yet."""
    return reader.execute("SELECT 1 FROM incident_part WHERE state = 'waiting' LIMIT 1").fetchone() is not None


def finish_part(writer: sqlite3.Connection, incident_id: str, part: Part) -> bool:
    """Store what became of a piece; return False when somebody else has done so before."""
    return bool(
        writer.execute(
            "UPDATE incident_part SET state = ?, detail = ?, at_ns = ? "
            "WHERE incident = ? AND name = ? AND state = 'waiting'",
            (part.state, part.detail, part.at_ns, incident_id, part.name),
        ).rowcount
    )


def add_happening(writer: sqlite3.Connection, one: Happening) -> None:
    """Store that something was changed."""
    writer.execute(
        "INSERT INTO happening (at_ns, kind, text, author) VALUES (?, ?, ?, ?)",
        (one.at_ns, one.kind, one.text, one.author),
    )


def happenings(reader: sqlite3.Connection, *, start_ns: int, end_ns: int, limit: int) -> list[Happening]:
    """Return what was changed in [start_ns, end_ns], newest first."""
    rows = reader.execute(
        "SELECT at_ns, kind, text, author FROM happening WHERE at_ns BETWEEN ? AND ? ORDER BY at_ns DESC LIMIT ?",
        (start_ns, end_ns, limit),
    )
    return [Happening(*row) for row in rows]


def heard_through(reader: sqlite3.Connection) -> int | None:
    """Return the number of the newest event of alerts that was heard; None: none was ever."""
    value = meta(reader, HEARD_THROUGH)
    return None if value is None else int(value)


def record_heard(writer: sqlite3.Connection, number: int) -> None:
    """Store that the events of alerts up to `number` were heard."""
    put_meta(writer, HEARD_THROUGH, str(number))


def meta(reader: sqlite3.Connection, key: str) -> str | None:
    """Return what is remembered under `key`."""
    row = reader.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def put_meta(writer: sqlite3.Connection, key: str, value: str) -> None:
    """Remember `value` under `key`."""
    writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _values(incident: Incident) -> list[object]:
    chain = json.dumps([[one.receivers, one.after_ns] for one in incident.chain])
    return [chain if name == "chain" else getattr(incident, name) for name in _FIELDS]


def _incident(row: Sequence[Any]) -> Incident:
    named = dict(zip(_FIELDS, row, strict=True))
    named["chain"] = _chain(named["chain"])
    return Incident(**named)


@lru_cache(maxsize=256)
def _chain(text: str) -> tuple[Tier, ...]:
    """Return a chain of its JSON: most incidents have the same one."""
    return tuple(Tier(tuple(receivers), after_ns) for receivers, after_ns in json.loads(text))
