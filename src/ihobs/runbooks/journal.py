"""Where the engine writes what it is about to do and what came of it: on disk, or in memory for dry runs and tests."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from ihobs.clock import Clock, now_ns
from ihobs.errors import StoreUnavailableError
from ihobs.store.state import runs
from ihobs.store.state.runs import Ending, RunEvent, Within
from ihobs.store.wake import notify

if TYPE_CHECKING:
    from ihobs.store.database import Database


LOOK_EVERY_NS = 50_000_000
"""How soon a run notices that it is cancelled; every step asks, and most are quicker than a look."""


class Journal(Protocol):
    """Keeps the events of one run. Safe for threads."""

    def events(self) -> Sequence[RunEvent]:
        """Return what was written before, oldest first."""

    def append(self, event: RunEvent, within: Within | None = None) -> RunEvent:
        """Write an event, with the rows of `within` in the same transaction; return it as it is kept."""

    def end(self, ending: Ending) -> RunEvent:
        """Write how the run stands when the engine lets go of it."""

    def cancelled_by(self) -> str | None:
        """Return who wants the run to stop."""


@dataclass
class StoredJournal:
    """The journal of a run in state.db: one commit for each event."""

    database: Database
    run_id: str
    clock: Clock = now_ns
    _looked_ns: int | None = None
    _stopper: str | None = None

    def events(self) -> Sequence[RunEvent]:
        """Return what was written before, oldest first."""
        return runs.events(self.database, self.run_id)

    def append(self, event: RunEvent, within: Within | None = None) -> RunEvent:
        """Write an event; when it came with rows of others, wake the duties."""
        stored = runs.append(self.database, self.run_id, event, within)
        if within is not None:
            notify(self.database.home)
        return stored

    def end(self, ending: Ending) -> RunEvent:
        """Write how the run stands."""
        return runs.end(self.database, self.run_id, ending)

    def cancelled_by(self) -> str | None:
        """Return who wants the run to stop; it looks at most every `LOOK_EVERY_NS`."""
        now = self.clock()
        if self._looked_ns is None or not 0 <= now - self._looked_ns < LOOK_EVERY_NS:
            self._looked_ns = now
            with contextlib.suppress(StoreUnavailableError):  # it looks again soon; events are written or fail
                self._stopper = runs.cancelled_by(self.database, self.run_id)
        return self._stopper


@dataclass
class MemoryJournal:
    """A journal that nobody keeps. Steps whose effect is a row are not done in it."""

    kept: list[RunEvent] = field(default_factory=list)
    ending: Ending | None = None
    stopper: str | None = None
    _lock: Lock = field(default_factory=Lock)

    def events(self) -> Sequence[RunEvent]:
        """Return what was written."""
        return tuple(self.kept)

    def append(self, event: RunEvent, within: Within | None = None) -> RunEvent:
        """Keep an event; there is no database for `within`."""
        if within is not None:
            raise TypeError("a step whose effect is a row needs a stored journal, or a fake")
        with self._lock:
            stored = replace(event, seq=len(self.kept) + 1)
            self.kept.append(stored)
        return stored

    def end(self, ending: Ending) -> RunEvent:
        """Keep how the run stands."""
        self.ending = ending
        return self.append(RunEvent("finished" if ending.is_final else "paused", ending.at_ns))

    def cancelled_by(self) -> str | None:
        """Return who wants the run to stop."""
        return self.stopper


class History:
    """What the journal says of each step, kept in memory while the engine walks."""

    def __init__(self, events: Iterable[RunEvent]) -> None:
        self._of: dict[str, list[RunEvent]] = defaultdict(list)
        for event in events:
            self.add(event)

    def add(self, event: RunEvent) -> None:
        """Take an event in; paths are each of one thread, so there is nothing to lock."""
        self._of[event.path].append(event)

    def of(self, path: str) -> Sequence[RunEvent]:
        """Return the events of a step, oldest first."""
        return self._of.get(path, ())


def last_of(events: Sequence[RunEvent], name: str) -> RunEvent | None:
    """Return the newest event of a name."""
    return next((event for event in reversed(events) if event.name == name), None)


def fields_of(event: RunEvent | None) -> Mapping[str, Any]:
    """Return the fields of an event, none of none."""
    return {} if event is None else event.fields
