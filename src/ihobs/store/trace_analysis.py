"""What the newest traces of a stretch of time have in common: which errors, where, and which versions ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.span import FAILED
from ihobs.store.payloads import decompress

if TYPE_CHECKING:
    from ihobs.store.database import Database

MAX_TRACES = 2_000
"""The newest of a stretch that are looked at."""

MAX_PAYLOADS = 20
"""Requests that are looked into for versions: the oldest and the newest of a stretch, so many each."""


class ErrorClass(NamedTuple):
    """A kind of failure: the error's type, the node and kind of what failed, and how often."""

    error: str
    node: str
    kind: str
    spans: int


class Version(NamedTuple):
    """A version of a service, and when it was first seen in the stretch that was looked at."""

    service: str
    version: str
    seen_ns: int


def error_classes(database: Database, *, start_ns: int, end_ns: int, limit: int) -> list[ErrorClass]:
    """Return what failed in the newest traces received in [start_ns, end_ns], the most frequent first.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        rows = connection.execute(
            """SELECT shape.error, shape.node, shape.kind, count(*) AS spans
            FROM (SELECT no FROM trace WHERE received_ns BETWEEN ?1 AND ?2 ORDER BY received_ns DESC LIMIT ?3)
            JOIN span ON trace_no = no JOIN shape ON shape.id = shape_id WHERE flags & ?4
            GROUP BY shape.error, shape.node, shape.kind ORDER BY spans DESC, shape.error, shape.node LIMIT ?5""",
            (start_ns, end_ns, MAX_TRACES, FAILED, limit),
        ).fetchall()
    return [ErrorClass(*row) for row in rows]


def versions(database: Database, *, start_ns: int, end_ns: int) -> list[Version]:
    """Return the versions of services that sent spans in [start_ns, end_ns], by their resource attributes.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    found: dict[tuple[str, str], int] = {}
    with database.read() as connection:
        for order in ("ASC", "DESC"):
            rows = connection.execute(
                f"SELECT received_ns, body FROM payload WHERE received_ns BETWEEN ? AND ? "  # noqa: S608 - constants
                f"ORDER BY received_ns {order} LIMIT ?",
                (start_ns, end_ns, MAX_PAYLOADS),
            )
            for received_ns, body in rows:
                for service, version in _services(body):
                    seen_ns = found.get((service, version), received_ns)
                    found[service, version] = min(seen_ns, received_ns)
    return [Version(*key, seen_ns) for key, seen_ns in sorted(found.items(), key=lambda item: item[1])]


def _services(body: bytes) -> list[tuple[str, str]]:
    found = []
    for resource_spans in decompress(body).resource_spans:
        said = {one.key: one.value.string_value for one in resource_spans.resource.attributes}
        if said.get("service.version"):
            found.append((said.get("service.name", ""), said["service.version"]))
    return found
