"""OTLP over gRPC: the Python SDK's own exporters, and calls by hand for what those never send."""

import subprocess
import sys
import threading
import time

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tests.web.sender import BOUND_S, span_request
from tests.web.test_logs import log_request

from ihobs.cli.serve import grpc_address_of, most_open
from ihobs.errors import InvalidInputError
from ihobs.store.log_query import LogFilter, newest_logs
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore
from ihobs.web.access import Policy
from ihobs.web.limits import Limits
from ihobs.web.receiver import Receiver
from ihobs.web.server import bind

TOKEN = "t" * 20
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Served:
    """A receiver with gRPC, and a channel to it."""

    def __init__(self, store, limits=None, token=None):
        self.store = store
        self.receiver = Receiver(
            store, bind("127.0.0.1", 0), Policy(None, token), limits=limits, grpc_address="127.0.0.1:0"
        )
        self.receiver.start()
        self.address = f"127.0.0.1:{self.receiver.grpc_port}"
        self.channel = grpc.insecure_channel(self.address)
        self.traces, self.logs = TraceServiceStub(self.channel), LogsServiceStub(self.channel)

    def spans(self):
        groups = metrics(self.store.database, start_ns=0, end_ns=2**62).groups
        return groups[0].counters.spans if groups else 0

    def raw(self, body):
        """Call with any bytes; return the answer's message."""
        call = self.channel.unary_unary(EXPORT, response_deserializer=ExportTraceServiceResponse.FromString)
        return call(body, timeout=BOUND_S)

    def close(self):
        self.channel.close()
        self.receiver.stop()
        self.store.close()


@pytest.fixture
def serve(home):
    started = []

    def start(limits=None, token=None, store=TelemetryStore):
        started.append(Served(store(home), limits, token))
        return started[-1]

    yield start
    for one in started:
        one.close()


def refused(call, *arguments, **more):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=BOUND_S, **more)
    return caught.value


