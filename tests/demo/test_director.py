"""The director with a real child process and a real home; the end-to-end test sees it lead a whole demo."""

import os
import sys

import pytest

from ihobs.demo.director import Director
from ihobs.demo.place import prepare
from ihobs.demo.program import Program
from ihobs.demo.scenario import START_AT_MOST_S
from ihobs.errors import StoreUnavailableError
from ihobs.testing import FakeClock


@pytest.fixture
def direct(tmp_path):
    home, _ = prepare(tmp_path / "home")
    programs = []

    def start(code):
        clock = FakeClock()
        programs.append(Program([sys.executable, "-c", code], tmp_path / "log", os.environ))
        return Director(
            home, programs[0], fault="errors", rule="error-rate", limit_s=50, clock=clock, sleep=clock.advance
        )

    yield start
    for program in programs:
        program.stop(grace_s=0.0)


def test_a_program_that_shows_no_run_is_given_up_and_stopped(direct):
    director = direct("import sys; sys.stdin.read()")
    frames = list(director.frames())
    assert frames[-1].course.phase == "done"
    assert frames[-1].now_ns - frames[0].now_ns == pytest.approx(START_AT_MOST_S * 1e9, abs=0.5e9)
    assert (frames[-1].total, frames[-1].is_good) == (None, False)


def test_a_program_that_ends_by_itself_ends_the_demo_with_its_exit_code_and_its_log(direct, tmp_path):
    director = direct("raise SystemExit(3)")
    director._program._process.wait(20)
    with pytest.raises(StoreUnavailableError) as caught:
        list(director.frames())
    assert caught.value.path == str(tmp_path / "log")
    assert caught.value.reason == "the orchestrator ended with exit code 3"


def test_leaving_a_demo_stops_the_program(direct):
    director = direct("import sys, time; time.sleep(60)")
    frames = director.frames()
    next(frames)
    frames.close()
    assert director._program.exit_code() is not None
