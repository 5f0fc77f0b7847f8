"""History of LangSmith: what the unmodified SDK sent there comes back as what ihobs recorded of the same program."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.langsmith.server import KEY, LangSmith

from ihobs.cli import main
from ihobs.clock import HOUR_NS
from ihobs.langsmith.history import History
from ihobs.store.home import Home
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

pytest.importorskip("langgraph")

REPOSITORY = Path(__file__).parents[2]
BOUND_S = 120

PROGRAM = """
import ihobs
handle = ihobs.instrument(home="recorded", service="InsightHub")
import langgraph_app
langgraph_app.main()
try:
    langgraph_app.build_graph().invoke({})
except KeyError:
    pass
assert handle.flush()
from langsmith.run_trees import get_cached_client
get_cached_client().flush()
"""


def environ_of(server, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IHOBS", "OTEL", "LANG"))}
    return {**kept, "LANGSMITH_TRACING": "true", "LANGSMITH_ENDPOINT": server.url, "LANGSMITH_API_KEY": KEY,
            "LANGSMITH_PROJECT": "InsightHub", **more}  # fmt: skip


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A LangSmith that the SDK traced a LangGraph app to, and the home that ihobs recorded the same into."""
    directory = tmp_path_factory.mktemp("traced")
    shutil.copy(REPOSITORY / "examples" / "langgraph_app.py", directory)
    (directory / "app.py").write_text(PROGRAM)
    server = LangSmith().start()
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=directory, env=environ_of(server), capture_output=True, text=True,
        timeout=BOUND_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield server, directory / "recorded"
    server.stop()


@pytest.fixture
def ihobs(tmp_path, monkeypatch, traced):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
    monkeypatch.setenv("LANGSMITH_ENDPOINT", traced[0].url)
    return lambda *arguments: CliRunner().invoke(main, ["--home", "home", "import", "langsmith", *arguments])


def told(path, *by):
    """Return what a home tells, group by group, without what depends on how long writing took."""
    with TelemetryStore(Home.open(path)) as store:
        store.settle(everything=True)
        now = time.time_ns()
        groups = metrics(store.database, start_ns=now - HOUR_NS, end_ns=now + HOUR_NS, by=by).groups
        return {
            tuple(group.by[name] for name in by): {
                name: getattr(group.counters, name)
                for name in (
                    "runs", "failed_runs", "calls", "failed_calls", "recovered_errors", "retries", "input_tokens",
                    "output_tokens", "cached_input_tokens", "usage_missing_calls",
                )
            }
            for group in groups
        }  # fmt: skip


@pytest.mark.parametrize("by", [(), ("workflow",), ("node",), ("model", "provider"), ("kind",), ("service",)], ids=str)
def test_the_totals_are_those_that_ihobs_recorded_of_the_same_program(ihobs, traced, by):
    result = ihobs()
    assert result.exit_code == 0, result.output
    imported, recorded = told("home", *by), told(traced[1], *by)
    assert imported == recorded
    if not by:
        assert {key: recorded[()][key] for key in ("runs", "failed_runs", "recovered_errors")} == {
            "runs": 3, "failed_runs": 1, "recovered_errors": 2,
        }  # fmt: skip
        assert recorded[()]["input_tokens"] > 0


def test_the_same_again_changes_nothing_and_says_so(ihobs, traced):
    first = json.loads(ihobs("--json").stdout)
    before = told("home", "node")
    second = json.loads(ihobs("--json").stdout)
    assert (first["accepted"], first["duplicates"]) == (len(traced[0].runs), 0)
    assert (second["accepted"], second["duplicates"]) == (0, len(traced[0].runs))
    assert told("home", "node") == before


