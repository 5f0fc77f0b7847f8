"""`ihobs logs list`, and what `ihobs traces show` says of a trace's records."""

import json

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ihobs.clock import SECOND_NS

TRACE = (1).to_bytes(16)


@pytest.fixture
def logged(filled):
    """Three records of one trace, from a minute to 20 s ago, and one of another service and none."""
    said = (("began", 9, TRACE), ("low \x1b[31mstock\nonly two", 13, TRACE), ("no stock", 17, TRACE), ("bye", 21, b""))
    for index, (body, severity, trace) in enumerate(said):
        request = ExportLogsServiceRequest()
        resource = request.resource_logs.add()
        service = "shop" if trace else "till"
        resource.resource.attributes.add(key="service.name").value.string_value = service
        records = resource.scope_logs.add().log_records
        time_ns = filled.now_ns - (60 - 20 * index) * SECOND_NS
        record = records.add(time_unix_nano=time_ns, severity_number=severity, trace_id=trace)
        record.body.string_value = body
        record.attributes.add(key="raw").value.bytes_value = b"\x00"
        filled.telemetry.logs.ingest(request)
    return filled


def bodies(result):
    assert result.exit_code == 0, result.output
    return [record["body"] for record in json.loads(result.stdout)]


def test_records_are_listed_one_a_line_the_newest_last(logged, ihobs):
    lines = ihobs("logs", "list").stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["INFO", "WARNING", "ERROR", "CRITICAL"]
    assert lines[1].endswith("shop  low stock only two"), "no control sequence, no line break"
    assert lines[3].split()[3] == "-"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), 4),
        (("--trace", TRACE.hex()[:30]), 3),
        (("--level", "error"), 2),
        (("--since", "30s"), 2),
        (("--service", "till"), 1),
        (("--limit", "1"), 1),
        (("--level", "WARNING", "--trace", TRACE.hex()), 2),
    ],
)
def test_records_are_chosen_by_options(logged, ihobs, options, found):
    assert len(bodies(ihobs("logs", "list", "--json", *options))) == found


def test_a_limit_leaves_the_oldest_out_and_says_so(logged, ihobs):
    assert bodies(ihobs("logs", "list", "--json", "--limit", "2")) == ["no stock", "bye"]
    assert "there are older ones" in ihobs("logs", "list", "--limit", "2").stderr


def test_json_holds_everything(logged, ihobs):
    record = json.loads(ihobs("logs", "list", "--json", "--limit", "2").stdout)[0]
    assert (record["level"], record["severity_number"], record["service"]) == ("ERROR", 17, "shop")
    assert (record["trace_id"], record["span_id"], record["attributes"]) == (TRACE.hex(), None, {"raw": "AA=="})


def test_nothing_found_says_what_there_is(logged, ihobs):
    result = ihobs("logs", "list", "--service", "nobody")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "the newest is of" in result.stderr


def test_a_home_without_records_says_how_to_get_some(filled, ihobs):
    filled.span("job", 1, kind="workflow").store()
    result = ihobs("logs", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "instrument" in result.stderr


def test_records_that_were_lost_are_told(logged, ihobs):
    logged.telemetry.logs.record_dropped("queue full", 7)
    result = ihobs("logs", "list", "--json")
    assert len(bodies(result)) == 4
    assert result.stderr.startswith("7 records lost (queue full), the last at ")


def test_what_is_no_id_is_refused(logged, ihobs):
    assert ihobs("logs", "list", "--trace", "nope").exit_code == 2


def test_a_trace_says_how_much_was_logged_and_where_to_see_it(logged, ihobs):
    logged.span("job", 1, kind="workflow").store()
    shown = ihobs("traces", "show", TRACE.hex()).stdout
    last = shown.splitlines()[-1]
    assert last == f"3 log records, 1 error among them: ihobs logs list --trace {TRACE.hex()[:12]}"
    told = json.loads(ihobs("traces", "show", TRACE.hex(), "--json").stdout)
    assert (told["log_records"], told["log_errors"]) == (3, 1)


def test_a_trace_without_records_says_nothing_of_them(filled, ihobs):
    filled.span("job", 1, kind="workflow").store()
    assert "log record" not in ihobs("traces", "show", TRACE.hex()).stdout
