"""Everything that is known of LangSmith in one value, for the API and for `ihobs doctor`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from ihobs.clock import Clock, isoformat, now_ns
from ihobs.langsmith.access import accesses
from ihobs.langsmith.status import Connection, connection

if TYPE_CHECKING:
    from ihobs.langsmith.access import Access
    from ihobs.langsmith.status import Connect
    from ihobs.settings import Settings

Mode = Literal["local only", "key only", "forwarding"]

MEANINGS: Mapping[Mode, str] = {
    "local only": "there is no key of LangSmith; everything works without it",
    "key only": "a key alone starts nothing: no destination of type langsmith is configured",
    "forwarding": "spans are forwarded to LangSmith",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        connections: the destinations, else the way that the variables tell of; none without a key.
        checked_ns: when LangSmith was asked.
    """

    mode: Mode
    connections: tuple[Connection, ...]
    checked_ns: int

    @property
    def ok(self) -> bool:
        """Whether nothing that was asked for fails."""
        return all(each.ok for each in self.connections)


def report(
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
    *,
    clock: Clock = now_ns,
    connect: Connect = connection,
) -> Report:
    """Ask LangSmith about every way there, all at once; takes seconds when nobody answers, and never raises."""
    ways = accesses(settings, environ)
    checked_ns = clock()
    if not ways:
        return Report("local only", (), checked_ns)
    with ThreadPoolExecutor(len(ways), thread_name_prefix="ihobs-langsmith") as pool:
        found = tuple(pool.map(connect, ways))
    return Report(_mode(ways), found, checked_ns)


def figures(found: Report) -> dict[str, object]:
    """Return the report with the names that the API promises. The key is in none of it."""
    return {
        "mode": found.mode,
        "text": MEANINGS[found.mode],
        "ok": found.ok,
        "checked": isoformat(found.checked_ns),
        "connections": [{**asdict(each), "ok": each.ok} for each in found.connections],
    }


def _mode(ways: tuple[Access, ...]) -> Mode:
    return "forwarding" if any(way.is_configured for way in ways) else "key only"
