"""How the telemetry database is: how much it holds, from when, who writes to it, and what was lost on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.clock import MINUTE_NS, SECOND_NS
from ihobs.store.losses import Loss
from ihobs.store.query import newest_ns
from ihobs.store.schema import RESOLUTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from ihobs.store.database import Database

LIVE_WITHIN_NS = 5 * MINUTE_NS
"""A program is under observation when it sent spans this lately."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the telemetry database says about itself.

    Attributes:
        spans: counted spans, as far back as the hourly roll-ups reach; rows of old ones may be gone.
        traces: traces whose rows are kept.
        oldest_ns, newest_ns: edges of the buckets that hold something; None when nothing does.
        live_ns: when spans of a running program were last received, if that was lately (LIVE_WITHIN_NS).
        losses: most spans first.
    """

    spans: int
    traces: int
    oldest_ns: int | None
    newest_ns: int | None
    live_ns: int | None
    losses: tuple[Loss, ...]


def health(database: Database, *, now_ns: int) -> Health:
    """Return how the telemetry database is. Reads roll-ups and indexes only, no spans.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        spans = connection.execute("SELECT coalesce(sum(spans), 0) FROM rollup_1h").fetchone()[0]
        traces = connection.execute("SELECT count(*) FROM trace").fetchone()[0]
        live = connection.execute(
            "SELECT max(received_ns) FROM payload WHERE live AND received_ns > ?", [now_ns - LIVE_WITHIN_NS]
        ).fetchone()[0]
        edges = oldest_ns(database), newest_ns(database)
        return Health(spans, traces, *edges, live, losses(database))


def losses(database: Database, *, since_ns: int = 0) -> tuple[Loss, ...]:
    """Return the losses whose last one was since then, most spans first; each with all that were ever lost so.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    query = "SELECT reason, spans, last_ns FROM dropped WHERE last_ns >= ? ORDER BY spans DESC, reason"
    with database.read() as connection:
        return tuple(Loss(*row) for row in connection.execute(query, [since_ns]))


def live_since_ns(database: Database) -> int | None:
    """Return when the oldest request of a running program was received, of those that are kept; None: there is none.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        row = connection.execute("SELECT received_ns FROM payload WHERE live ORDER BY received_ns LIMIT 1").fetchone()
    return None if row is None else int(row[0])


def oldest_ns(database: Database) -> int | None:
    """Return the beginning of the oldest hour that holds anything; None when the store is empty."""
    with database.read() as connection:
        bucket = connection.execute("SELECT min(bucket) FROM rollup_1h").fetchone()[0]
    return None if bucket is None else int(bucket) * RESOLUTIONS["1h"] * SECOND_NS


def size_bytes(path: Path) -> int | None:
    """Return the size of a database with its write-ahead log; None when it does not exist yet."""
    sizes = [file.stat().st_size for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
    return sum(sizes) if path.exists() else None
