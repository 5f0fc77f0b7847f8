"""How far the destinations are, in `GET /metrics`. The counters are the home's: they outlive this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.store.forwarding import Backlog, backlogs
from ihobs.web.openmetrics import Family, Sample

if TYPE_CHECKING:
    from ihobs.store.database import Database


def forwarding(database: Database, now_ns: int) -> Iterator[Family]:
    """Yield what is known of the configured destinations.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    known = [one for one in backlogs(database) if one.active]

    def lag_s(one: Backlog) -> float:
        return 0.0 if one.oldest_ns is None else max(0, now_ns - one.oldest_ns) / SECOND_NS

    def samples(value: str) -> list[Sample]:
        return [Sample(getattr(one, value), {"destination": one.name}) for one in known]

    yield Family("ihobs_forward_backlog_spans", "gauge", "Spans that wait for a destination.", samples("spans"))
    lags = [Sample(lag_s(one), {"destination": one.name}) for one in known]
    yield Family("ihobs_forward_lag_seconds", "gauge", "For how long the oldest of them waits.", lags, "seconds")
    yield Family("ihobs_forward_paused", "gauge", "1 when a destination takes nothing.", samples("paused"))
    yield Family("ihobs_forward_dead_letters", "gauge", "Spans that were refused one by one.", samples("dead_letters"))
    outcomes = [("sent", "sent_spans"), ("rejected", "rejected_spans")]
    counts = [
        Sample(getattr(one, field), {"destination": one.name, "outcome": name})
        for one in known
        for name, field in outcomes
    ]
    yield Family("ihobs_forwarded_spans", "counter", "Spans that were answered by a destination, ever.", counts)
