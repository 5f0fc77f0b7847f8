"""Roll-ups over time: folding keeps every total, late spans find their place, windows say what they cover."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ihobs.clock import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from ihobs.model import bucket_index
from ihobs.store import query
from ihobs.store.home import Home
from ihobs.store.retention import Retention
from ihobs.store.telemetry import TelemetryStore

WORKFLOW = {"ihobs.kind": "workflow"}


@pytest.fixture
def run(store, build, clock):
    """Store one run that ended so long ago."""
    numbers = iter(range(1, 10_000))

    def add(ago_ns=0, took_s=1.0, **more):
        number = next(numbers)
        ago_s = (build.now_ns - (clock() - ago_ns)) / SECOND_NS
        span = {"trace": number, "ago_s": ago_s, "took_s": took_s, "attributes": WORKFLOW, **more}
        return store.ingest(build.request((number, span)), live=False)

    return add


def rows(store, table):
    with store.database.read() as connection:
        return connection.execute(f"SELECT count(*) FROM rollup_{table} WHERE spans != 0").fetchone()[0]


def everywhere(store):
    [group] = query.metrics(store.database, start_ns=0, end_ns=2**62).groups
    return group.counters.runs, group.run_durations


def test_folding_moves_old_buckets_to_coarser_tables_and_changes_no_total(store, run, clock):
    for minute in range(0, 180, 7):
        run(ago_ns=minute * MINUTE_NS, took_s=minute)
    before = everywhere(store)
    ten_seconds = rows(store, "10s")

    for _ in range(40):
        clock.forward(DAY_NS // 2)
        store.maintain()
        assert everywhere(store) == before
    assert (ten_seconds, rows(store, "10s"), rows(store, "1m")) == (26, 0, 0)
    assert rows(store, "1h") >= 3


def test_hours_are_kept_for_400_days_and_no_longer(home, build, clock):
    with TelemetryStore(home, clock=clock) as store:
        store.ingest(build.request((1, {"ago_s": 10, "attributes": WORKFLOW})), live=False)
        clock.forward(399 * DAY_NS)
        store.maintain()
        assert rows(store, "1h") == 1
        clock.forward(2 * DAY_NS)
        store.maintain()
        assert rows(store, "1h") == 0


def test_an_import_of_old_files_is_counted_as_long_as_its_spans_are_stored(store, run, clock):
    run(ago_ns=700 * DAY_NS)
    clock.forward(29 * DAY_NS)
    store.maintain()
    assert everywhere(store)[0] == 1

    for _ in range(3):
        clock.forward(DAY_NS)
        store.maintain()
    assert rows(store, "1h") == 0


@pytest.mark.parametrize("ago_ns", [0, 3 * HOUR_NS, 13 * DAY_NS, 15 * DAY_NS, 60 * DAY_NS, 500 * DAY_NS])
def test_a_late_span_of_a_folded_period_counts_in_its_own_time(store, run, ago_ns, clock):
    store.maintain()
    run(ago_ns=ago_ns, took_s=2)
    at_ns = clock() - ago_ns

    found = query.metrics(store.database, start_ns=at_ns - SECOND_NS, end_ns=at_ns + SECOND_NS)

    [group] = found.groups
    assert (group.counters.runs, group.run_durations.sum_ns) == (1, 2 * SECOND_NS)
    assert found.start_ns <= at_ns <= found.end_ns
    [elsewhere] = query.metrics(store.database, start_ns=0, end_ns=2**62).groups
    assert elsewhere.counters.runs == 1


def test_a_correction_of_a_folded_period_takes_back_what_was_counted_there(store, build, clock):
    store.ingest(build.request((2, {"parent": 1, "ago_s": 10_000, "attributes": {"ihobs.kind": "agent"}})), live=False)
    store.settle(everything=True)
    assert everywhere(store)[0] == 1
    for _ in range(20):
        clock.forward(DAY_NS)
        store.maintain()

    store.ingest(build.request((1, {"ago_s": 9_000, "took_s": 3, "attributes": WORKFLOW})), live=False)

    runs, durations = everywhere(store)
    assert (runs, durations.sum_ns, durations.count) == (1, 3 * SECOND_NS, 1)
    with store.database.read() as connection:
        for table in ("10s", "1m", "1h"):
            assert connection.execute(f"SELECT min(runs) >= 0 FROM rollup_{table}").fetchone()[0] in (1, None)


@pytest.mark.parametrize(
    ("ago_ns", "width_ns"),
    [(MINUTE_NS, 10 * SECOND_NS), (5 * HOUR_NS, MINUTE_NS), (20 * DAY_NS, HOUR_NS)],
)
def test_a_window_is_widened_to_whole_buckets_and_says_so(store, run, clock, ago_ns, width_ns):
    run(ago_ns=ago_ns)
    store.maintain()
    at_ns = clock() - ago_ns

    found = query.metrics(store.database, start_ns=at_ns - 1, end_ns=at_ns + 1)

    assert (found.start_ns % width_ns, found.end_ns % width_ns) == (0, 0)
    assert found.end_ns - found.start_ns <= 2 * width_ns
    assert sum(group.counters.runs for group in found.groups) == 1


def test_an_empty_window_is_what_was_asked_for_and_says_when_the_newest_data_is(store, run, clock):
    run(ago_ns=HOUR_NS)
    found = query.metrics(store.database, start_ns=clock(), end_ns=clock())
    assert (found.start_ns, found.end_ns, found.groups) == (clock(), clock(), ())
    assert abs(found.newest_ns - (clock() - HOUR_NS)) <= 10 * SECOND_NS


AGES = st.one_of(
    st.integers(0, 3 * 3600), st.integers(0, 3 * 86_400), st.integers(0, 16 * 86_400), st.integers(0, 40 * 86_400)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ages_s=st.lists(AGES, min_size=1, max_size=25),
    maintained=st.lists(st.booleans(), min_size=3, max_size=3),
    window=st.tuples(AGES, AGES),
)
def test_a_window_over_all_resolutions_equals_counting_by_hand(
    tmp_path_factory, build, clock, ages_s, maintained, window
):
    """Spans come in three portions, the store is folded in between or not; the window is then counted by hand."""
    now_ns = build.now_ns
    keep = Retention(payload_ns=100 * DAY_NS, spans_ns=100 * DAY_NS)
    home = Home.open(tmp_path_factory.mktemp("home") / "h", create=True)
    with TelemetryStore(home, clock=lambda: now_ns, retention=keep) as store:
        for portion, fold_now in enumerate(maintained):
            spans = [
                (number + 1, {"trace": number + 1, "ago_s": age, "took_s": age % 97 / 10, "attributes": WORKFLOW})
                for number, age in enumerate(ages_s)
                if number % 3 == portion
            ]
            store.ingest(build.request(*spans), live=False)
            if fold_now:
                store.maintain()
        start_s, end_s = (now_ns // SECOND_NS - age for age in (max(window), min(window)))
        found = query.metrics(store.database, start_ns=start_s * SECOND_NS, end_ns=end_s * SECOND_NS)

    assert found.start_ns <= start_s * SECOND_NS
    assert found.end_ns >= end_s * SECOND_NS
    inside = [age % 97 * SECOND_NS // 10 for age in ages_s if found.start_ns <= now_ns - age * SECOND_NS < found.end_ns]
    runs = sum(group.counters.runs for group in found.groups)
    buckets = Counter()
    for group in found.groups:
        buckets.update(dict(group.run_durations.buckets))
    assert runs == len(inside)
    assert sum(group.run_durations.sum_ns for group in found.groups) == sum(inside)
    assert buckets == Counter(bucket_index(duration) for duration in inside)
