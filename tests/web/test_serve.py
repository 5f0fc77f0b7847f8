"""`ihobs serve` as a process: what it says, how it ends, and that an acknowledgement outlives it."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest
import requests
from tests.web.sender import BOUND_S, PROTOBUF, span_request

from ihobs.duties import Duties
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

ACKNOWLEDGED = 40
"""After so many answers the process is ended, in the middle of more."""


class Served:
    """A process, and what it has said so far."""

    def __init__(self, home, *options, **environ):
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ihobs", "--home", str(home.path), "serve", "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=home.path,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environ,
        )
        self.said = ""

    def port(self):
        return int(self.until(r"listening at http://\S+:(\d+)")[1])

    def until(self, pattern):
        """Read its output until a line matches; return the match."""
        while not (found := re.search(pattern, self.said)):
            line = self.process.stdout.readline()
            assert line, (self.said, self.process.stderr.read())
            self.said += line
        return found

    def end(self, number=signal.SIGTERM):
        """Send a signal; return the exit code and the errors."""
        self.process.send_signal(number)
        rest, errors = self.process.communicate(timeout=BOUND_S)
        self.said += rest
        return self.process.returncode, errors


@pytest.fixture
def serve(home):
    """Start processes, and see that none is left."""
    started = []

    def start(*options, **environ):
        started.append(Served(home, *options, **environ))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def stored_traces(home):
    with TelemetryStore(home) as store, store.database.read() as connection:
        return {int.from_bytes(row[0]) for row in connection.execute("SELECT trace_id FROM trace")}


class Senders:
    """Threads that send a trace each time, until the server is gone; `acknowledged` are those answered 200."""

    def __init__(self, port, threads=4):
        self._port = port
        self.acknowledged, self.failures = set(), []
        self._enough = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._send, args=[number]) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def wait(self):
        for _ in range(ACKNOWLEDGED):
            assert self._enough.acquire(timeout=BOUND_S)

    def join(self):
        for thread in self._threads:
            thread.join(BOUND_S)
        assert self.failures == []

    def _send(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=BOUND_S)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            for count in range(10**6):
                trace = number * 10**6 + count + 1
                body = span_request(1, 2, 3, trace=trace).SerializeToString()
                connection.request("POST", "/v1/traces", body, {"content-type": PROTOBUF})
                answer = connection.getresponse()
                answer.read()
                if answer.status != http.client.OK:
                    self.failures.append(answer.status)
                    return
                self.acknowledged.add(trace)
                self._enough.release()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order_and_loses_nothing(serve, home, number):
    served = serve()
    senders = Senders(served.port())
    senders.wait()
    assert served.end(number) == (0, "")
    senders.join()
    assert "what was acknowledged is stored" in served.said
    assert stored_traces(home) >= senders.acknowledged
    assert len(senders.acknowledged) >= ACKNOWLEDGED
    assert Duties.owner(home) is None


def test_killed_in_the_middle_it_has_what_it_acknowledged(serve, home):
    served = serve()
    senders = Senders(served.port(), threads=8)
    senders.wait()
    assert served.end(signal.SIGKILL)[0] == -signal.SIGKILL
    senders.join()
    assert stored_traces(home) >= senders.acknowledged
    with TelemetryStore(home) as store:
        [total] = metrics(store.database, start_ns=0, end_ns=2**62).groups
    assert total.counters.spans == 3 * len(stored_traces(home))

    again = serve()
    port = again.port()
    for trace in senders.acknowledged:  # whoever did not hear the answer sends again
        body = span_request(1, 2, 3, trace=trace).SerializeToString()
        url = f"http://127.0.0.1:{port}/v1/traces"
        assert requests.post(url, body, headers={"content-type": PROTOBUF}, timeout=BOUND_S).status_code == 200
    with TelemetryStore(home) as store:
        [after] = metrics(store.database, start_ns=0, end_ns=2**62).groups
    assert after.counters.spans == total.counters.spans
    assert again.end()[0] == 0


def test_failing_runs_that_are_received_become_an_alert(serve, home):
    served = serve()
    port = served.port()
    for trace in range(1, 7):
        request = span_request(1, trace=trace)
        span = request.resource_spans[0].scope_spans[0].spans[0]
        span.attributes.add(key="ihobs.kind").value.string_value = "workflow"
        span.status.code = 2
        url, headers = f"http://127.0.0.1:{port}/v1/traces", {"content-type": PROTOBUF}
        assert requests.post(url, request.SerializeToString(), headers=headers, timeout=BOUND_S).status_code == 200
    line = served.process.stderr.readline()
    assert "CRITICAL error_rate is 100 %, above 15 %" in line
    assert served.end()[0] == 0


PROGRAM = """
import ihobs
ihobs.instrument()

