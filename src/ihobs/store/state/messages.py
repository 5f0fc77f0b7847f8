"""Messages: made in a pass of the outbox, sent under a key that never changes, and what became of each attempt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import sqlite3

    from ihobs.model import Level, MessageKind
    from ihobs.store.database import Database
    from ihobs.store.state.deliveries import GroupRow


@dataclass(frozen=True, slots=True)
class Content:
    """What a message tells.

    Attributes:
        event_ids: the events it tells, as far as it names them. omitted: how many more it tells.
        firing: keys of alerts of the group that fire after it, as far as it names them.
        supersedes: keys of messages that it takes the place of.
    """

    event_ids: tuple[int, ...] = ()
    omitted: int = 0
    firing: tuple[str, ...] = ()
    supersedes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one receiver about one group, as it is stored. `attempts` is how often it was tried."""

    id: int
    key: str
    reference: str
    route: str
    group_key: str
    kind: MessageKind
    level: Level
    title: str
    body: str
    content: Content
    created_ns: int
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is to be made. `tells` are the numbers of all the events that it stands for."""

    reference: str
    route: str
    group_key: str
    kind: MessageKind
    level: Level
    title: str
    body: str
    content: Content
    tells: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended.

    Attributes:
        outcome: in a word: "delivered", "later", "refused", or "unknown" when no plug-in knows the receiver.
        state: of the message now.
        next_ns: when to try again, of one that waits.
    """

    outcome: Literal["delivered", "later", "refused", "unknown"]
    state: Literal["sent", "waiting", "dead"]
    at_ns: int
    took_ns: int
    detail: str = ""
    next_ns: int = 0


@dataclass(frozen=True, slots=True)
class Receiver:
    """How a receiver is.

    Attributes:
        failures: attempts that failed since the last that did not. since_ns: when the first of them was.
        next_ns: not before then.
        outcome, detail: of the newest attempt. delivered_ns: when something last arrived; None: never.
    """

    reference: str
    failures: int
    since_ns: int
    next_ns: int
    outcome: str
    detail: str
    delivered_ns: int | None


_COLUMNS = "id, key, reference, route, group_key, kind, level, title, body, content, created_ns, attempts"


def undelivered(connection: sqlite3.Connection) -> list[Message]:
    """Return the messages that have not arrived yet, in the order in which they were made."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM message WHERE state = 'waiting' ORDER BY id")  # noqa: S608 - constants
    return [_message(row) for row in rows]


def dead(database: Database, limit: int) -> list[tuple[Message, int, str]]:
    """Return the newest `limit` messages that were given up, each with when and why, newest first."""
    with database.read() as reader:
        rows = reader.execute(
            f"""SELECT {_COLUMNS}, finished_ns, reason FROM message
            WHERE state = 'dead' ORDER BY finished_ns DESC LIMIT ?""",  # noqa: S608 - constants
            (limit,),
        ).fetchall()
    return [(_message(row[:-2]), row[-2], row[-1]) for row in rows]


def dead_since(connection: sqlite3.Connection, since_ns: int) -> int:
    """Return how many messages were given up since `since_ns`."""
    row = connection.execute("SELECT count(*) FROM message WHERE state = 'dead' AND finished_ns >= ?", (since_ns,))
    return int(row.fetchone()[0])


def make(writer: sqlite3.Connection, draft: Draft, now_ns: int, instead_of: Message | None) -> Message:
    """Store a message and what it tells; `instead_of` is the one of the same group that has not arrived."""
    content = json.dumps(
        [draft.content.event_ids, draft.content.omitted, draft.content.firing, draft.content.supersedes]
    )
    row = (draft.reference, draft.route, draft.group_key, draft.kind, draft.level, draft.title, draft.body)
    number = writer.execute(
        """INSERT INTO message (key, reference, route, group_key, kind, level, title, body, content, created_ns, state)
        VALUES ('', ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting')""",
        (*row, content, now_ns),
    ).lastrowid
    key = key_of(number or 0, draft.reference, draft.group_key)
    writer.execute("UPDATE message SET key = ? WHERE id = ?", (key, number))
    if instead_of is not None:
        writer.execute("UPDATE notice SET message_id = NULL WHERE message_id = ?", (instead_of.id,))
        writer.execute(
            "UPDATE message SET state = 'superseded', superseded_by = ?, finished_ns = ? WHERE id = ?",
            (number, now_ns, instead_of.id),
        )
    writer.executemany(
        "UPDATE notice SET message_id = ?, reason = '' WHERE event_id = ? AND reference = ?",
        ((number, event_id, draft.reference) for event_id in draft.tells),
    )
    return Message(number or 0, key, *row, draft.content, now_ns)


