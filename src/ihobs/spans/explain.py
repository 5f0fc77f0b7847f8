"""Why each span of a trace counts as it does.

Nothing is decided here: what a span counts as comes from `facts.counted_alone`, and the reasons are read off the
same tree, table and rules that decided it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ihobs.spans.clues import COST as TOLD_COST
from ihobs.spans.clues import INPUT_COST, KIND, OUTPUT_COST, PROVIDER, Clue, Clues, find_clues
from ihobs.spans.dialects import FIELDS, Dialects
from ihobs.spans.facts import (
    CACHED,
    CALLS,
    COST,
    COUNTED_KINDS,
    FAILED_CALLS,
    FIRST_TOKENS,
    INPUT,
    OUTPUT,
    SUMS,
    UNPRICED,
    USAGE_MISSING,
    counted_alone,
)
from ihobs.spans.normalise import shape_of, whole_counts
from ihobs.spans.span import (
    CONTROL_FLOW,
    FAILED,
    FLAGGED_TIME,
    ORPHAN,
    REMOTE_PARENT,
    TIMED_OUT,
    USAGE_ADJUSTED,
    Span,
)
from ihobs.spans.tree import MODEL_KINDS, WORKFLOW_KINDS, Reading, attempt_groups, has_usage, read_trace, told_above

SHOWN_OF_SHAPE = ("kind", "workflow", "node", "provider", "model")
"""What of a stored span is held against what its attributes say today."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one span counts as it does.

    Attributes:
        span: as it is stored.
        clues: what its attributes say; empty when its payload is no longer kept.
        counts: the counters that it adds to, and by how much (costs in nano-USD, durations in ns).
        reasons: sentences: what it counts as and why, and what it does not count as and why not.
    """

    span: Span
    clues: tuple[Clue, ...]
    counts: Mapping[str, int]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """A span with all that its explanation is read off."""

    span: Span
    reading: Reading
    names: Mapping[int, str]
    attempts: Mapping[int, Sequence[Span]]
    sums: Sequence[int]
    clues: Clues
    dialects: Dialects
    kept: bool

    @property
    def kind(self) -> str:
        """The kind that is stored."""
        return self.span.shape.kind


def explain(spans: Iterable[tuple[Span, Mapping[str, Any] | None]], dialects: Dialects) -> list[Explanation]:
    """Return why the spans of one trace count as they do, in the order given.

    Args:
        spans: all spans of the trace, each with its attributes as plain Python, None when they are no longer kept.
        dialects: the table.
    """
    pairs = list(spans)
    reading = read_trace([span for span, _ in pairs])
    names = {span.span_id: span.shape.name for span, _ in pairs}
    groups = attempt_groups(span for span, _ in pairs)
    attempts = {span.span_id: group for group in groups for span in group}
    result = []
    read = {span.span_id: span for span in reading.order}
    for span, attributes in pairs:
        sums = next(iter(counted_alone(read[span.span_id], reading).sums.values()))
        clues = find_clues(attributes or {}, dialects)
        counts = {name: count for name, count in zip(SUMS, sums, strict=True) if count}
        if read[span.span_id] is span:
            case = _Case(span, reading, names, attempts, sums, clues, dialects, kept=attributes is not None)
            reasons = tuple(reason for rule in _RULES for reason in rule(case))
        else:
            reasons = (f"counts as a span alone: another instrumentation tells of what {span.shape.scope} tells",)
        result.append(Explanation(span, clues.clues, counts, reasons))
    return result


def _kind(case: _Case) -> Iterator[str]:
    """Why its kind is not simply what an attribute says."""
    told, kind = case.clues.values[KIND], case.kind
    if told == kind or not case.clues.clues:  # without a clue it is any other span, or its attributes are gone
        return
    if kind == "node" and told == "task":
        yield "kind node: a task that is a node's own span"
    elif kind == "node" and (told or "span") != "span":
        yield f"kind node: a {told} that is called like the node that it belongs to"
    elif told == "task":
        yield f"kind {kind}: a task inside the node {case.span.shape.node!r}"
    elif kind:
        yield f"kind {kind}: {_why_of_rest(case)}"
    else:
        yield "no kind: no attribute names one, and it does not tell a model and its usage"


def _why_of_rest(case: _Case) -> str:
    values, shape = case.clues.values, case.span.shape
    for line in case.dialects.without_kind:
        if line.kind == case.kind and line.scope in (None, shape.scope) and values[line.field] is not None:
            return f"no attribute names its kind, but it has the field {FIELDS[line.field]}"
    if case.kind == "node":
        return "a span that is called like the node that it belongs to"
    if case.kind in MODEL_KINDS:
        return "no attribute names its kind, but it tells a model and its usage"
    return "it says no more than that it is a span"


def _provider(case: _Case) -> Iterator[str]:
    """Why its provider is not simply what an attribute says."""
    told, stored = case.clues.values[PROVIDER], case.span.shape.provider
    if told and told != stored == case.dialects.provider(told):
        yield f"provider {stored}: another name of it is {told}"


def _run(case: _Case) -> Iterator[str]:
    """Whether it is a run."""
    span, above = case.span, case.reading.above[case.span.span_id]
    candidate = case.kind in WORKFLOW_KINDS or case.kind == "chain"
    if span.span_id in case.reading.runs:
        yield f"a run: {_why_run(case)}"
        if span.flags & ORPHAN:
            yield "an orphan: its parent did not come within 30 s, so it is taken for the top of what is known"
        elif span.flags & REMOTE_PARENT:
            yield "its parent is in another process"
    elif candidate and not above.complete:
        yield "not a run yet: its ancestors are not all known"
    elif candidate and above.workflow is not None:
        yield f"no run: the {above.workflow.shape.kind} {above.workflow.shape.name!r} stands above it"
    elif candidate:
        yield "no run: a chain below another span of an LLM dialect"
    elif span.parent_id is None:
        yield f"no run, though nothing stands above it: {_why_no_root(case)}"


def _why_run(case: _Case) -> str:
    if case.kind in WORKFLOW_KINDS:
        return f"the topmost {case.kind} of the trace"
    if case.kind == "chain":
        return "a chain with no span of an LLM dialect above it"
    return "the top of a trace that has spans of an LLM dialect and no workflow"


def _why_no_root(case: _Case) -> str:
    below = [case.names[span_id] for span_id in case.reading.runs]
    return f"the run is {below[0]!r} below it" if below else "no span of the trace speaks an LLM dialect"


def _call(case: _Case) -> Iterator[str]:
    """Whether it is a call, and what became of it."""
    span_id = case.span.span_id
    if case.kind not in COUNTED_KINDS:
        return
    if not case.sums[CALLS]:
        yield "no call: another call to a model stands below it and counts"
        return
    yield "a node's own span: its calls are those of 'metrics --by node'" if case.kind == "node" else "a call"
    group = case.attempts.get(span_id, ())
    if len(group) > 1:
        number = [attempt.span_id for attempt in group].index(span_id)
        yield f"attempt {number + 1} of {len(group)} of one thing"
        if span_id in case.reading.recovered:
            later = [index for index in range(number + 1, len(group)) if not group[index].flags & FAILED]
            yield f"recovered: attempt {later[0] + 1} succeeded"


def _outcome(case: _Case) -> Iterator[str]:
    """How it ended."""
    flags, error = case.span.flags, case.span.shape.error
    if flags & CONTROL_FLOW:
        yield f"no failure: {error} steers the graph"
    elif flags & FAILED:
        final = " for good" if case.sums[FAILED_CALLS] or case.span.span_id in case.reading.runs else ""
        yield f"failed{final}: {error}{' (a timeout)' if flags & TIMED_OUT else ''}"


def _usage(case: _Case) -> Iterator[str]:
    """Where its usage is counted."""
    span = case.span
    if has_usage(span):
        if case.kind not in MODEL_KINDS:
            what = f"a span of kind {case.kind}" if case.kind else "a span without a kind"
            yield f"usage not counted: {what} tells the sum of calls, which count themselves"
        elif span.span_id in case.reading.below.usage:
            yield "usage not counted: a call to a model below it tells its own"
        else:
            yield f"usage counted: {case.sums[INPUT]} in ({case.sums[CACHED]} cached), {case.sums[OUTPUT]} out"
    elif case.kind in MODEL_KINDS:
        yield _why_no_usage(case)
    if span.flags & USAGE_ADJUSTED:
        yield from _adjusted(case)


def _why_no_usage(case: _Case) -> str:
    if case.sums[USAGE_MISSING]:
        return "usage missing: the call succeeded and tells none"
    if case.span.flags & FAILED:
        return "no usage: it failed"
    if told_above(case.span, case.reading):
        return "no usage here: the call around it tells it"
    return "no usage here: a call to a model below it counts"


def _adjusted(case: _Case) -> Iterator[str]:
    counted = whole_counts(case.clues.values, case.clues.ranks, case.span.shape, case.dialects)
    if counted.cached_why:
        yield f"cached tokens were added to the input: {counted.cached_why}"
    if counted.reasoning_why:
        yield f"reasoning tokens were added to the output: {counted.reasoning_why}"


def _first_token(case: _Case) -> Iterator[str]:
    """Where its time to the first token is counted."""
    wait_ns = case.span.first_token_ns
    if wait_ns is None:
        return
    if case.sums[FIRST_TOKENS]:
        yield f"time to first token counted: {wait_ns / 1e9:.3f} s"
    elif case.kind in MODEL_KINDS:
        yield "time to first token not counted: a call to a model below it tells its own"
    else:
        yield "time to first token not counted: it is no call to a model"


def _cost(case: _Case) -> Iterator[str]:
    """Where its cost is from."""
    shape = case.span.shape
    if case.sums[UNPRICED]:
        who = f"{shape.provider}/{shape.model}" if shape.provider else shape.model
        yield f"unpriced: no price is known for {who}" if shape.model else "unpriced: it names no model"
    elif case.sums[COST]:
        told = _told_cost(case.clues.values)
        source = "as the span tells" if told == case.sums[COST] else "by the price table"
        yield f"cost {case.sums[COST] / 1e9:.6f} USD, {source}"


def _told_cost(values: Sequence[Any]) -> int | None:
    if values[TOLD_COST] is not None:
        return int(values[TOLD_COST])
    return (values[INPUT_COST] or 0) + (values[OUTPUT_COST] or 0) or None


def _time(case: _Case) -> Iterator[str]:
    """What is odd about its time."""
    if case.span.flags & FLAGGED_TIME:
        yield "its clock was off: it ended before it began, or after it was received"


def _stored_otherwise(case: _Case) -> Iterator[str]:
    """What the table of today would make of it that is not what is stored."""
    if not case.kept:
        yield "its attributes are no longer kept"
        return
    stored = case.span.shape
    today = shape_of((stored.service, stored.scope, stored.name, stored.error), case.clues.values, case.dialects)
    for name in SHOWN_OF_SHAPE:
        was, now = getattr(stored, name), getattr(today, name)
        if was != now:
            yield f"{name} {was!r} was stored; the table of today says {now!r}"


_Rule = Callable[[_Case], Iterator[str]]
_RULES: tuple[_Rule, ...] = (
    *(_kind, _provider, _run, _call, _outcome),
    *(_usage, _first_token, _cost, _time, _stored_otherwise),
)
"""Asked one after another, so that the reasons of every span stand in the same order."""
