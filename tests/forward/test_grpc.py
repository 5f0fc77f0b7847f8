"""OTLP over gRPC with a real server: what is sent, and what its codes mean."""

from dataclasses import replace

import pytest
from grpc import StatusCode
from tests.forward.backend import Reply
from tests.forward.conftest import drain
from tests.forward.test_forwarder import names_of

from ihobs.clock import SECOND_NS
from ihobs.forward import forwarder as module
from ihobs.forward.destinations import Destination


@pytest.fixture
def line(forward, grpc_backend):
    return forward(Destination("there", grpc_backend.url, "grpc", {"X-Api-Key": "sekrit-key-123"}))


def test_spans_arrive_with_the_headers(place, line, grpc_backend, clock):
    place.put("a", "b")
    assert drain(line, clock) is None
    assert grpc_backend.names() == {"a": 1, "b": 1}
    assert grpc_backend.headers[0]["x-api-key"] == "sekrit-key-123"
    assert grpc_backend.headers[0]["user-agent"].startswith("ihobs/")


@pytest.mark.parametrize("code", [StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED])
def test_what_may_pass_is_tried_again(place, line, grpc_backend, clock, code):
    place.put("a")
    grpc_backend.answer = lambda _: Reply(code, text="busy")
    assert drain(line, clock) == clock() + SECOND_NS
    clock.advance(1)
    grpc_backend.answer = lambda _: Reply()
    assert drain(line, clock) is None
    assert grpc_backend.names() == {"a": 1}


def test_the_server_says_when_to_come_back(place, line, grpc_backend, clock):
    place.put("a")
    grpc_backend.answer = lambda _: Reply(StatusCode.RESOURCE_EXHAUSTED, {"retry_after_s": 90})
    assert drain(line, clock) == clock() + 90 * SECOND_NS


@pytest.mark.parametrize(
    "code",
    [StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED, StatusCode.NOT_FOUND, StatusCode.UNIMPLEMENTED],
)
def test_what_only_people_can_mend_pauses_the_destination(place, line, grpc_backend, clock, code):
    place.put("a")
    grpc_backend.answer = lambda _: Reply(code, text="sekrit-key-123 is unknown")
    assert drain(line, clock) == clock() + module.PAUSED_AGAIN_NS
    assert place.backlog().problem == f"answers {code.name}: [secret] is unknown"


def test_a_bad_span_is_found(place, line, grpc_backend, clock):
    place.put("a", "b", "bad", "c")
    grpc_backend.answer = lambda request: Reply(
        StatusCode.INVALID_ARGUMENT if "bad" in names_of(request) else 200, text="no"
    )
    assert drain(line, clock) is None
    assert grpc_backend.names() == {"a": 1, "b": 1, "c": 1}
    assert place.backlog().dead_letters == 1


def test_a_message_above_the_servers_limit_is_split(place, line, grpc_backend, clock):
    for number in range(3):
        place.put(*(f"{number}-{index}" for index in range(3)), text="x" * 600_000)  # the limit of gRPC is 4 MiB
    line._limit_bytes = 64 * 1024 * 1024
    assert drain(line, clock) is None
    assert len(grpc_backend.names()) == 9
    assert set(grpc_backend.names().values()) == {1}


def test_what_a_partial_success_rejects_is_counted(place, line, grpc_backend, clock):
    place.put("a", "b")
    grpc_backend.answer = lambda _: Reply(rejected=1)
    assert drain(line, clock) is None
    assert place.backlog().rejected_spans == 1


def test_nobody_there_is_no_reason_to_give_up(place, forward, clock, there):
    line = forward(replace(there, url="http://127.0.0.1:9", protocol="grpc"))
    place.put("a")
    assert drain(line, clock) == clock() + SECOND_NS
    assert place.backlog().problem == "answers UNAVAILABLE"
