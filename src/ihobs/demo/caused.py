"""The incident that a demo's fault caused, as the home holds it: what happened to it, and who was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.incidents import record
from ihobs.store.state import delivery_history

if TYPE_CHECKING:
    from ihobs.incidents.record import Record
    from ihobs.store.database import Database

EVENTS_READ = 50


@dataclass(frozen=True, slots=True)
class Caused:
    """An incident, and the receivers that were told of it."""

    record: Record
    told: tuple[str, ...]


def read(state: Database, incident_id: str) -> Caused:
    """Return what is known of an incident.

    Raises:
        NotFoundError: there is none.
    """
    chapters = delivery_history.story(state, incident_id, EVENTS_READ)
    told = {one.reference for chapter in chapters for one in chapter.hearings if one.state == "sent"}
    return Caused(record.read(state, incident_id), tuple(sorted(told)))
