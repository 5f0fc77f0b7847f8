"""A home to examine, and a function that examines it with one check."""

import hashlib
import os
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.clock import SECOND_NS
from ihobs.config import load as load_config
from ihobs.doctor.examined import Examined
from ihobs.plugins import load as load_plugins
from ihobs.store.home import Home
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_", "OTEL_"))]:
        monkeypatch.delenv(name)


class Patient:
    """A home in a directory with a configuration."""

    def __init__(self, directory):
        self.path = directory / "home"
        self._config = directory / "ihobs.yaml"
        self.now_ns = time.time_ns()
        self.variables = {"IHOBS_HOME": str(self.path)}

    def make(self):
        """Make the home and both databases."""
        home = Home.open(self.path, create=True)
        with TelemetryStore(home) as store:
            store.settle()
        state = open_state(home)
        with state.write():
            pass
        state.close()
        return home

    def spans(self, *, live=False, ended_s_ago=60.0, scope="test", service="svc", trace=1):
        """Store a span."""
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = service
        spans = resource.scope_spans.add()
        spans.scope.name = scope
        end_ns = self.now_ns - round(ended_s_ago * SECOND_NS)
        spans.spans.add(
            trace_id=trace.to_bytes(16), span_id=b"12345678", name="run",
            start_time_unix_nano=end_ns - SECOND_NS, end_time_unix_nano=end_ns,
        )  # fmt: skip
        with TelemetryStore(Home.open(self.path), clock=lambda: self.now_ns) as store:
            store.ingest(request, live=live)

    def sql(self, name, *statements):
        """Run statements on a database, past everything that ihobs keeps in order."""
        import sqlite3

        connection = sqlite3.connect(Home.open(self.path).database(name))
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def configure(self, text):
        self._config.write_text(text)

    def examined(self, environ=None, **more):
        config = load_config(self._config if self._config.exists() else None, environ=self.variables)
        return Examined(
            config,
            "",
            self.path,
            environ or {},
            load_plugins(quiet=True),
            lambda: self.now_ns,
            **{"online": False, **more},
        )

    def told(self, check, environ=None, **more):
        """Return the (level, text) pairs that a check tells."""
        examined = self.examined(environ, **more)
        try:
            return [(finding.level, finding.text) for finding in check(examined)]
        finally:
            examined.close()

    def files(self):
        """Return every file of the directory with what it holds, when it was changed, and who may use it."""
        return {
            path.relative_to(self.path.parent): (
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
                path.stat().st_mtime_ns,
                path.stat().st_mode,
            )
            for path in sorted(self.path.parent.rglob("*"))
        }


@pytest.fixture
def patient(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Patient(tmp_path)
