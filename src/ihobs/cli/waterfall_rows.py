"""Which spans of a trace a waterfall shows, and where each stands in the tree.

A trace may have ten thousand spans and a terminal fifty lines. What is shown are the runs, then the failures,
then the longest spans, each with its ancestors as far as there is room; the others are counted on the line of
their nearest ancestor that is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.spans.tree import attempts_of

if TYPE_CHECKING:
    from ihobs.store.trace_query import SpanDetail


@dataclass(frozen=True, slots=True)
class Branch:
    """The characters that draw the tree: through a level, to a child, to the last child, below the last child."""

    through: str = "│  "
    child: str = "├─ "
    last: str = "└─ "
    below: str = "   "
    cut: str = "… "


UNICODE_BRANCH = Branch()
ASCII_BRANCH = Branch("|  ", "|- ", "`- ", "   ", "~ ")


@dataclass(frozen=True, slots=True)
class WaterfallRow:
    """One line of the waterfall.

    Attributes:
        detail: the span.
        tree: what is drawn before its name.
        hidden: how many spans below it are not shown.
        recovered: it failed, and a later attempt made it good. is_retry: an attempt after the first.
    """

    detail: SpanDetail
    tree: str
    hidden: int
    recovered: bool
    is_retry: bool


def waterfall_rows(
    spans: Sequence[SpanDetail], *, limit: int, max_tree_width: int, branch: Branch
) -> list[WaterfallRow]:
    """Return at most `limit` rows, in the order of `spans`: parents before children, siblings by start.

    Args:
        spans: of one trace, as `find_trace` orders them.
        limit: how many may be shown.
        max_tree_width: deeper levels lose the left part of their drawing.
        branch: the characters to draw with.
    """
    recovered, retries = attempts_of([detail.span for detail in spans])
    by_id = {detail.span_id: detail for detail in spans}
    shown = _chosen(spans, by_id, recovered, limit)
    parents = _shown_parents(spans, by_id, shown)
    hidden = Counter(parents[detail.span_id] for detail in spans if detail.span_id not in shown)
    rows = [detail for detail in spans if detail.span_id in shown]
    trees = _trees(rows, parents, max_tree_width, branch)
    return [
        WaterfallRow(
            detail,
            trees[detail.span_id],
            hidden[detail.span_id],
            recovered=detail.span.span_id in recovered,
            is_retry=detail.span.span_id in retries,
        )
        for detail in rows
    ]


def _chosen(spans: Sequence[SpanDetail], by_id: Mapping[str, SpanDetail], recovered: set[int], limit: int) -> set[str]:
    """Return the ids of the spans to show: the most important ones, with their ancestors while there is room."""
    if len(spans) <= limit:
        return set(by_id)

    def importance(detail: SpanDetail) -> tuple[bool, bool, int]:
        failed_for_good = detail.failed and detail.span.span_id not in recovered
        return detail.is_run, failed_for_good, detail.span.duration_ns

    chosen: set[str] = set()
    for detail in sorted(spans, key=importance, reverse=True):
        if len(chosen) >= limit:
            break
        path = _unshown_path(detail, by_id, chosen, limit - len(chosen))
        chosen.update(path)
    return chosen


def _unshown_path(detail: SpanDetail, by_id: Mapping[str, SpanDetail], chosen: set[str], room: int) -> list[str]:
    """Return the ids from `detail` up to the first that is chosen; only its own when these are more than `room`."""
    path: list[str] = []
    above: SpanDetail | None = detail
    while above is not None and above.span_id not in chosen:
        path.append(above.span_id)
        if len(path) > room:
            return path[:1]
        above = by_id.get(above.parent_id or "") if above.depth else None
    return path


def _shown_parents(
    spans: Sequence[SpanDetail], by_id: Mapping[str, SpanDetail], shown: set[str]
) -> dict[str, str | None]:
    """Return the nearest ancestor that is shown, for each span; `spans` has parents first."""
    parents: dict[str, str | None] = {}
    for detail in spans:
        parent = detail.parent_id
        if parent is None or parent not in by_id or detail.depth == 0:
            parents[detail.span_id] = None
        elif parent in shown:
            parents[detail.span_id] = parent
        else:
            parents[detail.span_id] = parents[parent]
    return parents


def _trees(
    rows: Sequence[SpanDetail], parents: Mapping[str, str | None], max_width: int, branch: Branch
) -> dict[str, str]:
    """Return what is drawn before each row."""
    last_child = {parents[detail.span_id]: detail.span_id for detail in rows}
    trees: dict[str, str] = {}
    inherited: dict[str | None, str] = {}
    for detail in rows:
        parent = parents[detail.span_id]
        if parent is None:
            trees[detail.span_id], inherited[detail.span_id] = "", ""
            continue
        is_last = last_child[parent] == detail.span_id
        above = inherited[parent]
        trees[detail.span_id] = _cut(above + (branch.last if is_last else branch.child), max_width, branch)
        inherited[detail.span_id] = (above + (branch.below if is_last else branch.through))[-max_width:]
    return trees


def _cut(tree: str, max_width: int, branch: Branch) -> str:
    """Return the right part of a drawing that is too wide."""
    if len(tree) <= max_width:
        return tree
    return branch.cut + tree[-(max_width - len(branch.cut)) :]
