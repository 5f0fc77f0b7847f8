"""A home with spans in it, backends that answer as they are told, and a forwarder whose time stands still."""

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.forward.backend import GrpcBackend, HttpBackend

from ihobs.clock import SECOND_NS
from ihobs.config import load
from ihobs.forward.destinations import Destination
from ihobs.forward.forwarding import Forwarding
from ihobs.redact.policy import Policy
from ihobs.spans.dialects import shipped_dialects
from ihobs.store.forwarding import Enrolment, backlogs, enrol
from ihobs.store.home import Home
from ihobs.store.redaction import redactor_for
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore
from ihobs.testing import FakeClock

SETTINGS = load(environ={}).settings


class Place:
    """A home, its store, and what is put into it."""

    def __init__(self, path, clock):
        self.clock = clock
        self.home = Home.open(path, create=True)
        kept = redactor_for(self.home, Policy(content="keep"), shipped_dialects())
        self.store = TelemetryStore(self.home, clock=clock, redactor=kept)
        self.state = open_state(self.home)
        self.stored = 0

    def put(self, *names, trace=None, **attributes):
        """Store a request of spans with these names; each has ids of its own."""
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "svc"
        scope = resource.scope_spans.add()
        scope.scope.name = "test"
        for name in names:
            self.stored += 1
            span = scope.spans.add(
                trace_id=(trace or self.stored).to_bytes(16),
                span_id=self.stored.to_bytes(8),
                name=name,
                start_time_unix_nano=self.clock() - SECOND_NS,
                end_time_unix_nano=self.clock(),
            )
            for key, value in attributes.items():
                span.attributes.add(key=key.replace("__", ".")).value.string_value = value
        assert self.store.ingest(request).accepted == len(names)

    def forwarder(self, destination, *, chance=lambda: 1.0, is_held=lambda: False):
        enrol(self.store.database, {destination.name: Enrolment(destination.fingerprint(), destination.from_beginning)})
        forwarding = Forwarding(
            self.home,
            self.store.database,
            self.state,
            SETTINGS,
            lambda _name, work: work() or True,
            clock=self.clock,
            chance=chance,
        )
        return forwarding.forwarder(destination, is_held)

    def backlog(self, name="there"):
        return next(one for one in backlogs(self.store.database) if one.name == name)

    def losses(self):
        with self.store.database.read() as connection:
            return dict(connection.execute("SELECT reason, spans FROM dropped").fetchall())

    def close(self):
        self.store.close()
        self.state.close()


def drain(forwarder, clock, *, most=1000):
    """Take turns until nothing waits or it must wait; return when to come back, or None."""
    for _ in range(most):
        next_ns = forwarder.turn()
        if next_ns is None or next_ns > clock():
            return next_ns
    raise AssertionError("it goes on for ever")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def place(tmp_path, clock):
    made = Place(tmp_path / "home", clock)
    yield made
    made.close()


@pytest.fixture
def backend():
    made = HttpBackend()
    yield made
    made.close()


@pytest.fixture
def grpc_backend():
    made = GrpcBackend()
    yield made
    made.close()


@pytest.fixture
def there(backend):
    """A destination: the HTTP backend."""
    return Destination("there", f"{backend.url}/v1/traces", headers={"x-api-key": "sekrit-key-123"})


@pytest.fixture
def forward(place, there):
    """Make a forwarder to the backend, and close all of them at the end."""
    made = []

    def make(destination=there, **more):
        made.append(place.forwarder(destination, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()
