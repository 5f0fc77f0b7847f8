"""Reviews of incidents, and the action items that come of them, in state.db.

Functions that take a connection run within the transaction of whoever changes an incident.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ihobs.errors import NotFoundError

ActionState = Literal["open", "done", "dropped"]
Priority = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Review:
    """The review of an incident: asked for, or written.

    Attributes:
        asked_ns: the end of the incident that asked for it; None: nobody must write it.
        due_ns: until when. chase_ns: when people are next told that it is missing; None: never.
        written_ns: when it was written last; None: not yet. author: by whom.
        answers: what it says, as `ihobs.incidents.answers` names it. impact: what the incident has cost, computed then.
    """

    incident: str
    asked_ns: int | None = None
    due_ns: int | None = None
    chase_ns: int | None = None
    written_ns: int | None = None
    author: str = ""
    answers: Mapping[str, Any] | None = None
    impact: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """Something to be done after an incident.

    Attributes:
        id: its number. incident: that it came of.
        due_ns: until when. chase_ns: when people are next told that it is overdue; None: never.
        question: which question of the review it answers; empty: none in particular.
        test: the test of rules that must pass before it is done, as FILE::NAME; empty: none.
        state: "dropped": it will not be done; `outcome` says why.
    """

    id: int
    incident: str
    text: str
    owner: str
    priority: Priority
    due_ns: int
    question: str
    test: str
    state: ActionState
    created_ns: int
    chase_ns: int | None
    closed_ns: int | None = None
    closed_by: str = ""
    outcome: str = ""


_ACTION_FIELDS = tuple(field.name for field in fields(Action))
_ACTION = ", ".join(_ACTION_FIELDS)
_REVIEW_FIELDS = tuple(field.name for field in fields(Review))
_REVIEW = ", ".join(_REVIEW_FIELDS)


def review_of(reader: sqlite3.Connection, incident_id: str) -> Review | None:
    """Return the review of an incident; None: none was asked for or written."""
    row = reader.execute(f"SELECT {_REVIEW} FROM incident_review WHERE incident = ?", (incident_id,)).fetchone()  # noqa: S608 - constants
    return None if row is None else _review(row)


def put_review(writer: sqlite3.Connection, review: Review) -> None:
    """Store the review of an incident, in place of the one before."""
    values = [getattr(review, name) for name in _REVIEW_FIELDS]
    values[-2:] = [json.dumps(review.answers), json.dumps(review.impact)]
    marks = ", ".join("?" * len(values))
    writer.execute(f"INSERT OR REPLACE INTO incident_review ({_REVIEW}) VALUES ({marks})", values)  # noqa: S608 - constants


def unasked(reader: sqlite3.Connection) -> list[str]:
    """Return the incidents of P1 and P2 that ended and of which no review has been asked for since."""
    rows = reader.execute(
        """SELECT id FROM incident INDEXED BY incident_unreviewed LEFT JOIN incident_review ON incident = id
        WHERE state = 'resolved' AND severity IN ('P1', 'P2') AND asked_ns IS NOT resolved_ns ORDER BY id"""
    )
    return [row[0] for row in rows]


def reviews_to_chase(reader: sqlite3.Connection) -> list[Review]:
    """Return the reviews that are missing, the next one to tell of first. Those of reopened incidents wait."""
    rows = reader.execute(
        f"""SELECT {", ".join("review." + name for name in _REVIEW_FIELDS)} FROM incident_review AS review
        JOIN incident ON incident.id = review.incident
        WHERE chase_ns IS NOT NULL AND state = 'resolved' ORDER BY chase_ns, review.incident"""  # noqa: S608 - constants
    )
    return [_review(row) for row in rows]


def settled(reader: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return the reviewed incidents whose actions are all closed, and when each was resolved."""
    rows = reader.execute(
        """SELECT id, resolved_ns FROM incident WHERE state = 'reviewed' AND NOT EXISTS
        (SELECT 1 FROM incident_action AS action WHERE action.incident = incident.id AND action.state = 'open')
        ORDER BY id"""
    )
    return [(row[0], row[1]) for row in rows]


def add(writer: sqlite3.Connection, action: Action) -> int:
    """Store a new action item; return its number, whatever `action.id` is."""
    values = [getattr(action, name) for name in _ACTION_FIELDS[1:]]
    marks = ", ".join("?" * len(values))
    cursor = writer.execute(
        f"INSERT INTO incident_action ({', '.join(_ACTION_FIELDS[1:])}) VALUES ({marks})",  # noqa: S608 - constants
        values,
    )
    return int(cursor.lastrowid or 0)


def put(writer: sqlite3.Connection, action: Action) -> None:
    """Store an action item as it is now."""
    values = [getattr(action, name) for name in _ACTION_FIELDS]
    marks = ", ".join("?" * len(values))
    writer.execute(f"INSERT OR REPLACE INTO incident_action ({_ACTION}) VALUES ({marks})", values)  # noqa: S608 - constants


def find(reader: sqlite3.Connection, number: int) -> Action:
    """Return the action item of this number.

    Raises:
        NotFoundError: there is none.
    """
    row = reader.execute(f"SELECT {_ACTION} FROM incident_action WHERE id = ?", (number,)).fetchone()  # noqa: S608 - constants
    if row is None:
        raise NotFoundError("action item", str(number), "see 'ihobs incidents actions list --all'")
    return Action(*row)


def listed(reader: sqlite3.Connection, *, incident: str | None = None, everything: bool = False) -> list[Action]:
    """Return action items, the next one due first; only open ones unless `everything`."""
    rows = reader.execute(
        f"""SELECT {_ACTION} FROM incident_action WHERE (?1 IS NULL OR incident = ?1) AND (?2 OR state = 'open')
        ORDER BY state != 'open', due_ns, id""",  # noqa: S608 - constants
        (incident, everything),
    )
    return [Action(*row) for row in rows]


def actions_to_chase(reader: sqlite3.Connection) -> list[Action]:
    """Return the open action items that people are to be told of some time, the next one first."""
    rows = reader.execute(
        f"SELECT {_ACTION} FROM incident_action WHERE chase_ns IS NOT NULL AND state = 'open' ORDER BY chase_ns, id"  # noqa: S608 - constants
    )
    return [Action(*row) for row in rows]


def _review(row: tuple[Any, ...]) -> Review:
    named = dict(zip(_REVIEW_FIELDS, row, strict=True))
    return Review(**named | {name: json.loads(named[name]) for name in ("answers", "impact")})
