"""Store a batch: payloads, rows and what they change, inside one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.spans.batch import Batch, Incoming, Rejection, only
from ihobs.store.arrivals import note_arrivals
from ihobs.store.large import grow, is_large, pending
from ihobs.store.payloads import compress
from ihobs.store.redaction import count_removed
from ihobs.store.retention import BUCKETS_A_DAY
from ihobs.store.traces import find_traces, insert_spans, known_spans, next_trace_no

if TYPE_CHECKING:
    import sqlite3

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from ihobs.spans.normalise import Receipt
    from ihobs.spans.span import Span
    from ihobs.store.change import Change
    from ihobs.store.traces import Known

Fresh = Mapping[bytes, tuple[int, list[Incoming]]]
"""What is new: trace id -> its number and the spans that were not known."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of some spans.

    Attributes:
        accepted: stored and counted. duplicates: known before, or twice in the same requests.
        rejections: refused, by reason and request, most frequent first.
    """

    accepted: int = 0
    duplicates: int = 0
    rejections: tuple[Rejection, ...] = ()

    @property
    def rejected(self) -> int:
        """How many spans were refused."""
        return sum(rejection.count for rejection in self.rejections)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Requests on their way in, read and compressed before the transaction begins."""

    requests: Sequence[ExportTraceServiceRequest]
    bodies: Sequence[bytes]
    batch: Batch
    receipt: Receipt


def rejections(batch: Batch) -> tuple[Rejection, ...]:
    """Return what a batch refused, most frequent first."""
    found = sorted(batch.rejected.items(), key=lambda item: -item[1])
    return tuple(Rejection(reason, count, request) for (reason, request), count in found)


def store_delivery(change: Change, delivery: Delivery) -> IngestResult:
    """Store what is new of a delivery and count it."""
    batch = delivery.batch
    _refuse_sealed(change.connection, batch)
    known = find_traces(change.connection, list(batch.traces))
    old = {trace_id: change.load(trace.no) for trace_id, trace in known.items() if not is_large(trace)}
    fresh, duplicates = _what_is_new(change, batch, known, old)
    accepted = sum(len(entries) for _, entries in fresh.values())
    if accepted:
        count_removed(change.connection, batch.redacted.by_kind(), delivery.receipt.received_ns)
        payload_ids = _store_payloads(change.connection, delivery, fresh)
        large = {trace_id: known[trace_id] for trace_id in fresh if is_large(known.get(trace_id))}
        _store_spans(change, delivery.receipt, fresh, {**old, **dict.fromkeys(large)}, payload_ids)
        if delivery.receipt.live:
            spans = (entry.span for _, entries in fresh.values() for entry in entries)
            note_arrivals(change.connection, spans, delivery.receipt.received_ns)
        for trace_id, trace in large.items():
            grow(change, trace, trace_id, [entry.span for entry in fresh[trace_id][1]], delivery.receipt.received_ns)
    return IngestResult(accepted, duplicates, rejections(batch))


def _refuse_sealed(connection: sqlite3.Connection, batch: Batch) -> None:
    """Take out spans of days whose rows were dropped: they could be counted twice."""
    sealed = {row[0] for row in connection.execute("SELECT day FROM sealed_day")}
    if not sealed:
        return
    for trace_id, entries in list(batch.traces.items()):
        kept = [entry for entry in entries if entry.span.bucket // BUCKETS_A_DAY not in sealed]
        if len(kept) < len(entries):
            for entry in entries:
                if entry.span.bucket // BUCKETS_A_DAY in sealed:
                    batch.reject("sealed day", entry.request)
            batch.traces[trace_id] = kept
            if not kept:
                del batch.traces[trace_id]


def _what_is_new(
    change: Change, batch: Batch, known: Mapping[bytes, Known], old: Mapping[bytes, list[Span]]
) -> tuple[Fresh, int]:
    """Return the spans that are not known, priced, and how many were known."""
    number = next_trace_no(change.connection)
    fresh: dict[bytes, tuple[int, list[Incoming]]] = {}
    duplicates = 0
    for trace_id, entries in batch.traces.items():
        trace = known.get(trace_id)
        if trace is None:
            no, number, seen = number, number + 1, set()
        elif trace_id in old:
            no, seen = trace.no, {span.span_id for span in old[trace_id]}
        else:
            no, seen = trace.no, known_spans(change.connection, trace.no, [entry.span.span_id for entry in entries])
        new = _first_of_each(entries, seen)
        duplicates += len(entries) - len(new)
        if new:
            fresh[trace_id] = (no, [entry._replace(span=change.prices.priced(entry.span)) for entry in new])
    return fresh, duplicates


def _first_of_each(entries: Sequence[Incoming], seen: set[int]) -> list[Incoming]:
    """Return the entries whose span is not in `seen`, the first of each id; `seen` grows."""
    new = []
    for entry in entries:
        if entry.span.span_id not in seen:
            seen.add(entry.span.span_id)
            new.append(entry)
    return new


def _store_payloads(connection: sqlite3.Connection, delivery: Delivery, fresh: Fresh) -> dict[int, int]:
    """Store the requests that brought something new, cut down to what is new; return their payload ids."""
    positions: dict[int, set[int]] = {}
    for _, entries in fresh.values():
        for entry in entries:
            positions.setdefault(entry.request, set()).add(entry.position)
    ids: dict[int, int] = {}
    for request, kept in positions.items():
        whole = len(kept) == delivery.batch.span_counts[request]
        body = delivery.bodies[request] if whole else compress(only(delivery.requests[request], kept))
        cursor = connection.execute(
            "INSERT INTO payload (received_ns, live, spans, body) VALUES (?, ?, ?, ?)",
            [delivery.receipt.received_ns, delivery.receipt.live, len(kept), body],
        )
        ids[request] = int(cursor.lastrowid or 0)
    return ids


def _store_spans(
    change: Change,
    receipt: Receipt,
    fresh: Fresh,
    old: Mapping[bytes, list[Span] | None],
    payload_ids: Mapping[int, int],
) -> None:
    """Insert the new spans' rows and gather what they change, but for large traces: `old` has None for those."""
    rows: list[tuple[int, int, Span]] = []
    runs: dict[int, set[int]] = {}
    for trace_id, (no, entries) in fresh.items():
        before, new = old.get(trace_id, []), [entry.span for entry in entries]
        if before is None:
            runs[no], new = set(), pending(new)
        else:
            runs[no] = change.replace((no, trace_id), before, before + new, receipt.received_ns).runs
        rows += [(no, payload_ids[entry.request], span) for entry, span in zip(entries, new, strict=True)]
    insert_spans(change.connection, rows, runs, change.shapes)
