"""`ihobs exec`: the command notices nothing, and everything that it does is recorded."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import IHOBS, until

RUN = """
import ihobs
with ihobs.workflow("flow"):
    pass
"""


def test_a_program_that_knows_nothing_of_ihobs_is_recorded(programs):
    programs.write("class Orchestrator:\n    def process_content(self, text):\n        return len(text)\n", "orch.py")
    (programs.directory / "ihobs.yaml").write_text("instrument: {targets: ['orch:Orchestrator.process_content']}\n")
    ended = programs.execute("import orch\nprint(orch.Orchestrator().process_content('four'))")
    assert (ended.code, ended.out) == (0, "4\n")
    assert "1 run, 0 failed" in ended.err
    assert programs.counted(workflow="Orchestrator.process_content").runs == 1


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["sh", "-c", "exit 7"], 7, "no spans"),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL, "no spans"),
        (["/no/such/command"], 127, "command not found"),
        (["."], 126, "Permission denied"),
    ],
)
def test_the_exit_code_is_the_commands(programs, command, code, said):
    ended = programs.run(*IHOBS, "exec", "--", *command)
    assert ended.code == code
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


def test_options_after_the_command_are_the_commands(programs):
    app = programs.write("import sys; print(sys.argv[1:])")
    ended = programs.run(*IHOBS, "exec", "--quiet", sys.executable, app, "--home", "x", "--", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "['--home', 'x', '--', '-q']\n", "")


def test_grandchildren_are_recorded_with_the_name_that_was_given(programs):
    app = programs.write(RUN)
    again = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    shell = f"{sys.executable} {app} && cd / && {sys.executable} -c '{again}' {sys.executable} {app}"
    ended = programs.run(*IHOBS, "exec", "--home", "home", "--service", "named", "--", "sh", "-c", shell)
    assert ended.code == 0
    assert "2 runs" in ended.err
    assert programs.counted(service="named").runs == 2


def test_the_summary_counts_this_execution_only(programs):
    first = programs.execute(RUN)
    second = programs.execute(RUN)
    assert "1 run," in first.err
    assert "1 run," in second.err


def test_a_python_without_opentelemetry_and_a_hidden_sitecustomize_run_as_before(programs):
    hidden = programs.directory / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import builtins\nbuiltins.customised = 'yes'\n")
    program = programs.write("print(customised)")
    bare = getattr(sys, "_base_executable", sys.executable)
    for python in (sys.executable, bare):
        command = (*IHOBS, "exec", "--quiet", "--", python, program)
        ended = programs.run(*command, env={"PYTHONPATH": str(hidden)})
        assert (ended.code, ended.out, ended.err) == (0, "yes\n", "")


def test_a_provider_that_the_program_sets_itself_stays_in_charge(programs):
    ended = programs.execute(
        """
from opentelemetry import trace
early = trace.get_tracer("taken before the provider is set")
import ihobs
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
memory = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
trace.set_tracer_provider(provider)
assert trace.get_tracer_provider() is provider
with early.start_as_current_span("early"), ihobs.workflow("flow"):
    pass
print(sorted(span.name for span in memory.get_finished_spans()))
with early.start_as_current_span("long", attributes={f"a{n}": n for n in range(200)}) as span:
    print(len(span.attributes))
"""
    )
    assert (ended.code, ended.out) == (0, "['early', 'flow']\n200\n")
    assert programs.counted(workflow="flow").runs == 1
    assert programs.counted().spans == 3


def test_a_program_that_only_uses_the_api_is_recorded(programs):
    ended = programs.execute(
        """
from opentelemetry import trace
tracer = trace.get_tracer("mine")
for name in ("one", "two"):
    span = tracer.start_span(name, attributes={"gen_ai.operation.name": "chat"})
    span.end()
with tracer.start_as_current_span("three", attributes={"gen_ai.operation.name": "chat"}):
    pass
"""
    )
    assert ended.code == 0
    assert programs.counted().runs == 3


def test_exporters_that_opentelemetrys_variables_ask_for_are_set_up_beside_ihobs(programs):
    ended = programs.execute(RUN, env={"OTEL_TRACES_EXPORTER": "console"})
    assert ended.code == 0
    assert '"name": "flow"' in ended.out
    assert programs.counted().runs == 1


def test_a_program_that_instruments_itself_is_followed(programs):
    programs.write("def double(x):\n    return 2 * x\n", "library.py")
    ended = programs.execute(
        """
import ihobs
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
handle = ihobs.instrument(service="of the program", targets=["library:double"])
assert isinstance(trace.get_tracer_provider(), TracerProvider)
assert ihobs.instrument(service="ignored") is handle
import library
library.double(1)
"""
    )
    assert (ended.code, ended.out) == (0, "")
    assert programs.counted(service="of the program", workflow="double").runs == 1
    assert programs.counted().spans == 1


def test_it_can_be_switched_off(programs):
    ended = programs.execute(RUN, env={"IHOBS_DISABLED": "1"})
    assert ended.code == 0
    assert programs.counted().spans == 0


def test_programs_that_record_nothing_make_no_noise(programs):
    ended = programs.execute("import sys; sys.stdout.write('x'); sys.stderr.write('y')", options=["--quiet"])
    assert (ended.code, ended.out, ended.err) == (0, "x", "y")


LISTENING = """
import signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGWINCH, signal.SIGTERM):
    signal.signal(number, lambda number, frame: print(signal.Signals(number).name, flush=True))
signal.signal(signal.SIGUSR2, lambda number, frame: sys.exit(3))
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_signals_reach_the_command(programs):
    process = programs.start(*IHOBS, "exec", "--quiet", "--", sys.executable, programs.write(LISTENING))
    assert process.stdout.readline() == "ready\n"
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGWINCH", "SIGTERM"):
        process.send_signal(getattr(signal, name))
        assert process.stdout.readline() == f"{name}\n"
    process.send_signal(signal.SIGUSR2)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 3


def test_ctrl_c_reaches_the_command_once(programs):
    ours, theirs = pty.openpty()
    app = programs.write(LISTENING)
    process = subprocess.Popen(
        [*IHOBS, "exec", "--quiet", "--", sys.executable, str(app)],
        env=programs.environ(),
        cwd=programs.directory,
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(theirs),  # noqa: PLW1509 - no thread runs here
    )
    assert process.stdout.readline() == "ready\n"
    os.write(ours, b"\x03")
    assert process.stdout.readline() == "SIGINT\n"
    process.send_signal(signal.SIGUSR2)  # a second SIGINT would be passed on before it
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, out) == (3, "")


def _take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_the_command_does_not_outlive_its_parent(programs):
    code = "import os, signal\nprint(os.getpid(), flush=True)\nwhile True: signal.pause()"
    process = programs.start(*IHOBS, "exec", "--", sys.executable, programs.write(code))
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    until(lambda: _is_gone(child))
    process.communicate()


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"
