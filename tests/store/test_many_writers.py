"""Several processes on one home: nothing is lost, nothing is counted twice, nobody finds the door locked.

IHOBS_STRESS_S=60 makes the run at full speed last a minute and prints how long its commits took.
"""

import contextlib
import os
import random
import sqlite3
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import SECOND_NS
from ihobs.spans.decode import read_file
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore

PROGRAM = Path(__file__).parent / "programs" / "ingest_file.py"
NOW_NS = 1_800_000_000 * SECOND_NS
STRESS_S = float(os.environ.get("IHOBS_STRESS_S", "0"))


class Writer:
    """A process that ingests one file."""

    def __init__(self, home, path):
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(home.path), str(path), str(NOW_NS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self):
        assert self.process.stdout.readline() == "ready\n"

    def begin(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def kill_after(self, commits):
        """Kill it, without a warning, after so many commits; return whether it was still at work."""
        for _ in range(commits):
            if not self.process.stdout.readline():
                break
        self.process.kill()
        self.process.communicate()
        return self.process.returncode != 0

    def finish(self):
        """Return how long each commit took, in seconds."""
        told, _ = self.process.communicate()
        assert self.process.returncode == 0
        return [int(line) / 1e9 for line in told.split()]


def write_requests(path, requests):
    with path.open("wb") as file:
        for request in requests:
            body = request.SerializeToString()
            length = len(body)
            while length >= 0x80:
                file.write(bytes([length & 0x7F | 0x80]))
                length >>= 7
            file.write(bytes([length]) + body)
    return path


def scatter(requests, rng, *, writers, spans_a_request):
    """Deal the spans of `requests` to so many writers, as requests of at most so many spans; a tenth of them twice."""
    singles = []
    for request in requests:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                singles += [(resource.resource, scope.scope, span) for span in scope.spans]
    singles += rng.sample(singles, len(singles) // 10)
    rng.shuffle(singles)
    hands = [[] for _ in range(writers)]
    while singles:
        request = ExportTraceServiceRequest()
        for resource, scope, span in [singles.pop() for _ in range(min(len(singles), rng.randint(1, spans_a_request)))]:
            request.resource_spans.add(resource=resource).scope_spans.add(scope=scope).spans.append(span)
        rng.choice(hands).append(request)
    return hands


def made_up(build, traces):
    """Traces with a workflow, a retried node, nested calls, and one in seven whose workflow never comes."""
    for trace in range(1, traces + 1):
        common = {"trace": trace, "ago_s": 40_000 - 7 * trace % 39_000}
        kinds = {"ihobs.kind": "llm", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": trace % 50}
        spans = [
            (10, {"parent": 1, "attributes": {"ihobs.kind": "node", "ihobs.attempt_key": "k"}, "failed": True}),
            (11, {"parent": 1, "attributes": {"ihobs.kind": "node", "ihobs.attempt_key": "k"}, "took_s": 2.0}),
            (12, {"parent": 11, "attributes": kinds}),
            (13, {"parent": 12, "attributes": kinds, "failed": trace % 5 == 0}),
            (14, {"parent": 11, "attributes": {"ihobs.kind": "tool"}, "took_s": trace % 13 / 10}),
        ]
        if trace % 7:
            spans.append((1, {"attributes": {"ihobs.kind": "workflow"}, "name": f"flow-{trace % 3}"}))
        yield build.request(*((span_id, {"name": "s", **common, **more}) for span_id, more in spans))


def clean_import(path, requests, ledger):
    with TelemetryStore(Home.open(path, create=True), clock=lambda: NOW_NS) as store:
        store.ingest_many(requests, live=False)
        store.settle(everything=True)
        return ledger(store)


def settled(home, ledger):
    with TelemetryStore(home, clock=lambda: NOW_NS) as store:
        store.settle(everything=True)
        found = ledger(store)
    with contextlib.closing(sqlite3.connect(home.database("telemetry"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def all_requests(traces_dir):
    files = [path for path in sorted(traces_dir.rglob("*.json*")) if "tau2" not in path.name]
    return [chunk.request for path in files for chunk in read_file(path)]


def test_eight_writers_at_full_speed_lose_nothing_and_end_with_the_totals_of_one_import(
    home, tmp_path, build, ledger, capsys
):
    rng = random.Random(8)
    traces = 800 if not STRESS_S else round(STRESS_S * 900)
    requests = list(made_up(build, traces))
    hands = scatter(requests, rng, writers=8, spans_a_request=60 if not STRESS_S else 256)
    writers = [Writer(home, write_requests(tmp_path / f"{n}.pb", hand)) for n, hand in enumerate(hands)]
    for writer in writers:
        writer.wait_until_ready()
    for writer in writers:
        writer.begin()
    took_s = [seconds for writer in writers for seconds in writer.finish()]

    assert len(took_s) == sum(len(hand) for hand in hands)
    assert settled(home, ledger) == clean_import(tmp_path / "clean", requests, ledger)
    if STRESS_S:
        cuts = statistics.quantiles(took_s, n=100)
        with capsys.disabled():
            print(f"\n{len(took_s)} commits, p50 {cuts[49]:.3f} s, p99 {cuts[98]:.3f} s, max {max(took_s):.3f} s")


@pytest.mark.parametrize("seed", [1, 2])
def test_writers_killed_at_random_points_that_send_their_files_again_end_with_the_totals_of_one_import(
    home, tmp_path, traces_dir, ledger, seed
):
    rng = random.Random(seed)
    requests = all_requests(traces_dir)
    hands = scatter(requests, rng, writers=rng.randint(2, 4), spans_a_request=40)
    paths = [write_requests(tmp_path / f"{n}.pb", hand) for n, hand in enumerate(hands)]

    killed = 0
    for _ in range(2):  # all are killed twice, somewhere, while the others write; then all come to their end
        writers = [Writer(home, path) for path in paths]
        for writer in writers:
            writer.wait_until_ready()
            writer.begin()
        killed += sum(writer.kill_after(rng.randint(0, 12)) for writer in writers)
    writers = [Writer(home, path) for path in paths]
    for writer in writers:
        writer.begin()
    for writer in writers:
        writer.wait_until_ready()
        writer.finish()

    assert killed
    assert settled(home, ledger) == clean_import(tmp_path / "clean", requests, ledger)


def test_the_real_traces_in_any_order_and_split_count_as_in_one_import(tmp_path, traces_dir, ledger):
    requests = all_requests(traces_dir)
    whole = clean_import(tmp_path / "whole", requests, ledger)
    [hand] = scatter(requests, random.Random(3), writers=1, spans_a_request=25)
    with TelemetryStore(Home.open(tmp_path / "split", create=True), clock=lambda: NOW_NS) as store:
        for number, request in enumerate(hand):
            store.ingest(request, live=False)
            if number % 9 == 0:
                store.settle(everything=True)  # gives up on ancestors that are still to come
        store.settle(everything=True)
        found = ledger(store)
    for name, rows in whole.items():
        if name != "spans":  # a span once given up on keeps its mark, and does not count as such any more
            assert found[name] == rows