@ihobs.workflow
def answer(number):
    with ihobs.llm("chat", model="gpt-4o", provider="openai"):
        if number % 2:
            raise ValueError(number)

for number in range(10):
    try:
        answer(number)
    except ValueError:
        pass
"""


def test_a_program_elsewhere_that_is_told_the_endpoint_is_received(serve, home, tmp_path):
    served = serve(IHOBS_TOKEN="a token of the user")
    there = {
        "IHOBS_ENDPOINT": f"http://127.0.0.1:{served.port()}",
        "IHOBS_TOKEN": "a token of the user",
        "IHOBS_HOME": str(tmp_path / "elsewhere"),
    }
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, cwd=tmp_path, env=os.environ | there, timeout=BOUND_S)
    with TelemetryStore(home) as store:
        [total] = metrics(store.database, start_ns=0, end_ns=2**62).groups
    sums = total.counters
    assert (sums.spans, sums.runs, sums.failed_runs, sums.calls) == (20, 10, 5, 10)
    assert served.end()[0] == 0


def test_a_second_one_receives_too_and_takes_the_duties_over_when_the_first_ends(serve, home):
    first = serve()
    first.until("this process evaluates the alerts")
    second = serve()
    second.until("another process evaluates the alerts of this home; this one only receives")
    body = span_request(1).SerializeToString()
    url = f"http://127.0.0.1:{second.port()}/v1/traces"
    assert requests.post(url, body, headers={"content-type": PROTOBUF}, timeout=BOUND_S).status_code == 200
    assert Duties.owner(home) == first.process.pid
    first.end(signal.SIGKILL)
    second.until("this process evaluates the alerts")
    assert Duties.owner(home) == second.process.pid
    assert second.end()[0] == 0


def test_a_port_that_is_taken_is_one_clear_error(serve, home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = serve("--port", str(port))
        out, errors = served.process.communicate(timeout=BOUND_S)
    assert (served.process.returncode, out) == (2, "")
    assert errors == (f"error: 127.0.0.1 port {port}: address already in use; choose another with --host or --port\n")


def test_an_address_that_is_not_ours_is_one_clear_error(serve):
    served = serve("--host", "192.0.2.1")
    _, errors = served.process.communicate(timeout=BOUND_S)
    assert served.process.returncode == 2
    assert errors.startswith("error: 192.0.2.1 port 0: cannot assign requested address; ")


def test_beyond_loopback_a_token_is_made_up_and_shown_once(serve):
    served = serve("--host", "0.0.0.0")
    port = served.port()
    token = served.until(r"/metrics\?token=(\S+)")[1]
    served.until(r"authorization=Bearer%20")
    url = f"http://127.0.0.1:{port}/metrics"
    assert requests.get(url, timeout=BOUND_S).status_code == 401
    assert requests.get(f"{url}?token={token}", timeout=BOUND_S).status_code == 200
    assert requests.get(url, headers={"authorization": f"Bearer {token}"}, timeout=BOUND_S).status_code == 200
    assert served.end()[0] == 0


def test_a_token_of_the_user_is_not_shown(serve):
    served = serve(IHOBS_TOKEN="a token of the user")
    url = f"http://127.0.0.1:{served.port()}/metrics"
    assert requests.get(url, timeout=BOUND_S).status_code == 401
    headers = {"authorization": "Bearer a token of the user"}
    assert requests.get(url, headers=headers, timeout=BOUND_S).status_code == 200
    code, errors = served.end()
    assert code == 0
    assert "a token of the user" not in served.said + errors


def test_a_home_that_cannot_be_used_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "ihobs", "--home", str(tmp_path / "file" / "home"), "serve", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S, check=False, cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n"), ended.stderr[:7]) == (6, 1, "error: ")


def test_the_orchestrators_process_never_loads_the_server():
    program = "import sys, ihobs.telemetry.exporter; print([n for n in sys.modules if n in ('starlette', 'uvicorn')])"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "[]\n"
