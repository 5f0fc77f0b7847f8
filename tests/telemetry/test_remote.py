"""Spans go to a server; while it cannot take them they wait on disk, and go first when it can again."""

from __future__ import annotations

import gzip
import logging
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.context import Context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider

from ihobs.clock import SECOND_NS
from ihobs.store.home import Home
from ihobs.store.losses import read_losses
from ihobs.store.spool import ENDPOINT_SPOOL, Spool
from ihobs.store.telemetry import TelemetryStore
from ihobs.telemetry import backlog as backlog_module
from ihobs.telemetry.places import Place
from ihobs.telemetry.remote import LONGEST_ASKED_PAUSE_S, LONGEST_PAUSE_S, RemoteSink
from ihobs.telemetry.sender import Sender

PROTOBUF = "application/x-protobuf"


class Clock:
    def __init__(self):
        self.ns = 1_800_000_000 * SECOND_NS

    def __call__(self):
        return self.ns

    def forward(self, seconds):
        self.ns += round(seconds * SECOND_NS)


def answer(status, message=None, **headers):
    """An HTTP answer: status, headers, and the message as protobuf."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if message is None:
        return status, named, b""
    return status, {"Content-Type": PROTOBUF, **named}, message.SerializeToString()


OK = answer(200, ExportTraceServiceResponse())
BUSY = answer(503, Status(message="the database is locked"), Retry_After="7")


class Server:
    """A real HTTP server that answers by a script: with the next of `answers`, and when there is none with OK."""

    def __init__(self, port=0):
        self.answers, self.received, self.headers, self.connections = [], [], [], 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                outer.connections += 1
                super().setup()

            def do_POST(self):
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                outer.headers.append((self.path, dict(self.headers)))
                status, headers, content = outer.answers.pop(0) if outer.answers else OK
                if callable(status):
                    status = status(body)
                if status == 200:
                    outer.received.append(names_in(body))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = self.close_connection or outer.closes

            def log_message(self, *_):
                pass

        self.closes = False
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a client that gives up is no error of the server's
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def names(self):
        return [name for names in self.received for name in names]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def names_in(body):
    request = ExportTraceServiceRequest.FromString(body)
    return [span.name for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


@pytest.fixture
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    (path / "spool").mkdir(parents=True)
    return path


@pytest.fixture
def spool(home):
    return Spool(home / ENDPOINT_SPOOL)


@pytest.fixture
def open_sink(server, home, clock):
    opened = []

    def open_sink(url=None, token=None):
        sender = Sender(url or server.url, token, clock=clock)
        opened.append(
            RemoteSink(
                sender,
                open_spool=lambda: Spool(home / ENDPOINT_SPOOL),
                redact=bytes,
                clock=clock,
                chance=lambda: 1.0,
            )
        )
        return opened[-1]

    yield open_sink
    for sink in opened:
        sink.close()


@pytest.fixture
def sink(open_sink):
    return open_sink()


@pytest.fixture
def batch():
    """Make a batch of finished spans with these names."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    def batch(*names):
        spans = [tracer.start_span(name, Context()) for name in names]
        for span in spans:
            span.end()
        return [(span, Place("flow")) for span in spans]

    return batch


def lost(home):
    return {loss.reason: loss.spans for loss in read_losses(home / ENDPOINT_SPOOL)}


def test_a_batch_is_sent_at_once_over_one_connection(sink, server, batch, spool):
    for name in ("a", "b", "c"):
        sink.write(batch(name))
    assert server.received == [["a"], ["b"], ["c"]]
    assert server.connections == 1
    path, headers = server.headers[0]
    assert (path, headers["Content-Type"], headers["Content-Encoding"]) == ("/v1/traces", PROTOBUF, "gzip")
    assert "Authorization" not in headers
    assert spool.waiting().files == 0


