"""The spool keeps what it acknowledged, whoever is killed when, and hands it on in order, once it can be taken."""

import os
import random
import signal
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from ihobs.clock import MINUTE_NS, SECOND_NS
from ihobs.errors import StoreUnavailableError
from ihobs.guard import guard
from ihobs.store import spool as module
from ihobs.store.losses import Loss, move_losses, note_losses, read_losses
from ihobs.store.query import metrics
from ihobs.store.spool import Spool, Waiting, bring_in


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def spool(directory, clock):
    return Spool(directory, clock=clock)


@pytest.fixture
def one(build):
    """Make a request of one span with this number, as bytes; `padding` characters longer."""

    def one(number, padding=0):
        return build.request((number, {"name": f"s{number}" + "x" * padding, "trace": number})).SerializeToString()

    return one


def numbers_in(request):
    spans = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
    return [int.from_bytes(span.span_id, "big") for span in spans]


class Taker:
    """Takes what is handed on, `at_most` groups."""

    def __init__(self, at_most=10**6):
        self.numbers, self.groups, self.at_most = [], 0, at_most

    def __call__(self, group):
        if self.groups >= self.at_most:
            return False
        self.groups += 1
        for request in group.requests:
            self.numbers += numbers_in(request)
        return True


def drained(spool):
    taker = Taker()
    assert spool.drain(taker)
    return taker.numbers


def stored_spans(store):
    with store.database.read() as connection:
        return connection.execute("SELECT count(*) FROM span").fetchone()[0]


def test_what_is_appended_is_handed_on_in_order_once(spool, one, directory):
    for number in range(1, 6):
        assert spool.append(one(number)) == 0
    assert drained(spool) == [1, 2, 3, 4, 5]
    assert list(directory.iterdir()) == []
    assert drained(spool) == []


def test_an_empty_spool_is_not_made(spool, directory):
    assert drained(spool) == []
    assert spool.waiting() == Waiting()
    assert not directory.exists()


def test_a_spool_below_a_home_that_is_gone_does_not_bring_it_back(tmp_path, one):
    with pytest.raises(StoreUnavailableError):
        Spool(tmp_path / "gone" / "spool").append(one(1))
    assert not (tmp_path / "gone").exists()


def test_what_waits_is_told(spool, one, clock):
    spool.append(one(1))
    spool.append(one(2))
    clock.forward(SECOND_NS)
    found = spool.waiting()
    assert (found.files, found.since_ns) == (1, clock() - SECOND_NS)
    assert found.size_bytes == len(one(1)) + len(one(2)) + 2


def test_files_are_for_their_owner_only(spool, one, directory):
    spool.append(one(1))
    [path] = directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert path.name == f"{os.getpid()}-{spool._clock()}.otlp.pb"


def test_the_form_is_what_import_reads(spool, one, directory):
    from ihobs.spans.decode import read_file

    spool.append(one(1))
    spool.append(one(2, padding=70_000))
    [path] = directory.iterdir()
    assert [numbers_in(chunk.request) for chunk in read_file(path)] == [[1], [2]]


def test_a_file_that_is_not_taken_whole_stays_and_is_handed_on_again(spool, one, monkeypatch):
    monkeypatch.setattr(module, "GROUP_SPANS", 2)
    for number in range(1, 6):
        spool.append(one(number))
    taker = Taker(at_most=2)
    assert not spool.drain(taker)
    assert taker.numbers == [1, 2, 3, 4]
    assert drained(spool) == [1, 2, 3, 4, 5]


def test_large_requests_are_not_grouped(spool, one, monkeypatch):
    monkeypatch.setattr(module, "GROUP_BYTES", 1000)
    for number in range(1, 5):
        spool.append(one(number, padding=600))
    taker = Taker()
    spool.drain(taker)
    assert (taker.groups, taker.numbers) == (2, [1, 2, 3, 4])


def test_a_full_file_is_followed_by_another_and_files_are_handed_on_one_by_one(spool, one, directory, monkeypatch):
    monkeypatch.setattr(module, "FILE_BYTES", 200)
    for number in range(1, 8):
        spool.append(one(number))
    files = len(list(directory.iterdir()))
    assert files > 1
    taker = Taker()
    for left in range(files - 1, -1, -1):
        assert spool.drain(taker, files=1) == (left == 0)
    assert taker.numbers == [1, 2, 3, 4, 5, 6, 7]


