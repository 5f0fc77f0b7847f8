"""All destinations of a home, each on a thread of its own: one that hangs delays no other, and no duty."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.forward.destinations import destinations_of
from ihobs.forward.forwarder import Forwarder, Sender
from ihobs.forward.reading import Reader, changes_for
from ihobs.redact.policy import Policy
from ihobs.spans.dialects import dialects_of
from ihobs.store.forwarding import Enrolment, enrol, read_cursor
from ihobs.store.redaction import redactor_for
from ihobs.store.state.controls import FORWARD_PAUSED, Watch

if TYPE_CHECKING:
    from ihobs.forward.destinations import Destination
    from ihobs.redact.message import Redactor
    from ihobs.redact.text import Hook
    from ihobs.settings import Settings
    from ihobs.store.database import Database
    from ihobs.store.home import Home

POLL_S = 0.5
"""How often a destination is looked at when nothing wakes it: a control may have ended, or somebody asked for more."""

LINGER_S = 0.5
"""Least time between two looks: small commits go together."""

LAST_NS = 3 * SECOND_NS
"""How long, at the end, a destination that takes something is still sent what waits."""

JOIN_S = 5.0
"""How long the end waits for those that are in the middle of a request; what is not acknowledged is sent again."""

Attempt = Callable[[str, Callable[[], object]], bool]
"""Does something under a name and returns whether it went well; never raises."""


@dataclass
class Forwarding:
    """Forwards the spans of a home between `start` and `stop`.

    Args:
        telemetry, state: the databases of the home.
        hook: the plug-ins that redact, if there are any.
        attempt: does the work of a turn.
        clock: tells the time. chance: a random number from 0 to 1. environ: holds the secrets.
    """

    home: Home
    telemetry: Database
    state: Database
    settings: Settings
    attempt: Attempt
    hook: Hook | None = None
    clock: Clock = now_ns
    chance: Callable[[], float] = random.random
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _lines: list[_Line] = field(default_factory=list)
    _is_enrolled: bool = False

    def start(self) -> None:
        """Begin to forward. New destinations begin where they are configured to."""
        self._is_enrolled = self.attempt("forward", self._enrol)
        watch = Watch(self.state, self.clock)
        self._lines = [
            _Line(one.name, self.forwarder(one, lambda: bool(watch.value(FORWARD_PAUSED))), self)
            for one in destinations_of(self.settings, self.environ)
        ]
        for line in self._lines:
            line.thread.start()

    def prepare(self, name: str) -> None:
        """See that a destination has a cursor: the home may have been locked at the start, or replaced since.

        Raises:
            StoreUnavailableError: the home cannot be used now.
        """
        if not self._is_enrolled or read_cursor(self.telemetry, name) is None:
            self._enrol()
            self._is_enrolled = True

    def _enrol(self) -> None:
        destinations = destinations_of(self.settings, self.environ)
        enrol(self.telemetry, {one.name: Enrolment(one.fingerprint(), one.from_beginning) for one in destinations})

    def wake(self) -> None:
        """Say that something was committed."""
        for line in self._lines:
            line.bell.set()

    def stop(self) -> None:
        """Send what waits where it is taken, and end."""
        for line in self._lines:
            line.stopping.set()
            line.bell.set()
        end_ns = self.clock() + round(JOIN_S * SECOND_NS)
        for line in self._lines:
            line.thread.join(max(0.0, (end_ns - self.clock()) / SECOND_NS))
        self._lines = []

    def forwarder(self, destination: Destination, is_held: Callable[[], bool]) -> Forwarder:
        """Return what forwards to one destination."""
        return Forwarder(
            destination,
            self.telemetry,
            Reader(self.telemetry, changes_for(destination, self._masker)),
            lambda: open_sender(destination, self.clock),
            is_held,
            self.clock,
            self.chance,
        )

    def _masker(self) -> Redactor:
        """Return a redactor that masks contents, whatever the settings keep at home."""
        policy = replace(Policy.of(self.settings), content="mask")
        return redactor_for(self.home, policy, dialects_of(self.settings.dialects), self.hook)


def open_sender(destination: Destination, clock: Clock) -> Sender:
    """Return what speaks a destination's protocol; its client is loaded here."""
    if destination.protocol == "grpc":
        from ihobs.forward.grpc_sender import GrpcSender

        return GrpcSender(destination)
    from ihobs.forward.http_sender import HttpSender

    return HttpSender(destination, clock)


class _Line:
    """One destination and its thread."""

    def __init__(self, name: str, forwarder: Forwarder, whole: Forwarding) -> None:
        self._name, self._forwarder, self._whole = name, forwarder, whole
        self._attempt, self._clock = whole.attempt, whole.clock
        self._next_ns: int | None = None
        self.bell, self.stopping = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"ihobs-forward-{name}", daemon=True)

    def _run(self) -> None:
        while not self.stopping.is_set():
            self.bell.clear()
            is_well = self._turn()
            if not (is_well and self._has_more()):
                self.stopping.wait(LINGER_S)
                self.bell.wait(POLL_S)
        end_ns = self._clock() + LAST_NS
        while self._turn() and self._has_more() and self._clock() < end_ns:
            pass
        self._attempt(f"forward {self._name}", self._forwarder.close)

    def _turn(self) -> bool:
        return self._attempt(f"forward {self._name}", self._take_turn)

    def _take_turn(self) -> None:
        self._whole.prepare(self._name)
        self._next_ns = self._forwarder.turn()

    def _has_more(self) -> bool:
        return self._next_ns is not None and self._next_ns <= self._clock()
