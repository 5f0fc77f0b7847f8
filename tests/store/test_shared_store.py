"""One store used by threads, by forked children, and on a disk that fills up: what it remembers stays true."""

import os
import random
import threading

import pytest

from ihobs.errors import StoreUnavailableError
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore

LLM = {"ihobs.kind": "llm", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10}


def request_of(build, number):
    """A run with two calls; one name in three is new."""
    name = f"n{number % 3 * number}"
    common = {"trace": number, "name": name}
    return build.request(
        (1, {**common, "attributes": {"ihobs.kind": "workflow"}}),
        (2, {**common, "parent": 1, "attributes": LLM, "failed": number % 4 == 0}),
        (3, {**common, "parent": 1, "attributes": {"ihobs.kind": "tool"}}),
    )


@pytest.fixture
def clean(tmp_path, build, clock, ledger):
    """What a store holds that got the requests of these numbers and nothing else."""

    def read(numbers):
        with TelemetryStore(Home.open(tmp_path / "clean", create=True), clock=clock) as store:
            store.ingest_many([request_of(build, number) for number in numbers])
            return ledger(store)

    return read


def test_threads_that_ingest_together_while_some_transactions_fail_count_like_one(
    store, build, ledger, clean, monkeypatch
):
    from ihobs.store import telemetry

    rng = random.Random(1)
    real = telemetry.store_delivery

    def fail_sometimes(change, delivery):
        result = real(change, delivery)
        if rng.random() < 0.3:
            raise OSError(28, "No space left on device")
        return result

    monkeypatch.setattr(telemetry, "store_delivery", fail_sometimes)

    def work(numbers):
        for number in numbers:
            stored = False
            while not stored:
                try:
                    store.ingest(request_of(build, number))
                    stored = True
                except StoreUnavailableError:
                    pass

    threads = [threading.Thread(target=work, args=(range(first, 121, 6),)) for first in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger(store) == clean(range(1, 121))


def test_a_forked_child_and_its_parent_ingest_with_the_same_store(store, build, ledger, clean):
    for number in range(1, 10):
        store.ingest(request_of(build, number))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for number in range(10, 30):
                store.ingest(request_of(build, number))
            code = 0
        finally:
            os._exit(code)
    for number in range(30, 50):
        store.ingest(request_of(build, number))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for number in range(50, 60):
        store.ingest(request_of(build, number))
    assert ledger(store) == clean(range(1, 60))


def test_what_a_full_disk_refused_is_stored_when_it_comes_again(store, build, ledger, clean):
    store.ingest(request_of(build, 1))
    with store.database.idle() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
    refused, reasons = [], set()
    for number in range(2, 200):
        try:
            store.ingest(request_of(build, number))
        except StoreUnavailableError as error:
            reasons.add(error.reason)
            refused.append(number)
    assert reasons == {"the disk is full"}
    with store.database.idle() as connection:
        connection.execute("PRAGMA max_page_count=100000")
    for number in refused:
        store.ingest(request_of(build, number))
    assert ledger(store) == clean(range(1, 200))


def test_a_restored_home_is_ingested_into_with_its_own_numbers(home, store, build, ledger, clean):
    for number in range(1, 20):
        store.ingest(request_of(build, number))
    (home.path / "data" / "g0002").mkdir()
    home.write_current("g0002")  # empty: the numbers of shapes and series that are remembered mean nothing here

    for number in range(1, 20):
        store.ingest(request_of(build, number))

    assert ledger(store) == clean(range(1, 20))
