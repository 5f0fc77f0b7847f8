"""However a program ends, and whatever is wrong with the home: it ends as without us, and what it loses is told."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

from ihobs.spans.decode import read_file
from ihobs.store.home import Home
from ihobs.store.losses import read_losses
from ihobs.store.spool import ENDPOINT_SPOOL, SPOOL, Spool, bring_in
from ihobs.store.telemetry import TelemetryStore

from .conftest import IHOBS, until

WORK = """
import os, signal, sys, threading
import ihobs

@ihobs.workflow("work")
def work(number):
    with ihobs.tool("square"):
        return number * number
"""

ENDINGS = {
    "normal": ("", 0),
    "exception": ("raise ValueError('of the program')", 1),
    "exit": ("sys.exit(7)", 7),
    "exit in a thread": ("t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()", 0),
    "Ctrl-C": ("os.kill(os.getpid(), signal.SIGINT); signal.pause()", -signal.SIGINT),
}
FLUSH = "from opentelemetry import trace\ntrace.get_tracer_provider().force_flush()"
"""So that nothing is imported at the end any more: code that Python compiles then makes of a Ctrl-C an exit code 1."""

IMPATIENT = """
from ihobs.store.database import Database
Database.__init__.__kwdefaults__["busy_timeout_s"] = 0.1
"""


def status(programs, **env):
    """Return what `ihobs status` says, as data."""
    return json.loads(programs.run(*IHOBS, "status", "--json", env=env).out)


def brought_in(programs) -> int:
    """Store what waits in the spool; return how many runs there are."""
    with TelemetryStore(Home.open(programs.home)) as store:
        assert bring_in(Spool(programs.home / SPOOL), store)
    return programs.counted().runs


@contextlib.contextmanager
def locked(programs):
    """Hold the write lock of the home's database, as a process that hangs does."""
    path = Home.open(programs.home).database("telemetry")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


