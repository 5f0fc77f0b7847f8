"""The duties process: evaluates the rules, tells receivers and plug-ins, and keeps the store in order.

One process of a home has the duties: whoever holds the lock `locks/duties`, which the kernel frees when it dies.
Four threads share the work, so that a slow receiver delays no evaluation, neither delays upkeep, and nothing waits for
what is looked at when an incident opens; each destination of `ihobs.forward` has one more.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from ihobs.alerts import windows
from ihobs.alerts.evaluator import Evaluator
from ihobs.alerts.measurements import BUCKET_NS
from ihobs.alerts.rules import collect
from ihobs.clock import MINUTE_NS, SECOND_NS, Clock, now_ns
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.couriers import Threads
from ihobs.delivery.deadman import DEADMAN, Deadman
from ihobs.delivery.outbox import Outbox
from ihobs.delivery.policy import policy_of
from ihobs.delivery.sending import Sender
from ihobs.errors import IhobsError
from ihobs.forward.forwarding import Forwarding
from ihobs.guard import guard
from ihobs.incidents.attendant import Attendant
from ihobs.plugins import redaction_by
from ihobs.reloading import waits_for_next_start
from ihobs.store import prices
from ihobs.store.opening import open_store
from ihobs.store.retention import retention_of
from ihobs.store.spool import LOG_SPOOL, SPOOL, Spool, bring_in
from ihobs.store.state import progress
from ihobs.store.state.migrations import open_state
from ihobs.store.wake import Listener

if TYPE_CHECKING:
    from types import TracebackType

    from ihobs.config import Settings
    from ihobs.plugins import Plugins
    from ihobs.reloading import Watched
    from ihobs.store.home import Home

LOCK = "duties"

PAUSE_S = 0.05
"""Least time between two passes over the rules: 20 a second, however many commits come in."""

POLL_S = 1.0
POLL_ALONE_S = 0.25
"""How often the database is asked whether it has changed: in case a datagram was lost; or where none can come."""

SETTLE_S = 1.0
MAINTAIN_NS = 30 * SECOND_NS
RETRY_S = 1.0
"""How long a thread waits after an error before it goes on."""

JOIN_S = 10.0
"""How long `stop` waits for a thread that is in the middle of something."""

ALIVE_NS = 3 * MINUTE_NS
"""Whoever has neither evaluated nor delivered for so long is not well."""

WINDOWS = "windows"
"""Under this name the state database says which buckets plug-ins have heard of."""

CONFIGURATION = "configuration"
"""Under this name a configuration that cannot be read again is among the unhealthy rules."""

log = logging.getLogger("ihobs.duties")


class Duties:
    """The duties of one home, done by threads of this process between `start` and `stop`.

    Args:
        home: the home.
        settings: the configuration in force.
        plugins: who brings rules, delivers and listens.
        clock: tells the time.
        receivers: who hears of each level; None: the configured routes and channels.
        watched: the files of the configuration, to be read again when they change; None: they are not.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        plugins: Plugins,
        *,
        clock: Clock = now_ns,
        receivers: Mapping[str, Sequence[str]] | None = None,
        watched: Watched | None = None,
    ) -> None:
        self._home, self._plugins, self._clock = home, plugins, clock
        self._settings, self._receivers, self._watched = settings, receivers, watched
        hook, retention = redaction_by(plugins), retention_of(settings.retention)
        self._store = open_store(home, settings, clock=clock, hook=hook, retention=retention)
        self._spool = Spool(home.path / SPOOL, clock=clock)
        self._log_spool = Spool(home.path / LOG_SPOOL, clock=clock, signal="logs")
        self._state = open_state(home)
        self._prices = prices.price_list(settings)
        self._rules = collect(plugins, settings)
        self._evaluator = Evaluator(self._store.database, self._state, settings, clock)
        self._incidents = Attendant(home, self._store.database, self._state, settings, clock)
        self._stopping, self._mail = threading.Event(), threading.Event()
        self._couriers = Threads(self._mail.set)
        sender = Sender(plugins, Addresses(home, settings.receivers), clock)
        self._outbox = Outbox(self._state, policy_of(settings, home, receivers), sender, clock, self._couriers)
        self._forwarding = Forwarding(
            home, self._store.database, self._state, settings, self._attempt, hook=hook, clock=clock
        )
        self._threads: list[threading.Thread] = []
        self._complaints: dict[str, str] = {}
        url = settings.deadman.url
        self._deadman = None if url is None else Deadman(Addresses(home, {DEADMAN: url}), settings.deadman.every_s)
        self._evaluated_ns = self._delivered_ns = self._state_seen = 0
        self._attend_ns = sys.maxsize
        self._offered_ns: int | None = None
        self._maintained_ns: int | None = None

    @staticmethod
    def owner(home: Home) -> int | None:
        """Return the id of the process that has the duties of `home`; None when nobody has."""
        return home.lock_owner(LOCK)

    def start(self) -> bool:
        """Take the duties over; return False when another process has them.

        Raises:
            StoreUnavailableError: the home cannot be used.
        """
        with contextlib.ExitStack() as held:
            if not held.enter_context(self._home.locked(LOCK, wait=False)):
                return False
            self._listener = held.enter_context(Listener(self._home))
            self._held = held.pop_all()
        self._stopping.clear()
        self._attempt("changes", lambda: self._incidents.take_over(self._settings))
        turns: dict[str, Callable[[], object]] = {
            "evaluate": self._watch,
            "deliver": self._deliver,
            "upkeep": self._keep_up,
            "incidents": lambda: self._incidents.collect(self._stopping),
        }
        if self._deadman is not None:
            turns["deadman"] = partial(self._prove_life, self._deadman)
        self._threads = [
            threading.Thread(target=self._repeat, args=item, name=f"ihobs-{item[0]}", daemon=True)
            for item in turns.items()
        ]
        self._forwarding.start()
        for thread in self._threads:
            thread.start()
        return True

    def stop(self) -> None:
        """Finish what is being done, price, evaluate, deliver and forward once more, and give the duties back."""
        if not self._threads:
            return
        self._stopping.set()
        self._listener.interrupt()
        self._mail.set()
        self._incidents.interrupt()
        for thread in self._threads:
            thread.join(JOIN_S)
        if any(thread.is_alive() for thread in self._threads):
            log.warning("a receiver or a plug-in does not answer; what is not delivered is delivered at the next start")
        else:
            self._attempt("spool", lambda: self._bring_in(None))
            self._attempt("prices", self._price)  # a short program ends before its first model was looked up
            self._attempt("evaluate", self._evaluate)
            self._attempt("diagnostics", self._incidents.freeze)
            self._attempt("deliver", self._deliver_the_rest)
            self._attempt("end", lambda: progress.record_reached(self._state, progress.DUTIES, self._clock()))
        self._forwarding.stop()
        self._threads = []
        self._close_connections()
        self._held.close()

    def __enter__(self) -> Self:
        """Start; when another process has the duties, they are left to it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _repeat(self, name: str, turn: Callable[[], object]) -> None:
        while not self._stopping.is_set():
            if not self._attempt(name, turn):
                self._stopping.wait(RETRY_S)
        self._close_connections()

    def _attempt(self, name: str, work: Callable[[], object]) -> bool:
        """Do `work` and return whether it went well; an error is logged, once until it changes, and ends nothing."""
        with guard:
            try:
                work()
            except IhobsError as error:
                is_new = self._complaints.get(name) != str(error)
                log.log(logging.WARNING if is_new else logging.DEBUG, "%s: %s", name, error)
                self._complaints[name] = str(error)
                return False
            self._complaints.pop(name, None)
            return True
        return False

    def _watch(self) -> None:
        """Evaluate, then wait until something was committed or a deadline has come."""
        self._forwarding.wake()
        seen = self._store.database.data_version()  # what is committed from here on is looked at in the next pass
        deadline_ns = self._evaluate()
        self._evaluated_ns = self._clock()
        self._hear_others()
        self._stopping.wait(PAUSE_S)
        poll_s = POLL_S if self._listener.is_named else POLL_ALONE_S
        while not self._stopping.is_set():
            left_ns = deadline_ns - self._clock()
            if not 0 < left_ns <= BUCKET_NS:  # more than that only when the clock went back
                return
            if self._listener.wait(min(poll_s, left_ns / SECOND_NS)) or self._store.database.data_version() != seen:
                return

    def _evaluate(self) -> int:
        """Evaluate the rules, and tell plug-ins what changed; return when to look again at the latest."""
        found = self._evaluator.run(self._rules)
        if found.events:
            self._mail.set()
        for event in found.events:
            self._plugins.call_each("ihobs_event", event=event)
        self._attempt("incidents", self._attend)
        self._offer_windows()
        return min(found.deadline_ns, self._attend_ns, windows.next_close_ns(self._clock()))

    def _attend(self) -> None:
        """Let incidents follow from what alerts did and from the time, and tell plug-ins what happened to them."""
        watched = self._incidents.watch({rule.id: rule for rule in self._rules.rules})
        self._attend_ns = sys.maxsize if watched.deadline_ns is None else watched.deadline_ns
        if watched.events:
            self._mail.set()
        for event in watched.events:
            self._plugins.call_each("ihobs_event", event=event)

    def _hear_others(self) -> None:
        """Deliver when somebody else has changed the state: a word of `send_alert`, a silence, an acknowledgement."""
        version = self._state.data_version()
        if version != self._state_seen:
            self._state_seen = version
            self._mail.set()

    def _prove_life(self, deadman: Deadman) -> None:
        """Ping, unless evaluating or delivering has stopped: then a service outside is to notice."""
        try:
            if min(self._evaluated_ns, self._delivered_ns) > self._clock() - ALIVE_NS:
                deadman.ping()
        finally:
            self._stopping.wait(deadman.every_s)

    def _offer_windows(self) -> None:
        """Offer plug-ins the buckets that have closed since the last time, here or in the owner before."""
        now, before = self._clock(), self._offered_ns
        until = windows.last_closed_ns(now)
        if before is None:
            before = progress.reached_ns(self._state, WINDOWS)
        if before is None or before > until + windows.CATCH_UP_NS:  # never, or by a clock that was wrong
            before = until
        closed = list(windows.closed(self._store.database, before, until, now))
        self._offered_ns = max(before, until)
        if closed:
            progress.record_reached(self._state, WINDOWS, self._offered_ns)
        for window in closed:
            self._plugins.call_each("ihobs_window_closed", window=window)

    def _deliver(self) -> None:
        """Deliver what is due, then wait for more or for the next try."""
        self._mail.clear()
        next_ns = self._outbox.deliver()
        self._delivered_ns = self._clock()
        left_ns = MINUTE_NS if next_ns is None else min(max(0, next_ns - self._clock()), MINUTE_NS)
        self._mail.wait(left_ns / SECOND_NS)

    def _deliver_the_rest(self) -> None:
        """Deliver once more, and wait for the answers, as far as they come in time."""
        self._outbox.deliver()
        while self._couriers.busy():  # what became of it may be something to tell others
            if not self._couriers.wait(JOIN_S):
                log.warning("a receiver does not answer; what is not delivered is delivered at the next start")
                break
            self._outbox.deliver()
        self._couriers.close()

    def _reload(self) -> None:
        """Take a changed configuration over; one that is not valid changes nothing, and is an unhealthy rule.

        Raises:
            IhobsError: it is not valid.
        """
        if self._watched is None:
            return
        try:
            config = self._watched.changed()
        except IhobsError as error:
            refused = [one for one in self._rules.refused if one[0] != CONFIGURATION]
            self._rules = replace(self._rules, refused=(*refused, (CONFIGURATION, str(error))))
            self._listener.interrupt()
            raise
        if config is not None:
            self._take_over(config.settings)

    def _take_over(self, settings: Settings) -> None:
        """Evaluate and deliver by other settings from now on."""
        later = waits_for_next_start(self._settings, settings)
        self._settings = settings
        self._prices = prices.price_list(settings)
        self._evaluator = Evaluator(self._store.database, self._state, settings, self._clock)
        self._rules = collect(self._plugins, settings)
        self._incidents.take_over(settings)
        self._outbox.policy = policy_of(settings, self._home, self._receivers)
        self._outbox.sender = Sender(self._plugins, Addresses(self._home, settings.receivers), self._clock)
        log.info("the configuration was read again")
        if later:
            log.warning("takes effect at the next start only: %s", ", ".join(later))
        self._listener.interrupt()
        self._mail.set()

    def _keep_up(self) -> None:
        """Read a changed configuration, empty the spool, count orphans, price, fold and retain; each by itself."""
        self._attempt("configuration", self._reload)
        self._attempt("spool", self._empty_spool)
        self._attempt("settle", lambda: self._wake_if(self._store.settle()))
        self._attempt("prices", lambda: self._wake_if(self._price()))
        now = self._clock()
        if self._maintained_ns is None or not 0 <= now - self._maintained_ns < MAINTAIN_NS:
            self._maintained_ns = now
            self._attempt("maintain", self._store.maintain)
            self._attempt("forget", self._outbox.forget)
        self._stopping.wait(SETTLE_S)

    def _empty_spool(self) -> None:
        """Store what programs could not, a file after the other until it is time to stop."""
        while not self._bring_in(1) and not self._stopping.is_set():
            self._listener.interrupt()

    def _bring_in(self, files: int | None) -> bool:
        has_logs = not bring_in(self._log_spool, self._store.logs, clock=self._clock, files=files)
        return bring_in(self._spool, self._store, clock=self._clock, files=files) and not has_logs

    def _price(self) -> int:
        return prices.fill(self._store, self._prices, clock=self._clock)

    def _wake_if(self, changed: int) -> None:
        if changed:
            self._listener.interrupt()

    def _close_connections(self) -> None:
        """Close the connections of this thread."""
        self._store.close()
        self._state.close()
