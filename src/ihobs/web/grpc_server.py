"""The gRPC server of `ihobs serve --grpc`. Imported only when it is asked for: grpc takes long to load."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc

from ihobs.errors import InvalidInputError
from ihobs.web.grpc_service import ExportService
from ihobs.web.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ihobs.web.exports import ExportReceiver
    from ihobs.web.limits import Limits
    from ihobs.web.room import Room

THREADS = 16
"""Calls that are answered at once; each waits for its commit, which many share."""

MAX_CALLS = 32
"""Further ones are refused at once as RESOURCE_EXHAUSTED, which exporters try again."""

MAX_MESSAGE_BYTES = 4 * MIB
"""Of one message, decompressed: gRPC's own default, which exporters expect. Those of all calls fit into memory."""

GRACE_S = 10.0
"""How long the end waits for calls that were begun."""


class GrpcServer:
    """Serves OTLP over gRPC, between `start` and `stop`.

    Args:
        receivers: of each signal. room: shared with OTLP/HTTP. limits: bounds of each request.
        address: a host and a port, "127.0.0.1:4317"; port 0 is any free one.
        token: what calls must carry; None: nothing.

    Raises:
        InvalidInputError: the address is not ours, or is taken.
    """

    def __init__(
        self, receivers: Sequence[ExportReceiver], room: Room, limits: Limits, *, address: str, token: str | None
    ) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ihobs-grpc")
        options = [
            ("grpc.max_receive_message_length", min(MAX_MESSAGE_BYTES, limits.body_bytes)),
            ("grpc.so_reuseport", 0),  # a second server on the same port would get half of the calls
            ("grpc.max_metadata_size", 16 * 1024),
        ]
        services = [ExportService(receiver, room, limits, token).handler() for receiver in receivers]
        self._server = grpc.server(self._pool, services, options=options, maximum_concurrent_rpcs=MAX_CALLS)
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            self._pool.shutdown()
            raise InvalidInputError(f"--grpc {address}", "cannot be listened at", "choose another address") from None

    def start(self) -> None:
        """Begin to accept calls."""
        self._server.start()

    def stop(self) -> None:
        """Accept no more, answer what was begun, and end."""
        self._server.stop(GRACE_S).wait()
        self._pool.shutdown()
