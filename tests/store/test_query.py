"""Windows over remembered hours give what a reading without memory gives."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.conftest import NOW_NS

from ihobs.clock import HOUR_NS, SECOND_NS
from ihobs.store.home import Home
from ihobs.store.hours import HourMemory
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

HOUR_NOW_S = NOW_NS // HOUR_NS * 3600 - NOW_NS // SECOND_NS  # where the hour began, in seconds from now


def run(build, span_id, ago_s, took_s=1.0):
    return build.request((span_id, {"trace": span_id, "ago_s": ago_s, "took_s": took_s,
                                    "attributes": {"ihobs.kind": "workflow"}}))  # fmt: skip


def runs(store, start_ago_s, end_ago_s=0, **more):
    found = metrics(
        store.database, start_ns=NOW_NS - start_ago_s * SECOND_NS, end_ns=NOW_NS - end_ago_s * SECOND_NS, **more
    )
    return found.groups[0] if found.groups else None


def test_a_remembered_hour_is_read_again_after_a_late_span(store, build):
    store.ingest(run(build, 1, 5 * 3600), live=False)
    assert runs(store, 8 * 3600).counters.runs == 1

    store.ingest(run(build, 2, 5 * 3600, took_s=7.0), live=False)

    group = runs(store, 8 * 3600)
    assert group.counters.runs == 2
    assert sum(count for _, count in group.run_durations.buckets) == 2


def test_another_process_that_writes_is_noticed(store, build, home, clock):
    store.ingest(run(build, 1, 5 * 3600), live=False)
    runs(store, 8 * 3600)
    with TelemetryStore(home, clock=clock) as other:
        other.ingest(run(build, 2, 5 * 3600), live=False)

    assert runs(store, 8 * 3600).counters.runs == 2


def test_without_durations_the_sums_and_means_stay(store, build):
    store.ingest(run(build, 1, 60, took_s=3.0))

    group = runs(store, 600, durations=False)

    assert group.run_durations.buckets == ()
    assert group.run_durations.mean_s() == 3.0


def test_the_open_hour_is_read_by_the_hour_only_when_nothing_follows_the_window(store, build):
    store.ingest(run(build, 1, 3 * 3600 + 1800), live=False)
    store.ingest(run(build, 2, 60), live=False)

    assert runs(store, 4 * 3600, 3 * 3600).counters.runs == 1
    assert runs(store, 4 * 3600).counters.runs == 2


def test_a_long_window_begins_at_a_full_hour_and_says_so(store, build):
    store.ingest(run(build, 1, 60))

    found = metrics(store.database, start_ns=NOW_NS - 7 * HOUR_NS - 5 * SECOND_NS, end_ns=NOW_NS)

    assert found.start_ns % HOUR_NS == 0
    assert NOW_NS <= found.end_ns < NOW_NS + 10 * SECOND_NS


def test_the_memory_is_bounded(store, build, monkeypatch):
    monkeypatch.setattr("ihobs.store.hours.MAX_MEMORIES", 3)
    memory = HourMemory()
    for hour in range(1, 8):
        store.ingest(run(build, hour, hour * 3600), live=False)
    from ihobs.store.parts import Question

    with store.database.read() as connection:
        first = NOW_NS // HOUR_NS - 10
        memory.read(connection, first, first + 11, Question((), (), ("llm",), durations=True))
    assert len(memory._parts) == 3


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(0, 30 * 3600), st.floats(0, 50)), min_size=1, max_size=12),
    questions=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 31 * 3600), st.integers(0, 9 * 3600)), max_size=6),
)
def test_answers_with_memory_equal_counting_by_hand(tmp_path_factory, build, clock, spans, questions):
    home = Home.open(tmp_path_factory.mktemp("home") / "h", create=True)
    with TelemetryStore(home, clock=clock) as store:
        stored = []
        asked = sorted(questions)
        for number, (ago_s, took_s) in enumerate(spans, 1):
            store.ingest(run(build, number, ago_s, took_s), live=False)
            stored.append(NOW_NS - ago_s * SECOND_NS)
            while asked and asked[0][0] <= number:
                _, start_ago_s, length_s = asked.pop(0)
                end_ns = NOW_NS - max(0, start_ago_s - length_s) * SECOND_NS
                found = metrics(store.database, start_ns=NOW_NS - start_ago_s * SECOND_NS, end_ns=end_ns)
                expected = sum(found.start_ns <= moment < found.end_ns for moment in stored)
                got = found.groups[0] if found.groups else None
                assert (got.counters.runs if got else 0) == expected
                assert sum(count for _, count in got.run_durations.buckets) == expected if got else True


@pytest.mark.parametrize("window_s", [60, 3600, 5 * 3600, 30 * 3600])
def test_an_empty_store_has_no_groups(store, window_s):
    assert runs(store, window_s) is None
