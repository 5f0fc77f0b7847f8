"""What each kind of step really does, and that what stands in for it in dry runs yields the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ihobs.config import load
from ihobs.errors import RefusedError
from ihobs.runbooks import performing
from ihobs.runbooks.journal import MemoryJournal
from ihobs.runbooks.kinds.own import own_kinds
from ihobs.runbooks.kinds.surroundings import Allowed, Surroundings
from ihobs.runbooks.library import Library
from ihobs.runbooks.masking import stand_ins
from ihobs.runbooks.performing import Examples, Timing
from ihobs.runbooks.registry import Kinds
from ihobs.runbooks.running import Desk, Request, Walk, lock_of, new_run
from ihobs.store.home import Home
from ihobs.store.schema import open_telemetry
from ihobs.store.state import alerts, controls, runs, silences
from ihobs.store.state.migrations import open_state

PYTHON = sys.executable


class Server(BaseHTTPRequestHandler):
    """Answers with what it was asked; /status/N with status N; /away leads elsewhere."""

    def do_GET(self):
        if self.path.startswith("/status/"):
            self.answer(int(self.path.rpartition("/")[2]), b"as you wish")
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://example.invalid/")
            self.end_headers()
        else:
            length = int(self.headers.get("Content-Length", 0))
            seen = {"method": self.command, "path": self.path, "body": self.rfile.read(length).decode()}
            self.answer(200, json.dumps(seen | {"headers": dict(self.headers)}).encode())

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the names that http.server wants

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


class Bench:
    """Runs steps for real on a home of their own."""

    def __init__(self, path: Path, **allowed) -> None:
        self.path = path
        self.home = Home.open(path / "home", create=True)
        self.state = open_state(self.home)
        self.environ = dict(os.environ)
        around = Surroundings(lambda: self.home, load(environ={}).settings, Allowed(**allowed), self.environ)
        self.library = Library(Kinds(own_kinds(around)), (path,))
        self.desk = Desk(self.state, self.library, self.environ, Timing())

    def run(self, *steps: str, head: str = ""):
        lines = "".join(f"  - {step}\n" for step in steps)
        (self.path / "t.runbook.yaml").write_text(f"id: t\ntitle: t\n{head}\nsteps:\n{lines}")
        self.library = Library(self.library.kinds, (self.path,))
        self.desk = Desk(self.state, self.library, self.environ, Timing())
        return self.desk.walk(self.desk.start(self.library.find("t"), Request({}, "alice")))

    def outputs(self, *steps: str, head: str = "") -> dict:
        """Return the outputs of the step `a`, which must succeed, and hold what stands in for it against them."""
        result = self.run(*steps, head=head)
        assert result.error is None, result.error
        made = self.of("a", result.run_id)
        assert self.dry().keys() == made.keys()
        return made

    def of(self, path: str, run_id: str) -> dict:
        [event] = [
            event
            for event in runs.events(self.state, run_id)
            if event.name == "outcome" and event.path == path and event.fields["status"] == "succeeded"
        ]
        return event.fields["outputs"]

    def dry(self) -> dict:
        runbook = self.library.find("t")
        timing = Timing(sleep=lambda _: None)
        run, journal = new_run(runbook, Request({}, "alice"), timing), MemoryJournal()
        Walk(runbook, run, self.library, journal, Examples(), stand_ins(runbook.secrets), timing).go()
        return next(
            event.fields["outputs"] for event in journal.events() if event.name == "outcome" and event.path == "a"
        )


def test_query_reads_a_metric_as_a_rule_would(tmp_path):
    bench = Bench(tmp_path)
    made = bench.outputs("{id: a, query: {metric: error_rate, by: [workflow], where: {service: x}, window: 15m}}")
    assert made == {"value": None, "by": {}, "groups": [], "note": ""}
    assert bench.outputs("{id: a, query: throughput}")["value"] == 0.0


def test_health_looks_at_everything(tmp_path):
    bench = Bench(tmp_path)
    made = bench.outputs("{id: a, health: {}}")
    assert made == {"success_rate": None, "runs": 0, "failed_runs": 0, "active_workflows": 0, "firing": []}
    open_telemetry(bench.home).close()


def test_wait_until_reads_until_it_holds_or_its_time_is_up(tmp_path):
    bench = Bench(tmp_path)
    made = bench.outputs("{id: a, wait_until: {query: {metric: throughput}, until: value == 0.0, every: 10ms}}")
    assert (made["reads"], made["last"]["value"]) == (1, 0.0)
    result = bench.run("{id: a, wait_until: {health: {}, until: runs > 0, every: 10ms}, timeout: 200ms}")
    assert result.error["kind"] == "timeout"


def test_wait_waits(tmp_path):
    assert Bench(tmp_path).outputs("{id: a, wait: 10ms}") == {}


def test_http_sends_what_it_was_given_and_a_key_that_stays_the_same(tmp_path, server):
    bench = Bench(tmp_path, hosts=("127.0.0.1:*",))
    request = f'{{method: PUT, url: "http://{server}/route", headers: {{X-Why: "{{{{ run.by }}}}"}}, json: {{a: 1}}}}'
    made = bench.outputs(f"{{id: a, http: {request}}}")
    assert (made["status"], json.loads(made["json"]["body"])) == (200, {"a": 1})
    assert made["json"]["headers"]["X-Why"] == "alice"
    assert made["json"]["headers"]["Idempotency-Key"].endswith("/a")


def test_http_fails_by_status_and_follows_nobody(tmp_path, server):
    bench = Bench(tmp_path, hosts=("127.0.0.1:*",))
    failed = bench.run(f'{{id: a, http: "http://{server}/status/503"}}').error
    assert (failed["kind"], failed["status"], failed["details"]["text"]) == ("status", 503, "as you wish")
    assert bench.run(f'{{id: a, http: {{url: "http://{server}/status/404", expect: [404]}}}}').status == "succeeded"
    assert bench.run(f'{{id: a, http: "http://{server}/away"}}').error["status"] == 302
    assert bench.run('{id: a, http: "http://127.0.0.1:1/"}').error["kind"] == "unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://127.0.0.1/",
        "http://127.0.0.1:80@example.com/",
        "http://user@127.0.0.1:81/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:81/",
        "http://127.0.0.1:81\\\\@example.com/",
        "//127.0.0.1:81/",
        "http://[::1/",
        "http://127.0.0.1:99999/",
        "HTTP://EXAMPLE.COM/",
    ],
)
def test_http_calls_only_what_is_allowed(tmp_path, url):
    head = f'inputs: {{u: {{default: "{url}"}}}}'  # as it would come from outside
    result = Bench(tmp_path, hosts=("127.0.0.1:81",)).run('{id: a, http: "{{ inputs.u }}"}', head=head)
    assert result.error["kind"] == "refused"


def test_command_gets_its_arguments_as_they_are(tmp_path):
    bench = Bench(tmp_path, commands=(PYTHON,))
    code = "import sys, os; print(sys.argv[1:], sorted(os.environ)); print(sys.stdin.read(), file=sys.stderr)"
    bench.environ["SECRET_OF_OURS"] = "x"
    hostile = "$(touch gone); `id` | rm -rf / && 'quoted' *"
    made = bench.outputs(
        f"{{id: s, set: {{h: {json.dumps(hostile)}}}}}",
        f'{{id: a, command: {{argv: [{PYTHON}, -c, "{code}", "{{{{ s.h }}}}"], stdin: "fed", env: {{MINE: 1}}}}}}',
    )
    assert repr(hostile) in made["stdout"]
    assert "MINE" in made["stdout"]
    assert "SECRET_OF_OURS" not in made["stdout"]
    assert made["stderr"] == "fed\n"


@pytest.mark.parametrize(
    "argv", [["rm", "x"], ["./uptime"], ["/bin/../bin/rm"], ["uptime\u0000"], ["../uptime"], ["UPTIME"]]
)
def test_command_runs_only_what_is_allowed(tmp_path, argv):
    error = (
        Bench(tmp_path, commands=("uptime", "./uptime", "../uptime"))
        .run(f"{{id: a, command: {json.dumps(argv)}}}")
        .error
    )
    assert error["kind"] == "refused"


def test_command_fails_by_its_exit_code_with_the_last_line_of_what_it_said(tmp_path):
    bench = Bench(tmp_path, commands=(PYTHON, "nowhere-to-be-found"))
    step = f"{{id: a, command: {{argv: [{PYTHON}, -c, \"import sys; sys.exit('one\\ntwo')\"]}}}}"
    error = bench.run(step.replace("\\n", "\\\\n")).error
    assert (error["status"], error["message"].rpartition(" ")[2]) == (1, "two")
    assert bench.run("{id: a, command: [nowhere-to-be-found]}").error["kind"] == "unreachable"


def test_a_command_that_says_too_much_is_cut(tmp_path):
    bench = Bench(tmp_path, commands=(PYTHON,))
    made = bench.outputs(f'{{id: a, command: [{PYTHON}, -c, "print(chr(120) * 10**6)"]}}')
    assert made["stdout"] == "x" * 32_768


def test_a_command_that_takes_too_long_is_ended_and_nobody_knows_what_it_did(tmp_path):
    bench = Bench(tmp_path, commands=("sleep",))
    result = bench.run("{id: a, command: [sleep, 600], timeout: 100ms}")
    assert (result.status, result.paused_at) == ("unknown", "a")
    bench.desk.assume(result.run_id, "a", by="alice", status="failed", outputs={})
    assert bench.desk.walk(runs.find(bench.state, result.run_id)).error["kind"] == "assumed"
    result = bench.run("{id: a, command: [sleep, 600], timeout: 100ms, idempotent: true}")
    assert (result.status, result.error["kind"]) == ("failed", "timeout")


def test_python_calls_only_functions_that_are_allowed(tmp_path):
    bench = Bench(tmp_path, python=("posixpath:basename", "json:loads", "nowhere:at_all"))
    made = bench.run(
        "{id: a, python: {function: 'json:loads', arguments: {s: '{\"x\": 1}'}}}", head="outputs: {x: a.x}"
    )
    assert made.outputs == {"x": 1}
    made = bench.run(
        "{id: a, python: {function: 'posixpath:basename', arguments: {p: /a/b}}}", head="outputs: {x: a.result}"
    )
    assert made.outputs == {"x": "b"}
    assert bench.run("{id: a, python: {function: 'os:system', arguments: {command: id}}}").error["kind"] == "refused"
    assert "ModuleNotFoundError" in bench.run("{id: a, python: 'nowhere:at_all'}").error["message"]
    assert "TypeError" in bench.run("{id: a, python: 'json:loads'}").error["message"]


def test_notify_is_stored_with_its_step(tmp_path):
    bench = Bench(tmp_path)
    made = bench.outputs("{id: a, notify: {text: 'down: mail a@example.com', level: critical, labels: {team: ops}}}")
    [event] = alerts.history(bench.state, limit=9)
    assert made == {"event": 1}
    assert (event.name, event.level, event.text) == ("alert.message", "critical", "down: mail [email]")
    assert event.fields["label.team"] == "ops"


def test_silence_holds_and_is_ended_by_undo(tmp_path):
    bench = Bench(tmp_path)
    step = "{id: a, silence: {match: [rule=error_rate], for: 10m, why: test}, undo: true}"
    assert bench.outputs(step) == {"id": 1}
    bench.run(f"{{id: t, try: [{step}, {{id: f, fail: x}}]}}")
    with bench.state.read() as reader:
        assert [one.id for one in silences.not_ended(reader, bench.desk.timing.clock())] == [1]
    assert "is no condition" in bench.run("{id: a, silence: {match: ['???'], for: 1m, why: x}}").error["message"]


def test_a_control_is_set_and_undo_sets_what_held_before(tmp_path):
    bench = Bench(tmp_path)
    clock = bench.desk.timing.clock
    step = "{id: a, control: {name: forward.paused, value: true, for: 10m, why: test}, undo: true}"
    bench.run(f"{{id: t, try: [{step}, {{id: f, fail: x}}]}}")
    assert controls.active(bench.state, clock()) == {}
    assert bench.outputs(step)["previous"] is None
    first = controls.active(bench.state, clock())["forward.paused"]
    bench.run(f"{{id: t, try: [{step}, {{id: f, fail: x}}]}}")
    again = controls.active(bench.state, clock())["forward.paused"]
    assert (again.value, again.expires_ns, again.version) == (True, first.expires_ns, first.version + 2)
    cleared = bench.outputs("{id: a, clear_control: {name: forward.paused, why: done}, undo: true}")
    assert cleared["previous"]["value"] is True
    assert controls.active(bench.state, clock()) == {}


def test_a_secret_that_a_program_prints_is_masked_in_every_sink(tmp_path):
    bench = Bench(tmp_path, commands=(PYTHON,))
    bench.environ["TOKEN"] = "s3cr3t value"
    code = "import os, base64; t = os.environ[chr(84)]; print(t, base64.b64encode(t.encode()).decode())"
    made = bench.outputs(
        f'{{id: a, command: {{argv: [{PYTHON}, -c, "{code}"], env: {{T: "{{{{ secret.TOKEN }}}}"}}}}}}',
        head="secrets: [TOKEN]",
    )
    assert made["stdout"] == "[secret:TOKEN] [secret:TOKEN]\n"
    bench.state.close()
    files = [file for file in bench.home.path.rglob("*") if file.is_file()]
    assert not [file for file in files if b"s3cr3t" in file.read_bytes()]


def test_a_run_that_is_cancelled_meanwhile_stops_the_step_that_is_under_way(tmp_path):
    bench = Bench(tmp_path, commands=("sleep",))
    (tmp_path / "t.runbook.yaml").write_text(
        "id: t\ntitle: t\nsteps:\n"
        "  - id: x\n"
        "    try: [{id: a, command: [sleep, 60], idempotent: true, retry: {max: 5, backoff: 1ms}}]\n"
        "    rescue: [{id: r, set: {x: 1}}]\n    always: [{id: z, set: {x: 1}}]\n"
    )
    run = bench.desk.start(bench.library.find("t"), Request({}, "alice"))

    def watch(event):
        if event.name == "intent":
            bench.desk.cancel(run.id, by="bob")

    result = bench.desk.walk(run, watch=watch)
    assert (result.status, result.error["message"]) == ("cancelled", "cancelled by bob")
    outcomes = [event.path for event in runs.events(bench.state, run.id) if event.name == "outcome"]
    assert outcomes == ["a", "z"]


def test_two_processes_never_walk_the_same_run(tmp_path):
    bench = Bench(tmp_path)
    (tmp_path / "t.runbook.yaml").write_text("id: t\ntitle: t\nsteps: [{id: a, set: {x: 1}}]\n")
    run = bench.desk.start(bench.library.find("t"), Request({}, "alice"))
    with bench.home.locked(lock_of(run.id)), pytest.raises(RefusedError, match="is under way in process"):
        bench.desk.walk(run)
    assert bench.desk.walk(run).status == "succeeded"


def test_a_program_does_not_outlive_a_run_that_is_interrupted(tmp_path, monkeypatch):
    bench = Bench(tmp_path, commands=(PYTHON,))
    began, ended = tmp_path / "began", tmp_path / "ended"
    code = f"import time; open('{began}', 'w').close(); time.sleep(60); open('{ended}', 'w').close()"
    (tmp_path / "t.runbook.yaml").write_text(
        f'id: t\ntitle: t\nsteps: [{{id: a, command: [{PYTHON}, -c, "{code}"]}}]\n'
    )
    run = bench.desk.start(bench.library.find("t"), Request({}, "alice"))
    naps = performing._nap_s

    def interrupted(context):
        if began.exists():
            raise KeyboardInterrupt
        return naps(context)

    monkeypatch.setattr(performing, "_nap_s", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.desk.walk(run)
    monkeypatch.undo()
    assert "sleep(60)" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert bench.desk.walk(runs.find(bench.state, run.id)).status == "unknown"
