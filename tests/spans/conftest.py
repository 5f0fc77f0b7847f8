"""Spans as they come, from plain Python, and the real traces."""

import os
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from ihobs.spans.dialects import shipped_dialects
from ihobs.spans.normalise import Receipt, normalise

RECEIPT = Receipt(2**62, live=False)


def otlp_span(name="s", attributes=None, *, failed=False, exception=None, message=""):
    """Make a span with such attributes: texts, numbers and switches."""
    span = OtlpSpan(
        name=name, span_id=b"spanspan", trace_id=b"t" * 16, start_time_unix_nano=10**18, end_time_unix_nano=10**18 + 5
    )
    for key, value in (attributes or {}).items():
        entry = span.attributes.add(key=key).value
        kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(entry, kind, value)
    if failed:
        span.status.code, span.status.message = 2, message
    if exception:
        event = span.events.add(name="exception")
        for key, value in zip(("exception.type", "exception.message"), exception, strict=False):
            event.attributes.add(key=key).value.string_value = value
    return span


@pytest.fixture(name="otlp_span")
def span_maker():
    return otlp_span


@pytest.fixture
def read():
    """Return what ihobs makes of a span: read(attributes, scope=..., name=..., dialects=...)."""

    def read(attributes, *, scope="", name="s", dialects=None, **more):
        span = otlp_span(name, attributes, **more)
        return normalise(span, "service", scope, dialects or shipped_dialects(), RECEIPT)

    return read


@pytest.fixture(scope="session")
def traces_dir(repository):
    """The folder of real traces: $IHOBS_TRACES, or shared/traces beside the checkout."""
    path = Path(os.environ.get("IHOBS_TRACES") or repository.parent / "shared" / "traces")
    if not path.is_dir():
        pytest.skip(f"the real traces are not at {path}; set IHOBS_TRACES")
    return path
