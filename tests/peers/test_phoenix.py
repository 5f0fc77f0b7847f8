"""Arize Phoenix, as it is released, behind ihobs' forwarder: it holds what it would hold had it been asked directly."""

import json
import os
import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.peers.conftest import program
from tests.peers.phoenix import VERSION, running
from tests.peers.serving import ihobs, serving, until

from ihobs.spans.decode import read_file
from ihobs.store.home import Home
from ihobs.store.payloads import decompress
from ihobs.store.telemetry import TelemetryStore

pytestmark = pytest.mark.peer

PROJECT = "openinference.project.name"
"""The attribute of a resource by which Phoenix sorts spans."""

TAGS = {"http": 2, "grpc": 4}
"""What makes the ids of one test others than those of the other."""

FEW = ("agent-prism*", "langfuse*", "langgraph/*")
SOME = ("any-agent*.jsonl.gz", *FEW)
ALL = ("tau2*", *SOME)
"""Phoenix stores some fifty spans a second, and tau2 has nine thousand: $IHOBS_LONG takes them as well."""

LONG = bool(os.environ.get("IHOBS_LONG"))
TAKES_S = 3600.0 if LONG else 200.0
"""How long Phoenix may take to store them."""
LOOKS_S = 2.0
"""How often it is asked how far it is: answers cost it time."""


@pytest.fixture(scope="module")
def phoenix(install, tmp_path_factory):
    uv = program("uv", os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    directory = install(
        "phoenix",
        VERSION,
        [uv, "venv", "--quiet", "--python", sys.executable, "{directory}/venv"],
        [uv, "pip", "install", "--quiet", "--python", "{directory}/venv/bin/python", f"arize-phoenix=={VERSION}"],
    )
    with running(directory / "venv" / "bin" / "phoenix", tmp_path_factory.mktemp("phoenix")) as one:
        yield one


@pytest.mark.parametrize(("protocol", "patterns"), [("http", ALL if LONG else SOME), ("grpc", FEW)])
def test_phoenix_holds_every_span_as_if_it_were_sent_directly(phoenix, traces_dir, tmp_path, protocol, patterns):
    forwarded, direct, home = f"{protocol}-forwarded", f"{protocol}-direct", tmp_path / "home"
    source, config = tmp_path / "spans.pb", tmp_path / "ihobs.yaml"
    source.write_bytes(tagged(real(traces_dir, patterns), TAGS[protocol], forwarded).SerializeToString())
    endpoint = phoenix.url if protocol == "http" else phoenix.grpc_url
    to_phoenix = {"type": "otlp", "endpoint": endpoint, "protocol": protocol, "from": "beginning"}
    config.write_text(json.dumps({"instrument": {"content": "keep"}, "destinations": {"phoenix": to_phoenix}}))
    ihobs(home, "--config", config, "import", source)
    stored = merged(stored_in(home))
    ids = {(span.trace_id.hex(), span.span_id.hex()) for span in spans_of(stored)}
    assert len(ids) > 300
    phoenix.post(tagged(stored, 1, direct))
    with serving(home, config=config):
        for project in (forwarded, direct):
            arrived = until(lambda name=project: phoenix.count(name) >= len(ids), bound_s=TAKES_S, pause_s=LOOKS_S)
            assert arrived, (project, phoenix.count(project), len(ids))
    theirs = by_ids(phoenix.spans(forwarded), 0)
    assert theirs.keys() == ids
    assert theirs == by_ids(phoenix.spans(direct), 1)


def real(traces_dir, patterns):
    """Return real traces as one request."""
    paths = [path for pattern in patterns for path in sorted(traces_dir.glob(pattern))]
    return merged(chunk.request for path in paths for chunk in read_file(path))


def merged(requests):
    one = ExportTraceServiceRequest()
    for request in requests:
        one.MergeFrom(request)
    return one


def stored_in(home):
    """Return the requests that a home holds, redacted as they are."""
    with TelemetryStore(Home.open(home)) as store, store.database.read() as connection:
        return [decompress(body) for (body,) in connection.execute("SELECT body FROM payload")]


def spans_of(request):
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def tagged(request, tag, project):
    """Return the same spans in another project under other ids: Phoenix wants them different in all its projects."""
    request = merged([request])
    for resource in request.resource_spans:
        kept = [pair for pair in resource.resource.attributes if pair.key != PROJECT]
        del resource.resource.attributes[:]
        resource.resource.attributes.extend(kept)
        resource.resource.attributes.add(key=PROJECT).value.string_value = project
    for span in spans_of(request):
        span.trace_id, span.span_id = other(span.trace_id, tag), other(span.span_id, tag)
        span.parent_span_id = other(span.parent_span_id, tag)
    return request


def other(some_id, tag):
    return bytes([some_id[0] ^ tag]) + some_id[1:] if some_id else b""


def by_ids(spans, tag):
    """Return what Phoenix tells of each span by its ids, those before `tagged`; attributes by name."""
    found = {}
    for span in spans:
        for name in ("trace_id", "span_id", "parent_span_id"):
            span[name] = other(bytes.fromhex(span[name] or ""), tag).hex()
        for part in (span, *(span["events"] or ())):
            part["attributes"] = {pair["key"]: pair["value"] for pair in part["attributes"]}
        assert (span["trace_id"], span["span_id"]) not in found
        found[span["trace_id"], span["span_id"]] = span
    return found
