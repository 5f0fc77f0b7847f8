"""Redact OTLP messages in place: every part of a span that can hold text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ihobs.redact.attributes import CONTENT, MOST_MASK_CHARS, SECRET, AttributeRedactor, Walk
from ihobs.redact.keys import KeyTable, Verdict
from ihobs.redact.tally import Place, Tally
from ihobs.redact.text import Hook, TextRedactor

if TYPE_CHECKING:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

    from ihobs.redact.policy import Policy

MAX_REMEMBERED = 20_000
STATUS_MESSAGE = "status.message"
"""What a span's status description is called where keys are meant, e.g. under `redact.keep`."""

BODY = "body"
"""What a log record's body is called where keys are meant."""

EVENT_NAME = "event.name"
"""The attribute that named an event before OTLP had a field for it."""

_NUMBERS = frozenset({"int_value", "double_value", "bool_value", None})


_KINDS = {Verdict.CONTENT: CONTENT, Verdict.SECRET: SECRET}


class Known(NamedTuple):
    """What a key alone says of a text: its mask, or an empty one when detectors decide; and how that is counted."""

    mask: str
    place: Place


class Redactor:
    """Redacts the parts of a message. Safe for threads; what was clean before is known by a look-up.

    Args:
        policy: what is removed and how.
        read: key -> the members of its JSON that are read as names and numbers; see `KeyTable`.
        distinct: keys whose values must stay different from one another; see `AttributeRedactor`.
        hash_key: gives the key of hashes.
        hook: the plug-ins.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        read: Mapping[str, frozenset[str]],
        distinct: frozenset[str],
        hash_key: Callable[[], bytes],
        hook: Hook | None = None,
    ) -> None:
        self.policy = policy
        self._keys = KeyTable(policy, read)
        self._texts = TextRedactor(policy, hash_key=hash_key, hook=hook)
        self._attributes = AttributeRedactor(policy, self._keys, self._texts, distinct)
        self._quick: dict[str, Known] = {}
        self._clean_parts: set[bytes] = set()

    def span(self, span: Span, told: Sequence[tuple[str, AnyValue, str]], tally: Tally) -> bool:
        """Redact a span; return whether anything changed that names or models may be read from.

        Args:
            span: changed in place.
            told: key, value and text of each of its attributes; the text is empty where the value is none.
            tally: counts what is removed.
        """
        suspects = self._mask_known(told, tally)
        walk = Walk("attribute", tally, self._keys.verdict)
        if suspects:
            self._remember([told[index][0] for index in suspects])
            self._attributes.redact(span.attributes, walk, suspects)
        if span.name not in self._texts.clean:
            self._label(span, "name", "span name", walk)
        if span.trace_state:
            self._label(span, "trace_state", "trace state", walk)
        message = span.status.message
        if message:
            self._status(span, message, walk)
        if span.events:
            self._events(span, walk)
        if span.links:
            self._links(span, tally)
        return walk.touched

    def _mask_known(self, told: Sequence[tuple[str, AnyValue, str]], tally: Tally) -> list[int]:
        """Mask the texts that go for their key; return which of the other attributes may hold a finding."""
        clean, is_harmless, quick, removed = self._texts.clean, self._texts.is_harmless, self._quick.get, tally.removed
        suspects = []
        for index, (key, value, text) in enumerate(told):
            known = quick(key)
            if known is None:
                suspects.append(index)
            elif not known.mask:
                if not (text in clean or is_harmless(text)) or not (text or value.int_value or _is_number(value)):
                    suspects.append(index)
            elif text and (text[0] != "[" or len(text) > MOST_MASK_CHARS):
                value.string_value = known.mask
                removed[known.place] = removed.get(known.place, 0) + 1
            else:
                suspects.append(index)
        return suspects

    def request(self, request: ExportTraceServiceRequest, tally: Tally) -> None:
        """Redact a whole request, for who keeps it elsewhere before it is read."""
        for resource_spans in request.resource_spans:
            self.resource(resource_spans, tally)
            for scope_spans in resource_spans.scope_spans:
                self.scope(scope_spans, tally)
                for span in scope_spans.spans:
                    told = [(each.key, value := each.value, value.string_value) for each in span.attributes]
                    self.span(span, told, tally)
        request.DiscardUnknownFields()  # nobody can tell what they hold

    def logs(self, request: ExportLogsServiceRequest, tally: Tally) -> None:
        """Redact a whole request of log records."""
        for resource_logs in request.resource_logs:
            self.resource(resource_logs, tally)
            for scope_logs in resource_logs.scope_logs:
                self.scope(scope_logs, tally)
                for record in scope_logs.log_records:
                    self._record(record, tally)
        request.DiscardUnknownFields()

    def _record(self, record: LogRecord, tally: Tally) -> None:
        """Redact a log record. A text as its body is read by people: it stays, without what is found in it.

        The body of an event that tells of a prompt or an answer goes, as the attributes of such an event do.
        """
        event = record.event_name or _event_named(record)
        judge = partial(self._keys.verdict_in_event, event)
        inside = Walk("log attribute", tally, judge)
        self._attributes.redact(record.attributes, inside)
        if record.HasField("body"):
            self._attributes.body(record.body, judge(BODY), Walk("log body", tally, judge))
        for field, part in (("event_name", "event name"), ("severity_text", "log severity")):
            self._label(record, field, part, inside)

    def resource(self, resource_spans: ResourceSpans | ResourceLogs, tally: Tally) -> None:
        """Redact what spans say about where they ran."""
        resource = resource_spans.resource
        walk = Walk("resource attribute", tally, self._keys.verdict)
        self._label(resource_spans, "schema_url", "schema URL", walk)
        before = resource.SerializeToString()
        if before in self._clean_parts:
            return
        self._attributes.redact(resource.attributes, walk)
        for entity in resource.entity_refs:
            self._label(entity, "schema_url", "schema URL", walk)
            self._label(entity, "type", "entity", walk)
            for keys in (entity.id_keys, entity.description_keys):
                keys[:] = [self.text(key, "entity", tally) for key in keys]
        self._remember_clean(resource, before)

    def scope(self, scope_spans: ScopeSpans | ScopeLogs, tally: Tally) -> None:
        """Redact what spans say about the library that made them."""
        scope = scope_spans.scope
        walk = Walk("scope attribute", tally, self._keys.verdict)
        self._label(scope_spans, "schema_url", "schema URL", walk)
        before = scope.SerializeToString()
        if before in self._clean_parts:
            return
        self._label(scope, "name", "scope name", walk)
        self._label(scope, "version", "scope version", walk)
        self._attributes.redact(scope.attributes, walk)
        self._remember_clean(scope, before)

    def text(self, text: str, part: str, tally: Tally) -> str:
        """Return a text without what is found in it."""
        return self._attributes.label(text, part, tally)

    def fingerprint(self, text: str) -> str:
        """Return a hash that differs between texts, and tells nothing about them without the key."""
        return self._texts.mask("text", text, "hash")

    def _status(self, span: Span, message: str, walk: Walk) -> None:
        part = Walk("status message", walk.tally, walk.judge)
        redacted = self._attributes.string(message, "", self._keys.verdict(STATUS_MESSAGE), part)
        if redacted != message:
            span.status.message = redacted or ""
        walk.touched |= part.touched

    def _events(self, span: Span, walk: Walk) -> None:
        for event in span.events:
            inside = Walk("event attribute", walk.tally, partial(self._keys.verdict_in_event, event.name))
            self._attributes.redact(event.attributes, inside)
            self._label(event, "name", "event name", inside)
            walk.touched |= inside.touched

    def _links(self, span: Span, tally: Tally) -> None:
        walk = Walk("link attribute", tally, self._keys.verdict)
        for link in span.links:
            self._label(link, "trace_state", "trace state", walk)
            self._attributes.redact(link.attributes, walk)

    def _label(self, message: Any, field: str, part: str, walk: Walk) -> None:
        """Redact a text of a message in place."""
        text = getattr(message, field)
        redacted = self.text(text, part, walk.tally)
        if redacted != text:
            setattr(message, field, redacted)
            walk.touched = True

    def _remember(self, keys: Iterable[str]) -> None:
        """Remember which of these keys are clean, and alone say what becomes of a text at them."""
        if len(self._quick) >= MAX_REMEMBERED:
            self._quick = {}
        for key in keys:
            verdict = self._keys.verdict(key)
            kind = _KINDS.get(verdict)
            if key in self._texts.clean and (verdict is Verdict.PLAIN or kind is not None):
                mask = self._attributes.whole_mask(kind) if kind else ""
                if mask is not None:
                    self._quick[key] = Known(mask, Place("attribute", key, kind or ""))

    def _remember_clean(self, part: Resource | InstrumentationScope, before: bytes) -> None:
        """Remember a part in which nothing was removed."""
        if part.SerializeToString() == before:
            if len(self._clean_parts) >= MAX_REMEMBERED:
                self._clean_parts = set()
            self._clean_parts.add(before)


def _event_named(record: LogRecord) -> str:
    return next((each.value.string_value for each in record.attributes if each.key == EVENT_NAME), "")


def _is_number(value: AnyValue) -> bool:
    return value.WhichOneof("value") in _NUMBERS
