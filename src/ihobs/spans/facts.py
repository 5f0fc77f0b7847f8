"""What each span of a trace counts as.

`facts` is a pure function of all the known spans of one trace. It does not matter in which order or in how many
requests they came: the store adds the difference between the facts before and after, so totals only depend on
which spans are known. Three passes: down the tree (what stands above a span), up (what stands below it), and
over attempts; then each span is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ihobs.model import CALL_KINDS, Counters, bucket_index
from ihobs.spans.span import FAILED, FLAGGED_TIME, GENAI, ORPHAN, REMOTE_PARENT, TIMED_OUT, Span

COUNTERS = tuple(Counters.__dataclass_fields__)
"""The counters and their order, with the exact sums of the durations behind them."""

SUMS = (*COUNTERS, "run_duration_ns", "call_duration_ns")
(
    SPANS, RUNS, FAILED_RUNS, TIMED_OUT_RUNS, CALLS, FAILED_CALLS, TIMED_OUT_CALLS, RECOVERED, RETRIES, INPUT,
    OUTPUT, CACHED, WRITTEN, REASONING, COST, UNPRICED, USAGE_MISSING, FLAGGED, RUN_NS, CALL_NS,
) = range(len(SUMS))  # fmt: skip

RUN_FAMILY, CALL_FAMILY = 0, 1
"""Which histogram a duration goes to."""

_WORKFLOW_KINDS = frozenset({"workflow", "agent"})
_CALL_KINDS = frozenset((*CALL_KINDS, "node"))
_MODEL_KINDS = frozenset({"llm", "embedding"})
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


class _Above(NamedTuple):
    """What stands above and at a span, seen from its children.

    Attributes:
        complete: every ancestor is known, or will never be.
        genai: some span above speaks a dialect of LLM tracing.
        workflow: the topmost workflow's span, or None. node: the nearest node's name.
        model_call: the nearest llm or embedding span, or None.
    """

    complete: bool
    genai: bool
    workflow: Span | None
    node: str
    model_call: Span | None


@dataclass(frozen=True, slots=True)
class _Tree:
    """A trace while it is walked: spans by id, what stands above each, what a parent's children see, the order."""

    by_id: dict[int, Span]
    above: dict[int, _Above]
    inside: dict[int, _Above]
    order: list[Span] = field(default_factory=list)


_NOTHING = _Above(complete=True, genai=False, workflow=None, node="", model_call=None)
_UNKNOWN = _NOTHING._replace(complete=False)


def facts(spans: Sequence[Span]) -> Facts:
    """Return what the `spans` of one trace count as."""
    by_id = {span.span_id: span for span in spans}
    above, order = _look_up(by_id)
    workflows = {
        span.span_id for span in order if (top := _workflow_at(span, above[span.span_id])) is not None and top is span
    }
    runs = {span_id for span_id in workflows if above[span_id].complete}
    if not workflows:
        runs = _root_runs(order, above, by_id)
    result = Facts(runs=runs, waiting=_is_waiting(order, above))
    below = _look_down(order, above)
    recovered, retries = attempts_of(spans)
    for span in order:
        _count(span, above[span.span_id], below, result, (recovered, retries))
    first = min((by_id[span_id] for span_id in runs), key=lambda run: (run.start_ns, run.span_id), default=None)
    result.workflow = (first.shape.workflow or first.shape.name) if first else ""
    return result


def _look_up(by_id: dict[int, Span]) -> tuple[dict[int, _Above], list[Span]]:
    """Return what stands above each span, and the spans with parents before children."""
    tree = _Tree(by_id, {}, {})
    above, order = tree.above, tree.order
    for start in reversed(by_id.values()):  # parents end last, so most come first this way
        if start.parent_id not in by_id or start.parent_id in above:
            if start.span_id not in above:
                above[start.span_id] = _seen_from(start, tree)
                order.append(start)
            continue
        path: list[Span] = []
        on_path: set[int] = set()
        span: Span | None = start
        while span is not None and span.span_id not in above and span.span_id not in on_path:
            path.append(span)
            on_path.add(span.span_id)
            span = by_id.get(span.parent_id) if span.parent_id is not None else None
        if span is not None and span.span_id in on_path:  # a loop of parents: broken where we entered it
            above[path[-1].span_id] = _NOTHING
            order.append(path.pop())
        for child in reversed(path):
            above[child.span_id] = _seen_from(child, tree)
            order.append(child)
    return above, order