def test_the_token_is_sent_and_netrc_is_not_asked(open_sink, server, batch, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    open_sink(token="t0ken").write(batch("a"))
    open_sink().write(batch("b"))
    assert [headers.get("Authorization") for _, headers in server.headers] == ["Bearer t0ken", None]


def test_a_connection_that_the_server_has_closed_is_opened_again(sink, server, batch, spool, caplog):
    server.closes = True
    for name in ("a", "b", "c"):
        sink.write(batch(name))
    assert server.names == ["a", "b", "c"]
    assert (spool.waiting().files, caplog.text) == (0, "")


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_the_server_cannot_take_now_waits_on_disk_until_the_pause_is_over(
    sink, server, batch, spool, status, caplog
):
    clock = sink._clock
    server.answers = [answer(status)]
    with caplog.at_level(logging.WARNING, "ihobs"):
        sink.write(batch("a"))
        sink.write(batch("b"))
        clock.forward(0.49)
        sink.write([])
        assert (server.received, spool.waiting().files) == ([], 1)
        clock.forward(0.01)
        sink.write(batch("c"))
    assert server.names == ["a", "b", "c"]  # first what waited
    assert spool.waiting().files == 0
    assert f"answers {status}" in caplog.text
    assert "sends spans again" in caplog.text


@pytest.mark.parametrize("by_date", [False, True])
def test_the_pause_that_a_server_asks_for_is_kept(sink, server, batch, clock, by_date):
    after = formatdate(clock() / SECOND_NS + 30, usegmt=True) if by_date else "30"
    server.answers = [answer(503, Retry_After=after)]
    sink.write(batch("a"))
    clock.forward(29.9)
    sink.write([])
    assert len(server.headers) == 1
    clock.forward(0.2)
    sink.write([])
    assert server.names == ["a"]


@pytest.mark.parametrize("after", ["86400", "-1", "soon", ""])
def test_a_pause_that_makes_no_sense_is_bounded(sink, server, batch, clock, after):
    server.answers = [answer(503, Retry_After=after)]
    sink.write(batch("a"))
    clock.forward(LONGEST_ASKED_PAUSE_S)
    sink.write([])
    assert server.names == ["a"]


def test_pauses_grow_up_to_a_bound_and_begin_anew(open_sink, batch, clock, home):
    server = Server()
    server.stop()
    sink = open_sink(server.url)
    pauses = []
    for _ in range(12):
        sink.write(batch("a"))
        pauses.append((sink._next_try_ns - clock()) / SECOND_NS)
        clock.forward(pauses[-1])
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE_S
    again = Server(server.port)
    try:
        sink.write([])
        assert len(again.names) == 12
        assert sink._failures == 0
    finally:
        again.stop()


def test_a_clock_that_goes_back_puts_nothing_off(sink, server, batch, clock):
    server.answers = [answer(503)]
    sink.write(batch("a"))
    clock.forward(-3600)
    sink.write([])
    assert server.names == ["a"]


def test_what_a_server_refuses_is_counted_with_the_reason_and_blocks_nothing(sink, server, batch, home, spool, caplog):
    server.answers = [answer(401, Status(message="send a token")), answer(401), answer(404), answer(307)]
    for names in (["a"], ["b", "c"], ["d"], ["e"], ["f"]):
        sink.write(batch(*names))
    assert server.received == [["f"]]
    assert lost(home) == {"the endpoint answers 401": 3, "the endpoint answers 404": 1, "the endpoint answers 307": 1}
    assert spool.waiting().files == 0
    assert caplog.text.count("answers 401") == 1
    assert "send a token" in caplog.text


def test_spans_that_a_server_rejects_are_counted(sink, server, batch, home, caplog):
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 2
    partial.partial_success.error_message = "invalid trace id (2)"
    server.answers = [answer(200, partial)]
    sink.write(batch("a", "b", "c"))
    assert lost(home) == {"rejected by the endpoint": 2}
    assert "invalid trace id (2)" in caplog.text


@pytest.mark.parametrize("content", [b"\xff\xff", b""])
def test_an_answer_that_is_not_otlp_counts_by_its_status(sink, server, batch, home, content):
    server.answers = [(200, {"Content-Type": PROTOBUF}, content), (400, {"Content-Type": PROTOBUF}, content)]
    sink.write(batch("a"))
    sink.write(batch("b"))
    assert (server.names, lost(home)) == (["a"], {"the endpoint answers 400": 1})


def test_one_damaged_request_of_the_spool_costs_itself_only(sink, server, batch, home, clock):
    def refuse_b(body):
        return 400 if "b" in names_in(body) else 200

    server.answers = [answer(503)] + [(refuse_b, {}, b"")] * 9
    for name in ("a", "b", "c"):
        sink.write(batch(name))
    clock.forward(1)
    sink.write([])
    assert server.names == ["a", "c"]
    assert lost(home) == {"the endpoint answers 400": 1}


def test_a_long_outage_is_made_up_for_a_file_at_a_time_in_order(sink, server, batch, clock, spool, monkeypatch):
    monkeypatch.setattr("ihobs.store.spool.FILE_BYTES", 600)
    server.answers = [answer(503)]
    names = [f"s{number}" for number in range(20)]
    for name in names:
        sink.write(batch(name))
    files = spool.waiting().files
    assert files > 3
    clock.forward(1)
    sink.write(batch("new"))
    assert 0 < len(server.names) < 20
    for _ in range(files + 1):
        sink.write([])
    assert server.names == [*names, "new"]


def test_what_a_killed_process_left_is_sent_by_the_next(open_sink, server, batch):
    server.answers = [answer(503)]
    open_sink().write(batch("left"))  # and never closed
    open_sink().write(batch("new"))
    assert server.names == ["left", "new"]


def test_the_end_tries_once_more_and_leaves_the_rest_on_disk(open_sink, server, batch, spool):
    sink = open_sink()
    server.answers = [answer(502)]
    sink.write(batch("a"))
    sink.write([])  # it is not time yet
    sink.close()
    assert server.names == ["a"]

    sink = open_sink()
    server.answers = [BUSY, BUSY]
    sink.write(batch("b"))
    sink.write(batch("c"))
    sink.close()  # asked to wait: does not try
    assert len(server.answers) == 1
    server.answers = []
    assert spool.waiting().files == 1


def test_without_a_disk_what_cannot_be_sent_is_bounded_in_memory_and_what_is_lost_is_counted(
    sink, server, batch, home, clock, monkeypatch
):
    monkeypatch.setattr(backlog_module, "MAX_KEPT_SPANS", 2)
    (home / ENDPOINT_SPOOL).write_text("a file in its place")
    server.answers = [answer(503)]
    for name in ("a", "b", "c", "d"):
        sink.write(batch(name))
    assert not sink.secure()
    (home / ENDPOINT_SPOOL).unlink()
    clock.forward(1)
    sink.count_dropped(5)
    sink.write([])
    assert server.names == ["c", "d"]
    assert lost(home) == {"endpoint unreachable": 2, "queue full": 5}


def test_what_is_lost_for_good_at_the_end_is_said(sink, server, batch, home, caplog):
    (home / ENDPOINT_SPOOL).write_text("a file in its place")
    server.answers = [answer(503), answer(503)]
    sink.write(batch("a"))
    with caplog.at_level(logging.ERROR, "ihobs"):
        sink.close()
    assert "lost 1 spans at the end: the endpoint answers 503" in caplog.text


def test_another_thread_may_put_on_disk_what_the_worker_hangs_on(sink, server, batch, spool):
    entered, leave = threading.Event(), threading.Event()

    def hang(body):
        entered.set()
        assert leave.wait(20)
        return 200

    server.answers = [(hang, {}, b"")]
    worker = threading.Thread(target=sink.write, args=[batch("in hand")])
    worker.start()
    assert entered.wait(20)
    assert sink.secure(batch("waiting"))
    taken = []
    spool.drain(lambda group: [taken.append(names_in(r.SerializeToString())) for r in group.requests] == [None] * 2)
    assert taken == [["in hand"], ["waiting"]]
    leave.set()
    worker.join(20)
    assert server.names == ["in hand"]


def test_a_server_that_does_not_answer_is_given_up(open_sink, server, batch, spool, monkeypatch):
    monkeypatch.setattr("ihobs.telemetry.sender.READ_TIMEOUT_S", 0.05)
    leave = threading.Event()
    server.answers = [(lambda _: 200 if leave.wait(20) else 500, {}, b"")]
    sink = open_sink()
    sink.write(batch("a"))
    leave.set()
    assert spool.waiting().files == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://name.invalid:8081", "https://127.0.0.1:1"])
def test_a_server_that_cannot_be_reached_is_told_once(open_sink, batch, spool, caplog, url):
    sink = open_sink(url)
    with caplog.at_level(logging.WARNING, "ihobs"):
        sink.write(batch("a"))
        sink.write(batch("b"))
    assert [record.message for record in caplog.records if "cannot send" in record.message] == [
        f"ihobs cannot send spans to {url}/v1/traces now and will try again: no connection"
    ]
    assert spool.waiting().files == 1


def test_a_forked_child_leaves_connection_and_requests_to_its_parent(sink, server, batch, spool):
    sink.write(batch("a"))
    sink.after_fork_in_child()
    sink.write(batch("b"))
    assert (server.names, server.connections) == (["a", "b"], 2)


class TestServe:
    """The receiver of `ihobs serve` itself."""

    @pytest.fixture
    def receiver(self, tmp_path):
        from ihobs.web.access import policy_of
        from ihobs.web.receiver import Receiver
        from ihobs.web.server import bind

        with bind("127.0.0.1", 0) as listening, TelemetryStore(Home.open(tmp_path / "there", create=True)) as store:
            address, port = listening.getsockname()[:2]
            made = Receiver(store, listening, policy_of(address, address, (), "0123456789abcdef"))
            made.start()
            yield store, f"http://{address}:{port}"
            made.stop()

    def test_it_stores_what_is_sent_once_however_often(self, receiver, open_sink, batch):
        store, url = receiver
        sink = open_sink(url, token="0123456789abcdef")
        ended = batch("a", "b")
        sink.write(ended)
        sink.write(ended)
        with store.database.read() as connection:
            assert connection.execute("SELECT count(*) FROM span").fetchone() == (2,)
            workflows = connection.execute("SELECT DISTINCT workflow FROM shape").fetchall()
        assert workflows == [("flow",)]

    def test_a_wrong_token_is_a_loss_with_its_reason(self, receiver, open_sink, batch, home, caplog):
        open_sink(receiver[1], token="wrong").write(batch("a"))
        assert lost(home) == {"the endpoint answers 401": 1}
        assert "Authorization: Bearer TOKEN" in caplog.text

    def test_while_its_home_is_locked_spans_wait_here(self, receiver, open_sink, batch, spool, clock):
        store, url = receiver
        sink = open_sink(url, token="0123456789abcdef")
        sink.write(batch("first"))
        store.database._busy_timeout_s = 0.05
        with TelemetryStore(store.home) as other, other.database.write():
            sink.write(batch("second"))
        assert spool.waiting().files == 1
        clock.forward(LONGEST_PAUSE_S)
        sink.write([])
        assert spool.waiting().files == 0
        with store.database.read() as connection:
            assert connection.execute("SELECT count(*) FROM span").fetchone() == (2,)
