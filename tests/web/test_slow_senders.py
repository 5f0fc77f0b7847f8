"""Senders that let a request trickle in: none keeps a connection, and none keeps others from being heard."""

import contextlib
import http.client
import select
import socket

import pytest
from tests.web.sender import BOUND_S, PROTOBUF, span_request, success

from ihobs.web import protocol
from ihobs.web.limits import Limits

HEAD = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n".encode()
ASK = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"

PAUSE_S = 0.01
"""Between two bytes: a hundred of them take longer than the limits of these tests."""
ENOUGH_BYTES = int(BOUND_S / PAUSE_S)


@pytest.fixture(autouse=True)
def short_limits(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_S", 0.1)
    monkeypatch.setattr(protocol, "MESSAGE_S", 0.2)


def trickle(port, beginning, bytes_after):
    """Send a beginning and then byte after byte until the other side closes; return what it answered."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=BOUND_S) as sender, contextlib.suppress(ConnectionError):
        sender.sendall(beginning)
        for _ in range(ENOUGH_BYTES):
            if select.select([sender], [], [], PAUSE_S)[0]:
                received = sender.recv(4096)
                if not received:
                    return answer
                answer += received
            sender.sendall(bytes_after)
        raise AssertionError("the connection is still open")
    return answer


@pytest.mark.parametrize(
    ("beginning", "bytes_after"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"POST", b"", id="half a request line"),
        pytest.param(b"POST /", b"a", id="a request line"),
        pytest.param(HEAD + b"x: ", b"a", id="a header"),
    ],
)
def test_a_head_that_trickles_in_is_not_waited_for(receiver, beginning, bytes_after):
    assert trickle(receiver.port, beginning, bytes_after) == b""
    success(receiver.post(span_request(1)))


@pytest.mark.parametrize(
    ("beginning", "bytes_after"),
    [
        pytest.param(b"GET", b"", id="half a request line"),
        pytest.param(b"GET /", b"a", id="a request line"),
    ],
)
def test_a_second_head_is_not_waited_for_either(receiver, beginning, bytes_after):
    assert trickle(receiver.port, ASK + beginning, bytes_after).startswith(b"HTTP/1.1 200")


@pytest.fixture
def connection(receiver):
    """A connection that has been asked and answered once, and stays open."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=BOUND_S)) as opened:
        ask(opened)
        yield opened


def ask(connection):
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok\n"


def test_an_empty_line_between_requests_does_not_keep_a_connection(connection):
    connection.sock.sendall(b"\r\n")
    assert connection.sock.recv(1) == b""


def test_a_sender_that_takes_its_time_between_requests_is_kept(connection):
    """The limits are of a request; an SDK is silent for seconds between two."""
    for _ in range(2):
        assert select.select([connection.sock], [], [], 3 * protocol.HEAD_S)[0] == []
        ask(connection)


@pytest.mark.parametrize("length", [b"content-length: 100000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\nfffff\r\n"])
def test_a_body_that_goes_on_after_its_refusal_is_not_read_for_ever(listen, length):
    receiver = listen(Limits(body_s=0.05))
    assert trickle(receiver.port, HEAD + length, b"a").startswith(b"HTTP/1.1 408")
    success(receiver.post(span_request(1)))
