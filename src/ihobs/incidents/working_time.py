"""Working time: when the next business day ends, and when so many hours or days of work have passed.

Days are those of the calendar in a time zone, so that one on which clocks are changed is as long as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS

if TYPE_CHECKING:
    from ihobs.incident_settings import CalendarSettings

LOOK_AHEAD_DAYS = 3 * 366
"""A calendar without a working day in three years names none at all; then every day is one."""


@dataclass(frozen=True, slots=True)
class WorkingTime:
    """When people work, in a time zone; None is the machine's own."""

    calendar: CalendarSettings
    timezone: tzinfo | None

    def next_business_day_ns(self, after_ns: int) -> int:
        """Return when the working hours end of the first working day after the day of `after_ns`."""
        return self.working_days_ns(after_ns, 1)

    def working_days_ns(self, after_ns: int, days: int) -> int:
        """Return when the working hours end of the working day that is `days` of them after that of `after_ns`."""
        working = self._working_days(self._day(after_ns) + timedelta(days=1))
        for _ in range(days):
            day = next(working)
        return self._moment_ns(day, self.calendar.hours[1])

    def working_hours_ns(self, after_ns: int, length_ns: int) -> int:
        """Return when `length_ns` of working time have passed since `after_ns`."""
        left_ns = length_ns
        for day in self._working_days(self._day(after_ns)):
            begin_ns, end_ns = (self._moment_ns(day, minute) for minute in self.calendar.hours)
            begin_ns = max(begin_ns, after_ns)
            if end_ns - begin_ns >= left_ns:
                return begin_ns + left_ns
            left_ns -= max(0, end_ns - begin_ns)
        raise AssertionError("the days of a calendar do not end")

    def is_working(self, at_ns: int) -> bool:
        """Whether people work at `at_ns`."""
        day = self._day(at_ns)
        begin, end = self.calendar.hours
        return self._is_working_day(day) and self._moment_ns(day, begin) <= at_ns < self._moment_ns(day, end)

    def _day(self, at_ns: int) -> date:
        return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).astimezone(self.timezone).date()

    def _working_days(self, first: date) -> Iterator[date]:
        """Yield working days from `first` on, without an end."""
        day, last = first, first + timedelta(days=LOOK_AHEAD_DAYS)
        found = False
        while True:
            if self._is_working_day(day) or (day > last and not found):
                found = found or day <= last
                yield day
            day += timedelta(days=1)

    def _is_working_day(self, day: date) -> bool:
        return day.weekday() in self.calendar.days and day not in self.calendar.holidays

    def _moment_ns(self, day: date, minute: int) -> int:
        """Return a time of a day; 24:00 is where the next one begins."""
        midnight = datetime.combine(day + timedelta(days=minute // 1440), time())
        local = midnight + timedelta(minutes=minute % 1440)
        return round(local.replace(tzinfo=self.timezone).timestamp()) * SECOND_NS
