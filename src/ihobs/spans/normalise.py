"""Read a span of any dialect: one pass over its attributes, then the rules that a table cannot express."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ihobs.spans.dialects import FIELDS, SHAPE_FIELDS, Dialects, Source
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

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

BUCKET_NS = 10_000_000_000
"""Width of the finest roll-up bucket."""

PARENT_IS_REMOTE_MASK = 0x200
"""Bit 9 of an OTLP span's flags, SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK; bit 8 says that it is known."""

STATUS_ERROR = 2
MAX_TEXT_CHARS = 256
"""Longer names and models are cut: they are dimensions, not contents."""

MAX_TOKENS = 2**40
"""A greater count is taken as absent: sums of such would overflow SQLite's 64-bit integers."""

MAX_SHAPES = 50_000
"""Shapes remembered in memory; beyond it the memory starts anew."""

MAX_COST_USD = 1_000_000.0
"""A call that says it cost more is not believed."""

_UNSEEN = 99
(
    _KIND, _WORKFLOW, _AGENT, _NODE, _TASK, _TOOL, _RESPONSE_MODEL, _REQUEST_MODEL, _PROVIDER,
    _ATTEMPT, _NODE_ATTEMPT, _INPUT, _OUTPUT, _CACHED, _WRITTEN, _REASONING, _COST, _ERROR,
) = range(len(FIELDS))  # fmt: skip
_TEXTS = SHAPE_FIELDS
_WORKFLOW_KINDS = frozenset({"workflow", "agent", "chain"})
_CLASS_AT_HEAD = re.compile(r"^\s*([A-Za-z_][\w.]*)\(")


class Receipt(NamedTuple):
    """When and how spans came in: `live` ones are clamped to `received_ns` when their clock is ahead."""

    received_ns: int
    live: bool


def normalise(span: OtlpSpan, service: str, scope: str, dialects: Dialects, receipt: Receipt) -> Span:
    """Return what `span` says, in ihobs' terms.

    The span must have valid ids and times; a duration below zero counts as zero and is flagged. Its cost is what
    it says itself, if anything.
    """
    values = read_fields(span, dialects)
    error, flags = _error(span, scope, values[_ERROR], dialects)
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
    given = values[_INPUT]
    if values[_CACHED] or values[_WRITTEN]:
        given, flags = _inclusive(values, flags)
    return Span(
        int.from_bytes(span.span_id, "big", signed=True),
        int.from_bytes(span.parent_span_id, "big", signed=True) or None,
        start_ns,
        max(0, end_ns - start_ns),
        counted_ns // BUCKET_NS,
        flags,
        _attempt_key(values, shape.kind),
        given,
        values[_OUTPUT],
        values[_CACHED],
        values[_WRITTEN],
        values[_REASONING],
        values[_COST],
        shape,
    )


def read_fields(span: OtlpSpan, dialects: Dialects) -> list[Any]:
    """Return the best value of each field of FIELDS, None where no attribute gives it."""
    values: list[Any] = [None] * len(FIELDS)
    ranks = [_UNSEEN] * len(FIELDS)
    sources_of = dialects.sources.get
    for attribute in span.attributes:
        found = sources_of(attribute.key)
        if found is None:
            continue
        raw = attribute.value
        value: Any
        for source in found:
            field = source.field
            if source.rank < ranks[field]:
                if source.plain:
                    value = raw.string_value
                elif source.counts and 0 < raw.int_value <= MAX_TOKENS:
                    value = raw.int_value
                else:
                    value = None
                if not value:
                    value = _convert(_member(raw.string_value, source) if source.path else _scalar(raw), source)
                if value is not None:
                    values[field], ranks[field] = value, source.rank
    return values


