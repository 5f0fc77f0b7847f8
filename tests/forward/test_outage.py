"""A backend that is down for an hour, and a forwarding process that is killed meanwhile: nothing is lost."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.forward.backend import Reply

from ihobs.clock import MINUTE_NS, SECOND_NS
from ihobs.forward.forwarder import LONGEST_PAUSE_NS, MAX_IN_FLIGHT

PROGRAM = Path(__file__).parent / "programs" / "forward.py"
SPANS = 10
BATCH_BYTES = 1500
"""About one stored request of SPANS spans: it is the spans of a batch that may come twice."""


class Process:
    """The forwarding process, started again whenever it was killed."""

    def __init__(self, place, url):
        self.place, self.url, self.kills = place, url, 0
        self.start()

    def start(self):
        command = [sys.executable, str(PROGRAM), str(self.place.home.path), self.url, str(BATCH_BYTES)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def kill(self):
        self.kills += 1
        self.process.kill()

    def turn(self, now_ns):
        """Let it work at this time; return when it wants to come back. A process that was killed is started again."""
        while True:
            try:
                self.process.stdin.write(f"{now_ns}\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if line:
                return None if line == "None\n" else int(line)
            self.end()
            self.start()

    def end(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def process(place, backend):
    made = Process(place, f"{backend.url}/v1/traces")
    yield made
    made.end()


def kill_on(process, backend, numbers, status):
    """Let the backend answer with this status, and kill the process during these requests, after they were taken."""

    def answer(_request):
        if len(backend.requests) in numbers:
            process.kill()
        return Reply(status)

    backend.answer = answer


def test_an_hour_of_outage_with_kills_loses_nothing_and_repeats_at_most_what_was_in_flight(
    place, backend, process, clock
):
    kill_on(process, backend, {3, 9}, 503)
    minutes = 60
    for minute in range(minutes):
        place.put(*(f"{minute}-{index}" for index in range(SPANS)))
        process.turn(clock())
        clock.advance(60)
    tries = len(backend.requests)
    assert tries <= minutes * MAX_IN_FLIGHT  # 1 s, 2 s, ... 5 min: it does not hammer
    up = tries + 1
    kill_on(process, backend, {up + 1, up + 7, up + 8, up + 20}, 200)
    for _ in range(10):
        next_ns = process.turn(clock())
        if next_ns is None:
            break
        assert next_ns - clock() <= LONGEST_PAUSE_NS
        clock.now_ns = next_ns
    assert process.kills >= 5
    names = backend.names()
    assert len(names) == minutes * SPANS
    assert sum(names.values()) - len(names) <= process.kills * MAX_IN_FLIGHT * SPANS
    assert place.backlog().spans == 0


def test_its_memory_does_not_grow_with_what_waits(place, backend, process, clock):
    backend.answer = lambda _: Reply(503)
    place.put("first")
    process.turn(clock())
    before = psutil.Process(process.process.pid).memory_info().rss
    for number in range(100):
        place.put(*(f"{number}-{index}" for index in range(50)), text="x" * 1000)
    for _ in range(10):
        clock.now_ns = process.turn(clock())
    assert psutil.Process(process.process.pid).memory_info().rss - before < 10e6
    assert clock() > 10 * SECOND_NS + MINUTE_NS
