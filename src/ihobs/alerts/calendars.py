"""Calendar periods in a time zone: when the present one began, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS

if TYPE_CHECKING:
    from ihobs.model import BudgetPeriod


def period_ns(now_ns: int, per: BudgetPeriod, timezone: tzinfo | None) -> tuple[int, int]:
    """Return when the period of `now_ns` began, and when it ends; None is the machine's own time zone.

    Days are those of the calendar: one on which clocks are changed has 23 or 25 hours.
    """
    now = datetime.fromtimestamp(now_ns / SECOND_NS, UTC).astimezone(timezone)
    first = datetime(now.year, now.month, now.day)  # noqa: DTZ001 - a day of the calendar; its zone is given below
    if per == "week":
        first -= timedelta(days=first.weekday())
    elif per == "month":
        first = first.replace(day=1)
    end = first + timedelta(days={"day": 1, "week": 7, "month": 32}[per])
    if per == "month":
        end = end.replace(day=1)
    return _begin_ns(first, timezone), _begin_ns(end, timezone)


def _begin_ns(day: datetime, timezone: tzinfo | None) -> int:
    return round(day.replace(tzinfo=timezone).timestamp()) * SECOND_NS


def moment_shown(ns: int, timezone: tzinfo | None) -> str:
    """Return a moment for people, e.g. `2026-11-22 14:20`."""
    return datetime.fromtimestamp(ns / SECOND_NS, UTC).astimezone(timezone).strftime("%Y-%m-%d %H:%M")
