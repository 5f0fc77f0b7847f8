"""What a program logs: kept with its trace, without a change to the program, its output or its speed."""

import logging

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from tests.web.sender import Listening

from ihobs.store.home import Home
from ihobs.store.log_query import LogFilter, lost_logs, newest_logs
from ihobs.store.schema import open_telemetry
from ihobs.store.spool import LOG_SPOOL, Spool, bring_in
from ihobs.store.telemetry import TelemetryStore
from ihobs.telemetry import logs
from ihobs.telemetry.log_encoding import LogEncoder
from ihobs.telemetry.logs import LogQueue, LogTap
from ihobs.web.access import Policy
from ihobs.web.limits import Limits

SECRET = "sk-proj-" + "Ab3dEf6hIj9k" * 4


class Nudged:
    """A worker that only notes how it was called."""

    def __init__(self):
        self.calls = []

    def nudge(self, *, soon):
        self.calls.append(soon)


@pytest.fixture
def tap():
    """Records of `shop.*` from INFO on; the other loggers of this process are left alone."""
    queue, worker = LogQueue(), Nudged()
    opened = LogTap(queue, worker)
    before = logging.Logger.callHandlers
    opened.open("INFO")
    yield opened, queue, worker
    opened.close()
    logging.Logger.callHandlers = before


@pytest.fixture
def logger():
    found = logging.getLogger("shop.cart")
    found.setLevel(logging.DEBUG)
    return found


def decoded(records):
    request = ExportLogsServiceRequest.FromString(
        LogEncoder(lambda: {"service.name": "shop", "hosts": ("a", "b")})(records)
    )
    [resource] = request.resource_logs
    return resource, [record for scope in resource.scope_logs for record in scope.log_records]


def attributes(holder):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}


def test_a_record_is_taken_with_its_place_and_its_span(tap, logger, global_provider):
    _, queue, worker = tap
    with global_provider.get_tracer("t").start_as_current_span("step") as span:
        logger.warning("%d of %s", 3, "four", extra={"order": "A7", "odd": object()})
    resource, [record] = decoded(queue.take())
    assert (record.body.string_value, record.severity_number, record.severity_text) == ("3 of four", 13, "WARNING")
    assert record.trace_id == span.get_span_context().trace_id.to_bytes(16)
    assert record.span_id == span.get_span_context().span_id.to_bytes(8)
    told = attributes(record)
    assert told["code.file.path"] == __file__
    assert told["code.function.name"] == "test_a_record_is_taken_with_its_place_and_its_span"
    assert (told["order"], "odd" in told) == ("A7", False)
    assert attributes(resource.resource) == {"service.name": "shop", "hosts": "a, b"}
    assert resource.scope_logs[0].scope.name == "shop.cart"
    assert worker.calls == [False]


def test_an_exception_comes_with_its_stack(tap, logger):
    _, queue, worker = tap
    try:
        {}["no stock"]
    except KeyError:
        logger.exception("could not sell")
    _, [record] = decoded(queue.take())
    told = attributes(record)
    assert (told["exception.type"], told["exception.message"]) == ("KeyError", "'no stock'")
    assert told["exception.stacktrace"].endswith("KeyError: 'no stock'\n")
    assert worker.calls == [True]


def test_below_the_level_and_after_the_end_nothing_is_taken(tap, logger):
    opened, queue, _ = tap
    logger.debug("too quiet")
    opened.close()
    logger.error("too late")
    assert len(queue) == 0


@pytest.mark.parametrize("name", ["ihobs", "ihobs.store", "opentelemetry.sdk.trace"])
def test_our_own_loggers_and_those_of_opentelemetry_are_left_out(tap, name, caplog):
    logging.getLogger(name).error("about telemetry")
    assert len(tap[1]) == 0


def test_what_our_worker_does_is_left_out_whoever_logs_it(tap, logger):
    with suppress_instrumentation():
        logger.error("connection pool is full")
    assert len(tap[1]) == 0


def test_what_does_not_fit_is_dropped_and_counted(tap, logger, monkeypatch):
    _, queue, worker = tap
    monkeypatch.setattr(logs, "MAX_QUEUED_RECORDS", 3)
    monkeypatch.setattr(logs, "SOON_AT", 2)
    for number in range(5):
        logger.info("%d", number)
    assert [taken.message for taken in queue.take()] == ["0", "1", "2"]
    assert (queue.take_dropped(), queue.take_dropped()) == (2, 0)
    assert worker.calls == [False, True, True, True, True]


