"""A real SDK provider for spans of this process, and real programs in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ihobs.clock import HOUR_NS
from ihobs.model import Counters
from ihobs.store.home import Home
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

PROGRAM_TIMEOUT_S = 60


class Recorded:
    """The spans that ended, of this test."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.all if span.name == name]
        return found

    def parent_of(self, name: str) -> str | None:
        parent = self.one(name).parent
        return None if parent is None else {span.context.span_id: span.name for span in self.all}[parent.span_id]


@pytest.fixture(scope="session")
def global_provider() -> TracerProvider:
    """The provider that is set for everybody in this process; only one can be."""
    found = trace.get_tracer_provider()
    if not isinstance(found, TracerProvider):
        found = TracerProvider(shutdown_on_exit=False)
        trace.set_tracer_provider(found)
    return found


@pytest.fixture(scope="session")
def memory(global_provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    global_provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def recorded(memory: InMemorySpanExporter) -> Iterator[Recorded]:
    memory.clear()
    yield Recorded(memory)
    memory.clear()


@dataclass(frozen=True)
class Ended:
    """A program that ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Programs:
    """Runs programs in a directory of their own; their home is `home`."""

    directory: Path

    @property
    def home(self) -> Path:
        return self.directory / "home"

    def write(self, code: str, name: str = "app.py") -> Path:
        path = self.directory / name
        path.write_text(textwrap.dedent(code).strip("\n") + "\n", encoding="utf-8")
        return path

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        unwanted = ("IHOBS_", "OTEL_", "LANGSMITH_", "LANGCHAIN_", "PYTEST_", "COV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        return {**kept, "IHOBS_HOME": str(self.home), "PYTHONWARNINGS": "default", **(extra or {})}

    def run(self, *command: str | Path, env: Mapping[str, str] | None = None) -> Ended:
        done = subprocess.run(
            [str(part) for part in command],
            env=self.environ(env),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def python(self, code: str, *, env: Mapping[str, str] | None = None) -> Ended:
        """Run a program that calls `ihobs.instrument()` itself."""
        return self.run(sys.executable, self.write(code), env=env)

    def execute(self, code: str, *, env: Mapping[str, str] | None = None, options: Sequence[str] = ()) -> Ended:
        """Run a program under `ihobs exec`."""
        return self.run(*IHOBS, "exec", *options, "--", sys.executable, self.write(code), env=env)

    def start(self, *command: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(part) for part in command],
            env=self.environ(env),
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def counted(self, **where: str) -> Counters:
        """Return the sums of what the home holds."""
        with TelemetryStore(Home.open(self.home)) as store:
            store.settle(everything=True)
            now = time.time_ns()
            groups = metrics(store.database, start_ns=now - HOUR_NS, end_ns=now + HOUR_NS, where=where).groups
            return groups[0].counters if groups else Counters()

    def grouped(self, *by: str) -> dict[tuple[str | None, ...], Counters]:
        with TelemetryStore(Home.open(self.home)) as store:
            store.settle(everything=True)
            now = time.time_ns()
            groups = metrics(store.database, start_ns=now - HOUR_NS, end_ns=now + HOUR_NS, by=by).groups
            return {tuple(group.by[name] for name in by): group.counters for group in groups}


IHOBS = (sys.executable, "-m", "ihobs")


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with its schema, made once: each program would spend half a second on it."""
    path = tmp_path_factory.mktemp("template") / "home"
    with TelemetryStore(Home.open(path, create=True)) as store:
        store.settle()
    return path


@pytest.fixture
def programs(tmp_path: Path, empty_home: Path) -> Programs:
    shutil.copytree(empty_home, tmp_path / "home")
    return Programs(tmp_path)


def until(condition: object, timeout_s: float = 20.0) -> None:
    """Wait until `condition()` holds; for what another thread or process does."""
    assert callable(condition)
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
