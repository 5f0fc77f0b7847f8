"""The receiver over HTTP, with real clients."""

import contextlib
import gzip
import http.client
import json
import random
import socket
import sqlite3
import threading

import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.web.sender import BOUND_S, CODINGS, JSON, PROTOBUF, failure, span_request, success
from tests.web.test_intake import FaultyStore, GatedStore

from ihobs.model import DIMENSIONS
from ihobs.spans.decode import read_file
from ihobs.store.home import Home
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore
from ihobs.web.limits import MIB, Limits
from ihobs.web.server import bind


def as_json(request):
    return json_format.MessageToJson(request, indent=None).encode()


@pytest.mark.parametrize("coding", CODINGS)
def test_protobuf_is_stored_and_answered_in_protobuf(receiver, coding):
    body = CODINGS[coding](span_request(1, 2, 3).SerializeToString())
    assert success(receiver.post(body, content_encoding=coding)) == ExportTraceServiceResponse()
    assert receiver.spans() == 3


def test_json_is_stored_and_answered_in_json(receiver):
    answer = receiver.post(as_json(span_request(1, 2)), f"{JSON}; charset=utf-8")
    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, JSON, {})
    assert receiver.spans() == 2


def test_the_same_request_twice_counts_once(receiver):
    request = span_request(1, 2)
    for _ in range(2):
        success(receiver.post(request))
    assert receiver.spans() == 2


def test_an_empty_request_is_fine(receiver):
    assert success(receiver.post(b"")) == ExportTraceServiceResponse()
    assert receiver.post(b"{}", JSON).json() == {}


def test_refused_spans_are_told_by_number_and_reason(receiver):
    request = span_request(1, 2)
    request.MergeFrom(span_request(3, 4, start_time_unix_nano=0))
    request.MergeFrom(span_request(5, trace_id=b""))
    partial = success(receiver.post(request)).partial_success
    assert (partial.rejected_spans, partial.error_message) == (3, "no start time (2), invalid trace id (1)")
    assert receiver.spans() == 2


def test_refused_spans_are_told_in_json_too(receiver):
    document = json.loads(as_json(span_request(1, 2)))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["startTimeUnixNano"] = "soon"
    partial = receiver.post(json.dumps(document), JSON).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert partial["errorMessage"].endswith(" (1)")
    assert receiver.spans() == 1


def test_another_content_type_is_refused(receiver):
    for content_type in ("text/plain", "", "application/xml", "application/jsonlines"):
        answer = receiver.post(b"x", content_type)
        assert (answer.status_code, answer.headers["content-type"]) == (415, JSON), content_type
        assert "application/x-protobuf or application/json" in answer.json()["message"]


def test_another_coding_is_refused_and_ours_are_named(receiver):
    answer = receiver.post(span_request(1), content_encoding="br")
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate, identity")
    assert "Content-Encoding" in failure(answer)


def test_what_cannot_be_decoded_is_refused_in_the_requests_own_encoding(receiver):
    answer = receiver.post(b"\xff" * 10)
    assert (answer.status_code, failure(answer)) == (400, "the protobuf message is damaged or cut off (1)")
    answer = receiver.post(b"{", JSON)
    assert (answer.status_code, answer.json()["message"]) == (400, "not JSON (1)")
    assert Status(**answer.json()).code == 3
    assert "retry-after" not in answer.headers


def test_no_other_method_is_allowed(receiver):
    answer = receiver.get("/v1/traces")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(listen, chunked):
    receiver = listen(Limits(body_bytes=1000))
    body = span_request(1, name="n" * 2000).SerializeToString()
    answer = receiver.post(iter([body[:800], body[800:]]) if chunked else body)
    assert (answer.status_code, "larger than 1000 bytes" in failure(answer)) == (413, True)
    success(receiver.post(span_request(2)))
    assert receiver.spans() == 1


def test_a_bomb_is_refused(listen):
    receiver = listen(Limits(body_bytes=100_000))
    answer = receiver.post(gzip.compress(bytes(10**7)), content_encoding="gzip")
    assert (answer.status_code, "decompressed" in failure(answer)) == (413, True)


def test_when_too_much_waits_senders_are_told_to_come_again(listen):
    receiver = listen(Limits(pending_items=3), store=GatedStore)
    first = threading.Thread(target=receiver.post, args=[span_request(1, 2)])
    first.start()
    assert receiver.store.entered.acquire(timeout=BOUND_S)
    answer = receiver.post(span_request(3, 4))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "try again" in failure(answer)
    receiver.store.gate.release(2)
    first.join()
    success(receiver.post(span_request(3, 4)))
    assert receiver.spans() == 4


