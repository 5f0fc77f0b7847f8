"""Forgetting by receipt: payloads, then rows; days are sealed; pages are given back; years leave the totals true."""

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import DAY_NS, HOUR_NS, SECOND_NS
from ihobs.spans.batch import Rejection
from ihobs.store import query, retention, sweep
from ihobs.store.retention import Retention
from ihobs.store.telemetry import TelemetryStore

LLM = {"ihobs.kind": "llm", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10}
WORKFLOW = {"ihobs.kind": "workflow"}


def count(store, table, where="1"):
    with store.database.read() as connection:
        return connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]


def total(store):
    [group] = query.metrics(store.database, start_ns=0, end_ns=2**62).groups
    return group.counters


def ago(build, clock, seconds=1.0):
    """Seconds before the fixed now of `build` that are `seconds` before the clock's."""
    return (build.now_ns - clock()) / SECOND_NS + seconds


@pytest.fixture
def trace(build, clock):
    """A trace of a workflow and so many calls that ended just now."""

    def make(number, calls=1, name="flow", **more):
        common = {"trace": number, "ago_s": ago(build, clock), **more}
        spans = [(1, {**common, "attributes": WORKFLOW, "name": name})]
        spans += [(2 + n, {**common, "parent": 1, "attributes": LLM, "name": name}) for n in range(calls)]
        return build.request(*spans)

    return make


