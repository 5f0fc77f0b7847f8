"""Processes that fork, that are forked by multiprocessing, and that are told to end."""

from __future__ import annotations

import signal
import sys

import pytest

from .conftest import IHOBS

WORK = """
import multiprocessing, os, pickle, signal, sys, threading
import ihobs

@ihobs.workflow("work")
def work(number):
    with ihobs.tool("square"):
        return number * number

class Worker:
    @ihobs.workflow("method")
    def work(self, number):
        return number
"""


def test_parent_and_forked_child_each_record_their_own(programs):
    ended = programs.python(f"""
{WORK}
handle = ihobs.instrument()
work(1)
with ihobs.workflow("around"):
    child = os.fork()
    if child == 0:
        work(2)
        assert handle.flush()
        with ihobs.node("in the child"):
            pass
        handle.flush()
    else:
        os.waitpid(child, 0)
if child == 0:
    os._exit(0)
work(3)
""")
    assert (ended.code, ended.err) == (0, "")
    by_workflow = programs.grouped("workflow")
    assert (by_workflow["work",].runs, by_workflow["around",].runs) == (2, 1)
    assert programs.counted().spans == 2 + 1 + 2 + 1 + 2


def test_a_child_forked_while_other_threads_record_does_not_hang(programs):
    ended = programs.python(f"""
{WORK}
handle = ihobs.instrument()
busy = threading.Event()

def noise():
    while not busy.is_set():
        work(0)
        busy.wait(0.002)

threads = [threading.Thread(target=noise, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for number in range(5):
    child = os.fork()
    if child == 0:
        work(7)
        os._exit(0 if handle.flush(20) else 1)
    assert os.waitpid(child, 0)[1] == 0, "the child lost its spans"
busy.set()
for thread in threads:
    thread.join()
""")
    assert (ended.code, ended.err) == (0, "")
    assert programs.counted().runs >= 5


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_flush_although_they_leave_by_os_exit(programs, method):
    ended = programs.python(f"""
{WORK}
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
ihobs.instrument()
if __name__ == "__main__":
    for target in (work, Worker().work):
        process = context.Process(target=target, args=(3,))
        process.start()
        process.join()
        assert process.exitcode == 0
""")
    assert (ended.code, ended.err) == (0, "")
    assert programs.counted().runs == 2


def test_decorated_functions_and_methods_can_be_pickled(programs):
    ended = programs.python(f"""
{WORK}
assert pickle.loads(pickle.dumps(work)) is work
assert pickle.loads(pickle.dumps(Worker().work))(5) == 5
""")
    assert (ended.code, ended.err) == (0, "")


def test_sigterm_without_a_handler_loses_nothing_under_exec_and_still_kills(programs):
    ended = programs.execute(
        f"{WORK}\nwork(1)\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()", options=["--quiet"]
    )
    assert (ended.code, ended.err) == (128 + signal.SIGTERM, "")
    assert programs.counted().runs == 1


def test_sigterm_is_left_alone_where_a_program_instruments_itself(programs):
    ended = programs.python(f"{WORK}\nihobs.instrument()\nprint(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)")
    assert ended.out == "True\n"


def test_a_handler_of_the_program_replaces_ours(programs):
    app = programs.write(f"""
{WORK}
def stop(number, frame):
    work(2)
    sys.exit(5)

signal.signal(signal.SIGTERM, stop)
work(1)
print("ready", flush=True)
while True:
    signal.pause()
""")
    process = programs.start(*IHOBS, "exec", "--quiet", "--", sys.executable, app)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (5, "", "")
    assert programs.counted().runs == 2