def test_pages_are_read_to_the_end(ihobs, traced):
    server, _ = traced
    server.page = 4
    asked = server.count("/runs/query")
    result = json.loads(ihobs("--json").stdout)
    server.page = 100
    assert result["accepted"] == len(server.runs)
    assert server.count("/runs/query") - asked == -(-len(server.runs) // 4)


def test_a_langsmith_that_knows_only_the_second_version_tells_the_same(ihobs, traced):
    traced[0].flags = {"ch_query_enabled": False, "sdb_query_enabled": True}
    result = ihobs()
    traced[0].flags = {}
    assert result.exit_code == 0, result.output
    assert told("home", "node") == told(traced[1], "node")


def test_prompts_are_asked_for_only_when_they_are_kept(ihobs, traced, tmp_path):
    ihobs()
    assert "otters" not in ascii_of(tmp_path / "home")
    (tmp_path / "ihobs.yaml").write_text("home: kept\ninstrument: {content: keep}\n")
    kept = CliRunner().invoke(main, ["import", "langsmith"])
    assert kept.exit_code == 0, kept.output
    assert "otters" in ascii_of(tmp_path / "kept")


def ascii_of(path):
    """Return all texts that the payloads of a home hold."""
    from ihobs.store.payloads import decompress

    with TelemetryStore(Home.open(path)) as store, store.database.read() as connection:
        bodies = [decompress(body) for (body,) in connection.execute("SELECT body FROM payload")]
    return "".join(str(body) for body in bodies)


def test_since_leaves_out_what_began_before_and_until_what_began_after(ihobs, traced):
    starts = sorted(run["start_time"] for run in traced[0].runs.values())
    middle = starts[len(starts) // 2]
    later = json.loads(ihobs("--json", "--since", middle).stdout)
    earlier = json.loads(ihobs("--json", "--since", "1h", "--until", middle).stdout)
    assert later["runs"] == sum(start >= middle for start in starts)
    assert earlier["runs"] == sum(start <= middle for start in starts)


def test_a_limit_of_requests_is_waited_out(ihobs, traced):
    traced[0].answer("/runs/query", 429, times=2, retry_after="0")
    result = json.loads(ihobs("--json").stdout)
    assert result["accepted"] == len(traced[0].runs)


def test_a_project_that_is_not_there_ends_with_3_and_names_the_nearest(ihobs):
    result = ihobs("--project", "InsihtHub")
    assert result.exit_code == 3
    assert result.stderr == "error: no project of LangSmith 'InsihtHub'; did you mean 'InsightHub'?\n"


def test_a_wrong_key_ends_with_6_and_is_not_told(ihobs, monkeypatch):
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_pt_of_somebody_else")
    result = ihobs()
    assert result.exit_code == 6
    assert "LANGSMITH_API_KEY" in result.stderr
    assert "lsv2" not in result.output
    assert result.stderr.count("\n") == 1


def test_nobody_at_the_endpoint_ends_with_6(ihobs):
    result = ihobs("--endpoint", "http://127.0.0.1:9")
    assert (result.exit_code, "nobody listens there" in result.stderr) == (6, True)


def test_no_key_ends_with_2(ihobs, monkeypatch):
    monkeypatch.delenv("LANGSMITH_API_KEY")
    result = ihobs()
    assert (result.exit_code, result.stderr.startswith("error: LANGSMITH_API_KEY: is not set")) == (2, True)


def test_what_was_read_before_a_failure_stays_and_the_rest_follows(ihobs, traced):
    server, _ = traced
    server.page = 5
    server.answer("/runs/query", 403, after=2, times=1)
    broken = ihobs()
    rest = json.loads(ihobs("--json").stdout)
    server.page = 100
    assert (broken.exit_code, "may not read runs" in broken.stderr) == (6, True)
    assert (rest["accepted"], rest["duplicates"]) == (len(server.runs) - 10, 10)
    assert told("home", "node") == told(traced[1], "node")


def test_an_interruption_keeps_what_was_read_and_the_same_again_brings_the_rest(ihobs, traced, monkeypatch):
    server, _ = traced
    server.page = 5
    read = History.pages

    def interrupted(self, wanted):
        pages = read(self, wanted)
        yield next(pages)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(History, "pages", interrupted)
        broken = ihobs()
    rest = json.loads(ihobs("--json").stdout)
    server.page = 100
    assert (broken.exit_code, broken.stderr) == (
        130,
        "5 runs are stored; the same again brings the rest\ninterrupted\n",
    )
    assert (rest["accepted"], rest["duplicates"]) == (len(server.runs) - 5, 5)
    assert told("home", "node") == told(traced[1], "node")


def test_a_run_that_has_not_ended_waits_for_the_next_time(ihobs, traced):
    server, _ = traced
    run = server.runs[min(server.runs)]
    ended, run["end_time"] = run["end_time"], None
    first = json.loads(ihobs("--json").stdout)
    run["end_time"] = ended
    second = json.loads(ihobs("--json").stdout)
    assert (first["unfinished"], second["unfinished"], second["accepted"]) == (1, 0, 1)
    assert told("home", "node") == told(traced[1], "node")


def test_a_run_that_makes_no_sense_is_left_out_and_told(ihobs, traced):
    server, _ = traced
    run = server.runs[max(server.runs)]
    start, run["start_time"] = run["start_time"], run["start_time"]
    run["end_time"], ended = "yesterday", run["end_time"]
    result = ihobs()
    run["start_time"], run["end_time"] = start, ended
    assert result.exit_code == 4
    assert f"rejected 1: its end_time is no time, such as {run['id']}" in result.stderr


def test_what_is_recorded_here_already_is_warned_about_and_can_be_left_out(ihobs, traced, tmp_path):
    shutil.copytree(traced[1], tmp_path / "home")
    warned = ihobs()
    assert "their runs count twice from then on" in warned.stderr
    until = warned.stderr.rpartition("--until ")[2].strip()
    assert "note" not in ihobs("--until", until, "--since", "1h").stderr


def test_import_without_a_source_is_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "langsmith").write_text("[]")
    run = CliRunner().invoke
    assert run(main, ["import", "./langsmith"]).exit_code == 0
    missing = run(main, ["import"])
    assert (missing.exit_code, " import [OPTIONS] FILE..." in missing.stderr) == (2, True)
    listed = run(main, ["import", "--help"]).stdout
    assert "FILE..." in listed
    assert "langsmith" in listed
