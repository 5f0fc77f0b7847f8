"""Redaction on the way into the store: which keys it must leave readable, and how much it has removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ihobs.redact.hash_key import HashKey
from ihobs.redact.message import Redactor
from ihobs.spans.dialects import FIELDS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from ihobs.redact.policy import Policy
    from ihobs.redact.text import Hook
    from ihobs.spans.dialects import Dialects
    from ihobs.store.database import Database
    from ihobs.store.home import Home

_ATTEMPT_FIELDS = frozenset({FIELDS.index("attempt_key"), FIELDS.index("node_attempt_key")})


class Removed(NamedTuple):
    """What was removed from spans so far.

    Attributes:
        kind: "content", "secret", "failed", "plug-in", or what was found, such as "email".
        times: how often. last_ns: when the last ones were received.
    """

    kind: str
    times: int
    last_ns: int


def redactor_for(home: Home, policy: Policy, dialects: Dialects, hook: Hook | None = None) -> Redactor:
    """Return the redactor of a home, whose key it uses for hashes."""
    return redactor_with(policy, dialects, hash_key=HashKey(home.path), hook=hook)


def redactor_with(
    policy: Policy, dialects: Dialects, *, hash_key: Callable[[], bytes], hook: Hook | None = None
) -> Redactor:
    """Return a redactor that leaves readable what the table of dialects reads.

    What tells attempts apart stays different: it is hashed.
    """
    read: dict[str, frozenset[str]] = {}
    distinct = set()
    for key, sources in dialects.sources.items():
        whole = any(not source.path for source in sources)
        read[key] = frozenset() if whole else frozenset(source.path[0] for source in sources)
        if any(source.field in _ATTEMPT_FIELDS and not source.path for source in sources):
            distinct.add(key)
    return Redactor(policy, read=read, distinct=frozenset(distinct), hash_key=hash_key, hook=hook)


def count_removed(connection: sqlite3.Connection, kinds: Mapping[str, int], now_ns: int) -> None:
    """Add to the counts of what was removed, kind -> how often."""
    connection.executemany(
        "INSERT INTO redacted VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count, "
        "last_ns = excluded.last_ns",
        [(kind, count, now_ns) for kind, count in kinds.items()],
    )


def removed(database: Database) -> tuple[Removed, ...]:
    """Return what was removed so far, most frequent first.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        rows = connection.execute("SELECT reason, count, last_ns FROM redacted ORDER BY count DESC, reason").fetchall()
    return tuple(Removed(*row) for row in rows)
