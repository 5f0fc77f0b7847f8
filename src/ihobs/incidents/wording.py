"""Moments and lengths of time in the words of incidents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

if TYPE_CHECKING:
    from datetime import tzinfo


def moment_shown(at_ns: int, timezone: tzinfo | None, form: str = "%Y-%m-%d %H:%M %Z") -> str:
    """Return a moment for people, e.g. `2026-11-22 14:20 UTC`; None is UTC."""
    moment = datetime.fromtimestamp(at_ns // SECOND_NS, UTC)
    return moment.astimezone(UTC if timezone is None else timezone).strftime(form)


def length_shown(length_ns: int) -> str:
    """Return a length of time for people, e.g. `4 min`, `2 h 5 min`, `3 d 4 h`."""
    if length_ns < MINUTE_NS:
        return f"{length_ns / SECOND_NS:.3g} s"
    days, rest = divmod(length_ns, DAY_NS)
    hours, rest = divmod(rest, HOUR_NS)
    parts = ((days, "d"), (hours, "h"), (rest // MINUTE_NS, "min"))
    return " ".join([f"{count} {unit}" for count, unit in parts if count][:2])
