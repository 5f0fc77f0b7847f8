"""The border to the host: errors are swallowed and told, but not so often that they fill its log."""

from __future__ import annotations

import logging

import pytest

from ihobs import guard as module
from ihobs.guard import Guard


class Seconds:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def guard(seconds, caplog):
    caplog.set_level(logging.ERROR, "ihobs")
    return Guard(clock_s=seconds)


def fail(guard, text="x"):
    with guard:
        raise ValueError(text)


def test_an_error_is_swallowed_counted_and_told_with_its_traceback(guard, caplog):
    fail(guard)
    assert guard.errors == 1
    [record] = caplog.records
    assert record.exc_info[0] is ValueError


def test_a_strict_guard_raises(guard):
    guard.strict = True
    with pytest.raises(ValueError, match="x"):
        fail(guard)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_program_is_the_programs(guard, ending):
    with pytest.raises(ending), guard:
        raise ending
    assert guard.errors == 0


def test_the_same_error_is_told_once_and_then_counted_once_a_minute(guard, seconds, caplog):
    for number in range(1000):
        fail(guard, f"of span {number}")  # the text differs, the line does not
    assert (len(caplog.records), guard.errors) == (1, 1000)
    seconds.now_s += 60
    fail(guard)
    fail(guard)
    assert [record.exc_info is None for record in caplog.records] == [False, True]
    assert "1000 more times" in caplog.messages[-1]
    seconds.now_s += 60
    fail(guard)
    assert "2 more times" in caplog.messages[-1]


def test_an_error_of_another_line_is_told_by_itself(guard, caplog):
    fail(guard)
    with guard:
        raise ValueError("x")
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


def test_what_is_remembered_of_errors_is_bounded(guard, monkeypatch):
    monkeypatch.setattr(module, "MAX_KINDS", 3)
    for line in range(10):
        exec(compile("\n" * line + "with guard: 1 / 0", "many.py", "exec"), {"guard": guard})
    assert (len(guard._seen), guard.errors) == (1, 10)
