"""Deliver what is waiting: each receiver gets its events in order, at least once, however often we are stopped."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, MINUTE_NS, SECOND_NS, Clock, now_ns
from ihobs.model import Notification
from ihobs.store.state import deliveries
from ihobs.store.state.deliveries import Attempt, Delivery

if TYPE_CHECKING:
    from ihobs.config import Settings
    from ihobs.plugins import Plugins
    from ihobs.store.database import Database
    from ihobs.store.home import Home
    from ihobs.store.state.alerts import Channels

CONSOLE = "console:"
FILE = "file:"
LEVELS = ("warning", "critical")

FIRST_PAUSE_NS = SECOND_NS
LONGEST_PAUSE_NS = 5 * MINUTE_NS
"""A receiver that fails is tried again after 1 s, 2 s, 4 s and so on, at most 5 min apart."""

GIVE_UP_AFTER_NS = DAY_NS
"""What could not be delivered for a day is a dead letter."""

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def channels_of(settings: Settings, home: Home) -> Channels:
    """Return who hears of each level: as configured, else the console and the file of alerts."""
    return {level: settings.channels.get(level, fallback(home)) for level in LEVELS}


def fallback(home: Home) -> tuple[str, ...]:
    """Return the receivers that always work: for levels nobody is named for, and references nobody knows."""
    return (CONSOLE, f"{FILE}{home.path / 'logs' / 'alerts.jsonl'}")


@dataclass(frozen=True)
class Outbox:
    """Delivers what waits in the state database to the plug-ins that know the receivers."""

    home: Home
    state: Database
    plugins: Plugins
    addresses: Mapping[str, str]
    clock: Clock = now_ns
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def deliver(self) -> int | None:
        """Deliver all that is due, and return when to come back; None when nothing waits.

        A receiver that fails holds up what comes after for itself, and nothing for the others.
        """
        while True:
            waiting = deliveries.waiting(self.state)
            sent, next_ns = self._deliver(waiting)
            if not sent:
                return next_ns

    def _deliver(self, waiting: Sequence[Delivery]) -> tuple[int, int | None]:
        """Try what is due of `waiting`; return how many are done with, and when the next is due."""
        held_up: dict[str, int] = {}
        told: set[int] = set()
        done = 0
        for delivery in waiting:
            if delivery.reference in held_up:
                continue
            due_ns = delivery.next_ns
            if self._is_due(delivery):
                attempt = self._attempt(delivery, told)
                deliveries.record(self.state, delivery, attempt)
                if attempt.state != "waiting":
                    done += 1
                    continue
                due_ns = attempt.next_ns
            held_up[delivery.reference] = due_ns
        return done, min(held_up.values(), default=None)

    def _is_due(self, delivery: Delivery) -> bool:
        """Whether its time has come; a time too far away was set by a clock that was wrong."""
        return not 0 < delivery.next_ns - self.clock() <= LONGEST_PAUSE_NS

    def _attempt(self, delivery: Delivery, told: set[int]) -> Attempt:
        """Try to deliver. `told` holds the events of this round that went to the fallback: once each is enough."""
        address = self._address(delivery.reference)
        delivered = None if address is None else self._notify(delivery, address)
        detail = ""
        if delivered is None:
            detail = f"no plug-in knows {delivery.reference}: written to the console and {self.home.path / 'logs'}"
            delivered = delivery.event_id in told or self._fall_back(delivery)
            if delivered:
                told.add(delivery.event_id)
        at_ns = self.clock()
        if delivered:
            return Attempt("sent", at_ns, at_ns, detail)
        if at_ns - delivery.event.at_ns > GIVE_UP_AFTER_NS:
            return Attempt("dead", at_ns, at_ns, f"{delivery.reference} failed for a day")
        return Attempt("waiting", at_ns, at_ns + pause_ns(delivery.attempts), f"{delivery.reference} failed")

    def _fall_back(self, delivery: Delivery) -> bool:
        """Tell the receivers that always work; return whether one of them did."""
        ways = [self._notify(delivery, way) for way in fallback(self.home)]
        return any(ways)

    def _notify(self, delivery: Delivery, address: str) -> bool | None:
        """Return whether a plug-in delivered; False when one tried and failed; None when none knows the address."""
        event = delivery.event
        notification = Notification(
            key=f"{delivery.event_id}:{delivery.reference}",
            level=event.level,
            title=event.text,
            body=str(event.fields.get("summary") or ""),
            at_ns=event.at_ns,
            events=(event,),
        )
        failures = self._failures()
        answers = self.plugins.call_each("ihobs_notify", notification=notification, receiver=address)
        if any(answer.value for answer in answers):
            return True
        return False if answers or self._failures() > failures else None

    def _failures(self) -> int:
        """Return how often plug-ins have raised while delivering: a raise leaves no answer."""
        return sum(problem.count for problem in self.plugins.problems if problem.hook == "ihobs_notify")

    def _address(self, reference: str) -> str | None:
        """Return how `reference` is reached; None when its address names a variable that is not set."""
        address = self.addresses.get(reference, reference)
        if any(name not in self.environ for name in _VARIABLE.findall(address)):
            return None
        address = _VARIABLE.sub(lambda match: self.environ[match[1]], address)
        if address.startswith(FILE) and not address.startswith(f"{FILE}~"):
            return FILE + str(self.home.path / "logs" / Path(address.removeprefix(FILE)))
        return address


def pause_ns(attempts: int) -> int:
    """Return how long to wait after an attempt that failed, when `attempts` had failed before it."""
    return min(FIRST_PAUSE_NS << min(attempts, 30), LONGEST_PAUSE_NS)
