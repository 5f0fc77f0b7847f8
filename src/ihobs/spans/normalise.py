"""Read a span of any dialect: one pass over its attributes, then the rules that a table cannot express."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ihobs.spans.attributes import Attribute, read_fields
from ihobs.spans.dialects import FIELDS, SHAPE_FIELDS, Dialects
from ihobs.spans.span import (
    CONTROL_FLOW,
    FAILED,
    FLAGGED_TIME,
    GENAI,
    IMPORTED,
    REMOTE_PARENT,
    TIMED_OUT,
    USAGE_ADJUSTED,
    Shape,
    Span,
)
from ihobs.spans.tokens import Told, Whole, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

BUCKET_NS = 10_000_000_000
"""Width of the finest roll-up bucket."""

PARENT_IS_REMOTE_MASK = 0x200
"""Bit 9 of an OTLP span's flags, SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK; bit 8 says that it is known."""

STATUS_ERROR = 2
MAX_TEXT_CHARS = 256
"""Longer names and models are cut: they are dimensions, not contents."""

MAX_SHAPES = 50_000
"""Shapes remembered in memory; beyond it the memory starts anew."""

(
    _KIND, _WORKFLOW, _AGENT, _NODE, _TASK, _TOOL, _RESPONSE_MODEL, _REQUEST_MODEL, _PROVIDER,
    _ATTEMPT, _NODE_ATTEMPT, _INPUT, _OUTPUT, _CACHED, _WRITTEN, _REASONING, _TOTAL, _COST, _INPUT_COST, _OUTPUT_COST,
    _ERROR, _TOLD_FAILED, _FIRST_TOKEN, _FIRST_TOKEN_AT, _UNSTREAMED,
) = range(len(FIELDS))  # fmt: skip
_TEXTS = SHAPE_FIELDS
_WORKFLOW_KINDS = frozenset({"workflow", "agent", "chain"})
_CLASS_AT_HEAD = re.compile(r"^\s*([A-Za-z_][\w.]*)\(")


class Receipt(NamedTuple):
    """When and how spans came in: `live` ones are clamped to `received_ns` when their clock is ahead."""

    received_ns: int
    live: bool


def normalise(
    span: OtlpSpan,
    service: str,
    scope: str,
    dialects: Dialects,
    receipt: Receipt,
    attributes: Sequence[Attribute] | None = None,
) -> Span:
    """Return what `span` says, in ihobs' terms; `attributes` are its own, if they were reached already.

    The span must have valid ids and times; a duration below zero counts as zero and is flagged. Its cost is what
    it says itself, if anything.
    """
    values, ranks = read_fields(span, dialects, attributes)
    error, flags = _error(span, scope, values, dialects)
    texts = (service, scope, span.name, error, values[_INPUT] is None and values[_OUTPUT] is None, *values[:_TEXTS])
    shape = dialects.shapes.get(texts)
    if shape is None:
        shape = _remembered_shape(texts, values, dialects)
    if not receipt.live:
        flags |= IMPORTED
    if span.flags & PARENT_IS_REMOTE_MASK:
        flags |= REMOTE_PARENT
    if shape.kind:
        flags |= GENAI
    start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
    if end_ns < start_ns:
        flags |= FLAGGED_TIME
    counted_ns = end_ns
    if end_ns > receipt.received_ns:
        counted_ns, flags = receipt.received_ns, flags | FLAGGED_TIME
    given, answered, cost = values[_INPUT], values[_OUTPUT], values[_COST]
    if values[_CACHED] or values[_WRITTEN] or values[_REASONING]:
        counted = whole_counts(values, ranks, shape, dialects)
        given, answered = counted.input_tokens, counted.output_tokens
        if counted.adjusted:
            flags |= USAGE_ADJUSTED
    if cost is None and (values[_INPUT_COST] or values[_OUTPUT_COST]):
        cost = (values[_INPUT_COST] or 0) + (values[_OUTPUT_COST] or 0)
    return Span(
        int.from_bytes(span.span_id, "big", signed=True),
        int.from_bytes(span.parent_span_id, "big", signed=True) or None,
        start_ns,
        max(0, end_ns - start_ns),
        counted_ns // BUCKET_NS,
        flags,
        _attempt_key(values, shape.kind),
        given,
        answered,
        values[_CACHED],
        values[_WRITTEN],
        values[_REASONING],
        cost,
        _first_token_ns(values, start_ns, end_ns),
        shape,
    )


def _first_token_ns(values: list[Any], start_ns: int, end_ns: int) -> int | None:
    """Return how long after the start the first token came; None when the span does not say, or cannot be right."""
    wait_ns = values[_FIRST_TOKEN]
    if wait_ns is None:
        if values[_FIRST_TOKEN_AT] is None:
            return None
        wait_ns = values[_FIRST_TOKEN_AT] - start_ns
    is_inside: bool = 0 <= wait_ns <= end_ns - start_ns
    return wait_ns if is_inside and values[_UNSTREAMED] is None else None


def _remembered_shape(texts: tuple[Any, ...], values: list[Any], dialects: Dialects) -> Shape:
    """Return the shape that `texts` make, and remember it for the next span like this one."""
    if len(dialects.shapes) >= MAX_SHAPES:
        dialects.shapes.clear()
    shape = dialects.shapes[texts] = shape_of(texts[:4], values, dialects)
    return shape