def test_bytes_that_wait_are_bounded_too(listen):
    receiver = listen(Limits(pending_bytes=3000), store=GatedStore)
    first = threading.Thread(target=receiver.post, args=[span_request(1, name="n" * 2000)])
    first.start()
    assert receiver.store.entered.acquire(timeout=BOUND_S)
    assert receiver.post(span_request(2, name="n" * 2000)).status_code == 429
    inflated = gzip.compress(span_request(2, name="n" * 2000).SerializeToString())
    assert receiver.post(inflated, content_encoding="gzip").status_code == 429
    receiver.store.gate.release(2)
    first.join()
    success(receiver.post(span_request(2, name="n" * 2000)))


def test_while_the_store_cannot_commit_senders_are_told_to_come_again(receiver):
    current = receiver.home.path / "CURRENT"
    text = current.read_text()
    current.unlink()
    answer = receiver.post(span_request(1))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert failure(answer) == "the store cannot commit now: the home is gone"
    assert receiver.get("/readyz").status_code == 503
    current.write_text(text)
    success(receiver.post(span_request(1)))
    assert receiver.get("/readyz").status_code == 200
    assert receiver.spans() == 1


def test_an_error_of_ours_is_not_an_acknowledgement(listen, monkeypatch, caplog):
    from ihobs.guard import guard

    monkeypatch.setattr(guard, "strict", False)
    caplog.set_level(100, "ihobs")
    receiver = listen(store=FaultyStore)
    assert receiver.post(span_request(1, name="poison")).status_code == 500
    success(receiver.post(span_request(2)))
    assert receiver.spans() == 1


def test_a_sender_that_is_too_slow_is_not_waited_for(listen):
    receiver = listen(Limits(body_s=0.05))
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=BOUND_S) as slow:
        slow.sendall(
            f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: 9\r\n\r\nabc".encode()
        )
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        assert (answer.status, b"did not arrive" in answer.read()) == (408, True)


HEADS = {
    "many headers": (b"POST /v1/traces HTTP/1.1\r\n", b"x: " + b"a" * 997 + b"\r\n"),
    "one header": (b"POST /v1/traces HTTP/1.1\r\nx: ", b"a" * 1000),
    "a request line": (b"POST /", b"a" * 1000),
    "trailers": (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: " + b"a" * 997 + b"\r\n"),
    "extensions": (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;", b"a" * 1000),
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_without_an_end_are_not_collected(receiver, kind):
    head, more = HEADS[kind]
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=BOUND_S) as sender:
        sender.sendall(head)
        sent_bytes = 0
        with contextlib.suppress(ConnectionError):
            while sent_bytes < 64 * MIB:
                sender.sendall(more)
                sent_bytes += len(more)
    assert sent_bytes < 16 * MIB  # what the kernel and asyncio hold beside it
    assert receiver.get("/healthz").status_code == 200


def test_a_large_body_behind_a_head_is_not_taken_for_one(receiver):
    for chunked in (False, True):
        body = span_request(1, name="n" * MIB).SerializeToString()
        success(receiver.post(iter([body]) if chunked else body))


def test_what_is_not_http_ends_only_its_own_connection(receiver):
    rng = random.Random(1)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=BOUND_S) as sender:
            start = rng.choice([b"", b"POST ", b"GET /metrics HTTP/1.1\r\n", b"POST /\xff%ff?\xff HTTP/1.1\r\n\r\n"])
            sender.sendall(start + rng.randbytes(200) + b"\r\n\r\n")
    success(receiver.post(span_request(1)))


def test_a_sender_that_goes_away_gives_its_room_back(listen):
    receiver = listen(Limits(pending_bytes=3000))
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=BOUND_S) as gone:
        gone.sendall(
            f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: 2900\r\n\r\n".encode()
            + bytes(2000)
        )
    large = span_request(1, name="n" * 2500)
    while (answer := receiver.post(large)).status_code == 429:
        pass  # until the server has noticed
    success(answer)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_the_sdks_exporter_delivers_each_span_once(receiver, compression):
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"{receiver.url}/v1/traces", compression=compression)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=16))
    tracer = provider.get_tracer("test")
    for number in range(50):
        agent, chat = {"gen_ai.operation.name": "invoke_agent"}, {"gen_ai.operation.name": "chat"}
        with tracer.start_as_current_span("answer", attributes=agent), tracer.start_as_current_span("chat") as call:
            call.set_attributes(chat | {"gen_ai.usage.input_tokens": number})
    provider.shutdown()
    sums = receiver.sums()
    assert (sums.spans, sums.runs, sums.calls, sums.input_tokens) == (100, 50, 50, sum(range(50)))


