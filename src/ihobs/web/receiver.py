"""Everything that receives, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ihobs.clock import Clock, now_ns
from ihobs.spans.signals import LOGS, SPANS
from ihobs.store.state.migrations import open_state
from ihobs.web.app import make_app
from ihobs.web.exports import ExportReceiver
from ihobs.web.intake import Intake
from ihobs.web.limits import Limits
from ihobs.web.room import Room
from ihobs.web.server import Server
from ihobs.web.vitals import Vitals

if TYPE_CHECKING:
    import socket

    from starlette.routing import Route

    from ihobs.store.telemetry import TelemetryStore
    from ihobs.web.access import Policy


class Receiver:
    """Receives spans and log records into a store, and answers who asks, between `start` and `stop`.

    Args:
        store: where they go.
        listening: a socket of `ihobs.web.server.bind`.
        policy: who may ask.
        limits: what is taken at most.
        clock: tells the time.
        has_duties: whether this process evaluates the rules, for who asks.
        ended: called when the server ends by itself.
        more: further routes.
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
        more: Sequence[Route] = (),
    ) -> None:
        limits = limits or Limits()
        room = Room(limits)
        self._receivers = [
            ExportReceiver(
                signal, Intake(into, group_items=limits.group_items, signal=signal, clock=clock), room, limits
            )
            for signal, into in ((SPANS, store), (LOGS, store.logs))
        ]
        self._state = open_state(store.home)
        vitals = Vitals(store.home, store.database, self._state, room, self._receivers, has_duties, clock)
        self._server = Server(make_app(vitals, policy, more), listening, ended)

    def start(self) -> None:
        """Begin to receive."""
        for receiver in self._receivers:
            receiver.intake.start()
        self._server.start()

    def stop(self) -> None:
        """Take no more, store and answer what was taken, and end."""
        self._server.stop()
        for receiver in self._receivers:
            receiver.intake.stop()
            receiver.close()
        self._state.close()
