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
    from ihobs.web.grpc_server import GrpcServer


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
        grpc_address: where gRPC is served as well, "127.0.0.1:4317"; None: nowhere.

    Attributes:
        grpc_port: the port of that, or None.

    Raises:
        InvalidInputError: gRPC cannot be served there.
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
        grpc_address: str | None = None,
    ) -> None:
        limits = limits or Limits()
        room = Room(limits)
        self._receivers = [
            ExportReceiver(
                signal, Intake(into, group_items=limits.group_items, signal=signal, clock=clock), room, limits
            )
            for signal, into in ((SPANS, store), (LOGS, store.logs))
        ]
        self._grpc = None if grpc_address is None else self._serve_grpc(room, limits, grpc_address, policy.token)
        self.grpc_port = None if self._grpc is None else self._grpc.port
        self._state = open_state(store.home)
        vitals = Vitals(store.home, store.database, self._state, room, self._receivers, has_duties, clock)
        self._server = Server(make_app(vitals, policy, more), listening, ended)

    def start(self) -> None:
        """Begin to receive."""
        for receiver in self._receivers:
            receiver.intake.start()
        self._server.start()
        if self._grpc is not None:
            self._grpc.start()

    def stop(self) -> None:
        """Take no more, store and answer what was taken, and end."""
        if self._grpc is not None:
            self._grpc.stop()
        self._server.stop()
        for receiver in self._receivers:
            receiver.intake.stop()
            receiver.close()
        self._state.close()

    def _serve_grpc(self, room: Room, limits: Limits, address: str, token: str | None) -> GrpcServer:
        from ihobs.web.grpc_server import GrpcServer  # slow: not before it is needed

        return GrpcServer(self._receivers, room, limits, address=address, token=token)
