"""Runs of LangSmith's API as OTLP spans, in the dialect that LangSmith's own exporter of spans speaks.

Ids follow from LangSmith's alone, so that a run that is read again is known. What came to LangSmith as a span gets the
span's id back: LangSmith makes a run's id from it by putting it behind zeros.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ihobs.langsmith.tracing import TRACED_TO, mark_of

Run = Mapping[str, Any]
"""A run as `POST /runs/query` returns it."""

SCOPE = "langsmith"
"""The scope of LangSmith's own spans, by which the dialect is known."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MODEL_RUNS = frozenset({"llm", "embedding"})
"""Types of runs that have a usage of their own. That of others is the sum of those below them."""

_METADATA = "langsmith.metadata"
_USAGE = "usage_metadata"


class NotConvertibleError(ValueError):
    """A run is not as the API promises. The text says what is wrong with it, not what it holds."""


def request_of(
    runs: Iterable[Run], service: str, endpoint: str
) -> tuple[ExportTraceServiceRequest, list[tuple[str, str]]]:
    """Return the runs as one request, and (reason, run id) of those that cannot be spans.

    Args:
        service: the name under which they count.
        endpoint: where they come from: they are not forwarded there.
    """
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _put(resource.resource.attributes, "service.name", service)
    scope = resource.scope_spans.add()
    scope.scope.name = SCOPE
    refused = []
    for run in runs:
        try:
            span = span_of(run)
        except NotConvertibleError as error:
            refused.append((str(error), str(run.get("id", "?"))))
        else:
            _put(span.attributes, TRACED_TO, mark_of(endpoint))
            scope.spans.append(span)
    return request, refused


def is_finished(run: Run) -> bool:
    """Return whether a run has ended; one that has not has no duration yet."""
    return bool(run.get("end_time"))


def span_of(run: Run) -> Span:
    """Return a finished run as a span.

    Raises:
        NotConvertibleError: an id or a time is missing or wrong.
    """
    span = Span(
        trace_id=_uuid(run, "trace_id", run.get("id")).bytes,
        span_id=_span_id(_uuid(run, "id")),
        name=_text(run.get("name") or run.get("run_type") or "run"),
        start_time_unix_nano=_moment_ns(run, "start_time"),
        end_time_unix_nano=_moment_ns(run, "end_time"),
    )
    parent = run.get("parent_run_id")
    if parent:
        span.parent_span_id = _span_id(_uuid(run, "parent_run_id"))
    for key, value in _attributes(run).items():
        _put(span.attributes, key, value)
    _set_status(span, run)
    return span


def _set_status(span: Span, run: Run) -> None:
    """Set the status; LangSmith's text of an error begins with its class, and holds the traceback."""
    error = run.get("error")
    if not error:
        span.status.code = Status.STATUS_CODE_OK
        return
    span.status.code = Status.STATUS_CODE_ERROR
    event = span.events.add(name="exception", time_unix_nano=span.end_time_unix_nano)
    _put(event.attributes, "exception.type", "Exception")
    _put(event.attributes, "exception.message", error)


def _attributes(run: Run) -> dict[str, object]:
    kind = str(run.get("run_type") or "chain")
    metadata = dict(_mapping(_mapping(run.get("extra")).get("metadata")))
    told = metadata.pop(_USAGE, None)
    usage = _usage(run, told) if kind in _MODEL_RUNS else {}
    attributes: dict[str, object] = {"langsmith.span.kind": kind}
    attributes.update({f"{_METADATA}.{key}": value for key, value in metadata.items() if value is not None})
    if usage:
        attributes[f"{_METADATA}.{_USAGE}"] = usage
    if kind == "tool":
        attributes["gen_ai.tool.name"] = run.get("name")
    tags = run.get("tags")
    if isinstance(tags, list):
        attributes["langsmith.span.tags"] = ", ".join(map(str, tags))
    attributes["gen_ai.prompt"], attributes["gen_ai.completion"] = run.get("inputs"), run.get("outputs")
    attributes["gen_ai.response.time_to_first_chunk"] = _first_token_s(run)
    return {key: value for key, value in attributes.items() if value not in (None, "", {})}


def _usage(run: Run, told: object) -> Mapping[str, Any]:
    """Return the usage in LangChain's words: as the program told it, else as LangSmith counted it.

    LangSmith shows 0 where nothing was told.
    """
    usage = dict(_mapping(told) or _mapping(_mapping(run.get("outputs")).get(_USAGE)))
    if not usage and run.get("total_tokens"):
        usage = {
            "input_tokens": run.get("prompt_tokens"),
            "output_tokens": run.get("completion_tokens"),
            "total_tokens": run.get("total_tokens"),
            "input_token_details": run.get("prompt_token_details"),
            "output_token_details": run.get("completion_token_details"),
        }
    if usage and "total_cost" not in usage:
        usage["total_cost"] = _number(run.get("total_cost"))
    return {key: value for key, value in usage.items() if value is not None}


def _first_token_s(run: Run) -> float | None:
    """Return how long the first token took; None when LangSmith does not know."""
    if not run.get("first_token_time"):
        return None
    return max(0, _moment_ns(run, "first_token_time") - _moment_ns(run, "start_time")) / 1e9


def _span_id(run_id: UUID) -> bytes:
    """Return the span id of a run: the one that LangSmith made it from, else a hash.

    A UUID's first half alone would not do: of two runs that begin in one millisecond it is often the same.
    """
    first, second = run_id.bytes[:8], run_id.bytes[8:]
    return second if not any(first) and any(second) else blake2b(run_id.bytes, digest_size=8).digest()


def _uuid(run: Run, key: str, otherwise: object = None) -> UUID:
    try:
        return UUID(str(run.get(key) or otherwise))
    except ValueError:
        raise NotConvertibleError(f"its {key} is no UUID") from None


def _moment_ns(run: Run, key: str) -> int:
    """Return a time in ns since the epoch; what has no offset is UTC, as everything of LangSmith's."""
    try:
        moment = datetime.fromisoformat(str(run.get(key)))
    except ValueError:
        raise NotConvertibleError(f"its {key} is no time") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    moment_ns = (moment - _EPOCH) // _MICROSECOND * 1000
    if not 0 <= moment_ns < 2**63:
        raise NotConvertibleError(f"its {key} is no time that a span can have")
    return moment_ns


def _number(value: object) -> float | None:
    """Return a number; the API writes costs as texts."""
    try:
        return float(str(value))
    except ValueError:
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _put(attributes: Any, key: str, value: object) -> None:
    """Add an attribute; what is neither a text nor a number goes as JSON."""
    added = attributes.add(key=key).value
    if isinstance(value, bool):
        added.bool_value = value
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        added.int_value = value
    elif isinstance(value, float):
        added.double_value = value
    else:
        added.string_value = _text(value)


def _text(value: object) -> str:
    """Return a value as text that can be encoded: a lone surrogate, which JSON allows, would end the import."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
