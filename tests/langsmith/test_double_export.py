"""A program that traces to LangSmith by itself, while ihobs forwards there: each run is there once, and counts once.

The SDK is the unmodified one, and the program a LangGraph app that knows nothing of ihobs but that it is instrumented.
"""

import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.langsmith.server import KEY

from ihobs.clock import HOUR_NS
from ihobs.config import load
from ihobs.forward.destinations import destinations_of
from ihobs.forward.forwarding import Forwarding
from ihobs.forward.pieces import leaving_out_traced
from ihobs.langsmith.tracing import TRACED_TO, mark_of, own_tracing
from ihobs.store.forwarding import Enrolment, enrol
from ihobs.store.home import Home
from ihobs.store.notices import read_notices
from ihobs.store.query import metrics
from ihobs.store.schema import open_telemetry
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore

pytest.importorskip("langgraph")

REPOSITORY = Path(__file__).parents[2]
BOUND_S = 120
RUNS, SPANS = 2, 12
"""What `examples/langgraph_app.py` does."""

RUNS_OF_SDK = SPANS + 1
"""The SDK tells the same, and what `@traceable` records."""

PROGRAM = """
import ihobs
handle = ihobs.instrument()
import langgraph_app
from langsmith import traceable
@traceable
def by_hand():
    return 1
by_hand()
langgraph_app.main()
from langsmith.run_trees import get_cached_client
get_cached_client().flush()
assert handle.flush()
"""
CONFIGURATION = "destinations: {smith: {type: langsmith, from: beginning}}\n"


@pytest.fixture
def run(tmp_path, langsmith, monkeypatch):
    """Return a function that runs the program with variables, and gives what it wrote to stderr."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "examples" / "langgraph_app.py", tmp_path)
    (tmp_path / "ihobs.yaml").write_text(f"home: home\nservice: chat\n{CONFIGURATION}")

    def do(program=PROGRAM, **variables):
        (tmp_path / "app.py").write_text(program)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("IHOBS", "OTEL", "LANG"))}
        environ = {**kept, "LANGSMITH_ENDPOINT": langsmith.url, "LANGSMITH_API_KEY": KEY, **variables}
        done = subprocess.run(
            [sys.executable, "app.py"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=BOUND_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stderr

    return do


@pytest.fixture
def forward(tmp_path, langsmith):
    """Return a function that forwards everything in the home, and gives how many spans LangSmith got so."""

    def do():
        environ = {"LANGSMITH_ENDPOINT": langsmith.url, "LANGSMITH_API_KEY": KEY}
        settings = load(tmp_path / "ihobs.yaml", environ={}).settings
        [destination] = destinations_of(settings, environ)
        home = Home.open(tmp_path / "home")
        with TelemetryStore(home) as store:
            state = open_state(home)
            enrol(store.database, {destination.name: Enrolment(destination.fingerprint(), from_beginning=True)})
            forwarding = Forwarding(home, store.database, state, settings, lambda _name, work: work() or True)
            forwarder = forwarding.forwarder(destination, lambda: False)
            while forwarder.turn() is not None:
                pass
            forwarder.close()
            state.close()
        return sum(
            len(scope.spans)
            for body in langsmith.otlp
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
        )

    return do


def counted_runs(path):
    with TelemetryStore(Home.open(path)) as store:
        store.settle(everything=True)
        now = time.time_ns()
        [group] = metrics(store.database, start_ns=now - HOUR_NS, end_ns=now + HOUR_NS).groups
    return group.counters.runs


@pytest.mark.parametrize(
    ("variables", "runs", "sent"),
    [
        ({}, RUNS, (RUNS_OF_SDK, 0)),
        ({"LANGSMITH_OTEL_ENABLED": "true"}, RUNS + 1, (RUNS_OF_SDK, 0)),
        ({"LANGSMITH_TRACING_MODE": "otel"}, RUNS + 1, (0, SPANS + 1)),  # by_hand is nobody else's to tell
    ],
    ids=["langsmith", "hybrid", "otel"],
)
def test_every_run_is_in_langsmith_once_and_counts_once(run, forward, langsmith, variables, runs, sent):
    log = run(LANGSMITH_TRACING="true", **variables)
    assert counted_runs("home") == runs
    assert (len(langsmith.runs), forward()) == sent
    told = read_notices(open_telemetry(Home.open("home")))
    if langsmith.runs:
        assert log.count("(LANGSMITH_TRACING=true), where the destination 'smith' goes, too; ") == 1
        assert "unset the variable" in log
        assert "'smith'" in told[0].texts["double export"]
    else:
        assert ("double export" in log, told) == (False, ())
    assert KEY not in f"{log} {told}"


def test_a_sampler_that_leaves_spans_out_is_told_in_the_log_and_kept_until_it_is_gone(run, tmp_path):
    program = """
import ihobs
handle = ihobs.instrument()
for _ in range(200):
    with ihobs.workflow("w"):
        pass
assert handle.flush()
"""
    log = run(program, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5")
    home = Home.open(tmp_path / "home")
    [noticed] = read_notices(open_telemetry(home))
    assert (noticed.service, "TraceIdRatioBased{0.5}" in noticed.texts["sampling"]) == ("chat", True)
    assert log.count("TraceIdRatioBased{0.5}") == 1
    run(program)
    assert read_notices(open_telemetry(home)) == ()


@pytest.mark.parametrize(("endpoint", "left"), [("https://here", ["b"]), ("https://elsewhere", ["a", "b"])])
def test_only_the_langsmith_that_the_program_traces_to_goes_without_its_spans(endpoint, left):
    request = ExportTraceServiceRequest()
    for name, traced_to in (("a", "https://here"), ("b", None)):
        span = request.resource_spans.add().scope_spans.add().spans.add(name=name)
        if traced_to:
            span.attributes.add(key=TRACED_TO).value.string_value = mark_of(traced_to)
    leaving_out_traced(endpoint)(request)
    assert [resource.scope_spans[0].spans[0].name for resource in request.resource_spans] == left


@pytest.mark.parametrize(
    ("environ", "mode", "sends"),
    [
        ({"LANGSMITH_TRACING": "true"}, "langsmith", True),
        ({"LANGCHAIN_TRACING_V2": "true"}, "langsmith", True),
        ({"LANGSMITH_TRACING": "true", "LANGSMITH_OTEL_ENABLED": "true"}, "hybrid", True),
        ({"LANGSMITH_TRACING": "true", "LANGSMITH_OTEL_ONLY": "1"}, "otel", False),
        ({"LANGSMITH_TRACING": "true", "LANGCHAIN_TRACING_MODE": "HYBRID", "LANGSMITH_OTEL_ONLY": "1"}, "hybrid", True),
    ],
    ids=str,
)
def test_the_sdks_variables_are_read_as_the_sdk_reads_them(environ, mode, sends, monkeypatch):
    found = own_tracing(environ)
    assert (found.mode, found.sends) == (mode, sends)
    from langsmith.client import _resolve_tracing_mode
    from langsmith.utils import get_env_var, tracing_is_enabled

    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    get_env_var.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (_resolve_tracing_mode(None), tracing_is_enabled()) == (mode, True)
    get_env_var.cache_clear()


@pytest.mark.parametrize("environ", [{}, {"LANGSMITH_TRACING": "True"}, {"LANGSMITH_TRACING": "false"}], ids=str)
def test_what_the_sdk_takes_for_off_is_off(environ):
    assert own_tracing(environ) is None
