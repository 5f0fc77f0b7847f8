"""The child process of a demo, with small programs in place of InsightHub."""

import os
import sys
import textwrap
import time

import pytest

from ihobs.demo.program import Program, Report, clean_environment, command
from ihobs.store.home import Home

ECHO = """
    import json, sys
    print("not a report")
    print("[1]")
    print("a complaint", file=sys.stderr)
    for line in sys.stdin:
        print(json.dumps({"event": "conditions", "name": line.strip(), "at_ns": 7}), flush=True)
    print(json.dumps({"event": "done", "at_ns": 8, "processed": 3, "failed": 1}), flush=True)
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def run(code):
        program = Program([sys.executable, "-c", textwrap.dedent(code)], tmp_path / "log", os.environ)
        started.append(program)
        return program

    yield run
    for program in started:
        program.stop(grace_s=0.0)


def wait_for(condition):
    """Wait until `condition` holds, at most 20 s: a real process is involved."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_commands_go_in_and_reports_come_out(start):
    program = start(ECHO)
    program.tell("errors")
    assert program.stop(grace_s=20) == 0
    assert program.reports() == [Report("conditions", 7, "errors"), Report("done", 8, processed=3, failed=1)]
    assert program.reports() == []
    assert program.log.read_text(encoding="utf-8") == "a complaint\n"


def test_a_program_that_ends_by_itself_says_how(start):
    program = start("raise SystemExit(3)")
    wait_for(lambda: program.exit_code() is not None)
    program.tell("errors")
    assert program.exit_code() == 3
    assert program.stop(grace_s=0.0) == 3


def test_a_program_that_does_not_finish_is_ended(start):
    program = start('import time\nprint(\'{"event": "ready", "at_ns": 1}\', flush=True)\ntime.sleep(60)')
    wait_for(program.reports)
    assert program.stop(grace_s=0.0) != 0


def test_the_command_is_what_a_user_would_type(tmp_path):
    home = Home.open(tmp_path / "home", create=True)
    line = command(home, home.path / "ihobs.yaml", "local")
    assert line[1:3] == ["-m", "ihobs"]
    assert line[line.index("exec") :] == ["exec", "--", sys.executable, "-m", "ihobs.demo", "local"]


def test_other_telemetry_of_the_user_is_left_out():
    environ = {"PATH": "/bin", "OTEL_EXPORTER_OTLP_ENDPOINT": "x", "LANGSMITH_TRACING": "true", "IHOBS_HOME": "y"}
    assert clean_environment(environ) == {"PATH": "/bin"}
