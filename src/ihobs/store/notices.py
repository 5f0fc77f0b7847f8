"""What instrumented programs have noticed about themselves, such as a sampler. For `ihobs doctor`, elsewhere.

Each program tells all that it notices at once, and so replaces what the same service noticed before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ihobs.store.database import Database

_KEY = "notice:"
"""Begins the keys of their rows in `meta`."""


@dataclass(frozen=True, slots=True)
class Notices:
    """What one service noticed.

    Attributes:
        texts: subject -> what was noticed. seen_ns: when.
    """

    service: str
    texts: Mapping[str, str]
    seen_ns: int


def write_notices(database: Database, service: str, texts: Mapping[str, str], now_ns: int) -> None:
    """Replace what a service noticed; nothing removes it.

    Raises:
        StoreUnavailableError: nothing was written.
    """
    if not texts and not any(one.service == service for one in read_notices(database)):
        return
    with database.write() as connection:
        if texts:
            value = json.dumps({"texts": dict(texts), "seen_ns": now_ns})
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [_KEY + service, value])
        else:
            connection.execute("DELETE FROM meta WHERE key = ?", [_KEY + service])


def read_notices(database: Database) -> tuple[Notices, ...]:
    """Return what services noticed, by name.

    Raises:
        StoreUnavailableError: it cannot be read.
    """
    with database.read() as connection:
        rows = connection.execute("SELECT key, value FROM meta WHERE key GLOB ? ORDER BY key", [_KEY + "*"]).fetchall()
    found = ((key.removeprefix(_KEY), json.loads(value)) for key, value in rows)
    return tuple(Notices(service, value["texts"], value["seen_ns"]) for service, value in found)
