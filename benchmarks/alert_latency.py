"""How long after an error somebody hears of it: from the end of a failed run to the body of a webhook.

The instrumented program is a process of its own: `ihobs exec -- python -m benchmarks.alert_latency FILE TRIALS`.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.sample import llm_requests
from benchmarks.table import Table

TRIALS = 200
PAUSE_S = 0.15
LOAD_SPANS_PER_S = 10_000
LATEST_S = 30.0
NOTE = """\
Milliseconds from the end of a failed run to the webhook that has the whole message, over 200 failures, each of a
workflow of its own so that each is a new alert in a group of its own; incidents are off, as 200 at once are another
matter. *Program*: it ends in an instrumented program
under `ihobs exec`. *Server*: from the moment its span is posted to `ihobs serve`; *busy* while another process sends
10 000 spans/s. *Prometheus* scrapes, evaluates and groups as often as it can be told to (every 100 ms, no waiting), and
watches a gauge that is exposed at once; *poll* asks every five minutes, which is arithmetic. Goals: p50 below 200 ms
and p99 below 500 ms from the program, p99 below 100 ms from the server."""

CONFIGURATION = """\
rules:
  - {{id: failing, metric: error_rate, by: [workflow], warning: 0.5, window: 5m, min_count: 1}}
channels: {{warning: [hook]}}
receivers: {{hook: "webhook:{url}"}}
delivery: {{group_by: [rule, workflow], group_wait: 0s}}
thresholds: {{error_rate: {{}}}}
incidents: {{open_from: never}}
"""

Heard = dict[str, int]
"""Workflow -> when the message that names it had come in, ns."""


def run() -> Table:
    rows = [["program", *_cuts(_from_program())]]
    rows.append(["server", *_cuts(_from_server(load=False))])
    rows.append(["server, busy", *_cuts(_from_server(load=True))])
    if shutil.which("prometheus") and shutil.which("prometheus-alertmanager"):
        rows.append(["Prometheus + Alertmanager", *_cuts(_from_prometheus())])
    rows.append(["poll", *(f"{ms:,.0f}" for ms in (150_000, 297_000, 300_000))])
    return Table("From an error to its message, ms", NOTE, ("from", "p50", "p99", "max"), rows)


def _cuts(took_ms: list[float]) -> list[str]:
    took_ms = sorted(took_ms)
    return [f"{took_ms[int(q * (len(took_ms) - 1))]:,.0f}" for q in (0.5, 0.99, 1)]


def _from_program() -> list[float]:
    """Return how long each message took that a failure in an instrumented program caused."""
    with tempfile.TemporaryDirectory() as name, _webhook() as (url, heard):
        directory = Path(name)
        (directory / "ihobs.yaml").write_text(CONFIGURATION.format(url=url))
        times = directory / "times.json"
        program = [sys.executable, "-m", "benchmarks.alert_latency", str(times), str(TRIALS)]
        command = [sys.executable, "-m", "ihobs", "--config", str(directory / "ihobs.yaml"), "exec", "--", *program]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
        return _took(json.loads(times.read_text()), heard)


def program(times: Path, trials: int) -> None:
    """Fail so often, each time in another workflow, and write when each run ended."""
    import ihobs

    ended: Heard = {}
    for number in range(-5, trials):  # the first ones make the home, and are not looked at
        with contextlib.suppress(RuntimeError), ihobs.workflow(f"w{number}!"):
            raise RuntimeError("benchmark")
        ended[f"w{number}!"] = time.time_ns()
        time.sleep(1.0 if number < 0 else PAUSE_S)
    time.sleep(3)
    times.write_text(json.dumps({workflow: at_ns for workflow, at_ns in ended.items() if "-" not in workflow}))


def _from_server(*, load: bool) -> list[float]:
    """Return how long each message took that a failure posted to `ihobs serve` caused."""
    with tempfile.TemporaryDirectory() as name, _webhook() as (url, heard), contextlib.ExitStack() as stack:
        directory = Path(name)
        (directory / "ihobs.yaml").write_text(CONFIGURATION.format(url=url))
        port = stack.enter_context(_serve(directory / "ihobs.yaml"))
        if load:
            stack.enter_context(_load(port))
        posted: Heard = {}
        for number in range(-5, TRIALS):
            body = _failed_run(f"w{number}!", number)
            at_ns = time.time_ns()
            _post(port, body)
            if number >= 0:
                posted[f"w{number}!"] = at_ns
            time.sleep(PAUSE_S)
        return _took(posted, heard)


def _failed_run(workflow: str, number: int) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "benchmark"
    now_ns = time.time_ns()
    span = resource.scope_spans.add().spans.add(
        trace_id=(number + 1000).to_bytes(16),
        span_id=(number + 1000).to_bytes(8),
        name=workflow,
        start_time_unix_nano=now_ns - 1_000_000,
        end_time_unix_nano=now_ns,
    )
    span.attributes.add(key="ihobs.kind").value.string_value = "workflow"
    span.status.code = 2
    return request.SerializeToString()


def _took(since_ns: Mapping[str, int], heard: Heard) -> list[float]:
    """Return the milliseconds between the two for each; all must have been heard of."""
    until_s = time.monotonic() + LATEST_S
    while not heard.keys() >= since_ns.keys():
        if time.monotonic() > until_s:
            raise AssertionError(f"no message told of {sorted(since_ns.keys() - heard.keys())}")
        time.sleep(0.05)
    return [(heard[workflow] - at_ns) / 1e6 for workflow, at_ns in since_ns.items()]


@contextlib.contextmanager
def _webhook() -> Iterator[tuple[str, Heard]]:
    """Run a server that notes when it first hears of each workflow."""
    heard: Heard = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            now_ns = time.time_ns()
            for workflow in re.findall(r"w-?\d+!", body):
                heard.setdefault(workflow, now_ns)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _http_server(Handler) as port:
        yield f"http://127.0.0.1:{port}/hook", heard


@contextlib.contextmanager
def _http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@contextlib.contextmanager
def _serve(configuration: Path) -> Iterator[int]:
    """Run `ihobs serve`; yield its port."""
    port = _free_port()
    command = [sys.executable, "-m", "ihobs", "--config", str(configuration), "serve", "--port", str(port)]
    with _process(command):
        _until(lambda: _answers(port, "/readyz"))
        yield port


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + LATEST_S
    while not condition():
        if time.monotonic() > until_s:
            raise AssertionError("a server did not start")
        time.sleep(0.05)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _post(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
    status = connection.getresponse().status
    connection.close()
    if status not in (http.HTTPStatus.OK, http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS):
        raise AssertionError(f"the receiver answered {status}")


@contextlib.contextmanager
def _load(port: int) -> Iterator[None]:
    """Send LOAD_SPANS_PER_S from a process of its own."""
    with _process([sys.executable, "-m", "benchmarks.alert_latency", "load", str(port)]):
        time.sleep(2)
        yield


def load(port: int) -> None:
    """Send batches of 100 spans at fixed times, new ones again and again."""
    batch, first_ns = 100, time.time_ns()
    for number in range(10**9):
        [request] = llm_requests(batch, batch=batch)
        now_ns = time.time_ns()
        for index, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
            span.trace_id = os.urandom(8) + (number * batch + index // 8).to_bytes(8)
            span.start_time_unix_nano, span.end_time_unix_nano = now_ns - 10**8, now_ns
        _post(port, request.SerializeToString())
        due_ns = first_ns + (number + 1) * batch * 10**9 // LOAD_SPANS_PER_S
        time.sleep(max(0, due_ns - time.time_ns()) / 1e9)


def _from_prometheus() -> list[float]:
    """Return how long each message took that a gauge caused, with Prometheus and Alertmanager at their fastest."""
    gauges: list[str] = []

    class Exposition(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # at the end, Prometheus hangs up
                self.wfile.write("".join(f'failing{{workflow="{name}"}} 1\n' for name in list(gauges)).encode())

        def log_message(self, *_: object) -> None:
            pass

    with tempfile.TemporaryDirectory() as name, _webhook() as (url, heard), contextlib.ExitStack() as stack:
        exposed = stack.enter_context(_http_server(Exposition))
        prometheus, alertmanager = _free_port(), _free_port()
        for command in _prometheus_commands(Path(name), url, exposed, (prometheus, alertmanager)):
            stack.enter_context(_process(command))
        _until(lambda: _answers(prometheus, "/-/ready") and _answers(alertmanager, "/-/ready"))
        since: Heard = {}
        for number in range(-5, TRIALS):
            if number >= 0:
                since[f"w{number}!"] = time.time_ns()
            gauges.append(f"w{number}!")
            time.sleep(PAUSE_S)
        return _took(since, heard)


def _prometheus_commands(directory: Path, url: str, exposed: int, ports: tuple[int, int]) -> list[list[str]]:
    """Write the configurations and return the two commands."""
    prometheus, alertmanager = ports
    rule = {"alert": "failing", "expr": "failing > 0.5"}
    documents = {
        "rules.yml": {"groups": [{"name": "all", "interval": "100ms", "rules": [rule]}]},
        "prometheus.yml": {
            "global": {"scrape_interval": "100ms", "scrape_timeout": "100ms", "evaluation_interval": "100ms"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "b", "static_configs": [{"targets": [f"127.0.0.1:{exposed}"]}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
        },
        "alertmanager.yml": {
            "route": {"receiver": "hook", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": url}]}],
        },
    }
    for file, document in documents.items():
        (directory / file).write_text(json.dumps(document))  # YAML holds JSON
    listen = "--web.listen-address=127.0.0.1:"
    return [
        [
            "prometheus",
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"{listen}{prometheus}",
        ],
        [
            "prometheus-alertmanager",
            f"--config.file={directory / 'alertmanager.yml'}",
            f"--storage.path={directory / 'am'}",
            f"{listen}{alertmanager}",
            "--cluster.listen-address=",
        ],
    ]


if __name__ == "__main__":
    if sys.argv[1] == "load":
        load(int(sys.argv[2]))
    else:
        program(Path(sys.argv[1]), int(sys.argv[2]))
