"""How OTLP/HTTP is answered: in the encoding of the request, protobuf or JSON.

opentelemetry.io/docs/specs/otlp/#otlphttp-response: success is an Export...ServiceResponse, anything else a
google.rpc.Status; 429 and 503 ask for another try after `Retry-After` seconds, other failures ask for none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.responses import Response

from ihobs.spans.signals import LOGS, SPANS

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from ihobs.spans.batch import Rejection
    from ihobs.spans.signals import Signal

RETRY_AFTER_S = 1
"""When a sender may try again: a full queue is worked off in about two seconds, a lock is held for less."""

_CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    408: Code.DEADLINE_EXCEEDED,
    413: Code.RESOURCE_EXHAUSTED,
    415: Code.INVALID_ARGUMENT,
    421: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    503: Code.UNAVAILABLE,
}
_RETRYABLE = {429, 503}


class RefusalError(Exception):
    """A request is not taken; `message` is told to the sender and quotes nothing of the request.

    Attributes:
        status: of HTTP.
        message: why, and what to do.
        headers: that this status asks for.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = dict(headers or {})
        if self.is_retryable:
            self.headers["retry-after"] = str(RETRY_AFTER_S)

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may be taken later."""
        return self.status in _RETRYABLE


@dataclass(frozen=True, slots=True)
class Wire:
    """One of the encodings of OTLP/HTTP."""

    content_type: str
    encode: Callable[[Message], bytes]


def _as_json(message: Message) -> bytes:
    return json_format.MessageToJson(message, indent=None).encode()


PROTOBUF = Wire("application/x-protobuf", lambda message: message.SerializeToString())
JSON = Wire("application/json", _as_json)
_WIRES = {PROTOBUF.content_type: PROTOBUF, "application/protobuf": PROTOBUF, JSON.content_type: JSON}


def wire_of(content_type: str) -> Wire | None:
    """Return the encoding that a Content-Type names, whatever its parameters; None: not one of OTLP's."""
    return _WIRES.get(content_type.partition(";")[0].strip().lower())


_SUCCESSES: Mapping[str, tuple[type[Message], str]] = {
    SPANS.noun: (ExportTraceServiceResponse, "rejected_spans"),
    LOGS.noun: (ExportLogsServiceResponse, "rejected_log_records"),
}
"""The answer to a request of each signal, and its field for how many were refused."""


def success(rejections: Iterable[Rejection], signal: Signal) -> Message:
    """Return the message that says that everything is stored, but for what was rejected."""
    reasons: dict[str, int] = {}
    for rejection in rejections:
        reasons[rejection.reason] = reasons.get(rejection.reason, 0) + rejection.count
    make, field = _SUCCESSES[signal.noun]
    answer: Any = make()
    if reasons:
        setattr(answer.partial_success, field, sum(reasons.values()))
        answer.partial_success.error_message = listed(reasons)
    message: Message = answer
    return message


def accepted(wire: Wire, rejections: Iterable[Rejection], signal: Signal = SPANS) -> Response:
    """Return the answer to a request that is stored, but for what was rejected."""
    return Response(wire.encode(success(rejections, signal)), media_type=wire.content_type)


def refused(wire: Wire | None, refusal: RefusalError) -> Response:
    """Return the answer to a request that is not taken; in JSON when its own encoding is none of OTLP's."""
    wire = wire or JSON
    status = Status(code=code_of(refusal), message=refusal.message)
    return Response(wire.encode(status), refusal.status, refusal.headers, wire.content_type)


def code_of(refusal: RefusalError) -> int:
    """Return the code of gRPC for a refusal."""
    return int(_CODES[refusal.status])


def listed(reasons: Mapping[str, int]) -> str:
    """Return reasons and counts in one line, most frequent first: "invalid trace id (2), no end time (1)"."""
    return ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items(), key=lambda item: -item[1]))
