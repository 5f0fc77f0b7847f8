"""Log records for people: the newest ones, by trace, level, service and time, and how many a trace has."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ihobs.errors import InvalidInputError
from ihobs.spans.severity import LEVELS, level_of
from ihobs.spans.signals import LOGS
from ihobs.store.payloads import decompress_logs
from ihobs.store.trace_query import plain

if TYPE_CHECKING:
    import sqlite3

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from ihobs.store.database import Database

_TRACE_ID_DIGITS = 32
_ROW = "SELECT batch_id, position, time_ns, severity, service, trace_id FROM log_record"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One log record, redacted as it is stored.

    Attributes:
        time_ns: when it was made. severity: from 1 to 24, 0: unknown. level: that in Python's words, or empty.
        service: whose it is. logger: the name of its scope, for Python that of the logger.
        trace_id, span_id: hexadecimal; None: it was made outside of any span.
        body: most often a text. attributes: as they came.
        event: the name of an event, or empty.
    """

    time_ns: int
    severity: int
    service: str
    logger: str
    trace_id: str | None
    span_id: str | None
    body: Any
    attributes: Mapping[str, Any]
    event: str

    @property
    def level(self) -> str:
        """The name of its level, or an empty text."""
        return level_of(self.severity)


class LogCount(NamedTuple):
    """How many log records a trace has, and how many of them tell of errors."""

    records: int = 0
    errors: int = 0


class LostLogs(NamedTuple):
    """Log records that were lost before they could be stored: why, how many, and when the last of them were."""

    reason: str
    records: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which records are wanted.

    Attributes:
        trace: the beginning of a trace's id, hexadecimal; empty: any or none.
        min_severity: of this number or above; 0: also of an unknown one.
        service: of this service; empty: of any.
        since_ns: made at this time or later.
    """

    trace: str = ""
    min_severity: int = 0
    service: str = ""
    since_ns: int | None = None


def newest_logs(database: Database, wanted: LogFilter, *, limit: int) -> list[LogEntry]:
    """Return the newest records that are wanted, the newest first.

    Raises:
        InvalidInputError: what should begin a trace's id cannot.
        StoreUnavailableError: the database cannot be read.
    """
    conditions, values = _conditions(wanted)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = " ORDER BY time_ns DESC, batch_id DESC, position DESC LIMIT ?"
    with database.read() as connection:
        rows = connection.execute(f"{_ROW}{where}{order}", [*values, limit]).fetchall()
        found = _read_records(connection, {row[0] for row in rows})
    return [_entry(row, *found[row[0], row[1]]) for row in rows]


def count_logs(database: Database, trace_id: str) -> LogCount:
    """Return how many records the trace of this whole id has.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        counted = connection.execute(
            "SELECT count(*), coalesce(sum(severity >= ?), 0) FROM log_record WHERE trace_id = ?",
            [LEVELS["ERROR"], bytes.fromhex(trace_id)],
        ).fetchone()
    return LogCount(*counted)


def lost_logs(database: Database) -> tuple[LostLogs, ...]:
    """Return the records that were lost, most first.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        rows = connection.execute(
            "SELECT reason, records, last_ns FROM log_dropped ORDER BY records DESC, reason"
        ).fetchall()
    return tuple(LostLogs(*row) for row in rows)


def _conditions(wanted: LogFilter) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    if wanted.trace:
        conditions.append("trace_id BETWEEN ? AND ?")
        values += _bounds(wanted.trace)
    if wanted.min_severity:
        conditions.append("severity >= ?")
        values.append(wanted.min_severity)
    if wanted.service:
        conditions.append("service = ?")
        values.append(wanted.service)
    if wanted.since_ns is not None:
        conditions.append("time_ns >= ?")
        values.append(wanted.since_ns)
    return conditions, values


def _bounds(trace: str) -> tuple[bytes, bytes]:
    """Return the least and the greatest id that begins with these digits."""
    digits = trace.lower()
    if not re.fullmatch(rf"[0-9a-f]{{1,{_TRACE_ID_DIGITS}}}", digits):
        raise InvalidInputError(trace, "is not the beginning of a trace id", "it consists of up to 32 hex digits")
    return bytes.fromhex(digits.ljust(_TRACE_ID_DIGITS, "0")), bytes.fromhex(digits.ljust(_TRACE_ID_DIGITS, "f"))


def _read_records(
    connection: sqlite3.Connection, batches: Collection[int]
) -> dict[tuple[int, int], tuple[str, LogRecord]]:
    """Return the records of some batches, each with the name of its scope, by batch and position."""
    found: dict[tuple[int, int], tuple[str, LogRecord]] = {}
    for number in batches:
        (body,) = connection.execute("SELECT body FROM log_batch WHERE id = ?", [number]).fetchone()
        position = 0
        for _, scope, records in LOGS.groups(decompress_logs(body)):
            for record in records:
                found[number, position] = (scope.scope.name, record)
                position += 1
    return found


def _entry(row: tuple[int, int, int, int, str, bytes | None], logger: str, record: LogRecord) -> LogEntry:
    _, _, time_ns, severity, service, trace_id = row
    return LogEntry(
        time_ns,
        severity,
        service,
        logger,
        None if trace_id is None else trace_id.hex(),
        record.span_id.hex() if trace_id is not None and any(record.span_id) else None,
        plain(record.body),
        {each.key: plain(each.value) for each in record.attributes},
        record.event_name,
    )
