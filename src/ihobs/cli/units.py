"""Numbers for people: three significant digits, and a unit."""

from __future__ import annotations

from ihobs.clock import HOUR_NS, MINUTE_NS, SECOND_NS

UNKNOWN = "-"
"""Stands where a value is not known."""

AT_LEAST = ">"
"""Before a sum of which some part is not known."""

_LARGE = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_SMALL_S = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def duration(seconds: float | None) -> str:
    """Return a duration: 340 ms, 1.23 s, 2m 03s, 1h 02m."""
    if seconds is None:
        return UNKNOWN
    if seconds >= HOUR_NS / SECOND_NS - 30:
        minutes = round(seconds / 60)
        return f"{minutes // 60:,}h {minutes % 60:02d}m"
    if seconds >= 2 * MINUTE_NS / SECOND_NS - 0.5:
        return f"{round(seconds) // 60}m {round(seconds) % 60:02d}s"
    for unit_s, name in _SMALL_S:
        if seconds >= 0.9995 * unit_s:  # what rounds to a whole unit is shown in it
            return f"{_three_digits(seconds / unit_s)} {name}"
    return "0 s"


def count(number: int | None) -> str:
    """Return a number: whole below ten thousand, then 12.3k, 4.56M."""
    if number is None:
        return UNKNOWN
    if number < 10_000:  # noqa: PLR2004 - four digits are read at a glance
        return f"{number:,}"
    for unit, name in _LARGE:
        if number >= 0.9995 * unit:
            return f"{_three_digits(number / unit)}{name}"
    return str(number)


def ratio(value: float | None) -> str:
    """Return a ratio in percent: 4.2 %."""
    if value is None:
        return UNKNOWN
    percent = value * 100
    if 0 < percent < 0.01:  # noqa: PLR2004 - 1 of 10 000
        return "<0.01 %"
    return f"{percent:.{2 if percent < 10 else 3}g} %"  # noqa: PLR2004 - 9.5 %, 10.5 %


def usd(value: float | None) -> str:
    """Return an amount: cents above a dollar, three digits below; never 0 when it is not."""
    if value is None:
        return UNKNOWN
    if not value:
        return "$0"
    if value >= 0.995:  # noqa: PLR2004 - rounds to a dollar
        return f"${value:,.2f}"
    return f"${value:.{3 if value >= 0.0995 else 4}f}" if value >= 0.00005 else "<$0.0001"  # noqa: PLR2004 - as rounded


def usd_at_least(value: float | None) -> str:
    """Return an amount of which some part is not known: >$1.23."""
    text = usd(value)
    return text if value is None else f"{AT_LEAST}{'$0' if text.startswith('<') else text}"


def size(size_bytes: int | None) -> str:
    """Return a size in decimal units: 4.01 MB."""
    if size_bytes is None:
        return UNKNOWN
    for unit, name in _LARGE:
        if size_bytes >= 0.9995 * unit:
            return f"{_three_digits(size_bytes / unit)} {name}B"
    return f"{size_bytes} B"


def plural(number: int, noun: str) -> str:
    """Return "1 span", "2 spans", "12.3k spans"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def _three_digits(value: float) -> str:
    """Return 0.1 <= value < 10000 with three digits, and without decimals from 100 on."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits
