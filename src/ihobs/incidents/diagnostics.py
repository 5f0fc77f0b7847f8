"""Freeze what was seen when an incident opened: a file for each piece, under `incidents/<id>/`.

That a piece is missing is stored with the incident, before anything is collected. A file appears whole, under its name,
or not at all, and the first one stays: so a process that is killed anywhere leaves pieces that are complete, and
others that the next process collects, or gives a reason for.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihobs.clock import SECOND_NS, Clock, isoformat, now_ns
from ihobs.errors import IhobsError
from ihobs.incidents.opening import BRIDGE
from ihobs.incidents.seen import PIECES, Place
from ihobs.store.state import incidents
from ihobs.store.state.incidents import Entry, Incident, Part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ihobs.store.database import Database
    from ihobs.store.home import Home

DIRECTORY = "incidents"
"""In the home: a directory for each incident."""

FORMAT = 1
"""Of the files; grows when what stands in them is named otherwise."""


@dataclass(frozen=True)
class Diagnostics:
    """Collects what waits to be collected, in whatever process asks first.

    Attributes:
        home, telemetry, state: where to look, and where to write.
        clock: tells the time.
        name: makes the names of files that are not whole yet.
    """

    home: Home
    telemetry: Database
    state: Database
    clock: Clock = now_ns
    name: Callable[[int], str] = secrets.token_hex

    def complete(self) -> int:
        """Collect all pieces that are missing; return how many.

        Raises:
            StoreUnavailableError: the state database cannot be used.
        """
        with self.state.read() as reader:
            waiting = [(one, name) for one, name in incidents.waiting_parts(reader) if name != BRIDGE]
            found = {one: incidents.find(reader, one) for one in dict.fromkeys(incident for incident, _ in waiting)}
        for incident_id, name in waiting:
            self._collect(found[incident_id], name)
        return len(waiting)

    def _collect(self, incident: Incident, name: str) -> None:
        place = Place(self.home, self.telemetry, self.state, incident.opened_ns)
        try:
            file = self._freeze(incident, name, lambda: PIECES[name](place))
        except (IhobsError, OSError) as error:
            self._finish(incident, Part(name, "missing", str(error) or type(error).__name__, self.clock()))
        else:
            self._finish(incident, Part(name, "done", file, self.clock()))

    def _freeze(self, incident: Incident, name: str, look: Callable[[], Mapping[str, Any]]) -> str:
        """Write a piece, unless somebody has, and return the name of its file below the home."""
        directory = self.home.directory(DIRECTORY) / incident.id
        directory.mkdir(mode=0o700, exist_ok=True)
        file = directory / f"{name}.json"
        if not file.exists():
            taken_ns = self.clock()
            document = {
                "format": FORMAT,
                "incident": incident.id,
                "part": name,
                "opened": isoformat(incident.opened_ns),
                "taken": isoformat(taken_ns),
                "late_s": max(0, taken_ns - incident.opened_ns) / SECOND_NS,
                "data": look(),
            }
            _write_once(file, json.dumps(document, indent=1, default=str), f".{name}-{self.name(8)}")
        return f"{DIRECTORY}/{incident.id}/{file.name}"

    def _finish(self, incident: Incident, part: Part) -> None:
        """Store what became of a piece; after the last one, the timeline says so."""
        with self.state.write() as writer:
            if not incidents.finish_part(writer, incident.id, part):
                return
            known = [one for one in incidents.parts(writer, incident.id) if one.name != BRIDGE]
            if any(one.state == "waiting" for one in known):
                return
            missing = [one.name for one in known if one.state == "missing"]
            text = f"diagnostics are frozen: {len(known) - len(missing)} of {len(known)} parts"
            text += f"; missing: {', '.join(missing)}" if missing else ""
            incidents.add_entry(writer, incident.id, Entry(self.clock(), "diagnostics", "", text, {"missing": missing}))
        for unfinished in (self.home.path / DIRECTORY / incident.id).glob(".*-*"):  # of processes that were killed
            unfinished.unlink(missing_ok=True)


def _write_once(file: Path, text: str, beside: str) -> None:
    """Write a file whole and durably; one that is there stays as it is."""
    unfinished = file.with_name(beside)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