def key_of(number: int, reference: str, group_key: str) -> str:
    """Return the key of a message: unique in a home, and without what a reference may hold."""
    return f"{number}-{hashlib.blake2s(f'{reference} {group_key}'.encode(), digest_size=6).hexdigest()}"


def record(writer: sqlite3.Connection, message: Message, result: Result, group: GroupRow | None) -> None:
    """Store how an attempt ended; `group` is when its group was told, after a message that has arrived.

    Until then the message counts as not sent, and is sent again after a crash, under the same key.
    """
    writer.execute(
        """INSERT INTO attempt SELECT id, attempts + 1, ?, ?, ?, ? FROM message WHERE id = ?""",
        (result.at_ns, result.took_ns, result.outcome, result.detail, message.id),
    )
    finished_ns = None if result.state == "waiting" else result.at_ns
    writer.execute(
        "UPDATE message SET state = ?, reason = ?, attempts = attempts + 1, finished_ns = ? WHERE id = ?",
        (result.state, result.detail, finished_ns, message.id),
    )
    writer.execute(
        "UPDATE notice SET state = ?, reason = ? WHERE message_id = ?", (result.state, result.detail, message.id)
    )
    if group is not None:
        _believe(writer, message, result.at_ns)
        writer.execute(
            "INSERT OR REPLACE INTO delivery_group VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                group.reference,
                group.group_key,
                group.opened_ns,
                group.sent_ns,
                group.level,
                group.peak,
                group.answered,
            ),
        )


def _believe(writer: sqlite3.Connection, message: Message, at_ns: int) -> None:
    """Store what the receiver of a message knows now: the newest that it told of each alert."""
    writer.execute(
        """INSERT OR REPLACE INTO belief
        SELECT reference, alert, route, group_key, level, max(event_id), ?1
        FROM notice JOIN alert_event ON alert_event.id = event_id
        WHERE message_id = ?2 AND name != 'alert.message' GROUP BY alert""",
        (at_ns, message.id),
    )
    writer.execute("DELETE FROM belief WHERE reference = ? AND level = 'ok'", (message.reference,))
    if message.kind == "repeat":
        writer.execute(
            "UPDATE belief SET at_ns = ? WHERE reference = ? AND group_key = ?",
            (at_ns, message.reference, message.group_key),
        )


def receivers(connection: sqlite3.Connection) -> dict[str, Receiver]:
    """Return how the receivers are that were ever sent something, by reference."""
    rows = connection.execute(
        "SELECT reference, failures, since_ns, next_ns, outcome, detail, delivered_ns FROM receiver"
    )
    return {row[0]: Receiver(*row) for row in rows}


def note(writer: sqlite3.Connection, one: Receiver) -> None:
    """Store how a receiver is."""
    writer.execute(
        "INSERT OR REPLACE INTO receiver VALUES (?, ?, ?, ?, ?, ?, ?)",
        (one.reference, one.failures, one.since_ns, one.next_ns, one.outcome, one.detail, one.delivered_ns),
    )


def prune(writer: sqlite3.Connection, before_ns: int, limit: int) -> int:
    """Forget at most `limit` messages that ended before `before_ns`, with their attempts; return how many."""
    rows = writer.execute(
        "SELECT id FROM message WHERE state != 'waiting' AND finished_ns < ? ORDER BY id LIMIT ?", (before_ns, limit)
    ).fetchall()
    for table, column in (("attempt", "message_id"), ("message", "id")):
        writer.executemany(f"DELETE FROM {table} WHERE {column} = ?", rows)  # noqa: S608 - constants
    writer.executemany("UPDATE notice SET message_id = NULL WHERE message_id = ?", rows)
    return len(rows)


def _message(row: Sequence[Any]) -> Message:
    events, omitted, firing, supersedes = json.loads(row[9])
    content = Content(tuple(events), omitted, tuple(firing), tuple(supersedes))
    values = [*row[:9], content, *row[10:]]
    return Message(*values)
