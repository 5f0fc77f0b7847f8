"""The example programs, run as their headers say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore

from .conftest import IHOBS

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(programs, name, *options):
    return programs.run(*IHOBS, *options, "exec", "--", sys.executable, EXAMPLES / name)


def test_the_langgraph_app(programs):
    pytest.importorskip("langgraph")
    pytest.importorskip("openinference.instrumentation.langchain")
    ended = run(programs, "langgraph_app.py")
    assert (ended.code, ended.out) == (0, "otters is well known\nstring is well known\n")
    assert "ihobs: 2 runs, 0 failed, 19 tokens" in ended.err
    assert programs.grouped("workflow")["Answering",].runs == 2
    research = programs.grouped("node")["research",]
    assert (research.failed_calls, research.recovered_errors) == (0, 2)


def test_the_asyncio_app_is_traced_by_its_configuration_alone(programs):
    ended = run(programs, "asyncio_app.py", "--config", EXAMPLES / "asyncio_app.ihobs.yaml")
    assert ended.code == 0
    assert ended.out.splitlines()[:6] == [*(f"PAGE {number}" for number in range(5)), "there is no content"]
    runs = {name: (counted.runs, counted.failed_runs) for (name,), counted in programs.grouped("workflow").items()}
    assert runs == {"Orchestrator.process_content": (6, 1), "Orchestrator.stream": (1, 0)}
    assert programs.grouped("node")["summarise",].calls == 5
    assert set(programs.grouped("service")) == {("asyncio-app",)}


def test_the_program_that_crashes(programs):
    ended = run(programs, "crashes.py")
    assert ended.code == 1
    assert "TimeoutError: the model did not answer" in ended.err
    assert "ihobs: 3 runs, 1 failed, 360 tokens" in ended.err
    counted = programs.counted()
    assert (counted.failed_runs, counted.timed_out_runs) == (1, 1)


def test_the_program_that_forks(programs):
    ended = run(programs, "forks.py")
    assert (ended.code, sorted(ended.out.splitlines())) == (0, ["forked child 4", "parent 1", "pool [9, 16]"])
    counted = programs.counted()
    assert (counted.spans, counted.runs, counted.calls) == (10, 5, 5)
    with TelemetryStore(Home.open(programs.home)) as store, store.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM trace").fetchone()[0] == 5
