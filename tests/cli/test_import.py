"""`ihobs import`, as it is typed: what it stores, prints and ends with."""

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ihobs.cli import main
from ihobs.store.home import Home
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

START_NS = 1_760_000_000_000_000_000
BOUND_S = 30
"""How long a real process may take before a test gives up."""


def span(number, **fields):
    ids = {"traceId": f"{number + 1:032x}", "spanId": f"{number + 1:016x}"}
    times = {"startTimeUnixNano": str(START_NS + number), "endTimeUnixNano": str(START_NS + number + 10**9)}
    texts = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
    attributes = texts | {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    return ids | {"name": "chat"} | times | {"attributes": attributes} | fields


def lines(spans):
    return "".join(json.dumps([each]) + "\n" for each in spans)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def run(home):
    def run(*arguments, **options):
        return CliRunner().invoke(main, ["--home", str(home), "import", *map(str, arguments)], **options)

    return run


@pytest.fixture
def file(tmp_path):
    def file(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


def numbers(home):
    with TelemetryStore(Home.open(home)) as store:
        groups = metrics(store.database, start_ns=0, end_ns=2**62).groups
    return groups[0].counters if groups else None


def test_spans_are_stored_counted_and_priced(run, file, home):
    result = run(file("a.jsonl", lines(span(number) for number in range(2500))))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0].endswith("a.jsonl: 2500 spans")
    counted = numbers(home)
    assert (counted.spans, counted.calls, counted.input_tokens) == (2500, 2500, 250_000)
    assert (counted.unpriced_calls, counted.cost_nano_usd) == (0, 2500 * (100 * 2500 + 10 * 10_000))


def test_importing_twice_changes_no_number(run, file, home):
    path = file("a.jsonl.gz", gzip.compress(lines(span(number) for number in range(30)).encode()))
    run(path)
    before = numbers(home)
    result = run(path)
    assert result.exit_code == 0
    assert "0 spans, 30 known before" in result.stdout
    assert numbers(home) == before


def test_json_says_for_each_file_what_became_of_it(run, file):
    good = file("good.json", json.dumps([span(0), span(1)]))
    mixed = file("mixed.jsonl", lines([span(1), span(2, traceId="zz"), span(3, spanId="00" * 8)]) + "oops\n")
    result = run("--json", good, mixed)
    assert result.exit_code == 4
    answer = json.loads(result.stdout)
    assert [answer[name] for name in ("accepted", "duplicates", "rejected")] == [2, 1, 3]
    first, second = answer["files"]
    assert first == {
        "file": str(good),
        "accepted": 2,
        "duplicates": 0,
        "rejected": 0,
        "rejections": [],
        "error": None,
    }
    assert {each["reason"]: (each["count"], each["where"]) for each in second["rejections"]} == {
        "traceId is neither 32 hex digits nor base64 of 16 bytes": (1, ["line 2: [0] (zz)"]),
        "invalid span id": (1, ["line 1 to line 3"]),
        "not JSON": (1, ["line 4, column 1 (Expecting value)"]),
    }


def test_rejections_are_shown_by_number_and_reason_with_the_first_places(run, file):
    bad = [span(number, startTimeUnixNano="-1") for number in range(5)]
    result = run(file("a.jsonl", lines([span(9), *bad])))
    assert result.exit_code == 4
    assert result.stdout.splitlines()[0].endswith("a.jsonl: 1 spans, 5 rejected")
    reason, places = "startTimeUnixNano is out of range or of the wrong type", "line 2: [0] (-1), line 3: [0] (-1)"
    assert result.stderr == f"  rejected 5: {reason}: {places}, line 4: [0] (-1), ...\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("root:x:0:0", "is not OTLP: neither JSON nor protobuf"),
        ("", "is empty"),
        ('{"a": ]', "rejected 1: not JSON"),
        ('{"resourceLogs": []}', "rejected 1: holds logs, not spans"),
    ],
)
def test_a_file_of_which_nothing_can_be_read_is_invalid(content, message, run, file):
    result = run(file("a", content))
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_file_that_is_missing_does_not_keep_the_others_out(run, file, home, tmp_path):
    result = run(tmp_path / "missing.json", file("a.json", json.dumps([span(0)])))
    assert result.exit_code == 4
    assert "missing.json: no such file or directory" in result.stderr
    assert numbers(home).spans == 1


def test_a_file_cut_off_by_gzip_counts_up_to_the_cut(run, file, home):
    data = gzip.compress(lines(span(number) for number in range(3000)).encode())
    result = run(file("cut.jsonl.gz", data[: len(data) // 2]))
    assert result.exit_code == 4
    assert "the gzip data is cut off" in result.stderr
    assert 0 < numbers(home).spans < 3000


def test_a_dash_reads_standard_input(run, home):
    result = run("-", input=lines([span(0), span(1)]))
    assert (result.exit_code, numbers(home).spans) == (0, 2)


def test_spans_whose_parents_never_come_are_counted_in_the_end(run, file, home):
    run(file("a.json", json.dumps([span(0, parentSpanId="ff" * 8)])))
    assert (numbers(home).spans, numbers(home).runs) == (1, 1)


def test_a_valid_file_without_spans_is_no_fault(run, file):
    result = run(file("a.json", '{"resourceSpans": []}'))
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_home_that_cannot_be_written_is_one_error(run, file, tmp_path):
    file("home", "a file where the home should be")
    result = run(file("a.json", json.dumps([span(0)])))
    assert result.exit_code == 6
    assert result.stderr.startswith(f"error: {tmp_path / 'home'}")


def start(home, *arguments, **streams):
    command = [sys.executable, "-m", "ihobs", "--home", str(home), "import", *map(str, arguments)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    return subprocess.Popen(command, env=environment, **streams)


def test_an_interrupted_import_keeps_what_was_committed(home):
    process = start(home, "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(lines(span(number) for number in range(1500)).encode())
    process.stdin.flush()
    until(lambda: stored(home) >= 1000)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=BOUND_S)
    assert process.returncode == 130
    assert b"1000 spans are stored; import the same files again for the rest" in complaints
    assert stored(home) == 1000
    assert (
        CliRunner().invoke(main, ["--home", str(home), "import", "-"], input=lines(map(span, range(1500)))).exit_code
        == 0
    )
    assert stored(home) == 1500


def stored(home):
    if not (Path(home) / "CURRENT").exists():
        return 0
    with TelemetryStore(Home.open(home)) as store, store.database.read() as connection:
        return connection.execute("SELECT count(*) FROM span").fetchone()[0]


def until(condition):
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_a_terminal_sees_progress_and_a_pipe_does_not(home, file):
    path = file("a.jsonl", lines(span(number) for number in range(2000)))
    quiet = start(home, path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert quiet.communicate(timeout=BOUND_S)[1] == b""
    controller, terminal = pty.openpty()
    shown = start(home, path, stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    seen = b""
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:  # Linux reports the other end's closing so
            break
        seen += part
    assert shown.wait(timeout=BOUND_S) == 0
    assert b"a.jsonl" in seen
    assert b"spans" in seen
