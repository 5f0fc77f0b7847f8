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
    """Where an open span stands. Spans below share it until one of them changes it.

    Attributes:
        workflow, node: the names that hold here; None where there is none.
        estimate_id: id of the span above that counts as a run only because nothing better is known; 0: none.
    """

    workflow: str | None = None
    node: str | None = None
    estimate_id: int = 0


NOWHERE = Place()


class OpenSpans:
    """The open spans of this process by span id.

    Attributes:
        inherited: spans that were started before this process was forked, so that its parent records them.
    """

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._runs: dict[int, str] = {}
        self.inherited: frozenset[int] = frozenset()

    def opened(self, span: ReadableSpan) -> None:
        """Remember where a span that just started stands."""
        context, parent = span.context, span.parent
        if context is None or len(self._places) >= MAX_OPEN_SPANS:
            return
        above = None if parent is None else self._places.get(parent.span_id)
        scope = span.instrumentation_scope
        if scope is not None and scope.name == SCOPE:
            place = self._own(span, context.span_id, above)
        elif above is not None:  # the most frequent case, and the cheapest
            place = above
        else:
            place = self._foreign_root(span, context.span_id)
        self._places[context.span_id] = place

    def _own(self, span: ReadableSpan, span_id: int, above: Place | None) -> Place:
        """Return the place of a span of our own, whose attributes say what it is."""
        attributes = span.attributes or {}
        kind = attributes.get("ihobs.kind")
        if kind == "workflow" and (above is None or above.workflow is None):
            if above is not None:
                self._runs.pop(above.estimate_id, None)  # here is the run that it stood for
            self._runs[span_id] = name = str(attributes.get("ihobs.workflow") or span.name)
            return Place(name)
        if above is None and _is_local_root(span):
            self._runs[span_id] = span.name
            above = Place(estimate_id=span_id)
        above = above or NOWHERE
        return above._replace(node=str(attributes.get("ihobs.node") or span.name)) if kind == "node" else above

    def _foreign_root(self, span: ReadableSpan, span_id: int) -> Place:
        """Return the place of a span of someone else's with no open span above it in this process.

        Internal roots count as runs, by estimate: a server's or consumer's span is the frame around a run, and a
        lone client span is a call. LangChain's root is a workflow for certain: its chain is what was invoked.
        """
        if span.kind is not SpanKind.INTERNAL or not _is_local_root(span):
            return NOWHERE
        self._runs[span_id] = span.name
        scope = span.instrumentation_scope
        if scope is not None and scope.name == LANGCHAIN_SCOPE:
            return Place(span.name)
        return Place(estimate_id=span_id)

    def closed(self, span_id: int) -> tuple[Place | None, bool]:
        """Forget a span that ended; return where it stood, if that is known, and whether it counted as a run."""
        return self._places.pop(span_id, None), self._runs.pop(span_id, None) is not None

    def find(self, span_id: int) -> Place | None:
        """Return where an open span stands."""
        return self._places.get(span_id)

    def active(self) -> dict[str, int]:
        """Return how many runs of each workflow are in progress."""
        return dict(Counter(self._runs.copy().values()))

    def forked(self) -> None:
        """In a forked child: what is open belongs to the parent. It still says where our own spans stand."""
        self.inherited = frozenset(self._places)
        self._runs = {}


def _is_local_root(span: ReadableSpan) -> bool:
    """Return whether nothing in this process stands above; the parent may be elsewhere, or have ended."""
    return span.parent is None or span.parent.is_remote


open_spans = OpenSpans()
"""The one table of this process: span ids are unique, whatever provider made them."""
