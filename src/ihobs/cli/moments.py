"""Points in time as people type them: `2h` ago, a date, or RFC 3339. What has no offset is UTC, as everything shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from ihobs.clock import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, Clock
from ihobs.quantities import seconds

SINCE_HELP = "Since when: 2h or 7d (ago), a date, or RFC 3339; UTC unless it says otherwise."

NO_DATA = "no data yet; run a program under 'ihobs exec --', or bring files in with 'ihobs import'"


def since_ns(text: str, clock: Clock, option: str = "--since") -> int:
    """Return the moment that `text` of an option names, in nanoseconds since the epoch.

    Raises:
        click.BadParameter: it is neither a duration nor a time, or lies in the future.
    """
    now = clock()
    moment = _moment_ns(text, now, option)
    if moment > now:
        raise click.BadParameter(f"{text!r} lies in the future", param_hint=repr(option))
    return max(0, moment)


def window_ns(text: str, option: str = "--window") -> int:
    """Return the length that `text` of an option names, in nanoseconds.

    Raises:
        click.BadParameter: it is not a duration, or nothing.
    """
    try:
        length = round(seconds(text) * SECOND_NS)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=repr(option)) from error
    if length <= 0:
        raise click.BadParameter(f"{text!r} is no time at all", param_hint=repr(option))
    return length


def shown(moment_ns: int) -> str:
    """Return a moment for people, to the second, in UTC."""
    return datetime.fromtimestamp(moment_ns // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S")


def length_shown(length_ns: int) -> str:
    """Return the length of a window in its largest sensible unit: 1 h, 90 min, 7 d."""
    for unit_ns, name in ((DAY_NS, "d"), (HOUR_NS, "h"), (MINUTE_NS, "min")):
        if length_ns >= 2 * unit_ns or (length_ns >= unit_ns and length_ns - unit_ns < unit_ns // 100):
            return f"{length_ns / unit_ns:,.1f}".removesuffix(".0") + f" {name}"
    return f"{length_ns // SECOND_NS} s"


def _moment_ns(text: str, now_ns: int, option: str) -> int:
    try:
        return now_ns - round(seconds(text) * SECOND_NS)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a duration such as 2h or 7d, nor a time such as 2026-11-22T17:00:00Z",
            param_hint=repr(option),
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
