"""HTTP as uvicorn reads it, with a bound on everything that is not a body: uvicorn keeps headers of any size."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, of the trailers of a chunked body, or of one chunk's extensions."""


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection that sends more than MAX_HEAD_BYTES without completing a head or bringing any body."""

    _head_bytes = 0
    _advanced = False

    def data_received(self, data: bytes) -> None:
        """Read what came; count it when it brought nothing that is handed on."""
        self._advanced = False
        super().data_received(data)
        self._head_bytes = 0 if self._advanced else self._head_bytes + len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._advanced = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on."""
        self._advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body."""
        self._advanced = True
        super().on_message_complete()
