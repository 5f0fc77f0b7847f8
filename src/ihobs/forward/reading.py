"""Batches from what is stored: requests joined by size, changed as their destination wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.forward.pieces import (
    Change,
    Piece,
    leaving_out_traced,
    masking,
    name_run_types,
    one_span,
    sampling,
    spans_of,
)
from ihobs.forward.walk import Walk
from ihobs.langsmith.access import base_url
from ihobs.store.forwarding import Stored, stored, stored_after
from ihobs.store.payloads import DamagedError, decompressed

if TYPE_CHECKING:
    from ihobs.forward.destinations import Destination
    from ihobs.redact.message import Redactor
    from ihobs.store.database import Database
    from ihobs.store.dead_letters import DeadLetter

READ_AT_ONCE = 64
"""Stored requests read at one time; a request of the orchestrator's process is about 100 spans or half a second."""


def changes_for(destination: Destination, masker: Callable[[], Redactor]) -> tuple[Change, ...]:
    """Return what is done to requests before they go to a destination; nothing is cheapest.

    Args:
        masker: makes a redactor that masks contents.
    """
    changes: list[Change] = []
    if destination.sample_ratio < 1:
        changes.append(sampling(destination.sample_ratio))
    if destination.content == "mask":
        changes.append(masking(masker()))
    if destination.is_langsmith:
        changes += [leaving_out_traced(base_url(destination.url)), name_run_types]
    return tuple(changes)


@dataclass(frozen=True)
class Reader:
    """Reads the batches of one destination."""

    database: Database
    changes: Sequence[Change]

    def batch(self, after_id: int, limit_bytes: int) -> Walk | None:
        """Return the next batch after a stored request: as many as fit, at least one; None when there is none."""
        pieces: list[Piece] = []
        last, size_bytes, lost_spans = None, 0, 0
        position, is_full = after_id, False
        while not is_full and (found := stored_after(self.database, position, READ_AT_ONCE)):
            for one in found:
                piece = self.piece(one)
                size = 0 if piece is None else len(piece.data)
                if last is not None and size_bytes + size > limit_bytes:
                    is_full = True
                    break
                if piece is None:
                    lost_spans += one.spans
                elif piece.spans:
                    pieces.append(piece)
                last, position, size_bytes = one, one.id, size_bytes + size
        if last is None:
            return None
        return Walk(after_id, last.id, last.received_ns, tuple(pieces), limit_bytes, lost_spans)

    def letter(self, letter: DeadLetter) -> Piece | None:
        """Return the span of a dead letter; None when it can no longer be read."""
        kept = stored(self.database, letter.payload_id)
        piece = None if kept is None else self.piece(kept)
        if piece is None:
            return None
        request = ExportTraceServiceRequest.FromString(piece.data)
        return one_span(letter.payload_id, request, letter.trace_id, letter.span_id)

    def piece(self, one: Stored) -> Piece | None:
        """Return what leaves of a stored request; None when it can no longer be read."""
        try:
            data, spans = decompressed(one.body), one.spans
            if self.changes:
                request = ExportTraceServiceRequest.FromString(data)
                for change in self.changes:
                    change(request)
                data, spans = request.SerializeToString(), sum(1 for _ in spans_of(request))
        except (DamagedError, DecodeError):
            return None
        return Piece(one.id, data, spans)
