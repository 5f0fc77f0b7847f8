"""Waiting in line: whoever waits holds the turnstile, older waiters ask more often, and nobody waits for ever."""

import os
import signal

import pytest

from ihobs.store.turnstile import LONGEST_PAUSE_S, Turnstile


@pytest.fixture
def open_turnstile(tmp_path):
    opened = []

    def open_another(pause=lambda _: None, path=tmp_path / "line"):
        opened.append(Turnstile(path, pause))
        return opened[-1]

    yield open_another
    for turnstile in opened:
        turnstile.close()


def never():
    return False


def test_a_free_lock_is_taken_without_a_pause(open_turnstile):
    pauses = []
    assert open_turnstile(pauses.append).wait(lambda: True, timeout_s=1)
    assert pauses == []


def test_an_attempt_that_never_succeeds_ends_after_the_timeout_with_ever_shorter_pauses(open_turnstile):
    pauses = []
    assert not open_turnstile(pauses.append).wait(never, timeout_s=1)
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[0] == LONGEST_PAUSE_S
    assert 1 <= sum(pauses) < 1 + LONGEST_PAUSE_S


def test_who_comes_later_waits_behind_who_waits_already(open_turnstile):
    order = []
    second = open_turnstile(lambda _: None)

    def first_attempt():
        if not order:  # while the first still waits, the second comes
            order.append("second came")
            assert not second.wait(lambda: order.append("second tried"), timeout_s=0.01)
        order.append("first")
        return True

    assert open_turnstile().wait(first_attempt, timeout_s=1)
    assert order == ["second came", "second tried", "first"]  # it tried once, when its time was over


def test_a_waiter_that_was_stopped_does_not_keep_the_others_out_for_ever(open_turnstile, tmp_path):
    told, tell = os.pipe()
    stopped = os.fork()
    if stopped == 0:
        Turnstile(tmp_path / "line").wait(lambda: os.write(tell, b"x") and signal.pause(), timeout_s=60)
    os.read(told, 1)  # it holds the turnstile, and hangs
    try:
        tries = []
        assert open_turnstile().wait(lambda: tries.append(1) or True, timeout_s=0.05)
        assert tries == [1]
    finally:
        os.kill(stopped, signal.SIGKILL)
        os.waitpid(stopped, 0)


def test_the_turnstile_of_a_killed_waiter_is_free(open_turnstile, tmp_path):
    told, tell = os.pipe()
    waiter = os.fork()
    if waiter == 0:
        Turnstile(tmp_path / "line").wait(lambda: os.write(tell, b"x") and signal.pause(), timeout_s=60)
    os.read(told, 1)
    os.kill(waiter, signal.SIGKILL)
    os.waitpid(waiter, 0)

    pauses = []
    assert open_turnstile(pauses.append).wait(lambda: True, timeout_s=1)
    assert pauses == []


def test_where_its_file_cannot_be_made_everybody_goes_straight_to_the_lock(open_turnstile, tmp_path):
    assert open_turnstile(path=tmp_path / "missing" / "line").wait(lambda: True, timeout_s=1)


def test_an_attempt_that_raises_frees_the_turnstile(open_turnstile):
    def fail():
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        open_turnstile().wait(fail, timeout_s=1)
    pauses = []
    assert open_turnstile(pauses.append).wait(lambda: True, timeout_s=1)
    assert pauses == []