@pytest.fixture
def open_store(home, clock):
    opened = []

    def make(**settings):
        opened.append(TelemetryStore(home, clock=clock, retention=Retention(**settings)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def test_payloads_go_first_then_rows_and_totals_stay(open_store, trace, clock):
    store = open_store()
    store.ingest(trace(1, calls=3))
    before = total(store)

    clock.forward(7 * DAY_NS + HOUR_NS)
    store.maintain()
    assert (count(store, "payload"), count(store, "span")) == (0, 4)

    clock.forward(23 * DAY_NS)
    store.maintain()
    assert (count(store, "span"), count(store, "trace"), count(store, "sealed_day")) == (0, 0, 1)
    assert total(store) == before


def test_retention_goes_by_receipt_so_that_an_old_file_lives_as_long_as_any(open_store, trace, clock):
    store = open_store()
    store.ingest(trace(1, ago_s=300 * 86_400), live=False)
    store.maintain()
    clock.forward(6 * DAY_NS)
    store.maintain()
    assert (count(store, "payload"), count(store, "span")) == (1, 2)


def test_a_span_of_a_sealed_day_is_refused_and_one_of_another_day_counts(open_store, trace, clock):
    store = open_store()
    first = trace(1)
    store.ingest(first)
    clock.forward(31 * DAY_NS)
    store.maintain()

    again = store.ingest(first)
    assert (again.accepted, again.rejections) == (0, (Rejection("sealed day", 2),))
    mixed = ExportTraceServiceRequest()
    mixed.MergeFrom(first)
    mixed.MergeFrom(trace(2))
    result = store.ingest(mixed)
    assert (result.accepted, result.rejections) == (2, (Rejection("sealed day", 2),))
    assert total(store).runs == 2


def test_deletions_are_bounded_a_transaction(open_store, trace, clock, monkeypatch):
    monkeypatch.setattr(retention, "MAX_ROWS", 20)
    store = open_store()
    for number in range(1, 31):
        store.ingest(trace(number, calls=4))
    clock.forward(31 * DAY_NS)
    removed = []
    while True:
        with store.database.write() as connection:
            removed.append(retention.forget_some(connection, clock(), Retention()))
        if not removed[-1]:
            break
    assert max(removed) <= 2 * 20 + 10  # payloads, rows and their traces
    assert len(removed) > 5
    assert (count(store, "span"), count(store, "payload")) == (0, 0)


def test_one_trace_larger_than_the_bound_goes_too(open_store, trace, clock, monkeypatch):
    monkeypatch.setattr(retention, "MAX_ROWS", 20)
    store = open_store()
    store.ingest(trace(1, calls=50))
    clock.forward(31 * DAY_NS)
    store.maintain()
    assert count(store, "span") == 0


def fill(store, trace, clock, days, bytes_each=30_000):
    for day in range(1, days + 1):
        request = trace(day)
        for resource in request.resource_spans:
            attribute = resource.scope_spans[0].spans[0].attributes.add(key="prompt")
            attribute.value.string_value = bytes(range(33, 127)).decode() + str(hash((day, bytes_each))) * (
                bytes_each // 18
            )
        store.ingest(request)
        clock.forward(DAY_NS)


def test_too_large_a_database_forgets_the_oldest_and_never_what_came_today(open_store, trace, clock):
    store = open_store(payload_ns=1000 * DAY_NS, spans_ns=1000 * DAY_NS, max_bytes=1)
    fill(store, trace, clock, days=5)
    store.ingest(trace(99))

    store.maintain()

    assert count(store, "payload") == 0
    assert (count(store, "trace"), count(store, "span")) == (1, 2)
    assert count(store, "sealed_day") == 5
    assert total(store).runs == 6


def test_a_database_within_its_bound_forgets_nothing(open_store, trace, clock):
    store = open_store(payload_ns=1000 * DAY_NS, spans_ns=1000 * DAY_NS, max_bytes=50_000_000)
    fill(store, trace, clock, days=5)
    store.maintain()
    assert (count(store, "payload"), count(store, "trace")) == (5, 5)


def test_forgetting_for_size_never_seals_today_though_an_import_brought_spans_of_it_yesterday(
    open_store, trace, clock, build
):
    clock.now_ns = clock.now_ns // DAY_NS * DAY_NS + 20 * HOUR_NS
    store = open_store(max_bytes=1)
    store.ingest(trace(1, ago_s=ago(build, clock, -10 * 3600)), live=False)  # ends tomorrow, by a clock that is ahead
    clock.forward(5 * HOUR_NS)
    store.maintain()
    assert store.ingest(trace(2)).accepted == 2


def test_pages_are_given_back_to_the_file_system(open_store, trace, clock, home):
    store = open_store()
    for number in range(1, 40):
        store.ingest(trace(number, calls=100))
    clock.forward(31 * DAY_NS)
    store.close()  # the write-ahead log goes into the file
    full = home.database("telemetry").stat().st_size
    store.maintain()
    store.close()
    assert home.database("telemetry").stat().st_size < full / 2
    with store.database.read() as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone()[0] == 0
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


class TestSweep:
    def test_shapes_and_series_that_nothing_refers_to_are_removed(self, open_store, trace, clock):
        store = open_store()
        store.ingest(trace(1, name="old"))
        clock.forward(31 * DAY_NS)
        store.ingest(trace(2, name="new"))
        store.maintain()
        assert count(store, "shape", "name = 'old'") == 0
        assert count(store, "shape", "name = 'new'") == 2
        assert count(store, "series", "workflow = 'old'") == 2  # its hours are kept

        clock.forward(400 * DAY_NS)
        store.maintain()  # the hours go, and nobody uses the series from here on
        clock.forward(DAY_NS)
        store.maintain()
        assert count(store, "series", "workflow = 'old'") == 0

    def test_what_came_into_use_between_looking_and_removing_stays(self, open_store, trace, clock):
        store = open_store()
        store.ingest(trace(1, name="rare"))
        clock.forward(31 * DAY_NS)
        with store.database.write() as connection:
            while retention.forget_some(connection, clock(), Retention()):
                pass
        with store.database.read() as connection:
            unused = sweep.find_unused(connection)
        assert len(unused.shapes) == 2
        store.ingest(trace(2, name="rare"))  # another process, meanwhile

        with store.database.write() as connection:
            sweep.remove_unused(connection, unused, clock() - HOUR_NS)

        assert count(store, "shape", "name = 'rare'") == 2
        assert count(store, "series", "workflow = 'rare'") == 2
        store.ingest(trace(3, name="rare"))
        assert total(store).runs == 3

    def test_another_process_forgets_the_numbers_that_were_removed(self, open_store, trace, clock):
        here, there = open_store(), open_store()
        there.ingest(trace(1, name="old"))
        clock.forward(31 * DAY_NS)
        here.maintain()
        there.ingest(trace(2, name="old"))  # must not use the number that it remembers
        with there.database.read() as connection:
            lost = connection.execute("SELECT count(*) FROM span WHERE shape_id NOT IN (SELECT id FROM shape)")
            assert lost.fetchone()[0] == 0


def test_ten_years_keep_the_totals_of_the_kept_hours_and_a_bounded_size(open_store, trace, clock, home):
    """Five traces a month of changing names: what a window of the last 400 days holds is what came in it."""
    store = open_store()
    came = []
    sizes = []
    for month in range(120):
        for number in range(5):
            store.ingest(trace(1 + month * 5 + number, calls=number % 4, name=f"flow-{month % 20}"))
            came.append((clock(), number % 4))
            clock.forward(30 * DAY_NS // 5)
            store.maintain()
        with store.database.read() as connection:
            sizes.append(retention.used_bytes(connection))
        kept = [calls for at_ns, calls in came if at_ns > clock() - 390 * DAY_NS]
        found = query.metrics(store.database, start_ns=clock() - 390 * DAY_NS, end_ns=clock())
        [group] = found.groups
        assert (group.counters.runs, group.counters.calls) == (len(kept), sum(kept))
        assert group.run_durations.count == len(kept)
    assert max(sizes[20:]) <= max(sizes[14:20]) + 8 * 4096  # a page for each two years of sealed days
    assert count(store, "span") <= 5 * 4 * 2
    assert count(store, "series") <= 2 * 20
