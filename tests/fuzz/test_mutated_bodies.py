"""Bodies damaged in every way, over HTTP, against one real server that must outlive them all.

IHOBS_FUZZ=100000 sends so many; `make test-all` does. IHOBS_FUZZ_SEED begins at another.
"""

import http.client
import os
import re
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.fuzz.bodies import MIB, PATHS, PROTOBUF, Body, damaged, logs_request, spans_request
from tests.peers.serving import BOUND_S, serving

COUNT = int(os.environ.get("IHOBS_FUZZ", "2000"))
FIRST = int(os.environ.get("IHOBS_FUZZ_SEED", "0"))
SENDERS = 16
BETWEEN = 25
"""After so many damaged bodies comes a whole one."""

ALLOWED = {200, 307, 400, 404, 413, 415, 429}
"""What a body may be answered. 5xx is not among them: the store can commit all the time."""

MOST_RSS_BYTES = 1024 * MIB
"""At its peak: one body is parsed at a time, of 20 MiB at most, and becomes objects of up to 35 times its size."""


class Sender(threading.Thread):
    """Sends the bodies of every `SENDERS`th seed, and whole requests between them."""

    def __init__(self, port, number):
        super().__init__()
        self.port, self.number = port, number
        self.answers, self.unexpected, self.whole = Counter(), {}, 0
        self.error = None

    def run(self):
        try:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND_S)
            for count, seed in enumerate(range(FIRST + self.number, FIRST + COUNT, SENDERS)):
                if count % BETWEEN == 0:
                    self.send_whole()
                status = self.post(damaged(seed))
                self.answers[status] += 1
                if status not in ALLOWED:
                    self.unexpected[seed] = status
            self.connection.close()
        except Exception as error:
            self.error = error

    def post(self, body):
        headers = {"content-type": body.content_type, **body.headers}
        self.connection.request("POST", body.path, body.data, headers)
        answer = self.connection.getresponse()
        self.said = answer.read()
        return answer.status

    def send_whole(self):
        """Send three spans and two log records, again while there is no room, and see that all are taken."""
        self.whole += 1
        trace_id = b"\xaa" + self.number.to_bytes(3) + self.whole.to_bytes(12)
        spans = spans_request("whole", trace_id, [number.to_bytes(8) for number in (1, 2, 3)])
        for signal, message in (("spans", spans), ("logs", logs_request("whole", trace_id, 2))):
            body = Body(PATHS[signal], PROTOBUF, message.SerializeToString())
            while (status := self.post(body)) == http.client.TOO_MANY_REQUESTS:
                pass
            assert (status, self.said) == (http.client.OK, b"")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_no_body_harms_the_server_or_a_whole_one_beside_it(tmp_path):
    home = tmp_path / "home"
    with serving(home) as (process, url):
        port = int(url.rpartition(":")[2])
        senders = [Sender(port, number) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert [sender.error for sender in senders if sender.error] == []
        answers = sum((sender.answers for sender in senders), Counter())
        peak_bytes, now_bytes = memory(process.pid, "VmHWM"), memory(process.pid, "VmRSS")
        print(f"{COUNT} bodies: {dict(sorted(answers.items()))}; RSS {now_bytes >> 20} MiB, at most {peak_bytes >> 20}")
        assert {seed: status for sender in senders for seed, status in sender.unexpected.items()} == {}
        assert answers.total() == COUNT
        assert answers[200] > COUNT / 10
        assert answers[400] > COUNT / 10
        assert peak_bytes < MOST_RSS_BYTES
        assert process.poll() is None
    whole = sum(sender.whole for sender in senders)
    assert stored_of_whole(home) == (3 * whole, 2 * whole)


def memory(pid, name):
    """Return a size that /proc tells of a process, in bytes."""
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


def stored_of_whole(home):
    """Return how many spans and log records of the whole requests a home holds."""
    [path] = home.glob("data/*/telemetry.db")
    connection = sqlite3.connect(path)
    [[spans]] = connection.execute(
        "SELECT count(*) FROM span JOIN trace ON trace.no = span.trace_no WHERE substr(trace_id, 1, 1) = x'AA'"
    )
    [[records]] = connection.execute("SELECT count(*) FROM log_record WHERE substr(trace_id, 1, 1) = x'AA'")
    connection.close()
    return spans, records
