"""Log records in the telemetry database: requests whole, redacted and compressed, beside a narrow row for each record.

A record has no id, unlike a span. So a request is told by its content: the same request again, because the sender
did not hear the answer, stores nothing for as long as the first one is kept. A request with a record that has no
time of its own is stored every time: nothing tells a repetition from something that happened twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, Clock, now_ns
from ihobs.redact.tally import Tally
from ihobs.spans.severity import severity_of
from ihobs.spans.signals import LOGS
from ihobs.store.ingest import IngestResult
from ihobs.store.payloads import compress
from ihobs.store.redaction import count_removed

if TYPE_CHECKING:
    import sqlite3

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs

    from ihobs.redact.message import Redactor
    from ihobs.store.database import Database
    from ihobs.store.home import Home

DIGEST_BYTES = 16

MAX_AHEAD_NS = DAY_NS
"""A record that says it is later than this after its receipt has a clock that is off: its receipt counts."""

_TRACE_ID_BYTES = 16

Row = tuple[int, int, int, str, bytes | None]
"""Position, time, severity, service and trace of a record."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """A request on its way in."""

    digest: bytes | None
    body: bytes
    rows: Sequence[Row]
    removed: dict[str, int]


class LogStore:
    """The log records of one home. Safe for threads and forks; cheap to make.

    Args:
        database: of the telemetry.
        redactor: takes secrets and contents out of what comes in.
        clock: tells the time.
    """

    def __init__(self, database: Database, redactor: Redactor, *, clock: Clock = now_ns) -> None:
        self.database = database
        self._redactor, self._clock = redactor, clock

    @property
    def home(self) -> Home:
        """The home of the database."""
        return self.database.home

    def ingest(self, request: ExportLogsServiceRequest) -> IngestResult:
        """Store the records of one request; see `ingest_many`."""
        return self.ingest_many([request])

    def ingest_many(
        self,
        requests: Sequence[ExportLogsServiceRequest],
        *,
        live: bool = True,  # noqa: ARG002 - as for spans; a record counts nowhere
    ) -> IngestResult:
        """Store the records of `requests` in one transaction.

        Args:
            requests: what came in; redacted in place.
            live: makes no difference.

        Raises:
            StoreUnavailableError: nothing of it was stored.
        """
        now = self._clock()
        batches = [batch for request in requests if (batch := self._read(request, now)).rows]
        accepted = duplicates = 0
        if batches:
            with self.database.write() as connection:
                for batch in batches:
                    if batch.digest is not None and _is_known(connection, batch.digest):
                        duplicates += len(batch.rows)
                        continue
                    _insert(connection, batch, now)
                    accepted += len(batch.rows)
        return IngestResult(accepted, duplicates)

    def record_dropped(self, reason: str, records: int) -> None:
        """Count records that were lost before they could be stored, and why and when the last ones were."""
        with self.database.write() as connection:
            connection.execute(
                "INSERT INTO log_dropped VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
                "records = records + excluded.records, last_ns = excluded.last_ns",
                [reason, records, self._clock()],
            )

    def close(self) -> None:
        """Close the connections of this thread; the next use opens them again."""
        self.database.close()

    def _read(self, request: ExportLogsServiceRequest, now: int) -> _Batch:
        digest = _digest(request)  # of what came: the mask of a secret is the same for all secrets
        tally = Tally()
        self._redactor.logs(request, tally)
        rows: list[Row] = []
        for resource, _, records in LOGS.groups(request):
            service = _service(resource)
            for record in records:
                severity = severity_of(record.severity_number, record.severity_text)
                rows.append((len(rows), _time_ns(record, now), severity, service, _trace_id(record)))
        return _Batch(digest, compress(request), rows, tally.by_kind())


def _is_known(connection: sqlite3.Connection, digest: bytes) -> bool:
    return connection.execute("SELECT 1 FROM log_batch WHERE digest = ?", [digest]).fetchone() is not None


def _insert(connection: sqlite3.Connection, batch: _Batch, now: int) -> None:
    cursor = connection.execute(
        "INSERT INTO log_batch (received_ns, digest, records, body) VALUES (?, ?, ?, ?)",
        [now, batch.digest, len(batch.rows), batch.body],
    )
    connection.executemany(
        "INSERT INTO log_record (batch_id, position, time_ns, severity, service, trace_id) VALUES (?, ?, ?, ?, ?, ?)",
        [(cursor.lastrowid, *row) for row in batch.rows],
    )
    count_removed(connection, batch.removed, now)


def _digest(request: ExportLogsServiceRequest) -> bytes | None:
    """Return what tells this request from every other; None when it may truly come twice."""
    if not all(map(_has_time, _records(request))):
        return None
    return hashlib.blake2b(request.SerializeToString(deterministic=True), digest_size=DIGEST_BYTES).digest()


def _records(request: ExportLogsServiceRequest) -> Sequence[LogRecord]:
    return [record for _, _, records in LOGS.groups(request) for record in records]


def _has_time(record: LogRecord) -> bool:
    return bool(record.time_unix_nano or record.observed_time_unix_nano)


def _time_ns(record: LogRecord, now: int) -> int:
    """Return when a record was made, or seen; when it was received where neither can be."""
    for time_ns in (record.time_unix_nano, record.observed_time_unix_nano):
        if 0 < time_ns <= now + MAX_AHEAD_NS:
            return time_ns
    return now


def _trace_id(record: LogRecord) -> bytes | None:
    """Return the trace that a record belongs to; what is no id counts as none, as OTLP asks."""
    return record.trace_id if len(record.trace_id) == _TRACE_ID_BYTES and any(record.trace_id) else None


def _service(resource_logs: ResourceLogs) -> str:
    attributes = resource_logs.resource.attributes
    return next((each.value.string_value for each in attributes if each.key == "service.name"), "")
