"""What each span of a trace counts as.

`facts` is a pure function of all the known spans of one trace. It does not matter in which order or in how many
requests they came: the store adds the difference between the facts before and after, so totals only depend on
which spans are known. Three passes: down the tree (what stands above a span), up (what stands below it), and
over attempts; then each span is counted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ihobs.model import CALL_KINDS, Counters, bucket_index
from ihobs.spans.span import FAILED, FLAGGED_TIME, TIMED_OUT, Span
from ihobs.spans.tree import MODEL_KINDS, Above, Reading, has_usage, read_trace, told_above, workflow_at

COUNTERS = tuple(Counters.__dataclass_fields__)
"""The counters and their order, with the exact sums of the durations behind them."""

SUMS = (*COUNTERS, "run_duration_ns", "call_duration_ns", "first_token_calls", "first_token_ns")
(
    SPANS, RUNS, FAILED_RUNS, TIMED_OUT_RUNS, CALLS, FAILED_CALLS, TIMED_OUT_CALLS, RECOVERED, RETRIES, INPUT,
    OUTPUT, CACHED, WRITTEN, REASONING, COST, UNPRICED, USAGE_MISSING, FLAGGED, RUN_NS, CALL_NS,
    FIRST_TOKENS, FIRST_TOKEN_NS,
) = range(len(SUMS))  # fmt: skip

RUN_FAMILY, CALL_FAMILY, FIRST_TOKEN_FAMILY = 0, 1, 2
"""Which histogram a duration goes to."""

COUNTED_KINDS = frozenset((*CALL_KINDS, "node"))
"""Kinds of spans that count as calls."""

_ZEROS = (0,) * len(SUMS)


class SeriesKey(NamedTuple):
    """What a span's numbers are grouped under; texts are empty where nothing is known."""

    service: str
    workflow: str
    node: str
    kind: str
    provider: str
    model: str


@dataclass(slots=True)
class Facts:
    """Numbers by (bucket, series) and histogram counts by (bucket, series, family, index).

    Attributes:
        sums: lists in the order of SUMS.
        buckets: histogram counts.
        runs: ids of the spans that are runs.
        waiting: some span's ancestors are not all known yet, so that what is a run may still change.
        workflow: the name of the trace's first run; empty when it has none.
    """

    sums: dict[tuple[int, SeriesKey], list[int]] = field(default_factory=dict)
    buckets: dict[tuple[int, SeriesKey, int, int], int] = field(default_factory=dict)
    runs: set[int] = field(default_factory=set)
    waiting: bool = False
    workflow: str = ""


def facts(spans: Sequence[Span]) -> Facts:
    """Return what the `spans` of one trace count as."""
    reading = read_trace(spans)
    result = Facts(runs=reading.runs, waiting=reading.waiting)
    for span in reading.order:
        _count(span, reading, result)
    runs = (span for span in reading.order if span.span_id in reading.runs)
    first = min(runs, key=lambda run: (run.start_ns, run.span_id), default=None)
    result.workflow = (first.shape.workflow or first.shape.name) if first else ""
    return result


def counted_alone(span: Span, reading: Reading) -> Facts:
    """Return what one span of a trace counts as."""
    result = Facts(runs=reading.runs)
    _count(span, reading, result)
    return result


def _count(span: Span, reading: Reading, result: Facts) -> None:
    """Add one span's numbers to `result`."""
    above, below = reading.above[span.span_id], reading.below
    is_run = span.span_id in result.runs
    kind = span.shape.kind
    key = (span.bucket, _series(span, above, is_run=is_run))
    sums = result.sums.get(key)
    if sums is None:
        sums = result.sums[key] = list(_ZEROS)
    failed = bool(span.flags & FAILED)
    sums[SPANS] += 1
    if span.flags & FLAGGED_TIME:
        sums[FLAGGED] += 1
    if is_run:
        sums[RUNS] += 1
        sums[FAILED_RUNS] += failed
        sums[TIMED_OUT_RUNS] += bool(failed and span.flags & TIMED_OUT)
        sums[RUN_NS] += span.duration_ns
        _observe(result, key, RUN_FAMILY, span.duration_ns)
    if kind in COUNTED_KINDS and not (kind in MODEL_KINDS and span.span_id in below.call):
        _count_call(span, sums, reading, failed=failed)
        _observe(result, key, CALL_FAMILY, span.duration_ns)
        if kind in MODEL_KINDS and not failed and not has_usage(span) and not told_above(span, reading):
            sums[USAGE_MISSING] += 1
    if kind in MODEL_KINDS and has_usage(span) and span.span_id not in below.usage:
        _count_usage(span, sums)
    if kind in MODEL_KINDS and span.first_token_ns is not None and span.span_id not in below.first_token:
        sums[FIRST_TOKENS] += 1
        sums[FIRST_TOKEN_NS] += span.first_token_ns
        _observe(result, key, FIRST_TOKEN_FAMILY, span.first_token_ns)


def _count_call(span: Span, sums: list[int], reading: Reading, *, failed: bool) -> None:
    recovered = span.span_id in reading.recovered
    sums[CALLS] += 1
    sums[CALL_NS] += span.duration_ns
    sums[RETRIES] += span.span_id in reading.retries
    sums[RECOVERED] += recovered
    if failed and not recovered:
        sums[FAILED_CALLS] += 1
        sums[TIMED_OUT_CALLS] += bool(span.flags & TIMED_OUT)


def _count_usage(span: Span, sums: list[int]) -> None:
    sums[INPUT] += span.input_tokens or 0
    sums[OUTPUT] += span.output_tokens or 0
    sums[CACHED] += span.cached_input_tokens or 0
    sums[WRITTEN] += span.cache_write_tokens or 0
    sums[REASONING] += span.reasoning_tokens or 0
    if span.cost_nano_usd is None:
        sums[UNPRICED] += 1
    else:
        sums[COST] += span.cost_nano_usd


def _series(span: Span, above: Above, *, is_run: bool) -> SeriesKey:
    shape = span.shape
    top = workflow_at(span, above)
    kind = shape.kind
    if kind == "chain" and top is span:
        kind = "workflow"
    if is_run:
        return SeriesKey(shape.service, shape.workflow or shape.name, "", kind, "", "")
    workflow = top.shape.workflow if top is not None else shape.workflow
    return SeriesKey(shape.service, workflow, shape.node or above.node, kind, shape.provider, shape.model)


def _observe(result: Facts, key: tuple[int, SeriesKey], family: int, duration_ns: int) -> None:
    place = (*key, family, bucket_index(duration_ns))
    result.buckets[place] = result.buckets.get(place, 0) + 1