def retry_s(error):
    """Return after how many seconds an error says to try again; None: it does not."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            [detail] = Status.FromString(value).details
            info = RetryInfo()
            assert detail.Unpack(info)
            return info.retry_delay.seconds
    return None


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_sdks_exporter_of_spans_lands_each_once(serve, compression):
    served = serve()
    exporter = OTLPSpanExporter(served.address, insecure=True, compression=compression)
    provider = TracerProvider(resource=Resource.create({"service.name": "real"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for _ in range(5):
        with provider.get_tracer("t").start_as_current_span("step"):
            pass
    provider.shutdown()
    assert served.spans() == 5


def test_the_sdks_exporter_of_logs_lands_each_once(serve):
    served = serve()
    provider = LoggerProvider(Resource.create({"service.name": "real"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(served.address, insecure=True)))
    provider.get_logger("its").emit(timestamp=time.time_ns(), severity_number=SeverityNumber.WARN, body="from the SDK")
    provider.shutdown()
    [entry] = newest_logs(served.store.database, LogFilter(), limit=3)
    assert (entry.body, entry.service, entry.level) == ("from the SDK", "real", "WARNING")


def test_a_request_again_counts_nothing_twice(serve):
    served = serve()
    for _ in range(2):
        assert not served.traces.Export(span_request(1, 2), timeout=BOUND_S).HasField("partial_success")
        served.logs.Export(log_request("x", time_unix_nano=1), timeout=BOUND_S)
    assert served.spans() == 2
    assert len(newest_logs(served.store.database, LogFilter(), limit=9)) == 1


def test_what_is_refused_of_a_request_is_said(serve):
    served = serve()
    answer = served.traces.Export(span_request(0, 1), timeout=BOUND_S)
    assert (answer.partial_success.rejected_spans, answer.partial_success.error_message) == (1, "invalid span id (1)")
    answer = served.raw(span_request(7, 8).SerializeToString()[:-3])
    assert answer.partial_success.rejected_spans == 1
    assert served.spans() == 2


def test_an_empty_request_is_taken(serve):
    assert serve().raw(b"") == ExportTraceServiceResponse()


def test_what_is_no_request_is_invalid_for_good(serve):
    error = refused(serve().channel.unary_unary(EXPORT), b"\xff\xff")
    assert (error.code(), retry_s(error)) == (grpc.StatusCode.INVALID_ARGUMENT, None)


def test_the_token_is_asked_for(serve):
    served = serve(token=TOKEN)
    assert refused(served.traces.Export, span_request(1)).code() is grpc.StatusCode.UNAUTHENTICATED
    wrong = (("authorization", "Bearer " + "x" * 20),)
    assert refused(served.traces.Export, span_request(1), metadata=wrong).code() is grpc.StatusCode.UNAUTHENTICATED
    served.traces.Export(span_request(1), timeout=BOUND_S, metadata=(("authorization", f"Bearer {TOKEN}"),))
    assert served.spans() == 1


def test_what_is_too_large_is_exhausted_for_good(serve):
    served = serve(Limits(body_bytes=10_000, pending_items=50))
    error = refused(served.traces.Export, span_request(1, name="x" * 20_000))
    assert (error.code(), retry_s(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
    error = refused(served.traces.Export, span_request(*range(1, 60)))
    assert (error.code(), retry_s(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
    assert error.details() == "the request has more than 50 spans; send less at once"


def test_a_bomb_is_not_unpacked(serve):
    served = serve(Limits(body_bytes=1_000_000))
    error = refused(served.traces.Export, span_request(1, name="x" * 3_000_000), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


class Gated(TelemetryStore):
    """A store whose transactions wait until they may."""

    def __init__(self, home):
        super().__init__(home)
        self.entered, self.opened = threading.Event(), threading.Event()

    def ingest_many(self, requests, *, live=True):
        self.entered.set()
        assert self.opened.wait(BOUND_S)
        return super().ingest_many(requests, live=live)


def test_when_there_is_no_room_a_sender_is_told_when_to_come_again(serve):
    served = serve(Limits(pending_items=3), store=Gated)
    first = served.traces.Export.future(span_request(1, 2), timeout=BOUND_S)
    assert served.store.entered.wait(BOUND_S)
    error = refused(served.traces.Export, span_request(3, 4))
    served.store.opened.set()
    first.result()
    assert (error.code(), retry_s(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1)
    assert served.spans() == 2


def test_a_store_that_cannot_commit_is_unavailable_for_now(serve, home):
    served = serve()
    (home.path / "CURRENT").rename(home.path / "GONE")
    error = refused(served.traces.Export, span_request(1))
    (home.path / "GONE").rename(home.path / "CURRENT")
    assert (error.code(), retry_s(error)) == (grpc.StatusCode.UNAVAILABLE, 1)


def test_an_end_answers_what_was_begun(serve):
    served = serve(store=Gated)
    begun = served.traces.Export.future(span_request(1), timeout=BOUND_S)
    assert served.store.entered.wait(BOUND_S)
    ending = threading.Thread(target=served.receiver.stop)
    ending.start()
    served.store.opened.set()
    assert begun.result() == ExportTraceServiceResponse()
    ending.join(BOUND_S)
    assert served.spans() == 1


def test_an_address_that_is_taken_is_said(serve, home):
    served = serve()
    with pytest.raises(InvalidInputError), bind("127.0.0.1", 0) as listening:
        Receiver(TelemetryStore(home), listening, Policy(None, None), grpc_address=served.address)


@pytest.mark.parametrize(
    ("text", "host", "found"),
    [
        ("4317", "127.0.0.1", ("127.0.0.1", "127.0.0.1:4317")),
        ("0.0.0.0:0", "127.0.0.1", ("0.0.0.0", "0.0.0.0:0")),
        ("[::1]:4317", "127.0.0.1", ("::1", "[::1]:4317")),
        ("4317", "::1", ("::1", "[::1]:4317")),
    ],
)
def test_the_option_names_a_port_or_an_address(text, host, found):
    assert grpc_address_of(text, host) == found


@pytest.mark.parametrize("text", ["", "x", "70000", "1.2.3.4:", "no.such.host.invalid:4317"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidInputError) as caught:
        grpc_address_of(text, "127.0.0.1")
    assert caught.value.exit_code == 2


def test_the_more_open_address_decides_whether_a_token_is_needed():
    assert most_open("127.0.0.1", "0.0.0.0") == most_open("0.0.0.0", "127.0.0.1") == "0.0.0.0"


def test_grpc_is_loaded_only_when_it_is_asked_for():
    code = "import sys, ihobs.web.receiver, ihobs.cli.serve; print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=BOUND_S)
    assert done.stdout == "False\n"
