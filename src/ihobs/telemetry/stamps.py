"""Ended spans as OTLP requests, each span with the names of its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.courtesy import Pause, no_pause
from ihobs.guard import log
from ihobs.langsmith.tracing import TRACED_TO, mark_of
from ihobs.telemetry.encode import Stamps, encode
from ihobs.telemetry.noticing import sdk_that_sends
from ihobs.telemetry.places import MAX_SPAN_ATTRIBUTES, SCOPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from ihobs.telemetry.places import Place
    from ihobs.telemetry.processor import Ended


class Encoder:
    """Encodes batches, and says once when spans come without all of their attributes."""

    def __init__(self, pause: Pause = no_pause) -> None:
        self._pause = pause
        self._limit_told = False

    def encode(self, ended: Sequence[Ended]) -> bytes:
        """Return a batch as the bytes of one request."""
        self._tell_limit(ended)
        everywhere = _traced_to()
        return encode([(span, (*_stamps(span, place), *everywhere)) for span, place in ended], self._pause)

    def _tell_limit(self, ended: Sequence[Ended]) -> None:
        """Say once that the provider, which is not ours to change, throws attributes away."""
        if not self._limit_told and any(span.dropped_attributes for span, _ in ended):
            self._limit_told = True
            log.warning(
                "spans lose attributes to the limit of the TracerProvider that was there before ihobs; "
                "set OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=%d",
                MAX_SPAN_ATTRIBUTES,
            )


def _traced_to() -> Stamps:
    """Return the attribute by which the forwarder knows spans whose runs this program brings to LangSmith itself."""
    tracing = sdk_that_sends()
    return () if tracing is None else [(TRACED_TO, mark_of(tracing.endpoint))]


def _stamps(span: ReadableSpan, place: Place | None) -> Stamps:
    """Return the attributes that name a span's place, without those that it has."""
    if place is None:
        return ()
    names = [(key, name) for key, name in (("ihobs.workflow", place.workflow), ("ihobs.node", place.node)) if name]
    scope = span.instrumentation_scope
    if names and scope is not None and scope.name == SCOPE:
        said = span.attributes or {}
        return [(key, name) for key, name in names if key not in said]
    return names
