"""A server on a socket of ours: uvicorn on a thread of its own, which ends without losing an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from ihobs.errors import InvalidInputError
from ihobs.web.protocol import BoundedProtocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp

KEEP_ALIVE_S = 75
"""How long an idle connection stays open. Longer than the 5 s between two exports of an SDK, which would otherwise
find its connection closed as it sends."""

GRACE_S = 10
"""How long the end waits for requests that are being sent or answered."""

BACKLOG = 512
"""Connections that wait to be accepted."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address of `host`; nobody can connect yet. Port 0 is any free one.

    Raises:
        InvalidInputError: the address is not ours, or is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except socket.gaierror as error:
        raise InvalidInputError("--host", f"{host!r} is not an address: {error.strerror}") from error
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)  # asyncio sets TCP_NODELAY only where the protocol is named
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise InvalidInputError(
            f"{host} port {port}", (error.strerror or str(error)).lower(), "choose another with --host or --port"
        ) from error
    return bound


class Server:
    """Serves `app` on `listening`, between `start` and `stop`.

    Args:
        ended: called when it ends by itself.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket, ended: Callable[[], None] = lambda: None) -> None:
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server, self._listening, self._ended = uvicorn.Server(config), listening, ended
        self._thread = threading.Thread(target=self._run, name="ihobs-http", daemon=True)

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more, answer what was begun, and end."""
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._ended()
