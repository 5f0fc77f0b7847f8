"""What ihobs' own telemetry database takes of the disk, now and in a week."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ihobs.alerts.measurements import Measurements, Sample
from ihobs.clock import SECOND_NS
from ihobs.store.forecast import Forecast, forecast, free_bytes

if TYPE_CHECKING:
    from ihobs.model import Rule
    from ihobs.store.database import Database
    from ihobs.store.retention import Retention

READ_AGAIN_NS = 30 * SECOND_NS
"""For so long a forecast holds: it costs milliseconds, and rules are evaluated up to 20 times a second."""

_LIMITS = {"max_bytes": "of retention.max_bytes", "file system": "of what the file system has left"}


class Disk:
    """The forecast for one database, read now and then."""

    def __init__(self, database: Database, retention: Retention) -> None:
        self._database, self._retention = database, retention
        self._read: tuple[int, Forecast] | None = None

    def forecast(self, now_ns: int) -> Forecast:
        """Return a forecast of this minute.

        Raises:
            StoreUnavailableError: the database cannot be read.
        """
        if self._read is None or not 0 <= now_ns - self._read[0] < READ_AGAIN_NS:
            free = free_bytes(self._database.home.path)
            found = forecast(self._database, now_ns=now_ns, retention=self._retention, free_bytes=free)
            self._read = now_ns, found
        return self._read[1]


def used_bytes(measurements: Measurements, rule: Rule) -> list[Sample]:  # noqa: ARG001 - one signature for all
    """Return what the database takes."""
    return _read(measurements, lambda found: float(found.used_bytes))


def used_ratio(measurements: Measurements, rule: Rule) -> list[Sample]:  # noqa: ARG001 - one signature for all
    """Return which part of what it may take the database takes."""
    return _read(measurements, lambda found: found.used_bytes / max(1, found.limit_bytes))


def used_in_7d_ratio(measurements: Measurements, rule: Rule) -> list[Sample]:  # noqa: ARG001 - one signature for all
    """Return which part of what it may take the database would take in a week; more than 1: it is full before."""
    return _read(
        measurements,
        lambda found: None if found.in_a_week_bytes is None else found.in_a_week_bytes / max(1, found.limit_bytes),
    )


def _read(measurements: Measurements, value: Callable[[Forecast], float | None]) -> list[Sample]:
    if measurements.disk is None:
        return [Sample({}, None)]
    found = measurements.disk(measurements.now_ns)
    return [Sample({}, value(found), _LIMITS[found.limited_by])]
