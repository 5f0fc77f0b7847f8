"""OTLP over gRPC: the two Export methods, with the rules and the intake of OTLP/HTTP.

gRPC's own threads wait for the commit, so there are as many requests in hand as threads; the room that all requests
share bounds their bytes and items. Messages are taken as bytes and decoded here, so that a damaged one loses what is
damaged and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from ihobs.errors import StoreUnavailableError
from ihobs.spans.signals import LOGS, SPANS
from ihobs.web.access import carries_token
from ihobs.web.decoding import IDENTITY, decode
from ihobs.web.intake import IngestFaultError
from ihobs.web.wire import PROTOBUF, RETRY_AFTER_S, RefusalError, code_of, success

if TYPE_CHECKING:
    from ihobs.web.exports import ExportReceiver
    from ihobs.web.limits import Limits
    from ihobs.web.room import Room

METHODS = {
    SPANS.noun: "opentelemetry.proto.collector.trace.v1.TraceService",
    LOGS.noun: "opentelemetry.proto.collector.logs.v1.LogsService",
}
"""The service of each signal; each has one method, Export."""

COMMIT_WITHIN_S = 60.0
"""How long a call waits for its commit: longer than the store waits for its lock."""

_DETAILS = "grpc-status-details-bin"
"""The trailer that holds a google.rpc.Status. github.com/grpc/grpc/blob/master/doc/statuscodes.md"""

_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ExportService:
    """Answers the calls of one signal.

    Args:
        receiver: knows the signal and its intake.
        room: what all requests together may take. limits: bounds of each.
        token: what calls must carry; None: nothing.
    """

    def __init__(self, receiver: ExportReceiver, room: Room, limits: Limits, token: str | None) -> None:
        self._receiver, self._room, self._limits, self._token = receiver, room, limits, token

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a server of gRPC is given."""
        export = grpc.unary_unary_rpc_method_handler(self._export)  # no deserializer: bytes
        return grpc.method_handlers_generic_handler(METHODS[self._receiver.signal.noun], {"Export": export})

    def _export(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        """Store what a call brings; say so only after the commit."""
        try:
            self._check_token(context)
            return self._stored(body)
        except RefusalError as refusal:
            _abort(context, refusal)
        except StoreUnavailableError as error:
            _abort(context, RefusalError(503, f"the store cannot commit now: {error.reason}"))
        except (IngestFaultError, TimeoutError):
            _abort(context, RefusalError(500, "ihobs failed; its log says why"))

    def _check_token(self, context: grpc.ServicerContext) -> None:
        if self._token is not None and not carries_token(_authorization(context), self._token):
            raise RefusalError(401, "send the metadata 'authorization: Bearer TOKEN'")

    def _stored(self, body: bytes) -> bytes:
        signal = self._receiver.signal
        with self._room.share() as share:
            share.take(size_bytes=len(body))
            if not body:
                return success((), signal).SerializeToString()  # a request without anything is valid
            parcel = decode(body, IDENTITY, PROTOBUF, self._limits, signal)
            share.take(items=parcel.items)
            self._receiver.count_undecodable(parcel)
            refused = self._receiver.intake.offer(parcel).result(COMMIT_WITHIN_S)
        return success((*parcel.rejections, *refused), signal).SerializeToString()


def _authorization(context: grpc.ServicerContext) -> str:
    for key, value in context.invocation_metadata():
        if key == "authorization":
            return value if isinstance(value, str) else ""
    return ""


def _abort(context: grpc.ServicerContext, refusal: RefusalError) -> NoReturn:
    """End a call; one that may be tried again says when, as OTLP asks (opentelemetry.io/docs/specs/otlp/#otlpgrpc)."""
    code = code_of(refusal)
    if refusal.is_retryable:
        details = AnyMessage()
        details.Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S)))
        status = Status(code=code, message=refusal.message, details=[details])
        context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
    context.abort(_STATUS_CODES[code], refusal.message)
    raise AssertionError(Code.Name(code))  # abort has raised