class TestEndings:
    @pytest.mark.parametrize(
        ("under", "ending"),
        [*(("python", ending) for ending in ENDINGS), ("execute", "exception"), ("execute", "Ctrl-C")],
    )
    def test_nothing_is_lost_and_the_exit_code_is_the_programs(self, programs, ending, under):
        code, expected = ENDINGS[ending]
        instrument = "ihobs.instrument()" if under == "python" else ""
        ended = getattr(programs, under)(f"{WORK}\n{instrument}\nwork(1)\n{FLUSH}\nwork(2)\n{code}")
        if expected < 0 and under == "execute":
            expected = 128 - expected
        assert ended.code == expected
        assert ended.err.count("Traceback") == (expected in {1, -signal.SIGINT, 128 + signal.SIGINT})
        assert (programs.counted().runs, programs.counted().spans) == (2, 4)

    def test_what_was_flushed_survives_a_kill(self, programs):
        ended = programs.python(
            f"{WORK}\nhandle = ihobs.instrument()\nwork(1)\nwork(2)\nassert handle.flush(20)\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        assert ended.code == -signal.SIGKILL
        assert programs.counted().runs == 2

    def test_sigterm_without_exec_loses_at_most_what_ended_since_the_last_flush(self, programs):
        """A library has no business with signals; who wants them handled uses exec, or handles them."""
        ended = programs.python(
            f"{WORK}\nhandle = ihobs.instrument()\nwork(1)\nassert handle.flush(20)\n"
            "os.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
        )
        assert (ended.code, ended.err) == (-signal.SIGTERM, "")
        assert programs.counted().runs == 1


class TestLocked:
    def test_what_was_flushed_survives_a_kill_on_disk(self, programs):
        with locked(programs):
            ended = programs.python(
                f"{WORK}{IMPATIENT}\nhandle = ihobs.instrument()\nwork(1)\nassert handle.flush(30)\n"
                "os.kill(os.getpid(), signal.SIGKILL)"
            )
        assert ended.code == -signal.SIGKILL
        assert brought_in(programs) == 1

    def test_a_program_that_ends_meanwhile_leaves_its_spans_on_disk(self, programs):
        with locked(programs):
            ended = programs.python(f"{WORK}{IMPATIENT}\nihobs.instrument()\nwork(1)")
        assert ended.code == 0
        assert "Traceback" not in ended.err
        assert status(programs)["spool"]["files"] == 1
        assert brought_in(programs) == 1

    def test_a_program_whose_last_flush_hangs_leaves_them_there_too(self, programs):
        with locked(programs):
            ended = programs.python(
                f"{WORK}\nimport ihobs.telemetry.processor as processor\nprocessor.SHUTDOWN_TIMEOUT_S = 5.0\n"
                "ihobs.instrument()\nwork(1)"
            )
        assert (ended.code, "Traceback" in ended.err) == (0, False)
        assert brought_in(programs) == 1

    def test_sigterm_under_exec_leaves_them_on_disk_and_the_duties_bring_them_in(self, programs):
        app = programs.write(f"{WORK}\nwork(1)\nprint('ready', flush=True)\nsignal.pause()")
        with locked(programs):
            process = programs.start(*IHOBS, "exec", "--quiet", "--", sys.executable, app)
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            until(lambda: Spool(programs.home / SPOOL).waiting().files)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        assert programs.counted().runs == 1
        assert Spool(programs.home / SPOOL).waiting().files == 0


def delete(home):
    shutil.rmtree(home)


def replace_by_a_file(home):
    shutil.rmtree(home)
    home.write_text("not a directory")


def refuse_writers(home):
    with contextlib.closing(sqlite3.connect(Home.open(home).database("telemetry"))) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'min_writer'")
        connection.execute("PRAGMA user_version = 99")
        connection.commit()


class TestHome:
    @pytest.mark.parametrize("harm", [delete, replace_by_a_file, refuse_writers])
    def test_a_home_that_is_harmed_meanwhile_is_no_concern_of_the_program(self, programs, harm):
        app = programs.write(f"""
{WORK}
handle = ihobs.instrument()
work(1)
assert handle.flush(20)
print("ready", flush=True)
sys.stdin.readline()
work(2)
handle.flush(20)
work(3)
sys.exit(5)
""")
        process = subprocess.Popen(
            [sys.executable, str(app)],
            env=programs.environ(),
            cwd=programs.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        harm(programs.home)
        _, err = process.communicate("go\n", timeout=60)
        assert process.returncode == 5
        assert "Traceback" not in err
        if harm in {delete, replace_by_a_file}:
            assert "ihobs lost 4 spans at the end" in err
        else:
            waiting = [chunk for path in (programs.home / SPOOL).glob("*.otlp.pb") for chunk in read_file(path)]
            assert len(waiting) == 2

    @pytest.mark.parametrize("what", ["file", "dangling link"])
    def test_a_home_that_cannot_be_made_is_no_concern_of_the_program(self, programs, what):
        shutil.rmtree(programs.home)
        if what == "file":
            programs.home.write_text("not a directory")
        else:
            programs.home.symlink_to("/nowhere/at/all")
        ended = programs.python(f"{WORK}\nhandle = ihobs.instrument()\nwork(1)\nprint(handle.flush(20))")
        assert (ended.code, ended.out) == (0, "False\n")
        assert "ihobs lost 2 spans at the end" in ended.err
        assert "Traceback" not in ended.err

    def test_a_disk_that_is_full_for_the_database_and_then_for_all_costs_spans_that_are_counted(self, programs):
        """A limit of the system on the length of files stands for the full disk: 40 kB more, then no more."""
        largest = max(path.stat().st_size for path in programs.home.rglob("*") if path.is_file())
        ended = programs.python(f"""
import hashlib, resource
from opentelemetry import trace
{WORK}
import ihobs.telemetry.backlog as backlog
backlog.MAX_KEPT_SPANS = 40
resource.setrlimit(resource.RLIMIT_FSIZE, ({largest} + 40_000, resource.RLIM_INFINITY))
handle = ihobs.instrument()
tracer = trace.get_tracer("test")
noise = lambda number: " ".join(hashlib.sha256(f"{{number}} {{n}}".encode()).hexdigest()[:7] for n in range(250))
safe = 0
for number in range(600):
    with tracer.start_as_current_span("work", attributes={{"ihobs.kind": "workflow", "noise": noise(number)}}):
        pass
    if number % 5 == 4:
        safe += handle.flush(20)
print(safe)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
""")
        assert ended.code == 0
        assert "Traceback" not in ended.err
        assert 0 < int(ended.out) < 120
        stored = brought_in(programs)
        found = status(programs)
        lost = sum(loss["spans"] for loss in found["dropped"])
        assert stored >= 5 * int(ended.out)
        assert stored + lost == 600
        assert lost > 100
        assert any("lost (store unavailable)" in finding for finding in found["findings"])

    def test_a_damaged_database_leaves_spans_on_disk(self, programs):
        Home.open(programs.home).database("telemetry").write_bytes(b"this is no database at all" * 400)
        ended = programs.python(f"{WORK}\nhandle = ihobs.instrument()\nwork(1)\nassert handle.flush(20)")
        assert (ended.code, "Traceback" in ended.err) == (0, False)
        assert "is not a database of ihobs" in ended.err
        assert Spool(programs.home / SPOOL).waiting().files == 1

    def test_a_newer_ihobs_gets_the_spans_of_an_older_one(self, programs):
        """The older process may not write, so it spools; the newer one, which may, brings its spans in."""
        refuse_writers(programs.home)
        ended = programs.python(f"{WORK}\nhandle = ihobs.instrument()\nwork(1)\nassert handle.flush(20)")
        assert ended.code == 0
        assert "newer ihobs" in ended.err
        with contextlib.closing(sqlite3.connect(Home.open(programs.home).database("telemetry"))) as connection:
            connection.execute("PRAGMA user_version = 1")
        assert brought_in(programs) == 1


@pytest.fixture
def serve(programs):
    """Start `ihobs serve` on a home of its own and a port; return its process and URL when it answers."""
    started = []

    def serve(port=0, home="there"):
        command = (*IHOBS, "--home", home, "serve", "--port", str(port))
        process = programs.start(*command)
        started.append(process)
        url = process.stdout.readline().split()[-1]
        until(lambda: _answers(f"{url}/healthz"))
        return process, url

    yield serve
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def _answers(url):
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stored_there(programs):
    with TelemetryStore(Home.open(programs.directory / "there")) as store, store.database.read() as connection:
        return connection.execute("SELECT count(*) FROM span").fetchone()[0]


class TestEndpoint:
    def test_a_program_sends_its_spans_and_opens_no_database(self, programs, serve):
        _, url = serve()
        shutil.rmtree(programs.home)
        ended = programs.python(
            f"{WORK}\nhandle = ihobs.instrument()\nwork(1)\nassert handle.flush(20)\n"
            "print('sqlite3' in sys.modules)\nos.kill(os.getpid(), signal.SIGKILL)",
            env={"IHOBS_ENDPOINT": url},
        )
        assert (ended.code, ended.out, ended.err) == (-signal.SIGKILL, "False\n", "")
        assert stored_there(programs) == 2
        assert not list(programs.home.rglob("*.db"))

    @pytest.mark.parametrize("ending", ["exception", "kill after a flush"])
    def test_while_the_server_is_away_nothing_is_lost_and_the_next_program_takes_it_along(
        self, programs, serve, ending
    ):
        url = f"http://127.0.0.1:{free_port()}"
        flushed = "handle.flush(20) or sys.exit(9)\nos.kill(os.getpid(), signal.SIGKILL)"
        code = flushed if ending.startswith("kill") else ENDINGS[ending][0]
        shutil.rmtree(programs.home)
        ended = programs.python(f"{WORK}\nhandle = ihobs.instrument()\nwork(1)\n{code}", env={"IHOBS_ENDPOINT": url})
        assert ended.code == (1 if ending == "exception" else -signal.SIGKILL)
        assert "no connection" in ended.err
        assert Spool(programs.home / ENDPOINT_SPOOL).waiting().files == 1
        assert status(programs, IHOBS_ENDPOINT=url)["spool"]["files"] == 1

        serve(int(url.rpartition(":")[2]))
        ended = programs.python(f"{WORK}\nihobs.instrument()\nwork(2)", env={"IHOBS_ENDPOINT": url})
        assert (ended.code, ended.err) == (0, "")
        assert stored_there(programs) == 4
        assert Spool(programs.home / ENDPOINT_SPOOL).waiting().files == 0

    def test_a_server_that_is_killed_and_started_again_has_every_span(self, programs, serve):
        first, url = serve()
        app = programs.write(f"""
{WORK}
handle = ihobs.instrument()
for number in range(6):
    work(number)
    assert handle.flush(20)
    print(number, flush=True)
    sys.stdin.readline()
""")
        process = subprocess.Popen(
            [sys.executable, str(app)],
            env=programs.environ({"IHOBS_ENDPOINT": url}),
            cwd=programs.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for number in range(6):
            assert process.stdout.readline() == f"{number}\n"
            if number == 1:
                first.kill()
                first.wait()
            if number == 3:
                serve(int(url.rpartition(":")[2]))
            process.stdin.write("\n")
            process.stdin.flush()
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert stored_there(programs) == 12

    def test_exec_does_no_duties_and_says_where_they_are(self, programs, serve):
        _, url = serve()
        shutil.rmtree(programs.home)
        ended = programs.execute(f"{WORK}\nwork(1)\nsys.exit(4)", env={"IHOBS_ENDPOINT": url})
        assert ended.code == 4
        assert ended.err == f"ihobs: spans go to {url}, where alerts are evaluated\n"
        assert stored_there(programs) == 2
        assert not (programs.home / "CURRENT").exists()

    def test_exec_says_what_waits(self, programs):
        ended = programs.execute(f"{WORK}\nwork(1)", env={"IHOBS_ENDPOINT": "http://127.0.0.1:1"})
        assert ended.code == 0
        assert f"spans wait in {Path('home') / ENDPOINT_SPOOL}" in ended.err

    def test_a_name_that_takes_forever_to_resolve_keeps_no_program_from_ending(self, programs):
        ended = programs.python(
            f"""
{WORK}
import socket
import ihobs.telemetry.processor as processor
processor.SHUTDOWN_TIMEOUT_S = 5.0
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
ihobs.instrument()
work(1)
""",
            env={"IHOBS_ENDPOINT": "http://collector.example:8081"},
        )
        assert (ended.code, "Traceback" in ended.err) == (0, False)
        waiting = [chunk for path in (programs.home / ENDPOINT_SPOOL).glob("*.otlp.pb") for chunk in read_file(path)]
        assert sum(len(s.spans) for c in waiting for r in c.request.resource_spans for s in r.scope_spans) == 2
        assert read_losses(programs.home / ENDPOINT_SPOOL) == ()


WEB = """
import os
import ihobs

@ihobs.workflow("answer")
def answer():
    return b"ok"
"""


def _get_many(url, requests_each=10):
    until(lambda: _answers(url))
    return [requests.get(url, timeout=10).text for _ in range(requests_each)]


@pytest.mark.skipif(find_spec("gunicorn") is None, reason="gunicorn is not installed")
class TestGunicorn:
    """Workers are forked from a master that has loaded the program, or that has not; they end by a signal."""

    @pytest.mark.parametrize("preload", [True, False])
    def test_every_request_of_every_worker_is_recorded(self, programs, preload):
        port = free_port()
        programs.write(
            f"{WEB}\nihobs.instrument()\ndef app(environ, start):\n    start('200 OK', [])\n    return [answer()]\n",
            "web.py",
        )
        options = ["--preload"] if preload else []
        command = ("-m", "gunicorn", "-w", "3", "-b", f"127.0.0.1:{port}", *options, "web:app")
        master = programs.start(*IHOBS, "exec", "--quiet", "--", sys.executable, *command)
        answered = _get_many(f"http://127.0.0.1:{port}/", 30)
        master.terminate()
        master.communicate(timeout=60)
        assert set(answered) == {"ok"}
        assert programs.counted().runs == 31


@pytest.mark.skipif(find_spec("uvicorn") is None, reason="uvicorn is not installed")
class TestUvicorn:
    """Workers are spawned. After its own work, uvicorn gives SIGTERM on to the handler that was there before: ours."""

    def test_every_request_of_every_worker_is_recorded(self, programs):
        port = free_port()
        programs.write(
            f"""
{WEB}
ihobs.instrument()

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": answer()}})
""",
            "web.py",
        )
        command = ("-m", "uvicorn", "--lifespan", "off", "--port", str(port), "--workers", "2", "web:app")
        parent = programs.start(*IHOBS, "exec", "--quiet", "--", sys.executable, *command)
        answered = _get_many(f"http://127.0.0.1:{port}/", 20)
        parent.terminate()
        parent.communicate(timeout=60)
        assert set(answered) == {"ok"}
        assert programs.counted().runs == 21
