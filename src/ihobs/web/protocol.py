"""HTTP as uvicorn reads it, with bounds that it does not have: on all that is not a body, and on the time it takes.

A sender that lets a request trickle in, a byte now and then, would otherwise keep its connection for ever.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, of the trailers of a chunked body, or of one chunk's extensions."""

HEAD_S = 20.0
"""How long a request line with its headers may take to arrive, and a new connection to bring the first."""

MESSAGE_S = 60.0
"""How long a body may take, wanted or not: the receiver refuses it after 30 s, and what is still sent is not read for
ever."""


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose head is too large, or that takes too long to bring a request.

    It is answered 400 when it sends more than MAX_HEAD_BYTES without completing a head or bringing any body. It is
    closed without an answer when a head takes longer than HEAD_S, or a body longer than MESSAGE_S.
    """

    _head_bytes = 0
    _advanced = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it, too
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_within(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came; count it when it brought nothing that is handed on."""
        self._advanced = False
        super().data_received(data)
        self._head_bytes = 0 if self._advanced else self._head_bytes + len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")
        if not self._advanced and self._deadline is None:  # an empty line, after which uvicorn waits for ever
            self._expect_within(HEAD_S)

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        self._expect_within(HEAD_S)

    def on_headers_complete(self) -> None:
        """Begin to answer, and wait for the body."""
        self._advanced = True
        self._expect_within(MESSAGE_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on."""
        self._advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body."""
        self._advanced = True
        self._expect_nothing()
        super().on_message_complete()

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
