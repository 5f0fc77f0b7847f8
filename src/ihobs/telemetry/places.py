"""Where the open spans of this process stand: below which workflow, in which node.

A place is decided when a span starts, from what the span says of itself and from its parent's place, and is
kept until the span ends. The table serves three readers: the processor takes the names from it that it stamps
on finished spans, the gauge counts the runs in it, and targets ask it whether they are inside a workflow.
A plain dict under the GIL: no lock stands in the way of the program that we watch.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SCOPE = "ihobs"
"""Name of the instrumentation scope of our own spans."""

LANGCHAIN_SCOPE = "openinference.instrumentation.langchain"

MAX_SPAN_ATTRIBUTES = 10_000
"""OpenTelemetry keeps 128 and drops the oldest: a chat of 80 messages in OpenInference's dialect loses its prompt."""

MAX_OPEN_SPANS = 100_000
"""Spans beyond these get no place: a program that never ends its spans must not fill its memory with ours."""


class Place(NamedTuple):
    """Where one open span stands.

    Attributes:
        workflow, node: the names that hold at this span; None where there is none.
        run: the name under which this span counts as a running workflow; None when it does not.
        estimate_id: id of the span above that counts as a run only because nothing better is known; 0: none.
        parent_id: the parent's span id; 0 when it has none.
    """

    workflow: str | None
    node: str | None
    run: str | None
    estimate_id: int
    parent_id: int


_NOWHERE = Place(None, None, None, 0, 0)


class OpenSpans:
    """The open spans of this process by span id."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._inherited: set[int] = set()

    def opened(self, span: ReadableSpan) -> None:
        """Remember where a span that just started stands."""
        context, parent = span.context, span.parent
        if context is None or len(self._places) >= MAX_OPEN_SPANS:
            return
        above = self._places.get(parent.span_id) if parent is not None else None
        scope = span.instrumentation_scope
        if scope is not None and scope.name == SCOPE:
            place = self._own(span, above)
        elif above is not None and parent is not None:  # the most frequent case, and the cheapest
            place = Place(above.workflow, above.node, None, above.estimate_id, parent.span_id)
        else:
            place = _foreign_root(span)
        if place.run is not None and place.workflow is None:
            place = place._replace(estimate_id=context.span_id)
        self._places[context.span_id] = place

    def _own(self, span: ReadableSpan, above: Place | None) -> Place:
        """Return the place of a span of our own, whose attributes say what it is."""
        attributes = span.attributes or {}
        kind = attributes.get("ihobs.kind")
        parent_id = span.parent.span_id if span.parent is not None else 0
        if kind == "workflow":
            return self._workflow(str(attributes.get("ihobs.workflow") or span.name), above, parent_id)
        run = span.name if _is_local_root(span) else None
        above = above or _NOWHERE
        node = str(attributes.get("ihobs.node") or span.name) if kind == "node" else above.node
        return Place(above.workflow, node, run, above.estimate_id, parent_id)

    def _workflow(self, name: str, above: Place | None, parent_id: int) -> Place:
        """Return the place of a workflow: a run when it is the topmost; it ends the estimate above it."""
        if above is None:
            return Place(name, None, name, 0, parent_id)
        if above.workflow is not None:
            return Place(above.workflow, above.node, None, above.estimate_id, parent_id)
        estimate = self._places.get(above.estimate_id)
        if estimate is not None:
            self._places[above.estimate_id] = estimate._replace(run=None)
        return Place(name, None, name, 0, parent_id)

    def closed(self, span_id: int) -> Place | None:
        """Forget a span that ended and return where it stood; None when that is not known."""
        return self._places.pop(span_id, None)

    def find(self, span_id: int) -> Place | None:
        """Return where an open span stands."""
        return self._places.get(span_id)

    def is_inside(self, span_id: int, ancestor_id: int) -> bool:
        """Return whether the open span `span_id` stands below `ancestor_id`, through open spans."""
        place = self._places.get(span_id)
        while place is not None and place.parent_id:
            if place.parent_id == ancestor_id:
                return True
            place = self._places.get(place.parent_id)
        return False

    def active(self) -> dict[str, int]:
        """Return how many runs of each workflow are in progress."""
        return dict(Counter(place.run for place in list(self._places.values()) if place.run is not None))

    def forked(self) -> None:
        """In a forked child: what is open belongs to the parent. It still says where our own spans stand."""
        self._inherited = set(self._places)
        self._places = {span_id: place._replace(run=None) for span_id, place in self._places.items()}

    def is_inherited(self, span_id: int) -> bool:
        """Return whether a span was started before this process was forked, so that its parent records it."""
        return span_id in self._inherited


def _foreign_root(span: ReadableSpan) -> Place:
    """Return the place of a span of someone else's with no open span above it in this process.

    Internal roots count as runs, by estimate: a server's or consumer's span is the frame around a run, and a
    lone client span is a call. LangChain's root is a workflow for certain: its chain is what was invoked.
    """
    scope = span.instrumentation_scope
    parent_id = span.parent.span_id if span.parent is not None else 0
    if not _is_local_root(span) or span.kind is not SpanKind.INTERNAL:
        return Place(None, None, None, 0, parent_id)
    workflow = span.name if scope is not None and scope.name == LANGCHAIN_SCOPE else None
    return Place(workflow, None, span.name, 0, parent_id)


def _is_local_root(span: ReadableSpan) -> bool:
    """Return whether nothing in this process stands above; the parent may be elsewhere, or have ended."""
    return span.parent is None or span.parent.is_remote


open_spans = OpenSpans()
"""The one table of this process: span ids are unique, whatever provider made them."""
