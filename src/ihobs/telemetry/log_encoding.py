"""Records of `logging` as OTLP requests, by OpenTelemetry's names for where code stands and for exceptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ihobs.spans.severity import severity_of_python
from ihobs.telemetry.loading import loading

if TYPE_CHECKING:
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

    from ihobs.telemetry.logs import Taken

_INT64 = range(-(1 << 63), 1 << 63)


class LogEncoder:
    """Encodes batches.

    Args:
        resource: returns the attributes of this process, which its spans carry too.
    """

    def __init__(self, resource: Callable[[], Mapping[str, Any]]) -> None:
        self._resource = resource

    def __call__(self, records: Sequence[Taken]) -> bytes:
        """Return a batch as the bytes of one request."""
        with loading:
            from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        _add(group.resource.attributes, self._resource())
        scopes: dict[str, ScopeLogs] = {}
        for taken in records:
            scope = scopes.get(taken.logger)
            if scope is None:
                scope = scopes[taken.logger] = group.scope_logs.add()
                scope.scope.name = _clean(taken.logger)
            _write(scope.log_records.add(), taken)
        return request.SerializeToString()


def _write(record: LogRecord, taken: Taken) -> None:
    record.time_unix_nano = record.observed_time_unix_nano = taken.time_ns
    setattr(record, "severity_number", severity_of_python(taken.levelno))  # noqa: B010 - an enum's type takes any number
    record.severity_text = _clean(taken.level)
    record.body.string_value = _clean(taken.message)
    if taken.span.is_valid:
        record.trace_id = taken.span.trace_id.to_bytes(16)
        record.span_id = taken.span.span_id.to_bytes(8)
        record.flags = int(taken.span.trace_flags)
    path, function, line = taken.place
    _add(record.attributes, {"code.file.path": path, "code.function.name": function, "code.line.number": line})
    if taken.error is not None:
        names = ("exception.type", "exception.message", "exception.stacktrace")
        _add(record.attributes, dict(zip(names, taken.error, strict=True)))
    _add(record.attributes, taken.extras)


def _add(attributes: Any, values: Mapping[str, Any]) -> None:
    """Add texts, numbers and switches, and lists of them as text; what OTLP cannot hold is left out."""
    for key, value in values.items():
        if isinstance(value, int) and value not in _INT64:
            continue
        target = attributes.add(key=_clean(key)).value
        if isinstance(value, bool):  # before int: True is an int
            target.bool_value = value
        elif isinstance(value, int):
            target.int_value = value
        elif isinstance(value, float):
            target.double_value = value
        else:
            target.string_value = _clean(value if isinstance(value, str) else ", ".join(map(str, value)))


def _clean(text: str) -> str:
    """Return a text without halves of characters, which protobuf refuses with an error that quotes the text."""
    return text.encode("utf-8", "replace").decode()