def test_a_record_is_bounded_whatever_it_holds(tap, logger):
    error = ValueError("x" * 1_000_000)
    logger.info("y" * 1_000_000, extra={f"k{n}": "z" * 20_000 for n in range(100)}, exc_info=error)
    [taken] = tap[1].take()
    assert len(taken.message) < 10_000
    assert len(taken.extras) == logs.MAX_EXTRAS
    assert sum(map(len, taken.error)) < 30_000


class Wild:
    def __str__(self):
        raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    ("message", "arguments", "told"),
    [("%d items", ("three",), "%d items"), ("%s", (Wild(),), "%s"), (Wild(), (), "(cannot be told)")],
)
def test_a_message_that_cannot_be_told_hurts_nobody(tap, message, arguments, told, caplog):
    alone = logging.Logger("alone")  # noqa: LOG001 - pytest's own handlers would fail on it
    alone.warning(message, *arguments)
    [taken] = tap[1].take()
    assert taken.message == told
    assert SECRET not in caplog.text


def test_halves_of_characters_and_huge_numbers_are_no_error(tap, logger, monkeypatch):
    monkeypatch.setattr(logger, "propagate", False)  # pytest would capture it, and xdist cannot send it on
    logger.warning("half \ud800", extra={"large": 2**70, "small": 7})
    _, [record] = decoded(tap[1].take())
    assert record.body.string_value == "half ?"
    assert "large" not in attributes(record)


def test_levels_between_the_named_ones_keep_their_order(tap, logger):
    for level in (20, 25, 30, 35, 40, 50, 99):
        logger.log(level, "x")
    numbers = [record.severity_number for record in decoded(tap[1].take())[1]]
    assert numbers == [9, 11, 13, 15, 17, 21, 21]


def stored(home):
    return newest_logs(open_telemetry(Home.open(home)), LogFilter(), limit=100)


PROGRAM = """
    import logging, ihobs
    from opentelemetry import trace
    {before}
    ihobs.instrument(service="shop", logs="WARNING")
    logging.basicConfig(format="HOST %(levelname)s %(message)s")
    with trace.get_tracer("t").start_as_current_span("run") as span:
        logging.getLogger("shop").warning("key " + "sk-proj-" + "Ab3dEf6hIj9k" * 4)
        logging.getLogger("shop").info("not this")
        print(format(span.get_span_context().trace_id, "032x"))
"""


def test_a_programs_records_are_in_the_home_when_it_has_ended(programs):
    ended = programs.python(PROGRAM.format(before=""))
    assert ended.code == 0, ended.err
    [entry] = stored(programs.home)
    assert (entry.service, entry.logger, entry.level) == ("shop", "shop", "WARNING")
    assert entry.trace_id == ended.out.strip()
    assert entry.body.startswith("key [")
    assert ended.err.count("HOST WARNING key sk-proj-") == 1, "basicConfig works as ever"
    assert programs.counted().spans == 1


def test_a_program_that_sets_no_logging_up_still_warns_as_ever(programs):
    code = "import logging, ihobs\nihobs.instrument(logs='INFO')\nlogging.warning('once')\nlogging.info('never')"
    ended = programs.python(code.replace("logging.warning", "logging.getLogger('x').warning"))
    assert (ended.code, ended.err) == (0, "once\n")
    assert [entry.body for entry in stored(programs.home)] == ["once"]


def test_exec_takes_the_records_that_the_file_asks_for(programs):
    (programs.directory / "ihobs.yaml").write_text("instrument: {logs: ERROR}\n", encoding="utf-8")
    code = """
        import logging
        from opentelemetry import trace
        logging.getLogger("a").error("told")
        logging.getLogger("a").warning("untold")
        with trace.get_tracer("t").start_as_current_span("run"):
            pass
    """
    ended = programs.execute(code)
    assert ended.code == 0, ended.err
    [entry] = stored(programs.home)
    assert (entry.body, entry.service, entry.trace_id) == ("told", "app", None)


def test_without_the_setting_nothing_is_taken(programs):
    code = "import logging, ihobs\nihobs.instrument()\nlogging.getLogger('x').error('private')"
    ended = programs.python(code)
    assert (ended.code, ended.err) == (0, "private\n")
    assert stored(programs.home) == []


