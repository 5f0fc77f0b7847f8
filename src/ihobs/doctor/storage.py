"""The home: whether it is there, whole, readable by this version, private, and has room."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, isoformat
from ihobs.doctor.examined import VERSIONS
from ihobs.doctor.finding import Finding, ok, problem, warning
from ihobs.errors import IhobsError, NotFoundError
from ihobs.store.forecast import forecast, free_bytes
from ihobs.store.health import size_bytes
from ihobs.store.home import Home, refuse_network_file_system
from ihobs.store.observing import damage, version_of
from ihobs.store.retention import retention_of

if TYPE_CHECKING:
    from ihobs.doctor.examined import Examined
    from ihobs.store.database import Database

LOOKED_THROUGH_BYTES = 256 * 1024 * 1024
"""A database up to this size is read to its last page; a larger one only on demand."""

LOW_BYTES = 500_000_000
URGENT_NS = 7 * DAY_NS
"""A file system that is full within this long needs attention now."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def home(examined: Examined) -> Iterator[Finding]:
    """Whether there is a home that can be used."""
    path = examined.home_path
    try:
        refuse_network_file_system(path)
        found = Home.open(path)
        generation = found.generation()
    except NotFoundError:
        advice = "'ihobs exec', 'ihobs serve' and 'ihobs init' make one"
        yield problem("home", f"there is none at {path}", "nothing is recorded yet", advice)
        return
    except IhobsError as error:
        yield problem("home", str(error), "nothing can be recorded or evaluated", "see what the message asks for")
        return
    if not (path / "data" / generation).is_dir():
        yield problem(
            "home",
            f"{path / 'CURRENT'} names {generation!r}, which is not there",
            "programs write to no database; their spans wait in memory and in the spool",
            "restore a backup, or name a generation that is in data/",
        )
        return
    yield ok("home", f"{path}, generation {generation}")


def permissions(examined: Examined) -> Iterator[Finding]:
    """Whether we may write there, and others may not read."""
    path = examined.home_path
    if examined.home is None:
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield problem(
            "permissions", f"{path} cannot be written by this user", "programs of this user cannot record",
            f"give it to him, or run as its owner (uid {path.stat().st_uid})",
        )  # fmt: skip
    elif path.stat().st_mode & _OTHERS:
        yield warning(
            "permissions",
            f"{path} is open to other users ({stat.filemode(path.stat().st_mode)})",
            "they may read what spans hold, and prompts if they are kept",
            f"chmod 700 {path}",
        )
    else:
        yield ok("permissions", "the home is this user's alone")


def databases(examined: Examined) -> Iterator[Finding]:
    """Whether the databases are whole, and of a version that this program may use."""
    for name, database in (("telemetry", examined.telemetry), ("state", examined.state)):
        if database is None:
            if examined.home is not None:
                yield ok(f"{name}.db", "is not made yet")
            continue
        try:
            yield from _version(name, database)
            yield from _whole(examined, name, database)
        except IhobsError as error:
            yield problem(
                f"{name}.db", str(error), "nothing can be read from it or written to it",
                "stop what uses it, and restore a backup; or move it away, and lose what it holds",
            )  # fmt: skip


def _version(name: str, database: Database) -> Iterator[Finding]:
    found, min_writer = version_of(database)
    ours = VERSIONS[name]
    if found > ours and min_writer > ours:
        yield problem(
            f"{name}.db", f"was written by a newer ihobs (version {found}, this one writes {ours})",
            "programs with this version cannot write; their spans wait in the spool", "pip install -U ihobs",
        )  # fmt: skip
    elif found > ours:
        text = f"has version {found}, newer than this program's {ours}, which may still use it"
        yield ok(f"{name}.db", text)
    elif found < ours:
        yield ok(f"{name}.db", f"has version {found}; the next process that writes brings it to {ours}")
    else:
        yield ok(f"{name}.db", f"has this program's version, {ours}")


def _whole(examined: Examined, name: str, database: Database) -> Iterator[Finding]:
    size = size_bytes(database.home.database(name)) or 0
    looked_through = examined.deep or size <= LOOKED_THROUGH_BYTES
    found = damage(database, whole=looked_through)
    if found:
        yield problem(
            f"{name}.db", f"is damaged: {found}", "numbers may be wrong, and writing may fail at any time",
            "stop what uses it, and restore a backup",
        )  # fmt: skip
    elif looked_through:
        yield ok(f"{name}.db", "is whole")
    else:
        yield ok(f"{name}.db", "can be read; --deep reads every page of it")


def disk(examined: Examined) -> Iterator[Finding]:
    """Whether there is room, now and at the rate at which spans come in."""
    if examined.home is None:
        return
    free = free_bytes(examined.home_path)
    if free < LOW_BYTES:
        yield problem(
            "disk", f"the file system has {free / 1e6:.0f} MB left", "soon no span can be stored",
            "free some space, or lower 'retention.max_bytes'",
        )  # fmt: skip
    if examined.telemetry is None:
        return
    now_ns, retention = examined.clock(), retention_of(examined.settings.retention)
    seen = forecast(examined.telemetry, now_ns=now_ns, retention=retention, free_bytes=free)
    if seen.limited_by == "file system" and seen.full_ns is not None and seen.full_ns - now_ns < URGENT_NS:
        yield problem(
            "disk", f"the file system is full on {isoformat(seen.full_ns)[:10]} at this rate",
            "no span can be stored then", "lower 'retention.max_bytes' or 'retention.payload', or add space",
        )  # fmt: skip
    elif free >= LOW_BYTES:
        yield ok("disk", f"{seen.used_bytes / 1e6:,.1f} MB of {seen.limit_bytes / 1e9:,.1f} GB ({seen.limited_by})")
