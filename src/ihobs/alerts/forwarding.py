"""How the destinations are: what waits for them, since when, and which of them are paused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ihobs.alerts.measurements import Measurements, Sample
from ihobs.clock import SECOND_NS
from ihobs.store.forwarding import Backlog, backlogs

if TYPE_CHECKING:
    from ihobs.model import Rule
    from ihobs.store.database import Database

READ_AGAIN_NS = 5 * SECOND_NS
"""For so long a reading holds: what waits is summed, and rules are evaluated up to 20 times a second."""

DESTINATION = "destination"


class Backlogs:
    """What waits for the destinations of one database, read now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: tuple[int, Sequence[Backlog]] | None = None

    def now(self, now_ns: int) -> Sequence[Backlog]:
        """Return how the destinations were within the last seconds.

        Raises:
            StoreUnavailableError: the database cannot be read.
        """
        if self._read is None or not 0 <= now_ns - self._read[0] < READ_AGAIN_NS:
            self._read = now_ns, backlogs(self._database)
        return self._read[1]


def backlog(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return how many spans wait; of all destinations, for the one for which most do."""
    return _samples(measurements, rule, lambda one: float(one.spans))


def lag(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return for how many seconds the oldest span waits; of all destinations, the longest."""
    now_ns = measurements.now_ns

    def waits_s(one: Backlog) -> float:
        return 0.0 if one.oldest_ns is None else max(0, now_ns - one.oldest_ns) / SECOND_NS

    return _samples(measurements, rule, waits_s)


def paused(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return 1 where somebody has to do something before spans are sent, else 0."""
    return _samples(measurements, rule, lambda one: float(one.paused))


def _samples(measurements: Measurements, rule: Rule, value: Callable[[Backlog], float]) -> list[Sample]:
    """Return a sample for each destination, or the worst; one that is no longer configured is well."""
    if measurements.destinations is None:
        return [Sample({}, None)]
    known = measurements.destinations(measurements.now_ns)
    if DESTINATION in rule.by:
        return [Sample({DESTINATION: one.name}, value(one) if one.active else 0.0, one.problem) for one in known]
    worst = max((one for one in known if one.active), key=value, default=None)
    return [Sample({}, None) if worst is None else Sample({}, value(worst), f"{worst.name}: {worst.problem or 'ok'}")]
