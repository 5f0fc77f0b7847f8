"""Rows of traces and spans: read for the facts, written with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.facts import COST, INPUT, OUTPUT, UNPRICED, Facts
from ihobs.spans.span import FAILED, PENDING, RUN, Shape, Span

if TYPE_CHECKING:
    from ihobs.store.numbers import Numbers

_COLUMNS = (
    "span_id, parent_id, start_ns, duration_ns, bucket, flags, attempt_key, input_tokens, output_tokens, "
    "cached_input_tokens, cache_write_tokens, reasoning_tokens, cost_nano_usd, first_token_ns, shape_id"
)
_LOAD = f"SELECT {_COLUMNS} FROM span WHERE trace_no = ?"  # noqa: S608 - our own names
_INSERT = f"INSERT INTO span (trace_no, payload_id, {_COLUMNS}) VALUES ({', '.join('?' * 17)})"  # noqa: S608 - our own names
_CHUNK = 500
"""Values bound in one statement; SQLite allows 32,766."""


def load_spans(connection: sqlite3.Connection, trace_no: int, shapes: Numbers[Shape]) -> list[Span]:
    """Return all stored spans of a trace."""
    return [
        Span._make((*row[:-1], shapes.key(connection, row[-1])))
        for row in connection.execute(_LOAD, [trace_no]).fetchall()
    ]


class Known(NamedTuple):
    """A trace that is stored: its number, its spans, how many of them are counted, and its runs among these."""

    no: int
    spans: int
    counted: int
    runs: int


def find_traces(connection: sqlite3.Connection, trace_ids: Sequence[bytes]) -> dict[bytes, Known]:
    """Return those of `trace_ids` that are known."""
    found: dict[bytes, Known] = {}
    for start in range(0, len(trace_ids), _CHUNK):
        chunk = trace_ids[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        rows = connection.execute(
            f"SELECT trace_id, no, spans, counted, runs FROM trace WHERE trace_id IN ({marks})",  # noqa: S608 - only marks
            chunk,
        )
        found.update((trace_id, Known(*row)) for trace_id, *row in rows)
    return found


def known_spans(connection: sqlite3.Connection, trace_no: int, span_ids: Sequence[int]) -> set[int]:
    """Return those of `span_ids` that a trace has."""
    found: set[int] = set()
    for start in range(0, len(span_ids), _CHUNK):
        chunk = span_ids[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        rows = connection.execute(
            f"SELECT span_id FROM span WHERE trace_no = ? AND span_id IN ({marks})",  # noqa: S608 - only marks
            [trace_no, *chunk],
        )
        found.update(row[0] for row in rows)
    return found


def next_trace_no(connection: sqlite3.Connection) -> int:
    """Return a number that no trace has; the write lock is held, so nobody else takes it."""
    return int(connection.execute("SELECT coalesce(max(no), 0) + 1 FROM trace").fetchone()[0])


def insert_spans(
    connection: sqlite3.Connection,
    rows: Iterable[tuple[int, int, Span]],
    runs: dict[int, set[int]],
    shapes: Numbers[Shape],
) -> None:
    """Insert (trace number, payload id, span) rows, marking those that are runs."""
    connection.executemany(
        _INSERT,
        [
            (
                trace_no,
                payload_id,
                *span[:5],
                span.flags | RUN if span.span_id in runs[trace_no] else span.flags,
                *span[6:-1],
                shapes.number(connection, span.shape),
            )
            for trace_no, payload_id, span in rows
        ],
    )


def update_flags(connection: sqlite3.Connection, trace_no: int, spans: Iterable[Span]) -> None:
    """Write the flags of spans that changed."""
    connection.executemany(
        "UPDATE span SET flags = ? WHERE trace_no = ? AND span_id = ?",
        [(span.flags, trace_no, span.span_id) for span in spans],
    )


def clear_pending(connection: sqlite3.Connection, trace_no: int) -> None:
    """Say that all spans of a trace are counted."""
    connection.execute(
        f"UPDATE span SET flags = flags & ~{PENDING} WHERE trace_no = ? AND flags & {PENDING}",  # noqa: S608 - our own number
        [trace_no],
    )


def extend_trace(connection: sqlite3.Connection, trace_no: int, received_ns: int, spans: Sequence[Span]) -> None:
    """Let the summary of a trace tell of spans that are stored and not counted yet."""
    connection.execute(
        "UPDATE trace SET received_ns = ?, start_ns = min(start_ns, ?), end_ns = max(end_ns, ?), spans = spans + ?, "
        "failed_spans = failed_spans + ?, waiting = 1 WHERE no = ?",
        [
            received_ns,
            min(span.start_ns for span in spans),
            max(span.start_ns + span.duration_ns for span in spans),
            len(spans),
            sum(1 for span in spans if span.flags & FAILED),
            trace_no,
        ],
    )


def mark_runs(connection: sqlite3.Connection, trace_no: int, old: set[int], new: set[int]) -> None:
    """Move the RUN mark of stored spans from `old` to `new`."""
    connection.executemany(
        f"UPDATE span SET flags = flags | {RUN} WHERE trace_no = ? AND span_id = ?",  # noqa: S608 - our own number
        [(trace_no, span_id) for span_id in new - old],
    )
    connection.executemany(
        f"UPDATE span SET flags = flags & ~{RUN} WHERE trace_no = ? AND span_id = ?",  # noqa: S608 - our own number
        [(trace_no, span_id) for span_id in old - new],
    )


def write_trace(
    connection: sqlite3.Connection,
    trace: tuple[int, bytes],
    received_ns: int,
    spans: Sequence[Span],
    facts: Facts,
) -> None:
    """Write a trace's summary row; `trace` is its number and its id."""
    failed_runs = sum(1 for span in spans if span.span_id in facts.runs and span.flags & FAILED)
    counted = sum(1 for span in spans if not span.flags & PENDING)
    totals = [sum(column) for column in zip(*facts.sums.values(), strict=True)]

    def late(span: Span) -> tuple[bool, bool, int, int]:
        return span.span_id not in facts.runs, span.parent_id is not None, span.start_ns, span.span_id

    root = min(spans, key=late)
    connection.execute(
        f"INSERT INTO trace VALUES ({', '.join('?' * 18)}) ON CONFLICT (no) DO UPDATE SET "  # noqa: S608 - only marks
        "received_ns = excluded.received_ns, start_ns = excluded.start_ns, end_ns = excluded.end_ns, "
        "spans = excluded.spans, failed_spans = excluded.failed_spans, runs = excluded.runs, "
        "failed_runs = excluded.failed_runs, workflow = excluded.workflow, service = excluded.service, "
        "input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, "
        "cost_nano_usd = excluded.cost_nano_usd, unpriced_calls = excluded.unpriced_calls, waiting = excluded.waiting, "
        "counted = excluded.counted, counted_ns = excluded.counted_ns",
        (
            *trace,
            received_ns,
            min(span.start_ns for span in spans),
            max(span.start_ns + span.duration_ns for span in spans),
            len(spans),
            sum(1 for span in spans if span.flags & FAILED),
            len(facts.runs),
            failed_runs,
            facts.workflow or root.shape.workflow or root.shape.name,
            root.shape.service,
            totals[INPUT],
            totals[OUTPUT],
            totals[COST],
            totals[UNPRICED],
            facts.waiting or counted < len(spans),
            counted,
            received_ns,
        ),
    )
