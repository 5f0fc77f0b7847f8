"""What was removed from some spans, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """Where something stood, and what it was.

    Attributes:
        part: of the span: "attribute", "span name", "status message", ... key: of the attribute, or empty.
        kind: `Detector.kind`, or one of the words for values that go for their key.
    """

    part: str
    key: str
    kind: str


@dataclass(slots=True)
class Tally:
    """Counts what was removed; holds no removed text."""

    removed: dict[Place, int] = field(default_factory=dict)

    def add(self, part: str, key: str, kind: str) -> None:
        """Count one."""
        place = Place(part, key, kind)
        self.removed[place] = self.removed.get(place, 0) + 1

    def by_kind(self) -> dict[str, int]:
        """Return how often each kind was removed."""
        kinds: dict[str, int] = {}
        for place, count in self.removed.items():
            kinds[place.kind] = kinds.get(place.kind, 0) + count
        return kinds
