"""Whom failed runs of a stretch of time concerned, and what they cost: from the traces, as far as these are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.span import CONTROL_FLOW, FAILED, RUN
from ihobs.store.payloads import decompress
from ihobs.store.trace_query import plain

if TYPE_CHECKING:
    import sqlite3

    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

    from ihobs.store.database import Database

MAX_PAYLOADS = 1_000
"""Requests that are looked into for users and sessions; 0.2 ms each."""

USERS = frozenset({"user.id", "enduser.id", "langfuse.user.id", "langsmith.metadata.user_id"})
SESSIONS = frozenset(
    {
        "session.id",
        "gen_ai.conversation.id",
        "langfuse.session.id",
        "langsmith.metadata.session_id",
        "langsmith.metadata.thread_id",
        "langsmith.metadata.conversation_id",
    }
)
"""Attributes in which dialects name a person and a conversation."""

METADATA = "metadata"
"""OpenInference's object of what else a program says, as JSON."""
METADATA_USERS = ("user_id",)
METADATA_SESSIONS = ("session_id", "thread_id", "conversation_id")

MASK = "["
"""What was redacted begins so, and names nobody."""


class Affected(NamedTuple):
    """What failed runs concerned.

    Attributes:
        traces: that hold a run that failed for good.
        cost_nano_usd: of these traces. unpriced_calls: in them, whose price is unknown.
        users, sessions: that they name.
        looked_at: how many of them could be looked into; fewer than `traces`: users and sessions are a lower bound.
    """

    traces: int
    cost_nano_usd: int
    unpriced_calls: int
    users: int
    sessions: int
    looked_at: int


def affected(database: Database, *, start_ns: int, end_ns: int) -> Affected:
    """Return whom the runs concerned that failed in traces that ended in [start_ns, end_ns].

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    users: set[str] = set()
    sessions: set[str] = set()
    seen: set[bytes] = set()
    with database.read() as connection:
        traces, cost, unpriced = connection.execute(
            "SELECT count(*), coalesce(sum(cost_nano_usd), 0), coalesce(sum(unpriced_calls), 0) FROM trace "
            "WHERE received_ns >= ?1 AND end_ns BETWEEN ?1 AND ?2 AND failed_runs > 0",
            (start_ns, end_ns),
        ).fetchone()
        failed = _failed(connection, start_ns, end_ns)
        for span in _spans(connection, sorted(set(failed.values()))[:MAX_PAYLOADS]):
            if span.trace_id in failed:
                seen.add(span.trace_id)
                _note(span, users, sessions)
    return Affected(traces, cost, unpriced, len(users), len(sessions), len(seen))


def _failed(connection: sqlite3.Connection, start_ns: int, end_ns: int) -> dict[bytes, int]:
    """Return the traces with failed runs, and the payload of the run of each."""
    rows = connection.execute(
        """SELECT trace_id, payload_id FROM trace JOIN span ON trace_no = no
        WHERE received_ns >= ?1 AND trace.end_ns BETWEEN ?1 AND ?2 AND failed_runs > 0
        AND flags & ?3 AND flags & ?4 AND NOT flags & ?5""",
        (start_ns, end_ns, RUN, FAILED, CONTROL_FLOW),
    )
    return dict(rows.fetchall())


def _spans(connection: sqlite3.Connection, payloads: list[int]) -> Iterator[OtlpSpan]:
    for number in payloads:
        row = connection.execute("SELECT body FROM payload WHERE id = ?", (number,)).fetchone()
        if row is None:  # kept for a shorter time than its index
            continue
        for resource_spans in decompress(row[0]).resource_spans:
            for scope_spans in resource_spans.scope_spans:
                yield from scope_spans.spans


def _note(span: OtlpSpan, users: set[str], sessions: set[str]) -> None:
    """Take in whom a span names."""
    for attribute in span.attributes:
        if attribute.key in USERS:
            _add(users, plain(attribute.value))
        elif attribute.key in SESSIONS:
            _add(sessions, plain(attribute.value))
        elif attribute.key == METADATA:
            said = _object(attribute.value.string_value)
            for names, found in ((METADATA_USERS, users), (METADATA_SESSIONS, sessions)):
                _add(found, next((said[name] for name in names if said.get(name)), None))


def _add(found: set[str], name: object) -> None:
    text = "" if name is None else str(name)
    if text and not text.startswith(MASK):
        found.add(text)


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
