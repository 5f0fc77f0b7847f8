"""A list of traces in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ihobs.cli.inert import inert
from ihobs.cli.moments import shown
from ihobs.cli.tables import Column, table
from ihobs.cli.trace_figures import cost_usd
from ihobs.cli.units import UNKNOWN, count, duration, usd, usd_at_least
from ihobs.clock import SECOND_NS

if TYPE_CHECKING:
    from rich.console import Console

    from ihobs.store.trace_query import TraceSummary

MIN_ID_DIGITS = 12
"""Digits of a trace id that are shown at least; more where these do not tell the listed traces apart."""

ID_DIGITS = 32


def render(console: Console, traces: Sequence[TraceSummary]) -> None:
    """Print traces, one a line."""
    digits = _telling_digits([trace.trace_id for trace in traces])
    columns: list[Column[TraceSummary]] = [
        Column("trace", lambda trace: trace.trace_id[:digits], is_left=True, style=lambda _: "cyan"),
        Column("began (UTC)", lambda trace: shown(trace.start_ns)),
        Column("workflow", lambda trace: inert(trace.workflow or UNKNOWN), is_name=True),
        Column("service", lambda trace: inert(trace.service or UNKNOWN), is_name=True, rank=5),
        Column("result", _result, is_left=True, style=_result_style),
        Column("time", lambda trace: duration(trace.duration_ns / SECOND_NS)),
        Column("spans", lambda trace: count(trace.spans), rank=4),
        Column("errors", lambda trace: count(trace.failed_spans), rank=3, style=_error_style),
        Column("in", lambda trace: count(trace.input_tokens), rank=2),
        Column("out", lambda trace: count(trace.output_tokens), rank=2),
        Column("cost", _cost, rank=1),
    ]
    console.print(table(console, columns, traces))


def _telling_digits(trace_ids: Sequence[str]) -> int:
    """Return how many leading digits tell the ids apart."""
    return next(
        digits
        for digits in range(MIN_ID_DIGITS, ID_DIGITS + 1)
        if digits == ID_DIGITS or len({trace_id[:digits] for trace_id in trace_ids}) == len(trace_ids)
    )


def _result(trace: TraceSummary) -> str:
    """Return how the runs of a trace ended; "-" when none has."""
    if trace.failed_runs:
        return "failed" if trace.runs == 1 else f"{count(trace.failed_runs)} of {count(trace.runs)} failed"
    if not trace.runs:
        return UNKNOWN
    return "ok" if trace.runs == 1 else f"{count(trace.runs)} ok"


def _result_style(trace: TraceSummary) -> str:
    return "red" if trace.failed_runs else "green" if trace.runs else ""


def _error_style(trace: TraceSummary) -> str:
    return "red" if trace.failed_spans else ""


def _cost(trace: TraceSummary) -> str:
    known = cost_usd(trace.cost_nano_usd, trace.unpriced_calls)
    return usd_at_least(known) if trace.unpriced_calls else usd(known)