def _seen_from(child: Span, tree: _Tree) -> _Above:
    """Return what stands above `child`; what stands above its parent is known. Siblings share the answer."""
    if child.parent_id is None:
        return _NOTHING
    parent = tree.by_id.get(child.parent_id)
    if parent is None:
        return _NOTHING if child.flags & (REMOTE_PARENT | ORPHAN) else _UNKNOWN
    seen = tree.inside.get(parent.span_id)
    if seen is None:
        higher = tree.above[parent.span_id]
        shape = parent.shape
        seen = tree.inside[parent.span_id] = _Above(
            complete=higher.complete,
            genai=higher.genai or bool(parent.flags & GENAI),
            workflow=_workflow_at(parent, higher),
            node=shape.node if shape.kind == "node" else higher.node,
            model_call=parent if shape.kind in _MODEL_KINDS else higher.model_call,
        )
    return seen


def _workflow_at(span: Span, above: _Above) -> Span | None:
    """Return the topmost workflow as seen at `span`: the one above, or `span` itself when it is one.

    A chain is a workflow when nothing above it speaks a dialect of LLM tracing.
    """
    if above.workflow is not None:
        return above.workflow
    kind = span.shape.kind
    return span if kind in _WORKFLOW_KINDS or (kind == "chain" and not above.genai) else None


def _root_runs(order: list[Span], above: dict[int, _Above], by_id: dict[int, Span]) -> set[int]:
    """Return the roots of a trace without any workflow, if some span of it speaks a dialect of LLM tracing.

    A span that our own instrumentation stamped with a workflow has one above it that is still to come.
    """
    if not any(span.flags & GENAI for span in order):
        return set()
    return {
        span.span_id
        for span in order
        if (span.parent_id is None or span.parent_id not in by_id)
        and above[span.span_id].complete
        and not (span.parent_id is not None and span.shape.workflow)
    }


def _is_waiting(order: list[Span], above: dict[int, _Above]) -> bool:
    return any(not above[span.span_id].complete for span in order) and any(span.flags & GENAI for span in order)


class _Below(NamedTuple):
    """Which calls to a model have another one below them, and which have one below that tells its usage."""

    call: set[int]
    usage: set[int]


def _look_down(order: list[Span], above: dict[int, _Above]) -> _Below:
    below = _Below(set(), set())
    for span in reversed(order):
        outer = above[span.span_id].model_call
        if outer is None or span.shape.kind not in _MODEL_KINDS:
            continue
        below.call.add(outer.span_id)
        if _has_usage(span) or span.span_id in below.usage:
            below.usage.add(outer.span_id)
    return below


def _has_usage(span: Span) -> bool:
    return span.input_tokens is not None or span.output_tokens is not None


def attempts_of(spans: Iterable[Span]) -> tuple[set[int], set[int]]:
    """Return the failed attempts that a later one made good, and all attempts after the first, by span id."""
    groups: dict[tuple[int | None, int, str], list[Span]] = {}
    for span in spans:
        if span.attempt_key is not None:
            groups.setdefault((span.parent_id, span.attempt_key, span.shape.name), []).append(span)
    recovered: set[int] = set()
    retries: set[int] = set()
    for attempts in groups.values():
        attempts.sort(key=lambda span: (span.start_ns, span.span_id))
        retries.update(span.span_id for span in attempts[1:])
        succeeded = False
        for span in reversed(attempts):
            if not span.flags & FAILED:
                succeeded = True
            elif succeeded:
                recovered.add(span.span_id)
    return recovered, retries


def _count(span: Span, above: _Above, below: _Below, result: Facts, attempts: tuple[set[int], set[int]]) -> None:
    """Add one span's numbers to `result`."""
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
    if kind in _CALL_KINDS and not (kind in _MODEL_KINDS and span.span_id in below.call):
        _count_call(span, sums, attempts, failed=failed)
        _observe(result, key, CALL_FAMILY, span.duration_ns)
        if kind in _MODEL_KINDS and not failed and not _has_usage(span) and not _told_above(above, below):
            sums[USAGE_MISSING] += 1
    if kind in _MODEL_KINDS and _has_usage(span) and span.span_id not in below.usage:
        _count_usage(span, sums)


def _count_call(span: Span, sums: list[int], attempts: tuple[set[int], set[int]], *, failed: bool) -> None:
    recovered = span.span_id in attempts[0]
    sums[CALLS] += 1
    sums[CALL_NS] += span.duration_ns
    sums[RETRIES] += span.span_id in attempts[1]
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


def _told_above(above: _Above, below: _Below) -> bool:
    """Return whether the call around this one tells the usage, and counts it."""
    outer = above.model_call
    return outer is not None and _has_usage(outer) and outer.span_id not in below.usage


def _series(span: Span, above: _Above, *, is_run: bool) -> SeriesKey:
    shape = span.shape
    top = _workflow_at(span, above)
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
