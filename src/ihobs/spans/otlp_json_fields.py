"""The fields of OTLP/JSON: for each JSON name, a function that writes its value into the message.

The tables at the end are the format. Only a value that protobuf cannot hold is refused here; whether a
span makes sense (an id of zeros, no time) is judged when it is ingested, whatever format it came in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ihobs.spans.otlp_json_values import (
    UnfitError,
    as_array,
    as_object,
    decode_base64,
    whole_number,
    write_any_value,
    write_attributes,
)

Writer = Callable[[Any, Any], None]
"""Writes the second argument, a JSON value other than null, into the first, a message."""


def write(fields: Mapping[str, Writer], target: Any, entry: Mapping[str, Any]) -> None:
    """Write the known fields of `entry` into the message `target`; unknown names and nulls are skipped.

    Raises:
        UnfitError: a value that the field cannot hold.
    """
    for name, value in entry.items():
        writer = fields.get(name)
        if writer is None or value is None:
            continue
        try:
            writer(target, value)
        except UnicodeEncodeError as error:
            raise UnfitError(f"{name} is not valid UTF-8", "") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise UnfitError(f"{name} is out of range or of the wrong type", value) from error


def _text(name: str) -> Writer:
    def write_text(target: Any, value: Any) -> None:
        setattr(target, name, value)

    return write_text


def _number(name: str) -> Writer:
    def write_number(target: Any, value: Any) -> None:
        setattr(target, name, whole_number(value))

    return write_number


def _identifier(name: str, size_bytes: int, json_name: str) -> Writer:
    reason = f"{json_name} is neither {2 * size_bytes} hex digits nor base64 of {size_bytes} bytes"

    def write_identifier(target: Any, value: Any) -> None:
        if not isinstance(value, str):
            raise UnfitError(reason, value)
        try:
            decoded = bytes.fromhex(value) if len(value) == 2 * size_bytes else decode_base64(value)
        except ValueError as error:
            raise UnfitError(reason, value) from error
        if len(decoded) != size_bytes and value:
            raise UnfitError(reason, value)
        setattr(target, name, decoded)

    return write_identifier


def _enum(name: str, prefix: str, values: Mapping[str, int]) -> Writer:
    """An enum as its number, its name, or its name without the prefix in any case."""

    def write_enum(target: Any, value: Any) -> None:
        if isinstance(value, str) and not value.isdecimal():
            number = values.get(prefix + value.upper().removeprefix(prefix))
            if number is None:
                raise UnfitError(f"{name} is not one of {', '.join(values)}", value)
            setattr(target, name, number)
        else:
            setattr(target, name, whole_number(value))

    return write_enum


def _message(name: str, fields: Mapping[str, Writer]) -> Writer:
    def write_message(target: Any, value: Any) -> None:
        inner = getattr(target, name)
        inner.SetInParent()
        write(fields, inner, as_object(value, name))

    return write_message


def _messages(name: str, fields: Mapping[str, Writer]) -> Writer:
    def write_messages(target: Any, value: Any) -> None:
        add = getattr(target, name).add
        for item in as_array(value, name):
            write(fields, add(), as_object(item, name))

    return write_messages


def _texts(name: str) -> Writer:
    def write_texts(target: Any, value: Any) -> None:
        getattr(target, name).extend(as_array(value, name))

    return write_texts


def _both_spellings(fields: dict[str, Writer]) -> dict[str, Writer]:
    """Add the snake_case name of each field."""
    snake = {re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name): writer for name, writer in fields.items()}
    return snake | fields


_DROPPED_ATTRIBUTES = {"attributes": write_attributes, "droppedAttributesCount": _number("dropped_attributes_count")}

_EVENT = _both_spellings({"timeUnixNano": _number("time_unix_nano"), "name": _text("name")} | _DROPPED_ATTRIBUTES)

_LINK = _both_spellings(
    {
        "traceId": _identifier("trace_id", 16, "traceId"),
        "spanId": _identifier("span_id", 8, "spanId"),
        "traceState": _text("trace_state"),
        "flags": _number("flags"),
    }
    | _DROPPED_ATTRIBUTES
)

_STATUS = _both_spellings(
    {"message": _text("message"), "code": _enum("code", "STATUS_CODE_", dict(Status.StatusCode.items()))}
)

SPAN = _both_spellings(
    {
        "traceId": _identifier("trace_id", 16, "traceId"),
        "spanId": _identifier("span_id", 8, "spanId"),
        "parentSpanId": _identifier("parent_span_id", 8, "parentSpanId"),
        "traceState": _text("trace_state"),
        "flags": _number("flags"),
        "name": _text("name"),
        "kind": _enum("kind", "SPAN_KIND_", dict(Span.SpanKind.items())),
        "startTimeUnixNano": _number("start_time_unix_nano"),
        "endTimeUnixNano": _number("end_time_unix_nano"),
        "events": _messages("events", _EVENT),
        "droppedEventsCount": _number("dropped_events_count"),
        "links": _messages("links", _LINK),
        "droppedLinksCount": _number("dropped_links_count"),
        "status": _message("status", _STATUS),
    }
    | _DROPPED_ATTRIBUTES
)
"""A span's own fields."""

LOG_RECORD = _both_spellings(
    {
        "timeUnixNano": _number("time_unix_nano"),
        "observedTimeUnixNano": _number("observed_time_unix_nano"),
        "severityNumber": _enum("severity_number", "SEVERITY_NUMBER_", dict(SeverityNumber.items())),
        "severityText": _text("severity_text"),
        "body": lambda target, value: write_any_value(target.body, value),
        "flags": _number("flags"),
        "traceId": _identifier("trace_id", 16, "traceId"),
        "spanId": _identifier("span_id", 8, "spanId"),
        "eventName": _text("event_name"),
    }
    | _DROPPED_ATTRIBUTES
)
"""A log record's own fields."""

_ENTITY = _both_spellings(
    {
        "schemaUrl": _text("schema_url"),
        "type": _text("type"),
        "idKeys": _texts("id_keys"),
        "descriptionKeys": _texts("description_keys"),
    }
)

_RESOURCE = _both_spellings({"entityRefs": _messages("entity_refs", _ENTITY)} | _DROPPED_ATTRIBUTES)

_SCOPE = _both_spellings({"name": _text("name"), "version": _text("version")} | _DROPPED_ATTRIBUTES)

RESOURCE_SPANS = _both_spellings({"resource": _message("resource", _RESOURCE), "schemaUrl": _text("schema_url")})
"""The fields of ResourceSpans beside its ScopeSpans."""

SCOPE_SPANS = _both_spellings({"scope": _message("scope", _SCOPE), "schemaUrl": _text("schema_url")})
"""The fields of ScopeSpans beside its spans."""