def test_beyond_the_bound_the_oldest_file_goes_and_is_counted(directory, one, clock, monkeypatch):
    monkeypatch.setattr(module, "FILE_BYTES", 500)
    spool = Spool(directory, max_bytes=2000, clock=clock)
    dropped = sum(spool.append(one(number)) for number in range(1, 101))
    assert sum(path.stat().st_size for path in directory.iterdir()) <= 2000
    kept = drained(spool)
    assert dropped + len(kept) == 100
    assert kept == list(range(dropped + 1, 101))
    assert len(kept) > 5


def test_a_request_larger_than_the_bound_is_refused_and_costs_nothing(directory, one, clock):
    spool = Spool(directory, max_bytes=500, clock=clock)
    spool.append(one(1))
    with pytest.raises(StoreUnavailableError, match="too large"):
        spool.append(one(2, padding=600))
    assert drained(spool) == [1]


def test_a_file_in_the_hands_of_another_is_left_alone_and_not_appended_to(spool, one, directory, clock):
    spool.append(one(1))
    inner = []

    def deliver(group):
        assert drained(Spool(directory)) == []  # the only file is claimed
        spool.append(one(2))  # goes into a file of its own
        inner.append(numbers_in(group.requests[0]))
        return True

    assert spool.drain(deliver)
    assert inner == [[1]]
    assert drained(spool) == [2]