def shape_of(texts: tuple[str, ...], values: list[Any], dialects: Dialects) -> Shape:
    """Return the shape of a span.

    Args:
        texts: its service, scope, name and error. values: what its attributes say, in the order of FIELDS.
    """
    service, scope, name, error = texts
    kind, node = _kind_and_node(values, scope, name, dialects)
    return Shape(
        service=service,
        scope=_text(scope),
        name=_text(name),
        kind=kind,
        workflow=_workflow_name(values, kind, name),
        node=node,
        provider=_provider(values, dialects),
        model=_text(values[_RESPONSE_MODEL] or values[_REQUEST_MODEL]),
        error=error,
    )


def _text(value: str | None) -> str:
    return value[:MAX_TEXT_CHARS] if value else ""


def _kind_and_node(values: list[Any], scope: str, name: str, dialects: Dialects) -> tuple[str, str]:
    """Return the canonical kind and the node's name.

    A span that carries LangGraph's node name is that node's own span only when it is called so: what runs
    inside a node inherits the name. A chain that is not, and a task outside a graph, stay what they are.
    """
    kind, node = values[_KIND] or "", values[_NODE]
    if kind in ("", "span"):
        kind = _kind_of_rest(values, scope, dialects) or kind.replace("span", "chain")
    if kind == "task":
        task = values[_TASK] or name
        kind = "node" if node in (None, task) else "chain"
        node = node or task
    elif node is not None and node == name and kind in ("chain", "agent"):
        kind = "node"
    return kind, _text(node)


def _kind_of_rest(values: list[Any], scope: str, dialects: Dialects) -> str:
    """Return the kind of a span that names none: by the table, or a call when it tells a model and its usage."""
    for line in dialects.without_kind:
        if values[line.field] is not None and line.scope in (None, scope):
            return line.kind
    told = values[_INPUT] is not None or values[_OUTPUT] is not None
    return "llm" if told and (values[_REQUEST_MODEL] or values[_RESPONSE_MODEL]) else ""


def _workflow_name(values: list[Any], kind: str, name: str) -> str:
    """Return the declared workflow, or for what may be one, the name it would have."""
    declared = values[_WORKFLOW] or (values[_AGENT] if kind == "agent" else None)
    if declared is None and kind in _WORKFLOW_KINDS:
        declared = name.removeprefix("invoke_agent ").removeprefix("invoke_workflow ").removesuffix(".workflow")
    return _text(declared)


def _provider(values: list[Any], dialects: Dialects) -> str:
    provider = values[_PROVIDER]
    return _text(dialects.provider(provider)) if provider else ""


def _attempt_key(values: list[Any], kind: str) -> int | None:
    """Return the hash of what ties attempts together: explicit, or LangGraph's checkpoint on a node's own span."""
    key = values[_ATTEMPT] or (values[_NODE_ATTEMPT] if kind == "node" else None)
    if key is None:
        return None
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def whole_counts(values: list[Any], ranks: list[int], shape: Shape, dialects: Dialects) -> Whole:
    """Return the input and output tokens with cached and reasoning tokens inside."""

    def dialect(field: int) -> str:
        return dialects.ranked[field][ranks[field]].dialect if values[field] is not None else ""

    def beside(part: str, dialect_of_part: str) -> bool | None:
        return dialects.stands_beside(part, dialect_of_part, dialect(_INPUT), shape.scope, shape.provider)

    cached = (values[_CACHED] or 0) + (values[_WRITTEN] or 0)
    return whole(
        Told(values[_INPUT], values[_OUTPUT], values[_TOTAL], cached, values[_REASONING] or 0),
        cached_beside=beside("cached", dialect(_CACHED) or dialect(_WRITTEN)),
        reasoning_beside=beside("reasoning", dialect(_REASONING)),
    )


def _error(span: OtlpSpan, scope: str, values: list[Any], dialects: Dialects) -> tuple[str, int]:
    """Return the error's class and the flags that it sets; ("", 0) for a span that did not fail."""
    failed = span.status.code == STATUS_ERROR or values[_TOLD_FAILED] is not None
    if not failed and scope not in dialects.error_by_event:
        return "", 0
    name, told = _exception_class(span)
    if not failed and not told:
        return "", 0
    name = values[_ERROR] or name or _class_at_head(span.status.message) or "error"
    short = name.rpartition(".")[2]
    if short in dialects.control_flow or _class_at_head(span.status.message) in dialects.control_flow:
        return _text(short), CONTROL_FLOW
    return _text(name), FAILED | (TIMED_OUT if "timeout" in short.lower() else 0)


def _exception_class(span: OtlpSpan) -> tuple[str, bool]:
    """Return the class that the last exception event names, and whether there is such an event.

    LangSmith calls every class "Exception" and puts the real one at the head of the message.
    """
    for event in reversed(span.events):
        if event.name == "exception":
            told = {attribute.key: attribute.value.string_value for attribute in event.attributes}
            name = told.get("exception.type", "")
            if name == "Exception":
                name = _class_at_head(told.get("exception.message", "")) or name
            return name, True
    return "", False


def _class_at_head(message: str) -> str:
    match = _CLASS_AT_HEAD.match(message)
    return match.group(1).rpartition(".")[2] if match else ""
