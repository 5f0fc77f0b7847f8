"""The forecast of the disk, for people and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.cli.moments import shown
from ihobs.cli.units import size
from ihobs.clock import DAY_NS, SECOND_NS, isoformat

if TYPE_CHECKING:
    from ihobs.store.forecast import Forecast

URGENT_NS = 7 * DAY_NS
"""A file system that is full within this long needs attention now."""


def is_urgent(found: Forecast, now_ns: int) -> bool:
    """Return whether spans will soon be lost. At `max_bytes` only the oldest go, as was asked for."""
    return found.limited_by == "file system" and found.full_ns is not None and found.full_ns - now_ns < URGENT_NS


def disk_text(found: Forecast) -> str:
    """Return the forecast as one line."""
    limit = "retention.max_bytes" if found.limited_by == "max_bytes" else "all that the file system has left"
    text = f"{size(found.used_bytes)} of {size(found.limit_bytes)} ({limit})"
    if found.growth_bytes_a_day is None or found.settles_at_bytes is None:
        return f"{text}; too little history for a forecast"
    text += f", {size(round(found.growth_bytes_a_day))} a day come in: "
    if found.full_ns is None:
        return f"{text}settles at {size(round(found.settles_at_bytes))}, as 'retention' forgets as much"
    then = "full spans go sooner from then on" if found.limited_by == "max_bytes" else "no span can be stored then"
    return f"{text}full on {shown(found.full_ns)} UTC; {then}"


def disk_figures(found: Forecast, now_ns: int) -> dict[str, object]:
    """Return the forecast with the names that `--json` promises; unknown is null."""
    return {
        "used_bytes": found.used_bytes,
        "limit_bytes": found.limit_bytes,
        "limited_by": found.limited_by,
        "growth_bytes_a_day": _whole(found.growth_bytes_a_day),
        "full_at": None if found.full_ns is None else isoformat(found.full_ns),
        "full_in_s": None if found.full_ns is None else (found.full_ns - now_ns) / SECOND_NS,
        "settles_at_bytes": _whole(found.settles_at_bytes),
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
