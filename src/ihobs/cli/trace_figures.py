"""Traces and spans as `ihobs traces --json` prints them: what is not known is None, attributes are whole."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ihobs.clock import SECOND_NS, isoformat
from ihobs.spans.tree import attempts_of

if TYPE_CHECKING:
    from ihobs.store.trace_query import SpanDetail, TraceDetail, TraceSummary


def cost_usd(cost_nano_usd: int, unpriced_calls: int) -> float | None:
    """Return the known cost; None when there are only calls without a known price."""
    return None if unpriced_calls and not cost_nano_usd else cost_nano_usd / 1e9


def summary_figures(trace: TraceSummary) -> dict[str, object]:
    """Return a trace on one line."""
    return {
        "trace_id": trace.trace_id,
        "start": isoformat(trace.start_ns),
        "duration_s": trace.duration_ns / SECOND_NS,
        "service": trace.service or None,
        "workflow": trace.workflow or None,
        "spans": trace.spans,
        "failed_spans": trace.failed_spans,
        "runs": trace.runs,
        "failed_runs": trace.failed_runs,
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
        "cost_usd": cost_usd(trace.cost_nano_usd, trace.unpriced_calls),
        "unpriced_calls": trace.unpriced_calls,
    }


def trace_figures(trace: TraceDetail) -> dict[str, object]:
    """Return a trace with all its spans."""
    recovered, retries = attempts_of([detail.span for detail in trace.spans])
    return {
        **summary_figures(trace.summary),
        "contents_kept": trace.contents_kept,
        "spans": [
            _span_figures(detail, recovered=detail.span.span_id in recovered, is_retry=detail.span.span_id in retries)
            for detail in trace.spans
        ],
    }


def _span_figures(detail: SpanDetail, *, recovered: bool, is_retry: bool) -> dict[str, object]:
    span, shape = detail.span, detail.span.shape
    return {
        "span_id": detail.span_id,
        "parent_id": detail.parent_id,
        "depth": detail.depth,
        "name": shape.name,
        "kind": shape.kind or None,
        "scope": shape.scope or None,
        "workflow": shape.workflow or None,
        "node": shape.node or None,
        "provider": shape.provider or None,
        "model": shape.model or None,
        "start": isoformat(span.start_ns),
        "duration_s": span.duration_ns / SECOND_NS,
        "is_run": detail.is_run,
        "failed": detail.failed,
        "recovered": recovered,
        "is_retry": is_retry,
        "control_flow": detail.control_flow,
        "orphan": detail.orphan,
        "flagged_time": detail.flagged_time,
        "error": shape.error or None,
        "status_message": detail.status_message or None,
        "input_tokens": span.input_tokens,
        "output_tokens": span.output_tokens,
        "cached_input_tokens": span.cached_input_tokens,
        "cost_usd": None if span.cost_nano_usd is None else span.cost_nano_usd / 1e9,
        "time_to_first_token_s": None if span.first_token_ns is None else span.first_token_ns / 1e9,
        "attributes": without_bytes(detail.attributes),
        "events": [
            {
                "name": event["name"],
                "time": isoformat(event["time_ns"]),
                "attributes": without_bytes(event["attributes"]),
            }
            for event in detail.events
        ],
    }


def without_bytes(value: Any) -> Any:
    """Return an attribute's value with bytes in base64, as OTLP's JSON has them."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return {key: without_bytes(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_bytes(item) for item in value]
    return value
