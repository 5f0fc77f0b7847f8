"""OTLP over gRPC, by the synchronous channel of grpcio; imported only where a destination asks for it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import ihobs
from ihobs.forward.answers import Answer, Outcome, because

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.forward.destinations import Destination

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TIMEOUT_S = 15.0
DETAILS = "grpc-status-details-bin"
"""Under this key of the trailing metadata a server says more, such as when to try again."""

_DEFAULT_PORT = 4317
_OUTCOMES: Mapping[grpc.StatusCode, Outcome] = {
    grpc.StatusCode.UNAUTHENTICATED: "denied",
    grpc.StatusCode.PERMISSION_DENIED: "denied",
    grpc.StatusCode.NOT_FOUND: "denied",
    grpc.StatusCode.UNIMPLEMENTED: "denied",
    grpc.StatusCode.INVALID_ARGUMENT: "bad",
    grpc.StatusCode.FAILED_PRECONDITION: "bad",
    grpc.StatusCode.ALREADY_EXISTS: "bad",
    grpc.StatusCode.INTERNAL: "fault",
    grpc.StatusCode.UNKNOWN: "fault",
}
"""github.com/grpc/grpc, doc/statuscodes.md; every other code asks for another try."""


class GrpcSender:
    """Sends to one destination. Safe for threads."""

    def __init__(self, destination: Destination) -> None:
        url = urlsplit(destination.url)
        target = f"{url.hostname}:{url.port or _DEFAULT_PORT}"
        options = [("grpc.primary_user_agent", f"ihobs/{ihobs.__version__}"), ("grpc.max_reconnect_backoff_ms", 5000)]
        if url.scheme == "https":
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        self._secrets = destination.secrets
        self._metadata = tuple((name.lower(), value) for name, value in destination.headers.items())
        self._export = self._channel.unary_unary(
            METHOD, request_serializer=None, response_deserializer=ExportTraceServiceResponse.FromString
        )

    def send(self, data: bytes) -> Answer:
        """Send the bytes of a request, once."""
        try:
            answer = self._export(data, timeout=TIMEOUT_S, metadata=self._metadata, compression=grpc.Compression.Gzip)
        except grpc.RpcError as error:
            return self._refusal(error)
        partial = answer.partial_success
        if partial.rejected_spans <= 0:
            return Answer("taken")
        reason = because("rejects some spans", partial.error_message, self._secrets)
        return Answer("taken", reason, partial.rejected_spans)

    def close(self) -> None:
        """Close the connection for good."""
        self._channel.close()

    def _refusal(self, error: grpc.RpcError) -> Answer:
        code, detail = error.code(), error.details() or ""
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in detail:  # said by every gRPC library
            return Answer("too large", because("answers RESOURCE_EXHAUSTED", detail, self._secrets))
        if code is grpc.StatusCode.UNAVAILABLE:
            detail = ""  # it quotes addresses and times of connections, another text each time
        reason = because(f"answers {code.name}", detail, self._secrets)
        was_slow = code is grpc.StatusCode.DEADLINE_EXCEEDED
        return Answer(_OUTCOMES.get(code, "later"), reason, retry_after_s=_retry_after_s(error), was_slow=was_slow)


def _retry_after_s(error: grpc.RpcError) -> float | None:
    """Return when the server says to try again; None: it does not say."""
    details = next((value for key, value in error.trailing_metadata() or () if key == DETAILS), None)
    if details is None:
        return None
    status, info = Status(), RetryInfo()
    with contextlib.suppress(DecodeError):
        status.ParseFromString(details)
    for detail in status.details:
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return None
