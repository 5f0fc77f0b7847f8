"""A bridge is a link, or what a webhook answers; a webhook that fails is asked again, and then that is said."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ihobs.incidents.bridge import BridgeBuilder
from ihobs.store.state import incidents


class Rooms(ThreadingHTTPServer):
    """A service that makes rooms, unless it is told to fail."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.status, self.answer = [], 200, json.dumps({"room": {"url": "https://meet.example.com/42"}})

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/rooms"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer.encode())

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def rooms():
    with Rooms() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def meeting(make_world, rooms):
    world = make_world(
        f'incidents: {{bridge: {{webhook: "{rooms.url}", answer: room.url, '
        'headers: {Authorization: "Bearer ${env:ROOMS}"}}}'
    )
    world.alert("error_rate", "critical", 0.3)
    return world


def builder(world, **environ):
    return BridgeBuilder(world.desk, {"ROOMS": "s3cret", **environ})


def part(world):
    [found] = [one for one in world.of(incidents.parts, world.one().id) if one.name == "bridge"]
    return found


def test_the_answer_of_the_webhook_is_stored_and_told(meeting, rooms):
    assert builder(meeting).complete() is False
    one = meeting.one()
    assert one.bridge == "https://meet.example.com/42"
    [(headers, body)] = rooms.asked
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer s3cret", one.id)
    assert body == {
        "incident": one.id,
        "severity": "P1",
        "title": "error_rate is critical",
        "opened": "2027-01-15T12:00:00.000Z",
    }
    assert meeting.told()[-1].text == f"P1 {one.id}: people meet at https://meet.example.com/42"
    assert (part(meeting).state, json.loads(part(meeting).detail)["room"]["url"]) == ("done", one.bridge)
    builder(meeting).complete()
    assert len(rooms.asked) == 1


def test_a_webhook_that_fails_is_asked_again_until_it_is_too_late(meeting, rooms):
    rooms.status = 503
    assert builder(meeting).complete() is True
    assert part(meeting).state == "waiting"
    rooms.status = 200
    assert builder(meeting).complete() is False
    assert meeting.one().bridge


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (503, "", "the webhook of the bridge answered 503"),
        (200, "no json", "the webhook of the bridge answered without 'room.url'"),
        (200, '{"room": "42"}', "the webhook of the bridge answered without 'room.url'"),
        (200, '{"room": {"url": 7}}', "the webhook of the bridge answered without a text in 'room.url'"),
    ],
)
def test_after_five_minutes_the_reason_stands_in_the_timeline(meeting, rooms, status, answer, reason):
    rooms.status, rooms.answer = status, answer
    meeting.clock.advance(300)
    assert builder(meeting).complete() is False
    assert (part(meeting).state, part(meeting).detail) == ("missing", reason)
    last = meeting.of(incidents.timeline, meeting.one().id)[-1]
    assert (last.name, last.text) == ("bridge", f"there is no bridge: {reason}")
    assert meeting.one().bridge == ""


def test_a_secret_that_is_not_set_and_a_server_that_is_not_there_are_reasons(meeting, rooms):
    meeting.clock.advance(300)
    builder(meeting, ROOMS="").complete()
    assert part(meeting).detail == "the variable ROOMS is not set"
    assert rooms.asked == []


def test_a_reason_names_no_address(make_world):
    world = make_world('incidents: {bridge: {webhook: "http://user:s3cret@127.0.0.1:9/rooms"}}')
    world.alert("error_rate", "critical", 0.3)
    world.clock.advance(300)
    builder(world).complete()
    assert part(world).detail == "the webhook of the bridge cannot be reached: ConnectionError"


def test_a_p2_gets_a_bridge_when_it_becomes_a_p1(make_world, rooms):
    world = make_world(f'incidents: {{bridge: {{webhook: "{rooms.url}", answer: room.url}}}}')
    world.alert("error_rate", "critical", 0.2)
    builder(world).complete()
    assert rooms.asked == []
    world.after(600)
    world.alert("error_rate", "critical", 0.3)
    rooms.status = 503
    assert builder(world).complete() is True  # the time for it begins when it became a P1
    rooms.status = 200
    builder(world).complete()
    assert world.one().bridge == "https://meet.example.com/42"
