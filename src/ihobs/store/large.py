"""Traces of very many spans. Counting reads the whole trace, so what is new is stored at once and counted in portions.

A portion is a tenth of what is counted already, or what came in 30 s, or what brings the root. Whatever the
portions, the sums end up the same as if the trace had come at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.spans.span import PENDING
from ihobs.store.traces import clear_pending, extend_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ihobs.spans.span import Span
    from ihobs.store.change import Change
    from ihobs.store.traces import Known

LARGE_SPANS = 5_000
"""A trace of so many spans is large: counting it takes about 0.1 s."""

PORTIONS = 10
"""A large trace is counted again when it has grown by one part in so many."""


def is_large(trace: Known | None) -> bool:
    """Return whether the new spans of a trace are counted later."""
    return trace is not None and trace.spans >= LARGE_SPANS


def pending(spans: Sequence[Span]) -> list[Span]:
    """Return `spans` marked as not counted yet."""
    return [span._replace(flags=span.flags | PENDING) for span in spans]


def not_pending(spans: Sequence[Span]) -> list[Span]:
    """Return `spans` without that mark."""
    return [span._replace(flags=span.flags & ~PENDING) if span.flags & PENDING else span for span in spans]


def grow(change: Change, trace: Known, trace_id: bytes, spans: Sequence[Span], received_ns: int) -> None:
    """Take note of spans that were stored as pending, and count them when they are many enough or end the run."""
    extend_trace(change.connection, trace.no, received_ns, spans)
    many = (trace.spans + len(spans) - trace.counted) * PORTIONS >= trace.counted
    if many or (not trace.runs and any(span.parent_id is None for span in spans)):
        before = change.load(trace.no)
        clear_pending(change.connection, trace.no)
        change.replace((trace.no, trace_id), before, not_pending(before), received_ns)