def test_forked_children_keep_what_they_log(programs):
    code = """
        import logging, os, ihobs
        handle = ihobs.instrument(logs="WARNING")
        log = logging.getLogger("x")
        log.warning("before")
        children = []
        for number in range(3):
            pid = os.fork()
            if not pid:
                log.warning("child %d", number)
                handle.flush()
                os._exit(0)
            children.append(pid)
        log.warning("after")
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
    """
    ended = programs.python(code)
    assert ended.code == 0, ended.err
    assert sorted(entry.body for entry in stored(programs.home)) == ["after", "before", "child 0", "child 1", "child 2"]


def test_a_home_that_cannot_be_written_leaves_them_in_the_spool_and_they_come_in_later(programs):
    ended = programs.python(
        """
        import logging, os, ihobs
        home = os.environ["IHOBS_HOME"]
        os.rename(home + "/data", home + "/away")
        open(home + "/data", "w").close()  # where the databases should be
        ihobs.instrument(logs="WARNING")
        logging.getLogger("x").warning("kept " + "sk-proj-" + "Ab3dEf6hIj9k" * 4)
        """
    )
    assert ended.code == 0, ended.err
    spooled = list((programs.home / LOG_SPOOL).iterdir())
    assert spooled, ended.err
    assert not any(SECRET.encode() in path.read_bytes() for path in spooled)
    assert ended.err.count(SECRET) == 1, "what the program itself prints"
    (programs.home / "data").unlink()
    (programs.home / "away").rename(programs.home / "data")
    with TelemetryStore(Home.open(programs.home, create=True)) as store:
        assert bring_in(Spool(programs.home / LOG_SPOOL, signal="logs"), store.logs)
    assert [entry.body[:6] for entry in stored(programs.home)] == ["kept ["]


def test_records_go_to_the_endpoint_too_and_each_once(programs, tmp_path):
    store = TelemetryStore(Home.open(tmp_path / "server", create=True))
    server = Listening(store, Limits(), Policy(None, "t" * 20))
    try:
        env = {"IHOBS_ENDPOINT": server.url, "IHOBS_TOKEN": "t" * 20}
        ended = programs.python(PROGRAM.format(before=""), env=env)
        assert ended.code == 0, ended.err
        [entry] = newest_logs(store.database, LogFilter(), limit=9)
        assert (entry.service, entry.trace_id) == ("shop", ended.out.strip())
        assert SECRET not in entry.body
        assert server.spans() == 1
    finally:
        server.close()


def test_records_wait_for_an_endpoint_that_is_down_and_then_come_once(programs, tmp_path):
    store = TelemetryStore(Home.open(tmp_path / "server", create=True))
    server = Listening(store, Limits(), Policy(None, None))
    port = server.port
    server.receiver.stop()
    code = "import logging, ihobs\nihobs.instrument(logs='WARNING')\nlogging.getLogger('x').warning('{}')"
    down = {"IHOBS_ENDPOINT": f"http://127.0.0.1:{port}"}
    for word in ("first", "second"):
        assert programs.python(code.format(word), env=down).code == 0
    server = Listening(store, Limits(), Policy(None, None))
    try:
        for word in ("third", "fourth"):
            assert programs.python(code.format(word), env={"IHOBS_ENDPOINT": server.url}).code == 0
        found = sorted(entry.body for entry in newest_logs(store.database, LogFilter(), limit=9))
    finally:
        server.close()
    assert found == ["first", "fourth", "second", "third"]


def test_a_flood_neither_blocks_the_program_nor_hides_what_was_lost(programs):
    code = """
        import logging, ihobs
        handle = ihobs.instrument(logs="INFO")
        log = logging.getLogger("x")
        log.setLevel(logging.INFO)
        for number in range(20_000):
            log.info("line %d", number)
        print(handle.flush())
    """
    ended = programs.python(code)
    assert (ended.code, ended.out) == (0, "True\n"), ended.err
    database = open_telemetry(Home.open(programs.home))
    kept = len(newest_logs(database, LogFilter(), limit=30_000))
    lost = sum(loss.records for loss in lost_logs(database))
    assert kept + lost == 20_000
    assert kept >= logs.MAX_QUEUED_RECORDS
