"""What the duties process does about incidents: watch over them, freeze what was seen, make bridges."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ihobs.clock import Clock, now_ns
from ihobs.errors import IhobsError
from ihobs.incidents.bridge import BridgeBuilder
from ihobs.incidents.diagnostics import Diagnostics
from ihobs.incidents.health import nothing_succeeds
from ihobs.incidents.noticing import notice
from ihobs.incidents.policy import policy_of
from ihobs.incidents.session import Desk
from ihobs.incidents.watch import Watch

if TYPE_CHECKING:
    from ihobs.config import Settings
    from ihobs.incidents.watch import Rules, Watched
    from ihobs.store.database import Database
    from ihobs.store.home import Home

AGAIN_S = 5.0
"""How long to wait before a webhook that failed is asked again."""


class Attendant:
    """Attends to the incidents of one home. `watch` is for one thread, `collect` for another.

    Args:
        home, telemetry, state: the home, and its databases.
        settings: the configuration in force.
        clock: tells the time.
    """

    def __init__(
        self, home: Home, telemetry: Database, state: Database, settings: Settings, clock: Clock = now_ns
    ) -> None:
        self._telemetry, self._state, self._clock = telemetry, state, clock
        self._diagnostics = Diagnostics(home, telemetry, state, clock)
        self._waits = threading.Event()
        self._waits.set()  # a process that was killed may have left something to do
        desk = Desk(state, policy_of(settings), clock)
        self._watch = Watch(desk, self._nothing_succeeds)

    def take_over(self, settings: Settings) -> None:
        """Go by these settings from now on, and note what they change.

        Raises:
            StoreUnavailableError: the state database cannot be used.
        """
        self._watch.desk = replace(self._watch.desk, policy=policy_of(settings))
        notice(self._state, settings, self._clock())

    def watch(self, rules: Rules) -> Watched:
        """Hear what alerts did, and see what time brings.

        Raises:
            StoreUnavailableError: a database cannot be used; nothing has changed.
        """
        found = self._watch.run(rules)
        if found.waits:
            self._waits.set()
        return found

    def collect(self, stopping: threading.Event, timeout_s: float | None = None) -> None:
        """Wait until there is something to collect, at most `timeout_s`, and collect it.

        Raises:
            StoreUnavailableError: the state database cannot be used.
        """
        if not self._waits.wait(timeout_s) or stopping.is_set():
            return
        self._waits.clear()
        try:
            self._diagnostics.complete()
            failed = BridgeBuilder(self._watch.desk).complete()
        except IhobsError:
            self._waits.set()  # for the next time
            raise
        if failed:
            stopping.wait(AGAIN_S)
            self._waits.set()

    def freeze(self) -> None:
        """Collect what there is to collect now, but ask nobody for a bridge: for the end of a process.

        Raises:
            StoreUnavailableError: the state database cannot be used.
        """
        self._diagnostics.complete()

    def interrupt(self) -> None:
        """Let `collect` return, to stop."""
        self._waits.set()

    def _nothing_succeeds(self) -> bool:
        return nothing_succeeds(self._telemetry, self._clock())
