"""`POST /v1/logs`: the rules of `/v1/traces`, for log records, with the SDK's exporter and by hand."""

import gzip
import json
import time
import warnings

import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import Compression, OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from tests.web.sender import BOUND_S, CODINGS, JSON, PROTOBUF

from ihobs.clock import now_ns
from ihobs.store.log_query import LogFilter, newest_logs
from ihobs.web.access import Policy
from ihobs.web.limits import Limits

TRACE = bytes(range(16))
SECRET = "sk-proj-" + "Ab3dEf6hIj9k" * 4


def log_request(*bodies, **fields):
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "sender"
    records = resource.scope_logs.add().log_records
    for body in bodies:
        record = records.add(**{"time_unix_nano": now_ns(), "severity_number": 13, "trace_id": TRACE, **fields})
        record.body.string_value = body
    return request


def post(receiver, body, content_type=PROTOBUF, **headers):
    if isinstance(body, ExportLogsServiceRequest):
        body = body.SerializeToString()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"content-type": content_type, **named}
    return receiver.session.post(f"{receiver.url}/v1/logs", data=body, headers=headers, timeout=BOUND_S)


def stored(receiver):
    return [entry.body for entry in newest_logs(receiver.store.database, LogFilter(), limit=10_000)]


def success(answer):
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF), answer.text
    return ExportLogsServiceResponse.FromString(answer.content)


def in_json(request):
    """Return a request as OTLP/JSON has it: ids in hex."""
    document = json_format.MessageToDict(request)
    for resource in document["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                record["traceId"] = TRACE.hex()
    return json.dumps(document).encode()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    ("encode", "content_type"), [(ExportLogsServiceRequest.SerializeToString, PROTOBUF), (in_json, JSON)]
)
def test_each_encoding_comes_in_each_coding(receiver, encode, content_type, coding):
    body = CODINGS[coding](encode(log_request("hello", "there")))
    answer = post(receiver, body, content_type, content_encoding=coding)
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type), answer.text
    [_, first] = newest_logs(receiver.store.database, LogFilter(trace=TRACE.hex()), limit=9)
    assert (first.body, first.level, first.service) == ("hello", "WARNING", "sender")


def test_the_same_request_again_is_taken_and_stored_once(receiver):
    request = log_request("once")
    assert not success(post(receiver, request)).HasField("partial_success")
    assert not success(post(receiver, request)).HasField("partial_success")
    assert stored(receiver) == ["once"]
    page = receiver.get("/metrics").text
    assert 'ihobs_ingested_log_records_total{outcome="accepted"} 1' in page
    assert 'ihobs_ingested_log_records_total{outcome="duplicate"} 1' in page
    assert 'ihobs_http_requests_total{path="/v1/logs",code="200"} 2' in page


def test_what_is_whole_of_a_damaged_body_is_stored_and_the_rest_is_counted(receiver):
    answer = success(post(receiver, log_request("whole", "cut").SerializeToString()[:-5]))
    assert answer.partial_success.rejected_log_records == 1
    assert "cut off" in answer.partial_success.error_message
    assert stored(receiver) == ["whole"]


def test_a_record_that_json_cannot_say_costs_itself_alone(receiver):
    document = json.loads(in_json(log_request("good", "bad")))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][1]["severityNumber"] = "LOUD"
    answer = post(receiver, json.dumps(document), JSON)
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert stored(receiver) == ["good"]


def test_spans_at_the_address_of_logs_are_refused_in_words(receiver):
    answer = post(receiver, b'{"resourceSpans": []}', JSON)
    assert (answer.status_code, answer.json()["message"]) == (400, "holds spans, not log records (1)")


@pytest.mark.parametrize(
    ("body", "content_type", "headers", "status"),
    [
        (b"\xff\xff", PROTOBUF, {}, 400),
        (b"{", JSON, {}, 400),
        (b"", "text/plain", {}, 415),
        (b"", PROTOBUF, {"content_encoding": "br"}, 415),
        (gzip.compress(bytes(3_000_000)), PROTOBUF, {"content_encoding": "gzip"}, 413),
        (bytes(1_100_000), PROTOBUF, {}, 413),
    ],
)
def test_refusals_are_those_of_spans(listen, body, content_type, headers, status):
    receiver = listen(Limits(body_bytes=1_000_000))
    assert post(receiver, body, content_type, **headers).status_code == status
    assert stored(receiver) == []


def test_more_records_than_there_is_ever_room_for_are_refused(listen):
    receiver = listen(Limits(pending_items=3))
    answer = post(receiver, log_request(*"abcd"))
    assert answer.status_code == 413
    assert Status.FromString(answer.content).message == "the request has more than 3 log records; send less at once"


def test_a_large_request_is_stored_whole_in_several_transactions(listen):
    receiver = listen(Limits(group_items=7))
    success(post(receiver, log_request(*map(str, range(50)))))
    assert sorted(map(int, stored(receiver))) == list(range(50))


def test_the_token_is_asked_for(listen):
    receiver = listen(policy=Policy(None, "t" * 20))
    assert post(receiver, log_request("x")).status_code == 401
    assert post(receiver, log_request("x"), authorization=f"Bearer {'t' * 20}").status_code == 200


def test_a_store_that_cannot_commit_is_told_as_such(receiver):
    (receiver.home.path / "CURRENT").rename(receiver.home.path / "GONE")
    answer = post(receiver, log_request("x"))
    (receiver.home.path / "GONE").rename(receiver.home.path / "CURRENT")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_nothing_secret_reaches_the_files(receiver, tmp_path):
    request = log_request(f"using {SECRET}")
    request.resource_logs[0].resource.attributes.add(key="x").value.string_value = SECRET
    success(post(receiver, request))
    assert stored(receiver)[0].startswith("using [")
    receiver.store.close()
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_the_exporter_of_the_sdk_is_understood(receiver, compression):
    exporter = OTLPLogExporter(f"{receiver.url}/v1/logs", compression=compression)
    provider = LoggerProvider(Resource.create({"service.name": "real"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            provider.get_logger("its.name").emit(
                timestamp=time.time_ns(), severity_number=SeverityNumber.ERROR, body="from the SDK", attributes={"n": 1}
            )
    finally:
        provider.shutdown()
    [entry] = newest_logs(receiver.store.database, LogFilter(), limit=2)
    assert (entry.body, entry.service, entry.logger, entry.level) == ("from the SDK", "real", "its.name", "ERROR")
    assert entry.attributes["n"] == 1


def test_a_stopping_receiver_answers_what_it_has_taken(listen):
    receiver = listen()
    success(post(receiver, log_request("last")))
    receiver.receiver.stop()
    assert stored(receiver) == ["last"]
