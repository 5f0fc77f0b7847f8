"""A trace as a tree: what stands above each span, what stands below it, and which spans are attempts of one thing.

Nothing is counted here; `facts` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ihobs.spans.doubles import muted, overruled
from ihobs.spans.span import FAILED, GENAI, ORPHAN, REMOTE_PARENT, Span

WORKFLOW_KINDS = frozenset({"workflow", "agent"})
MODEL_KINDS = frozenset({"llm", "embedding"})


class Above(NamedTuple):
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
    above: dict[int, Above]
    inside: dict[int, Above]
    order: list[Span] = field(default_factory=list)


_NOTHING = Above(complete=True, genai=False, workflow=None, node="", model_call=None)
_UNKNOWN = _NOTHING._replace(complete=False)


class Below(NamedTuple):
    """Which calls to a model have another one below them, one that tells its usage, one that tells its first token."""

    call: set[int]
    usage: set[int]
    first_token: set[int]


class Reading(NamedTuple):
    """What the spans of a trace are to each other.

    Attributes:
        above: span id -> what stands above it. order: the spans, parents before children.
        runs: ids of the spans that are runs. below: which calls have others below them.
        recovered: ids of failed attempts that a later one made good. retries: of all attempts after the first.
        waiting: some span's ancestors are not all known yet, so that what is a run may still change.
    """

    above: dict[int, Above]
    order: list[Span]
    runs: set[int]
    below: Below
    recovered: set[int]
    retries: set[int]
    waiting: bool


def read_trace(spans: Sequence[Span]) -> Reading:
    """Return what the `spans` of one trace are to each other; doubles are muted."""
    lesser = overruled(spans)
    if lesser:
        spans = [muted(span) if (span.shape.service, span.shape.scope) in lesser else span for span in spans]
    by_id = {span.span_id: span for span in spans}
    above, order = _look_up(by_id)
    workflows = {span.span_id for span in order if workflow_at(span, above[span.span_id]) is span}
    runs = {span_id for span_id in workflows if above[span_id].complete}
    if not workflows:
        runs = _root_runs(order, above, by_id)
    return Reading(above, order, runs, _look_down(order, above), *attempts_of(spans), _is_waiting(order, above))


def _look_up(by_id: dict[int, Span]) -> tuple[dict[int, Above], list[Span]]:
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
        if span is not None and span.span_id in on_path:
            path = _cut_loop(path, span)
            above[path[-1].span_id] = _NOTHING
            order.append(path.pop())
        for child in reversed(path):
            above[child.span_id] = _seen_from(child, tree)
            order.append(child)
    return above, order


def _cut_loop(path: list[Span], entry: Span) -> list[Span]:
    """Return `path`, which leads up to a loop of parents, with the loop cut above its smallest span id.

    Wherever the loop was entered, it becomes the same tree.
    """
    start = next(index for index, span in enumerate(path) if span.span_id == entry.span_id)
    loop = path[start:]
    top = min(range(len(loop)), key=lambda index: loop[index].span_id)
    return path[:start] + loop[top + 1 :] + loop[: top + 1]


def _seen_from(child: Span, tree: _Tree) -> Above:
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
        seen = tree.inside[parent.span_id] = Above(
            complete=higher.complete,
            genai=higher.genai or bool(parent.flags & GENAI),
            workflow=workflow_at(parent, higher),
            node=shape.node if shape.kind == "node" else higher.node,
            model_call=parent if shape.kind in MODEL_KINDS else higher.model_call,
        )
    return seen


def workflow_at(span: Span, above: Above) -> Span | None:
    """Return the topmost workflow as seen at `span`: the one above, or `span` itself when it is one.

    A chain is a workflow when nothing above it speaks a dialect of LLM tracing.
    """
    if above.workflow is not None:
        return above.workflow
    kind = span.shape.kind
    return span if kind in WORKFLOW_KINDS or (kind == "chain" and not above.genai) else None


def _root_runs(order: list[Span], above: dict[int, Above], by_id: dict[int, Span]) -> set[int]:
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


def _is_waiting(order: list[Span], above: dict[int, Above]) -> bool:
    return any(not above[span.span_id].complete for span in order) and any(span.flags & GENAI for span in order)


def _look_down(order: list[Span], above: dict[int, Above]) -> Below:
    below = Below(set(), set(), set())
    for span in reversed(order):
        outer = above[span.span_id].model_call
        if outer is None or span.shape.kind not in MODEL_KINDS:
            continue
        below.call.add(outer.span_id)
        if has_usage(span) or span.span_id in below.usage:
            below.usage.add(outer.span_id)
        if span.first_token_ns is not None or span.span_id in below.first_token:
            below.first_token.add(outer.span_id)
    return below


def has_usage(span: Span) -> bool:
    """Return whether a span tells how many tokens it took."""
    return span.input_tokens is not None or span.output_tokens is not None


def attempts_of(spans: Iterable[Span]) -> tuple[set[int], set[int]]:
    """Return the failed attempts that a later one made good, and all attempts after the first, by span id."""
    recovered: set[int] = set()
    retries: set[int] = set()
    for attempts in attempt_groups(spans):
        retries.update(span.span_id for span in attempts[1:])
        succeeded = False
        for span in reversed(attempts):
            if not span.flags & FAILED:
                succeeded = True
            elif succeeded:
                recovered.add(span.span_id)
    return recovered, retries


def attempt_groups(spans: Iterable[Span]) -> list[list[Span]]:
    """Return the spans that are attempts of one thing, together and in the order in which they began."""
    groups: dict[tuple[int | None, int, str], list[Span]] = {}
    for span in spans:
        if span.attempt_key is not None:
            groups.setdefault((span.parent_id, span.attempt_key, span.shape.name), []).append(span)
    return [sorted(attempts, key=lambda span: (span.start_ns, span.span_id)) for attempts in groups.values()]


def told_above(span: Span, reading: Reading) -> bool:
    """Return whether a call around this one tells the usage, and counts it."""
    outer = reading.above[span.span_id].model_call
    while outer is not None and outer.span_id not in reading.below.usage:
        if has_usage(outer):
            return True
        outer = reading.above[outer.span_id].model_call
    return False
