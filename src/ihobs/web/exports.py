"""`POST /v1/traces` and `/v1/logs`: read the body within bounds, decode it, and answer when it is committed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from ihobs.errors import StoreUnavailableError
from ihobs.web import wire
from ihobs.web.decoding import Parcel, coding_of, decode, decode_at_once
from ihobs.web.intake import IngestFaultError, Intake
from ihobs.web.wire import RefusalError

if TYPE_CHECKING:
    from starlette.responses import Response

    from ihobs.spans.signals import Signal
    from ihobs.web.limits import Limits
    from ihobs.web.room import Room, Share

CLIENT_CLOSED_REQUEST = 499
"""What nginx logs for a sender that went away before its answer. Nobody reads it; it is counted."""


class ExportReceiver:
    """Answers requests that bring spans, or log records.

    Args:
        signal: which of the two.
        intake: stores them.
        room: what all requests together may take.
        limits: bounds of each.
    """

    def __init__(self, signal: Signal, intake: Intake, room: Room, limits: Limits) -> None:
        self.signal, self.intake, self._room, self._limits = signal, intake, room, limits
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="ihobs-decode")
        self._undecodable: Counter[str] = Counter()

    @property
    def undecodable(self) -> Mapping[str, int]:
        """What could not be decoded since the start, by reason."""
        return self._undecodable

    def count_undecodable(self, parcel: Parcel) -> None:
        """Count what of a parcel could not be decoded."""
        for rejection in parcel.rejections:
            self._undecodable[rejection.reason] += rejection.count

    async def answer(self, request: Request) -> Response:
        """Store what `request` brings; say so only after the commit."""
        encoding = wire.wire_of(request.headers.get("content-type", ""))
        if encoding is None:
            reason = "the Content-Type must be application/x-protobuf or application/json"
            return wire.refused(None, RefusalError(415, reason))
        try:
            with self._room.share() as share:
                parcel = await self._parcel(request, encoding, share)
                refused = await asyncio.wrap_future(self.intake.offer(parcel))
        except RefusalError as refusal:
            return wire.refused(encoding, refusal)
        except StoreUnavailableError as error:
            return wire.refused(encoding, RefusalError(503, f"the store cannot commit now: {error.reason}"))
        except IngestFaultError:
            return wire.refused(encoding, RefusalError(500, "ihobs failed; its log says why"))
        return wire.accepted(encoding, (*parcel.rejections, *refused), self.signal)

    def close(self) -> None:
        """Give the decoding thread back."""
        self._decoder.shutdown()

    async def _parcel(self, request: Request, encoding: wire.Wire, share: Share) -> Parcel:
        coding = coding_of(request.headers.get("content-encoding", ""))
        body = await self._body(request, share)
        parcel = decode_at_once(body, coding, encoding, self._limits, self.signal)
        if parcel is None:
            loop, arguments = asyncio.get_running_loop(), (body, coding, encoding, self._limits, self.signal)
            parcel = await loop.run_in_executor(self._decoder, decode, *arguments)
        share.take(size_bytes=max(0, parcel.size_bytes - len(body)), items=parcel.items)
        self.count_undecodable(parcel)
        return parcel

    async def _body(self, request: Request, share: Share) -> bytes:
        """Return the body, as it came.

        Raises:
            RefusalError: 413, it is too large; 429, there is no room; 408, it takes too long; 499, nobody waits.
        """
        limit_bytes = self._limits.body_bytes
        too_large = RefusalError(413, f"the request is larger than {limit_bytes} bytes; send less at once")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit_bytes:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                async for chunk in request.stream():
                    if len(body) + len(chunk) > limit_bytes:
                        raise too_large
                    share.take(size_bytes=len(chunk))
                    body += chunk
        except TimeoutError:
            raise RefusalError(408, f"the request did not arrive within {self._limits.body_s:g} s") from None
        except ClientDisconnect:
            raise RefusalError(CLIENT_CLOSED_REQUEST, "the sender went away") from None
        return bytes(body)
