"""Backends that speak real OTLP on loopback, and answer as a test tells them to."""

import gzip
import threading
from collections import Counter
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ihobs.forward.pieces import spans_of

PROTOBUF = "application/x-protobuf"


@dataclass
class Reply:
    """An answer: 200 takes the spans, anything else does not; `rejected` of those taken are refused."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    text: str = ""
    rejected: int = 0
    takes: bool = True


class Backend:
    """What a backend has received, and how it answers: `answer(request)` returns a Reply."""

    def __init__(self):
        self.requests, self.headers, self.taken = [], [], []
        self.answer = lambda _request: Reply()
        self.lock = threading.Lock()
        self.in_flight = self.most_in_flight = 0

    def handle(self, body, headers):
        request = ExportTraceServiceRequest.FromString(body)
        with self.lock:
            self.requests.append(request)
            self.headers.append(headers)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = self.answer(request)
        finally:
            with self.lock:
                self.in_flight -= 1
        if reply.status == 200 and reply.takes:
            with self.lock:
                self.taken += spans_of(request)
        return reply

    def names(self):
        """Return how often each span was taken, by its name."""
        return Counter(span.name for span in self.taken)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        reply = self.server.backend.handle(body, {"path": self.path, **dict(self.headers.items())})
        if reply.status == 0:  # no answer at all
            self.close_connection = True
            return
        answer = self._body(reply)
        self.send_response(reply.status)
        for name, value in {"Content-Type": PROTOBUF, **reply.headers, "Content-Length": len(answer)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(answer)

    def _body(self, reply):
        if reply.status == 200:
            message = ExportTraceServiceResponse()
            if reply.rejected:
                message.partial_success.rejected_spans = reply.rejected
                message.partial_success.error_message = reply.text
            return message.SerializeToString()
        return Status(message=reply.text).SerializeToString()

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """Whoever has asked may have gone away."""


class HttpBackend(Backend):
    def __init__(self, port=0):
        super().__init__()
        self.server = _Server(("127.0.0.1", port), _Handler)
        self.server.backend = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class GrpcBackend(Backend, trace_service_pb2_grpc.TraceServiceServicer):
    """`Reply.status` is a `grpc.StatusCode`, or 200."""

    def __init__(self):
        super().__init__()
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.url = f"http://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def Export(self, request, context):  # noqa: N802 - the name that the protocol gives it
        reply = self.handle(request.SerializeToString(), dict(context.invocation_metadata()))
        if reply.status != 200:
            if "retry_after_s" in reply.headers:
                detail = any_pb2.Any()
                detail.Pack(RetryInfo(retry_delay=duration_pb2.Duration(seconds=reply.headers["retry_after_s"])))
                said = Status(details=[detail]).SerializeToString()
                context.set_trailing_metadata((("grpc-status-details-bin", said),))
            context.abort(reply.status, reply.text)
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = reply.rejected
        return answer

    def close(self):
        self.server.stop(None).wait()
