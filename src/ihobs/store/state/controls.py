"""Controls in state.db: what operators and runbooks may set for a while, and the history of every change.

Every control expires by itself. A change and its line in the history are one transaction; the history is append-only.
"""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihobs.clock import HOUR_NS
from ihobs.errors import InvalidInputError, NotFoundError, StoreUnavailableError

if TYPE_CHECKING:
    import sqlite3

    from ihobs.clock import Clock
    from ihobs.store.database import Database

SCHEMA = (
    """CREATE TABLE control (
        name TEXT PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL, owner TEXT NOT NULL,
        reason TEXT NOT NULL, set_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE control_change (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, at_ns INTEGER NOT NULL, value TEXT,
        previous TEXT, owner TEXT NOT NULL, reason TEXT NOT NULL, expires_ns INTEGER)""",
    """CREATE TRIGGER control_change_is_append_only BEFORE UPDATE ON control_change
        BEGIN SELECT RAISE(ABORT, 'the history of controls is append-only'); END""",
    """CREATE TRIGGER control_change_is_kept BEFORE DELETE ON control_change
        BEGIN SELECT RAISE(ABORT, 'the history of controls is append-only'); END""",
)
"""Tables of state.db; values are JSON, and NULL where a control is, or was, not set."""

DEFAULT_FOR_NS = HOUR_NS
"""How long a control holds when nobody says."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A control that there is.

    Attributes:
        description: one line for people. default: its value when it is not set.
        read: turns what people type into a value; raises ValueError.
    """

    description: str
    default: object
    read: Callable[[str], object]


def _switch(text: str) -> bool:
    words = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
    if text.strip().lower() not in words:
        raise ValueError(f"{text!r} is neither on nor off")
    return words[text.strip().lower()]


FORWARD_PAUSED = "forward.paused"

KNOWN: Mapping[str, Kind] = {
    FORWARD_PAUSED: Kind("send nothing to destinations; spans wait, none is lost", default=False, read=_switch),
}
"""Every control by its name."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control that is set.

    Attributes:
        version: grows with every change of this control.
        owner: who set it: a person, a run. reason: why.
    """

    name: str
    version: int
    value: Any
    owner: str
    reason: str
    set_ns: int
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A value for a control: who sets it and why, and until when it holds."""

    value: object
    owner: str
    reason: str
    expires_ns: int


@dataclass(frozen=True, slots=True)
class ControlChange:
    """A line of the history. `value` or `previous` is None where the control was not set; `expires_ns` as well."""

    name: str
    at_ns: int
    value: Any
    previous: Any
    owner: str
    reason: str
    expires_ns: int | None


def kind_of(name: str) -> Kind:
    """Return what is known of a control.

    Raises:
        NotFoundError: there is none of that name.
    """
    if name not in KNOWN:
        close = difflib.get_close_matches(name, KNOWN, 1, cutoff=0.4)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(KNOWN)}"
        raise NotFoundError("control", name, hint)
    return KNOWN[name]


def value_of(name: str, text: str) -> object:
    """Return the value that `text` means for a control.

    Raises:
        NotFoundError: there is none of that name.
        InvalidInputError: it is no value of this control.
    """
    try:
        return kind_of(name).read(text)
    except ValueError as error:
        raise InvalidInputError(name, str(error)) from error


def active(database: Database, now_ns: int) -> dict[str, Control]:
    """Return the controls that hold now, by name.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM control WHERE expires_ns > ?", [now_ns]).fetchall()  # noqa: S608 - a constant
    return {row[0]: _control(row) for row in rows}


def held(reader: sqlite3.Connection, name: str, now_ns: int) -> Control | None:
    """Return a control as it holds now; None when it is not set."""
    row = reader.execute(
        f"SELECT {_COLUMNS} FROM control WHERE name = ? AND expires_ns > ?",  # noqa: S608 - a constant
        [name, now_ns],
    ).fetchone()
    return None if row is None else _control(row)


