"""What the receiver takes at most, so that no sender can make it grow."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the receiver.

    Attributes:
        body_bytes: of one request, as it comes and when it is decompressed. The OpenTelemetry Collector's default;
            larger ones are answered 413.
        pending_bytes: of all requests together, from their first byte to their answer; beyond it, 429.
        pending_items: spans and log records of all requests that wait for their commit together: about two seconds
            of work. A request that holds more is answered 413, as it would never find room.
        group_items: of requests that share a transaction. A larger request takes several.
        body_s: how long a sender may take to send one request.
    """

    body_bytes: int = 20 * MIB
    pending_bytes: int = 24 * MIB
    pending_items: int = 32_768
    group_items: int = 1024
    body_s: float = 30.0
