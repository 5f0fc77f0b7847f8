"""Senders that are not ours, as they are released: what they send lands once, with the totals of `ihobs import`."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.peers.conftest import REPOSITORY, program
from tests.peers.serving import BOUND_S, environment, ihobs, serving, spans, totals, until

from ihobs.spans.decode import read_file

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
NODE_FILES = HERE / "node"
APP = REPOSITORY / "examples" / "langgraph_app.py"
LANGSMITH = {
    "LANGSMITH_TRACING": "true",
    "LANGSMITH_TRACING_MODE": "otel",
    "LANGSMITH_API_KEY": "not-a-key",
    "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",  # nothing may leave the machine, whatever it asks its service for
}
FILES = ("any-agent.otlp.jsonl.gz", "langgraph/openinference_langgraph_error.json")


@pytest.fixture(scope="module")
def sources(traces_dir):
    """Files of real traces."""
    return [traces_dir / name for name in FILES]


@pytest.fixture(scope="module")
def expected(sources, tmp_path_factory):
    """The totals of a home that they were imported into."""
    return imported(tmp_path_factory.mktemp("imported") / "home", *sources)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture(scope="session")
def node(install):
    """A directory with OpenTelemetry's SDK for Node.js and the program that uses it."""
    npm, _ = program("npm"), program("node")
    pinned = [(NODE_FILES / name).read_text() for name in ("package.json", "package-lock.json")]
    directory = install(
        "node",
        "".join(pinned),
        ["cp", str(NODE_FILES / "package.json"), str(NODE_FILES / "package-lock.json"), "{directory}"],
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
    )
    shutil.copy(NODE_FILES / "replay.mjs", directory)
    return directory


def imported(home, *paths):
    ihobs(home, "import", *paths)
    return totals(home)


def run(*command, cwd=None, **variables):
    """Run a sender to its end, which must be a good one."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        cwd=cwd,
        env=environment(**variables),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def lands_once(home, expected, send, *options):
    """See that what `send(url)` sends becomes the expected totals, and that sending it again changes none of them."""
    with serving(home, *options) as (_, url):
        for _ in range(2):
            send(url)
            assert until(lambda: totals(home) == expected), differences(totals(home), expected)


def differences(found, expected):
    """Return what differs between two totals, to be read by people."""
    return {
        key: (found.get(key), expected.get(key)) for key in {*found, *expected} if found.get(key) != expected.get(key)
    }


@pytest.mark.parametrize("compression", ["gzip", "deflate", "none"])
def test_the_python_sdk_over_http(home, sources, expected, compression):
    def send(url):
        sender = [sys.executable, HERE / "replay.py", "http", *sources]
        run(*sender, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_COMPRESSION=compression)

    lands_once(home, expected, send)


@pytest.mark.parametrize("compression", [{}, {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}], ids=["identity", "gzip"])
def test_the_python_sdk_over_grpc(home, sources, expected, compression):
    def send(url):
        run(sys.executable, HERE / "replay.py", "grpc", *sources, OTEL_EXPORTER_OTLP_ENDPOINT=url, **compression)

    lands_once(home, expected, send, "--grpc", "0")


@pytest.mark.parametrize("encoding", ["proto", "json"])
def test_the_node_sdk(home, node, sources, expected, encoding):
    def send(url):
        run("node", "replay.mjs", encoding, f"{url}/v1/traces", *sources, cwd=node)

    lands_once(home, expected, send)


def test_curl_with_a_file_of_json(home, traces_dir, tmp_path):
    source = traces_dir / "any-agent.otlp.jsonl.gz"
    expected = imported(tmp_path / "imported", source)

    def send(url):
        headers = ["-H", "content-type: application/json", "-H", "content-encoding: gzip"]
        answer = run(program("curl"), "-sS", "--fail", *headers, "--data-binary", f"@{source}", f"{url}/v1/traces")
        assert json.loads(answer) == {}

    lands_once(home, expected, send)


@pytest.mark.parametrize("is_compressed", [False, True], ids=["identity", "gzip"])
def test_curl_with_a_file_of_protobuf(home, traces_dir, tmp_path, is_compressed):
    source = traces_dir / "any-agent.otlp.pb.gz"
    expected = imported(tmp_path / "imported", source)
    request = ExportTraceServiceRequest()
    for chunk in read_file(source):
        request.MergeFrom(chunk.request)
    body = tmp_path / "body"
    body.write_bytes(gzip.compress(request.SerializeToString()) if is_compressed else request.SerializeToString())

    def send(url):
        coding = ["-H", "content-encoding: gzip"] if is_compressed else []
        headers = ["-H", "content-type: application/x-protobuf", *coding]
        answer = run(program("curl"), "-sS", "--fail", *headers, "--data-binary", f"@{body}", f"{url}/v1/traces")
        assert answer == ""  # an ExportTraceServiceResponse that refuses nothing

    lands_once(home, expected, send)


def test_langsmith_in_its_opentelemetry_mode(home, tmp_path):
    written = tmp_path / "spans.pb"
    with serving(home) as (_, url):
        run(sys.executable, HERE / "langsmith_app.py", APP, written, OTEL_EXPORTER_OTLP_ENDPOINT=url, **LANGSMITH)
        expected = imported(tmp_path / "imported", written)
        assert until(lambda: totals(home) == expected), differences(totals(home), expected)
    assert spans(home) == sum(len(s.spans) for r in requests_of(written) for s in r.scope_spans) > 0


def requests_of(path):
    return [resource for chunk in read_file(path) for resource in chunk.request.resource_spans]
