"""The datagram that wakes the duties process."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import psutil

from ihobs.store import wake
from ihobs.store.home import Home
from ihobs.store.wake import Listener, notify

LONG_S = 30.0
"""A bound, not a duration: whoever waits is woken long before."""


def test_without_a_datagram_it_does_not_claim_one(home):
    with Listener(home) as listener:
        assert listener.wait(0) is False


def test_a_datagram_that_came_before_the_wait_counts(home):
    with Listener(home) as listener:
        notify(home)
        assert listener.wait(LONG_S) is True


def test_many_datagrams_are_one_wake_up(home):
    with Listener(home) as listener:
        for _ in range(1000):
            notify(home)
        assert [listener.wait(LONG_S), listener.wait(0)] == [True, False]


def test_another_process_wakes_it(home):
    program = "from sys import argv; from ihobs.store import home, wake; wake.notify(home.Home.open(argv[1]))"
    with Listener(home) as listener:
        subprocess.run([sys.executable, "-c", program, str(home.path)], check=True)
        assert listener.wait(LONG_S) is True


def test_a_thread_of_the_same_process_interrupts_it(home):
    with Listener(home) as listener:
        thread = threading.Thread(target=listener.interrupt)
        thread.start()
        assert listener.wait(LONG_S) is True
        thread.join()


def test_a_home_deeper_than_a_socket_address_is_long_works(tmp_path):
    deep = Home.open(tmp_path.joinpath(*["directory-with-a-long-name"] * 8) / "home", create=True)
    assert len(str(deep.path)) > 108
    with Listener(deep) as listener:
        assert listener.is_named
        notify(deep)
        assert listener.wait(LONG_S) is True


def test_nobody_listening_is_no_error(home):
    notify(home)


def test_a_home_that_is_gone_is_no_error(tmp_path):
    notify(Home(tmp_path / "gone"))


def test_a_full_queue_is_no_error_and_does_not_wait(home):
    with Listener(home):
        for _ in range(5000):
            notify(home)


def test_a_socket_left_by_a_dead_owner_is_taken_over(home):
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with wake._address(home) as address:
        left.bind(address)
    left.close()
    notify(home)  # refused by the kernel: the file is there, the process is not
    with Listener(home) as listener:
        notify(home)
        assert listener.wait(LONG_S) is True


def test_closing_removes_the_socket(home):
    with Listener(home):
        assert (home.path / "locks" / wake.SOCKET).is_socket()
    assert not (home.path / "locks" / wake.SOCKET).exists()


def test_where_it_cannot_bind_it_still_waits_and_is_interrupted(home):
    locks = home.path / "locks"
    (locks / wake.SOCKET).mkdir()
    with Listener(home) as listener:
        assert not listener.is_named
        assert listener.wait(0) is False
        listener.interrupt()
        assert listener.wait(LONG_S) is True


def test_it_leaves_no_descriptor_open(home):
    process = psutil.Process()
    before = process.num_fds()
    with Listener(home) as listener:
        notify(home)
        listener.wait(0)
    assert process.num_fds() == before