def _remembered_shape(texts: tuple[Any, ...], values: list[Any], dialects: Dialects) -> Shape:
    """Return the shape that `texts` make, and remember it for the next span like this one."""
    service, scope, name, error, *_ = texts
    kind, node = _kind_and_node(values, name)
    shape = Shape(
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
    if len(dialects.shapes) >= MAX_SHAPES:
        dialects.shapes.clear()
    dialects.shapes[texts] = shape
    return shape


def _scalar(raw: Any) -> str | int | float | bool | None:
    """Return the scalar of an OTLP AnyValue; counts and texts go first."""
    number: int = raw.int_value
    if number:
        return number
    text: str = raw.string_value
    if text:
        return text
    which = raw.WhichOneof("value")
    if which in ("int_value", "double_value", "bool_value"):
        scalar: int | float | bool = getattr(raw, which)
        return scalar
    return None


def _member(text: str, source: Source) -> Any:
    """Return the member of the JSON object in `text` that the source's path leads to, or None."""
    if source.quoted not in text:
        return None
    document = _parsed(text)
    for name in source.path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


@lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    """Return the JSON in `text`, None when it is none; remembered, as several fields ask for the same text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _convert(value: Any, source: Source) -> Any:
    """Return `value` as its source says, or None when it is absent, ignored or of no use."""
    if value is None or isinstance(value, (dict, list)):
        return None
    if source.convert == "int":
        return _count(value)
    if source.convert == "usd":
        return _nano_usd(value)
    text = value if isinstance(value, str) else str(value)
    if source.values is not None:
        return source.values.get(text.lower())
    if source.convert == "lower":
        text = text.lower()
    elif source.convert == "head":
        text = text.partition(".")[0]
    return None if not text or text in source.ignore else text


def _count(value: Any) -> int | None:
    """Return a count of tokens; None for what is no count (negative, NaN, text)."""
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= MAX_TOKENS else None


def _nano_usd(value: Any) -> int | None:
    """Return an amount of USD in nano-USD; None for what is no amount, or 0: so they write what they do not know."""
    try:
        amount = float(value)
    except ValueError:
        return None
    return round(amount * 1e9) if 0 < amount <= MAX_COST_USD else None


def _text(value: str | None) -> str:
    return value[:MAX_TEXT_CHARS] if value else ""


def _kind_and_node(values: list[Any], name: str) -> tuple[str, str]:
    """Return the canonical kind and the node's name.

    A span that carries LangGraph's node name is that node's own span only when it is called so: what runs
    inside a node inherits the name. A chain that is not, and a task outside a graph, stay what they are.
    """
    kind, node = values[_KIND] or "", values[_NODE]
    if kind == "task":
        task = values[_TASK] or name
        kind = "node" if node in (None, task) else "chain"
        node = node or task
    elif node is not None and node == name and kind in ("chain", "agent"):
        kind = "node"
    elif not kind and values[_TOOL] is not None:
        kind = "tool"
    elif not kind and (values[_INPUT] is not None or values[_OUTPUT] is not None):
        kind = "llm" if values[_REQUEST_MODEL] or values[_RESPONSE_MODEL] else ""
    return kind, _text(node)


def _workflow_name(values: list[Any], kind: str, name: str) -> str:
    """Return the declared workflow, or for what may be one, the name it would have."""
    declared = values[_WORKFLOW] or (values[_AGENT] if kind == "agent" else None)
    if declared is None and kind in _WORKFLOW_KINDS:
        declared = name.removeprefix("invoke_agent ").removeprefix("invoke_workflow ").removesuffix(".workflow")
    return _text(declared)


def _provider(values: list[Any], dialects: Dialects) -> str:
    provider = values[_PROVIDER]
    return _text(dialects.providers.get(provider, provider)) if provider else ""


def _attempt_key(values: list[Any], kind: str) -> int | None:
    """Return the hash of what ties attempts together: explicit, or LangGraph's checkpoint on a node's own span."""
    key = values[_ATTEMPT] or (values[_NODE_ATTEMPT] if kind == "node" else None)
    if key is None:
        return None
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def _inclusive(values: list[Any], flags: int) -> tuple[int | None, int]:
    """Return the input tokens with cached ones included, and the flags, which tell when they had to be added.

    Cached tokens above the input mean that the provider reports them apart (Anthropic's own API): the sum is
    the input. See the table of token semantics in docs/metrics.md.
    """
    given, apart = values[_INPUT], (values[_CACHED] or 0) + (values[_WRITTEN] or 0)
    if given is not None and apart > given:
        return given + apart, flags | USAGE_ADJUSTED
    return given, flags


def _error(span: OtlpSpan, scope: str, declared: str | None, dialects: Dialects) -> tuple[str, int]:
    """Return the error's class and the flags that it sets; ("", 0) for a span that did not fail."""
    failed = span.status.code == STATUS_ERROR
    if not failed and scope not in dialects.error_by_event:
        return "", 0
    name, told = _exception_class(span)
    if not failed and not told:
        return "", 0
    name = declared or name or _class_at_head(span.status.message) or "error"
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
