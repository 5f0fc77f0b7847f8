"""Requests to send, and what their answers say."""

import gzip
import zlib

import requests
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ihobs.clock import SECOND_NS, now_ns
from ihobs.store.query import metrics
from ihobs.web.receiver import Receiver
from ihobs.web.server import bind

PROTOBUF, JSON = "application/x-protobuf", "application/json"
BOUND_S = 30.0
"""How long anything is waited for; everything happens long before."""


def span_request(*span_ids, trace=1, **fields):
    """Return a request of spans that ended ten seconds ago; `fields` are those of OTLP's Span."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "sender"
    spans = resource.scope_spans.add().spans
    end_ns = now_ns() - 10 * SECOND_NS
    for span_id in span_ids:
        times = {"start_time_unix_nano": end_ns - SECOND_NS, "end_time_unix_nano": end_ns}
        ids = {"trace_id": trace.to_bytes(16), "span_id": span_id.to_bytes(8)}
        spans.add(**{"name": "step", **ids, **times} | fields)
    return request


CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}


class Listening:
    """A receiver, and a session with it."""

    def __init__(self, store, limits, policy):
        self.home, self.store = store.home, store
        socket = bind("127.0.0.1", 0)
        self.port = socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.receiver = Receiver(self.store, socket, policy, limits=limits)
        self.session = requests.Session()
        self.receiver.start()

    def post(self, body, content_type=PROTOBUF, **headers):
        if isinstance(body, ExportTraceServiceRequest):
            body = body.SerializeToString()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.post(
            f"{self.url}/v1/traces", data=body, headers={"content-type": content_type, **named}, timeout=BOUND_S
        )

    def get(self, path, **headers):
        return self.session.get(f"{self.url}{path}", headers=headers, timeout=BOUND_S)

    def sums(self):
        """Return the sums of everything that is stored."""
        groups = metrics(self.store.database, start_ns=0, end_ns=2**62).groups
        return groups[0].counters if groups else None

    def spans(self):
        sums = self.sums()
        return sums.spans if sums else 0

    def close(self):
        self.session.close()
        self.receiver.stop()
        self.store.close()


def success(answer):
    """Return the message of a protobuf answer to a request that was taken."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF), answer.text
    return ExportTraceServiceResponse.FromString(answer.content)


def failure(answer):
    """Return the text of a protobuf answer to a request that was not taken."""
    assert answer.headers["content-type"] == PROTOBUF
    return Status.FromString(answer.content).message
