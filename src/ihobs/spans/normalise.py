"""Read a span of any dialect: one pass over its attributes, then the rules that a table cannot express."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ihobs.spans.dialects import FIELDS, Dialects, Source
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
    span_id_number,
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

MAX_COST_USD = 1_000_000.0
"""A call that says it cost more is not believed."""

_UNSEEN = 99
(
    _KIND, _WORKFLOW, _AGENT, _NODE, _TASK, _ATTEMPT, _NODE_ATTEMPT, _TOOL, _RESPONSE_MODEL, _REQUEST_MODEL,
    _PROVIDER, _INPUT, _OUTPUT, _CACHED, _WRITTEN, _REASONING, _COST, _ERROR,
) = range(len(FIELDS))  # fmt: skip
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
    flags = 0 if receipt.live else IMPORTED
    if span.flags & PARENT_IS_REMOTE_MASK:
        flags |= REMOTE_PARENT
    kind, node = _kind_and_node(values, span.name)
    if kind:
        flags |= GENAI
    error, error_flags = _error(span, scope, values, dialects)
    flags |= error_flags
    duration_ns = span.end_time_unix_nano - span.start_time_unix_nano
    counted_ns = span.end_time_unix_nano
    if duration_ns < 0:
        duration_ns, flags = 0, flags | FLAGGED_TIME
    if counted_ns > receipt.received_ns:
        counted_ns, flags = receipt.received_ns, flags | FLAGGED_TIME
    given, adjusted = _usage(values)
    shape = Shape(
        service=service,
        scope=scope[:MAX_TEXT_CHARS],
        name=span.name[:MAX_TEXT_CHARS],
        kind=kind,
        workflow=_workflow_name(values, kind, span.name),
        node=node,
        provider=_provider(values, dialects),
        model=_text(values[_RESPONSE_MODEL] or values[_REQUEST_MODEL]),
        error=error,
    )
    return Span(
        span_id=span_id_number(span.span_id),
        parent_id=span_id_number(span.parent_span_id) or None,
        start_ns=span.start_time_unix_nano,
        duration_ns=duration_ns,
        bucket=counted_ns // BUCKET_NS,
        flags=flags | (USAGE_ADJUSTED if adjusted else 0),
        attempt_key=_attempt_key(values, kind),
        input_tokens=given,
        output_tokens=values[_OUTPUT],
        cached_input_tokens=values[_CACHED],
        cache_write_tokens=values[_WRITTEN],
        reasoning_tokens=values[_REASONING],
        cost_nano_usd=values[_COST],
        shape=shape,
    )


def read_fields(span: OtlpSpan, dialects: Dialects) -> list[Any]:
    """Return the best value of each field of FIELDS, None where no attribute gives it."""
    values: list[Any] = [None] * len(FIELDS)
    ranks = [_UNSEEN] * len(FIELDS)
    sources = dialects.sources
    for attribute in span.attributes:
        found = sources.get(attribute.key)
        if found is None:
            continue
        raw = attribute.value
        document: Any = None
        for source in found:
            if source.rank >= ranks[source.field]:
                continue
            if source.path:
                if document is None:
                    document = _json_object(raw.string_value, found)
                value = _convert(_member(document, source.path), source)
            else:
                value = _convert(_scalar(raw), source)
            if value is not None:
                values[source.field], ranks[source.field] = value, source.rank
    return values


def _scalar(raw: Any) -> str | int | float | bool | None:
    """Return the scalar of an OTLP AnyValue; most are texts, so those go first."""
    text: str = raw.string_value
    if text:
        return text
    which = raw.WhichOneof("value")
    if which in ("int_value", "double_value", "bool_value"):
        scalar: int | float | bool = getattr(raw, which)
        return scalar
    return None


def _json_object(text: str, sources: tuple[Source, ...]) -> dict[str, Any]:
    """Return the JSON object in `text`; empty when it is none, or holds no member that a source asks for."""
    if not any(source.path and f'"{source.path[0]}"' in text for source in sources):
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _member(document: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


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


def _usage(values: list[Any]) -> tuple[int | None, bool]:
    """Return the input tokens with cached ones included, and whether they had to be added.

    Cached tokens above the input mean that the provider reports them apart (Anthropic's own API): the sum is
    the input. See the table of token semantics in docs/metrics.md.
    """
    given, written = values[_INPUT], (values[_CACHED] or 0) + (values[_WRITTEN] or 0)
    adjusted = given is not None and written > given
    if adjusted:
        given += written
    return given, adjusted


def _error(span: OtlpSpan, scope: str, values: list[Any], dialects: Dialects) -> tuple[str, int]:
    """Return the error's class and the flags that it sets; ("", 0) for a span that did not fail."""
    failed = span.status.code == STATUS_ERROR
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
