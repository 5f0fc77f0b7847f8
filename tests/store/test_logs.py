"""Log records: stored once, redacted, found by trace, level, service and time, and forgotten in time."""

import sqlite3

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ihobs.clock import DAY_NS, SECOND_NS
from ihobs.errors import InvalidInputError
from ihobs.redact.policy import Policy
from ihobs.spans.dialects import shipped_dialects
from ihobs.store.home import Home
from ihobs.store.log_query import LogCount, LogFilter, count_logs, lost_logs, newest_logs
from ihobs.store.redaction import redactor_for, removed
from ihobs.store.retention import Retention
from ihobs.store.telemetry import TelemetryStore

NOW_NS = 1_790_000_000 * SECOND_NS
TRACE = bytes(range(16))
SECRET = "sk-proj-" + "Ab3dEf6hIj9k" * 4


class Clock:
    now_ns = NOW_NS

    def __call__(self):
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    with TelemetryStore(Home.open(tmp_path / "home", create=True), clock=clock) as opened:
        yield opened


def log_request(*bodies, service="shop", logger="shop.cart", **fields):
    """Return a request with a record for each body, a second apart; `fields` are those of OTLP's LogRecord."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_logs.add()
    scope.scope.name = logger
    for index, body in enumerate(bodies):
        times = {"time_unix_nano": NOW_NS - (len(bodies) - index) * SECOND_NS}
        record = scope.log_records.add(**{"severity_number": 9, **times, **fields})
        record.body.string_value = body
    return request


def bodies(store, limit=100, **wanted):
    return [entry.body for entry in newest_logs(store.database, LogFilter(**wanted), limit=limit)]


def test_records_come_back_newest_first_and_whole(store):
    request = log_request("first", "second", trace_id=TRACE, span_id=TRACE[:8], event_name="paid")
    request.resource_logs[0].scope_logs[0].log_records[0].attributes.add(key="order").value.int_value = 7
    assert store.logs.ingest(request).accepted == 2
    newest, oldest = newest_logs(store.database, LogFilter(), limit=5)
    assert (newest.body, oldest.body) == ("second", "first")
    assert (oldest.service, oldest.logger, oldest.level, oldest.event) == ("shop", "shop.cart", "INFO", "paid")
    assert (oldest.trace_id, oldest.span_id) == (TRACE.hex(), TRACE[:8].hex())
    assert (oldest.time_ns, oldest.attributes) == (NOW_NS - 2 * SECOND_NS, {"order": 7})


def test_the_same_request_again_stores_nothing(store, clock):
    assert store.logs.ingest(log_request("once")).accepted == 1
    clock.now_ns += 3600 * SECOND_NS
    again = store.logs.ingest_many([log_request("once"), log_request("twice"), log_request("twice")])
    assert (again.accepted, again.duplicates) == (1, 2)
    assert sorted(bodies(store)) == ["once", "twice"]


def test_two_secrets_in_otherwise_equal_requests_are_two_requests(store):
    other = SECRET[:-4] + "Zz9x"
    assert store.logs.ingest_many([log_request(SECRET), log_request(other)]).accepted == 2


def test_records_without_a_time_are_stored_each_time_at_their_receipt(store):
    untimed = log_request("tick", time_unix_nano=0)
    assert store.logs.ingest(ExportLogsServiceRequest.FromString(untimed.SerializeToString())).accepted == 1
    assert store.logs.ingest(untimed).accepted == 1
    assert [entry.time_ns for entry in newest_logs(store.database, LogFilter(), limit=5)] == [NOW_NS, NOW_NS]


@pytest.mark.parametrize("time_ns", [2**64 - 1, NOW_NS + 2 * DAY_NS])
def test_a_time_that_cannot_be_gives_way_to_when_it_was_observed(store, time_ns):
    store.logs.ingest(log_request("odd", time_unix_nano=time_ns, observed_time_unix_nano=NOW_NS - 5))
    assert newest_logs(store.database, LogFilter(), limit=1)[0].time_ns == NOW_NS - 5


def test_records_are_found_by_trace_level_service_and_time(store):
    store.logs.ingest(log_request("mine", trace_id=TRACE))
    store.logs.ingest(log_request("other trace", trace_id=TRACE[::-1]))
    store.logs.ingest(log_request("no trace", trace_id=bytes(16)))
    store.logs.ingest(log_request("broken id", trace_id=b"abc"))
    store.logs.ingest(log_request("bad", severity_number=17, service="till"))
    store.logs.ingest(log_request("long ago", time_unix_nano=NOW_NS - DAY_NS))
    assert bodies(store, trace=TRACE.hex()[:7]) == ["mine"]
    assert bodies(store, min_severity=13) == bodies(store, service="till") == ["bad"]
    assert "long ago" not in bodies(store, since_ns=NOW_NS - 60 * SECOND_NS)
    assert len(bodies(store)) == 6
    assert len(bodies(store, limit=2)) == 2


def test_a_level_is_read_from_its_text_when_there_is_no_number(store):
    for text in ("warn", "Fatal", "ERROR", "strange"):
        store.logs.ingest(log_request(text, severity_number=0, severity_text=text))
    found = {entry.body: entry.level for entry in newest_logs(store.database, LogFilter(), limit=9)}
    assert found == {"warn": "WARNING", "Fatal": "CRITICAL", "ERROR": "ERROR", "strange": ""}


def test_a_trace_knows_how_many_records_and_errors_it_has(store):
    store.logs.ingest(log_request("a", "b", trace_id=TRACE))
    store.logs.ingest(log_request("c", trace_id=TRACE, severity_number=21))
    assert count_logs(store.database, TRACE.hex()) == LogCount(3, 1)
    assert count_logs(store.database, TRACE[::-1].hex()) == LogCount()


def test_what_is_no_beginning_of_an_id_is_refused(store):
    with pytest.raises(InvalidInputError) as caught:
        newest_logs(store.database, LogFilter(trace="xyz"), limit=1)
    assert caught.value.exit_code == 2


def test_no_part_of_a_record_keeps_a_secret(store, tmp_path):
    request = log_request(f"key {SECRET}", event_name=SECRET, severity_text=SECRET)
    resource = request.resource_logs[0]
    resource.schema_url = resource.scope_logs[0].schema_url = f"https://h/{SECRET}"
    resource.resource.attributes.add(key="host").value.string_value = SECRET
    scope = resource.scope_logs[0]
    scope.scope.name, scope.scope.version = SECRET, SECRET
    scope.scope.attributes.add(key="k").value.string_value = SECRET
    record = scope.log_records[0]
    record.attributes.add(key="k").value.string_value = SECRET
    record.attributes.add(key=SECRET).value.array_value.values.add().string_value = SECRET
    record.attributes.add(key="db.password").value.string_value = "plain words"
    nested = scope.log_records.add(time_unix_nano=NOW_NS)
    nested.body.kvlist_value.values.add(key="deep").value.array_value.values.add().string_value = SECRET
    nested.body.kvlist_value.values.add(key="api_key").value.string_value = "plain words"
    store.logs.ingest(request)
    told = repr(newest_logs(store.database, LogFilter(), limit=9))
    assert SECRET not in told
    assert "plain words" not in told
    assert removed(store.database)
    store.close()
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(("content", "kept"), [("mask", False), ("keep", True)])
def test_the_body_of_an_event_that_tells_a_prompt_follows_the_setting(tmp_path, content, kept):
    home = Home.open(tmp_path / "home", create=True)
    redactor = redactor_for(home, Policy(content=content), shipped_dialects())
    with TelemetryStore(home, redactor=redactor) as store:
        store.logs.ingest(log_request("my diagnosis", event_name="gen_ai.user.message"))
        request = log_request("my prognosis", time_unix_nano=NOW_NS)
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        record.attributes.add(key="event.name").value.string_value = "gen_ai.choice"
        store.logs.ingest(request)
        store.logs.ingest(log_request("just a line"))
        found = set(bodies(store))
    assert "just a line" in found
    assert ({"my diagnosis", "my prognosis"} <= found) is kept


def test_records_are_forgotten_by_receipt(tmp_path, clock):
    kept = Retention(logs_ns=2 * DAY_NS)
    with TelemetryStore(Home.open(tmp_path / "home", create=True), clock=clock, retention=kept) as store:
        store.logs.ingest(log_request("old", "older", trace_id=TRACE))
        clock.now_ns += DAY_NS
        store.logs.ingest(log_request("new", time_unix_nano=NOW_NS - 9 * DAY_NS))
        clock.now_ns += DAY_NS + SECOND_NS
        store.maintain()
        assert bodies(store) == ["new"]
        assert count_logs(store.database, TRACE.hex()) == LogCount()


def test_logs_alone_stay_below_the_bound_of_the_database(tmp_path, clock):
    with TelemetryStore(
        Home.open(tmp_path / "home", create=True), clock=clock, retention=Retention(max_bytes=1_000_000)
    ) as store:
        for number in range(30):
            clock.now_ns += SECOND_NS
            noise = [f"{number} {line} {hash((number, line)):x}" for line in range(1000)]
            store.logs.ingest(log_request(*noise))
        store.maintain()
        with store.database.read() as connection:
            assert connection.execute("PRAGMA page_count").fetchone()[0] * 4096 < 1_100_000
        assert bodies(store, limit=1)[0].startswith("29 ")


def test_lost_records_are_counted_apart_from_spans(store):
    store.logs.record_dropped("queue full", 3)
    store.logs.record_dropped("queue full", 2)
    assert lost_logs(store.database)[0][:2] == ("queue full", 5)
    with store.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM dropped").fetchone() == (0,)


def test_a_home_of_an_older_version_gets_the_tables(tmp_path):
    home = Home.open(tmp_path / "home", create=True)
    with TelemetryStore(home) as store:
        store.logs.ingest(log_request("x"))
    with sqlite3.connect(home.database("telemetry")) as connection:
        for table in ("log_batch", "log_record", "log_dropped"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm004_logs'")
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    with TelemetryStore(home) as store:
        assert store.logs.ingest(log_request("x")).accepted == 1
