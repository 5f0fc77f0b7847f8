"""Everything that receives, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ihobs.clock import Clock, now_ns
from ihobs.store.state.migrations import open_state
from ihobs.web.app import make_app
from ihobs.web.intake import Intake
from ihobs.web.limits import Limits
from ihobs.web.room import Room
from ihobs.web.server import Server
from ihobs.web.traces import TraceReceiver
from ihobs.web.vitals import Vitals

if TYPE_CHECKING:
    import socket

    from ihobs.store.telemetry import TelemetryStore
    from ihobs.web.access import Policy


class Receiver:
    """Receives spans into a store, and answers who asks, between `start` and `stop`.

    Args:
        store: where spans go.
        listening: a socket of `ihobs.web.server.bind`.
        policy: who may ask.
        limits: what is taken at most.
        clock: tells the time.
        has_duties: whether this process evaluates the rules, for who asks.
        ended: called when the server ends by itself.
    """

    def __init__(  # noqa: PLR0913 - put together once
        self,
        store: TelemetryStore,
        listening: socket.socket,
        policy: Policy,
        *,
        limits: Limits | None = None,
        clock: Clock = now_ns,
        has_duties: Callable[[], bool] = lambda: False,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        limits = limits or Limits()
        self._intake = Intake(store, group_spans=limits.group_spans, clock=clock)
        room = Room(limits)
        self._traces = TraceReceiver(self._intake, room, limits)
        self._state = open_state(store.home)
        vitals = Vitals(store.home, store.database, self._state, self._intake, room, self._traces, has_duties, clock)
        self._server = Server(make_app(vitals, policy), listening, ended)

    def start(self) -> None:
        """Begin to receive."""
        self._intake.start()
        self._server.start()

    def stop(self) -> None:
        """Take no more, store and answer what was taken, and end."""
        self._server.stop()
        self._intake.stop()
        self._traces.close()
        self._state.close()
