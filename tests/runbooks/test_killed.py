"""A run that is killed at any point of its journal goes on: nothing finished is done again, and undo once, in order."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
PROGRAM = Path(__file__).parent / "programs" / "killed.py"
MOVES = ["a3", "b2", "c1", "d2", "h1", "l[0]/e1", "l[1]/e1"]
UNDONE_ONCE = ["b1.undo", "b4.undo", "c1.undo", "d1.undo", "l[0]/e1.undo", "l[1]/e1.undo"]


@pytest.fixture(scope="module")
def kills(tmp_path_factory) -> list[dict]:
    """Return what became of the run, killed at each point; the first was not killed."""
    directory = tmp_path_factory.mktemp("kills")
    if MEMORY.is_dir():  # a killed process loses nothing that the kernel has, and memory is quicker than a disk
        directory = Path(tempfile.mkdtemp(dir=MEMORY))
    try:
        return _tried(directory)
    finally:
        shutil.rmtree(directory)


def _tried(directory: Path) -> list[dict]:
    done = subprocess.run([sys.executable, PROGRAM, directory], capture_output=True, text=True, check=True, timeout=300)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_point_was_tried(kills):
    plain = kills[0]
    assert (plain["after"]["status"], plain["asked"]) == ("rescued", 0)
    assert plain["written"] > 40
    assert len(kills) == 1 + plain["written"] + plain["after"]["names"].count("intent")


def test_every_run_ends_as_if_it_had_not_been_killed(kills):
    for kill in kills:
        assert kill["after"]["status"] == "rescued", kill
        assert kill["after"]["told"] == 1, kill
        assert kill["after"]["silences"] == 1, kill


def test_what_was_finished_is_not_done_again(kills):
    for kill in kills:
        before, after = Counter(kill["before"]["done"]), Counter(kill["after"]["done"])
        for path in kill["before"]["finished"]:
            assert after[path] == before[path], (path, kill)


def test_what_may_not_be_done_twice_is_done_once(kills):
    for kill in kills:
        done = Counter(kill["after"]["done"])
        for path in (*MOVES, *UNDONE_ONCE):
            assert done[path] == 1, (path, kill)


def test_undo_runs_once_in_the_reverse_order_of_what_was_done(kills):
    for kill in kills:
        finished = [path for path in kill["after"]["finished"] if ".undo" not in path]
        undone = [path.removesuffix(".undo") for path in kill["after"]["finished"] if path.endswith(".undo")]
        assert len(undone) == len(set(undone)), kill
        assert [path for path in undone if path in finished] == [path for path in finished[::-1] if path in undone], (
            kill
        )


def test_a_person_is_asked_only_when_a_step_that_cannot_be_repeated_was_under_way(kills):
    asked = [kill for kill in kills if kill["asked"]]
    assert 2 * len(MOVES) <= len(asked) < len(kills) / 2