def numbers(store):
    store.settle(everything=True)
    groups = metrics(store.database, start_ns=0, end_ns=2**62, by=DIMENSIONS).groups
    return {tuple(group.by.values()): (group.counters, group.run_durations, group.call_durations) for group in groups}


FILES = ["any-agent.otlp.pb.gz", "langfuse.otlp.jsonl.gz", "fixtures.otlp.jsonl.gz", "agent-prism.otlp.jsonl.gz"]


@pytest.mark.parametrize("name", FILES)
def test_the_real_traces_have_the_totals_of_an_import(receiver, traces_dir, tmp_path, name):
    requests = [chunk.request for chunk in read_file(traces_dir / name)]
    for number, request in enumerate(requests):
        if number % 2:
            answer = receiver.post(gzip.compress(request.SerializeToString(), 1), content_encoding="gzip")
            rejected = success(answer).partial_success.rejected_spans
        else:
            answer = receiver.post(as_json(request), JSON)
            assert answer.status_code == 200
            rejected = int(answer.json().get("partialSuccess", {}).get("rejectedSpans", 0))
        assert rejected <= 1
    with TelemetryStore(Home.open(tmp_path / "imported", create=True)) as imported:
        imported.ingest_many(requests, live=False)
        assert numbers(receiver.store) == numbers(imported)


def test_a_file_of_the_collector_can_be_sent_as_it_lies_on_disk(receiver, traces_dir, tmp_path):
    path = traces_dir / "langfuse.otlp.jsonl.gz"
    answer = receiver.post(path.read_bytes(), JSON, content_encoding="gzip")
    assert answer.status_code == 200
    with TelemetryStore(Home.open(tmp_path / "imported", create=True)) as imported:
        for chunk in read_file(path):
            imported.ingest(chunk.request, live=False)
        assert numbers(receiver.store) == numbers(imported)


def test_sixteen_clients_at_once_that_send_some_things_twice(receiver):
    def client(number):
        answers = []
        session = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=BOUND_S)
        for trace in range(number * 20, number * 20 + 25):  # the last five are also sent by the next client
            body = span_request(1, 2, 3, trace=trace + 1).SerializeToString()
            session.request("POST", "/v1/traces", body, {"content-type": PROTOBUF})
            answer = session.getresponse()
            answers.append((answer.status, answer.read()))
        session.close()
        assert set(answers) == {(200, b"")}

    failures = []

    def guarded(number):
        try:
            client(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert receiver.spans() == (16 * 20 + 5) * 3


def test_answers_do_not_wait_for_a_delayed_acknowledgement():
    with bind("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on: 40 ms an answer


def test_stopping_answers_what_was_begun(listen):
    receiver = listen(store=GatedStore)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(receiver.post(span_request(1, 2))))
    sender.start()
    assert receiver.store.entered.acquire(timeout=BOUND_S)
    stopper = threading.Thread(target=receiver.receiver.stop)
    stopper.start()
    receiver.store.gate.release()
    sender.join()
    stopper.join()
    success(answers[0])
    assert receiver.spans() == 2


def test_stopping_leaves_no_thread(receiver):
    success(receiver.post(as_json(span_request(1)) and span_request(1)))
    receiver.post(as_json(span_request(2)), JSON)
    receiver.session.close()
    receiver.receiver.stop()
    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith("ihobs-")}


def test_health_is_told_without_the_store(receiver):
    (receiver.home.path / "CURRENT").unlink()
    assert (receiver.get("/healthz").status_code, receiver.get("/healthz").text) == (200, "ok\n")
    assert receiver.get("/api/test").json() == {"status": "ok"}
    assert receiver.get("/nowhere").status_code == 404


def test_it_is_not_ready_when_the_store_must_not_be_written(receiver):
    assert receiver.get("/readyz").status_code == 200
    [database] = receiver.home.path.glob("data/*/telemetry.db")
    with contextlib.closing(sqlite3.connect(database)) as newer:
        newer.execute("UPDATE meta SET value = 999 WHERE key = 'min_writer'")
        newer.execute("PRAGMA user_version = 999")
        newer.commit()
    answer = receiver.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "was written by a newer ihobs\n")
