"""The only place that asks what time it is. Everything else takes a `Clock` as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Returns nanoseconds since the Unix epoch, UTC."""

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS

now_ns: Clock = time.time_ns


def isoformat(ns: int) -> str:
    """Return `ns` since the epoch as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(ns / SECOND_NS, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