def set_control(database: Database, name: str, setting: Setting, now_ns: int) -> Control:
    """Set a control, whatever it was before, and return it.

    Raises:
        NotFoundError: there is none of that name.
    """
    kind_of(name)
    with database.write() as connection:
        return set_in(connection, name, setting, now_ns)


def set_in(connection: sqlite3.Connection, name: str, setting: Setting, now_ns: int) -> Control:
    """Set a control in a transaction that is under way, and return it.

    Raises:
        NotFoundError: there is none of that name.
    """
    kind_of(name)
    value = json.dumps(setting.value)
    previous = _previous(connection, name, now_ns)
    connection.execute(
        "INSERT INTO control VALUES (?, 1, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET version = version + 1, "
        "value = excluded.value, owner = excluded.owner, reason = excluded.reason, set_ns = excluded.set_ns, "
        "expires_ns = excluded.expires_ns",
        [name, value, setting.owner, setting.reason, now_ns, setting.expires_ns],
    )
    _note(connection, (name, now_ns, value, previous, setting.owner, setting.reason, setting.expires_ns))
    row = connection.execute(f"SELECT {_COLUMNS} FROM control WHERE name = ?", [name]).fetchone()  # noqa: S608 - a constant
    return _control(row)


def clear_control(database: Database, name: str, *, owner: str, reason: str, now_ns: int) -> bool:
    """End a control now; return whether it was set.

    Raises:
        NotFoundError: there is none of that name.
    """
    kind_of(name)
    with database.write() as connection:
        return clear_in(connection, name, owner=owner, reason=reason, now_ns=now_ns)


def clear_in(connection: sqlite3.Connection, name: str, *, owner: str, reason: str, now_ns: int) -> bool:
    """End a control in a transaction that is under way; return whether it was set."""
    previous = _previous(connection, name, now_ns)
    if previous is not None:
        connection.execute("UPDATE control SET version = version + 1, expires_ns = ? WHERE name = ?", [now_ns, name])
        _note(connection, (name, now_ns, None, previous, owner, reason, None))
    return previous is not None


def changes(database: Database, *, limit: int) -> list[ControlChange]:
    """Return the newest changes of all controls, newest first. What expires by itself is no change."""
    with database.read() as connection:
        rows = connection.execute(
            "SELECT name, at_ns, value, previous, owner, reason, expires_ns FROM control_change "
            "ORDER BY id DESC LIMIT ?",
            [limit],
        ).fetchall()
    return [ControlChange(name, at_ns, _parsed(new), _parsed(old), *rest) for name, at_ns, new, old, *rest in rows]


class Watch:
    """The controls that hold, read again only when the database has changed. Safe for threads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._known: tuple[int | None, Mapping[str, Control]] = (None, {})

    def value(self, name: str) -> object:
        """Return the value of a control now: its default when it is not set, or has expired.

        While the database cannot be read, what was read last holds until it expires.
        """
        with contextlib.suppress(StoreUnavailableError):
            version = self._database.data_version()
            if version != self._known[0]:
                self._known = version, active(self._database, self._clock())
        held = self._known[1].get(name)
        if held is None or held.expires_ns <= self._clock():
            return KNOWN[name].default
        return held.value


_COLUMNS = "name, version, value, owner, reason, set_ns, expires_ns"


def _control(row: tuple[Any, ...]) -> Control:
    name, version, value, *rest = row
    return Control(name, version, json.loads(value), *rest)


def _parsed(text: str | None) -> object:
    return None if text is None else json.loads(text)


def _previous(connection: sqlite3.Connection, name: str, now_ns: int) -> str | None:
    row = connection.execute("SELECT value FROM control WHERE name = ? AND expires_ns > ?", [name, now_ns]).fetchone()
    return None if row is None else str(row[0])


def _note(connection: sqlite3.Connection, change: tuple[object, ...]) -> None:
    connection.execute(
        "INSERT INTO control_change (name, at_ns, value, previous, owner, reason, expires_ns) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        change,
    )
