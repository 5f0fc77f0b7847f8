"""What the tests of decoding share: reading bytes as a file, and JSON for spans."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ihobs.spans.decode import read_stream
from ihobs.spans.decoded import Rejected


@dataclass
class Read:
    """Everything that a file held."""

    requests: list[ExportTraceServiceRequest]
    rejections: list[Rejected]

    @property
    def spans(self) -> list[Span]:
        scopes = [scope for each in self.requests for entry in each.resource_spans for scope in entry.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    @property
    def reasons(self) -> list[str]:
        return [each.reason for each in self.rejections]


@pytest.fixture(scope="session")
def read() -> Callable[..., Read]:
    """Read bytes or text as `ihobs import` reads a file."""

    def read(content: bytes | str, **options: int) -> Read:
        data = content.encode() if isinstance(content, str) else content
        chunks = list(read_stream(io.BytesIO(data), "file", **options))
        return Read([chunk.request for chunk in chunks], [each for chunk in chunks for each in chunk.rejections])

    return read


@pytest.fixture(scope="session")
def span() -> Callable[..., dict[str, Any]]:
    """Make a valid span in OTLP/JSON; keywords replace or add fields."""

    def span(name: str = "chat", /, **fields: object) -> dict[str, Any]:
        ids = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}
        times = {"startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000"}
        return ids | {"name": name} | times | fields

    return span


@pytest.fixture(scope="session")
def request_of() -> Callable[..., dict[str, Any]]:
    """Make an OTLP/JSON request that holds the given spans."""

    def request_of(*spans: object) -> dict[str, Any]:
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]}
        scope_spans = [{"scope": {"name": "lib"}, "spans": list(spans)}]
        return {"resourceSpans": [{"resource": resource, "scopeSpans": scope_spans}]}

    return request_of


@pytest.fixture(scope="session")
def traces(repository: Path) -> Path:
    """The directory of real traces; tests that need it are skipped without it."""
    path = Path(os.environ.get("IHOBS_TRACES", repository.parent / "shared" / "traces"))
    if not path.is_dir():
        pytest.skip("the real traces are not here; IHOBS_TRACES names their directory")
    return path