def test_a_write_that_fails_leaves_what_was_there(spool, one, monkeypatch, directory):
    """A real limit of the system on the length of a file stands for the full disk."""
    program = textwrap.dedent("""
        import resource, signal, sys
        from pathlib import Path
        from ihobs.errors import StoreUnavailableError
        from ihobs.store.spool import Spool

        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        spool, request = Spool(Path(sys.argv[1])), bytes.fromhex(sys.argv[2])
        taken = 0
        try:
            while True:
                spool.append(request)
                taken += 1
        except StoreUnavailableError as error:
            assert error.reason == "File too large", error
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        spool.append(request)
        print(taken)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, directory, one(1, padding=100).hex()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert drained(spool) == [1] * (int(done.stdout) + 1)
    assert int(done.stdout) > 2


@pytest.mark.parametrize("cut_bytes", [1, 2, 30, 60])
def test_a_cut_tail_costs_only_the_request_that_was_not_acknowledged(spool, one, directory, caplog, cut_bytes):
    for number in (1, 2, 3):
        spool.append(one(number))
    [path] = directory.iterdir()
    os.truncate(path, path.stat().st_size - cut_bytes)
    assert drained(spool)[:2] == [1, 2]
    assert "cut off" in caplog.text
    assert list(directory.iterdir()) == []


def test_a_damaged_file_blocks_nobody(spool, one, directory, clock):
    directory.mkdir()
    (directory / "1-1.otlp.pb").write_bytes(b"\xff" * 100)
    (directory / "1-2.otlp.pb").write_bytes(b"")
    (directory / "notes.txt").write_text("not ours")
    spool.append(one(1))
    assert drained(spool) == [1]
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]


KILLED = """
import sys
from pathlib import Path
from ihobs.store.spool import Spool
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

spool, first = Spool(Path(sys.argv[1])), int(sys.argv[2])
for number in range(first, first + 100_000):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(span_id=number.to_bytes(8, "big"), name="x" * 3000)
    spool.append(request.SerializeToString())
    print(number, flush=True)
"""


def test_processes_killed_while_they_write_and_one_that_hands_on_lose_nothing_acknowledged(directory, caplog):
    rng = random.Random(1)
    acknowledged, taken = set(), []
    spool = Spool(directory)
    for round_ in range(2):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", KILLED, directory, str((round_ * 3 + which + 1) * 1_000_000)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for which in range(3)
        ]
        for writer in writers:
            for _ in range(rng.randint(1, 60)):
                acknowledged.add(int(writer.stdout.readline()))
            spool.drain(lambda group: taken.extend(map(numbers_in, group.requests)) is None)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            acknowledged.update(int(line) for line in writer.communicate()[0].splitlines(keepends=True) if "\n" in line)
    spool.drain(lambda group: taken.extend(map(numbers_in, group.requests)) is None)
    found = {number for numbers in taken for number in numbers}
    assert len(acknowledged) > 10
    assert found >= acknowledged
    assert len(found - acknowledged) <= 2 * 6  # written, and killed before it was told


def test_threads_share_a_spool_and_several_hand_it_on_at_once(directory, one, monkeypatch):
    monkeypatch.setattr(module, "FILE_BYTES", 1000)
    spool = Spool(directory)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: spool.append(one(number)), range(1, 201)))
        takers = [Taker() for _ in range(4)]
        list(pool.map(Spool(directory).drain, takers))
    assert sorted(number for taker in takers for number in taker.numbers) == list(range(1, 201))


def test_a_forked_child_writes_to_a_file_of_its_own(directory, one):
    spool = Spool(directory)
    spool.append(one(1))
    child = os.fork()
    if not child:
        os._exit(Spool(directory).append(one(2)))
    assert os.waitpid(child, 0)[1] == 0
    assert {path.name.split("-")[0] for path in directory.iterdir()} == {str(os.getpid()), str(child)}


class TestBringingIn:
    def test_it_is_stored_and_counted_once(self, spool, store, one, clock):
        for number in (1, 2, 3):
            spool.append(one(number))
        store.ingest_many([])
        assert bring_in(spool, store, clock=clock)
        spool.append(one(3))
        assert bring_in(spool, store, clock=clock)
        assert stored_spans(store) == 3

    def test_what_waited_for_long_counts_in_its_own_minute_and_as_imported(self, directory, store, build, clock):
        build.now_ns = clock()
        for wait_ns, number in ((0, 1), (2 * MINUTE_NS, 2)):
            spool = Spool(directory, clock=clock)
            spool.append(build.request((number, {"trace": number})).SerializeToString())
            [path] = directory.iterdir()
            os.utime(path, ns=(clock() - wait_ns, clock() - wait_ns))
            assert bring_in(spool, store, clock=clock)
        with store.database.read() as connection:
            assert connection.execute("SELECT live FROM payload ORDER BY id").fetchall() == [(1,), (0,)]
        ended_ns = clock() - MINUTE_NS
        [group] = metrics(store.database, start_ns=ended_ns, end_ns=ended_ns + 10 * SECOND_NS).groups
        assert group.counters.spans == 2

    def test_what_the_home_cannot_take_waits(self, spool, store, one, home, clock):
        store.ingest_many([])
        store.settle()
        spool.append(one(1))
        current = (home.path / "CURRENT").read_text()
        (home.path / "CURRENT").unlink()
        with pytest.raises(StoreUnavailableError):
            bring_in(spool, store, clock=clock)
        (home.path / "CURRENT").write_text(current)
        assert bring_in(spool, store, clock=clock)
        assert stored_spans(store) == 1

    def test_an_error_of_ours_costs_its_group_and_not_those_behind(self, spool, store, one, monkeypatch, clock):
        monkeypatch.setattr(guard, "strict", False)
        monkeypatch.setattr(module, "GROUP_SPANS", 1)
        ingest_many = store.ingest_many

        def poisoned(requests, *, live):
            if numbers_in(requests[0]) == [2]:
                raise ZeroDivisionError
            return ingest_many(requests, live=live)

        monkeypatch.setattr(store, "ingest_many", poisoned)
        for number in (1, 2, 3):
            spool.append(one(number))
        assert bring_in(spool, store, clock=clock)
        assert stored_spans(store) == 2
        with store.database.read() as connection:
            assert connection.execute("SELECT reason, spans FROM dropped").fetchall() == [("fault of ihobs", 1)]


class TestLosses:
    def test_they_add_up_by_reason_and_are_moved_once(self, directory):
        note_losses(directory, {"queue full": 2, "spool full": 9}, 5)
        note_losses(directory, {"queue full": 1}, 7)
        assert read_losses(directory) == (Loss("spool full", 9, 5), Loss("queue full", 3, 7))
        moved = {}
        assert move_losses(directory, moved.__setitem__) == 12
        assert moved == {"spool full": 9, "queue full": 3}
        assert move_losses(directory, moved.__setitem__) == 0
        assert read_losses(directory) == ()

    def test_what_could_not_be_recorded_stays(self, directory):
        note_losses(directory, {"a": 5, "b": 1}, 5)

        def record(reason, spans):
            if reason == "b":
                raise StoreUnavailableError(directory, "is locked")

        with pytest.raises(StoreUnavailableError):
            move_losses(directory, record)
        assert read_losses(directory) == (Loss("b", 1, 5),)

    def test_without_a_home_they_cannot_be_noted(self, tmp_path):
        with pytest.raises(StoreUnavailableError):
            note_losses(tmp_path / "gone" / "spool", {"a": 1}, 5)
