"""Kill a run of twenty steps at every point of its journal, go on with it, and tell what was done.

Usage: killed.py DIRECTORY. Prints a JSON object for each kill, one a line. Children are forked, so that each takes
milliseconds, and killed by SIGKILL: nothing of theirs is cleaned up.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.runbooks import journal
from ihobs.runbooks.kinds.own import own_kinds
from ihobs.runbooks.kinds.surroundings import Surroundings
from ihobs.runbooks.library import Library
from ihobs.runbooks.performing import Timing
from ihobs.runbooks.registry import Kinds
from ihobs.runbooks.running import Desk, Request
from ihobs.steps import StepFailedError, StepKind
from ihobs.store.home import Home
from ihobs.store.state import runs
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
    from ihobs.runbooks.model import Runbook

ANY = {"type": "object"}
RUNBOOK = """
id: test
title: twenty steps
steps:
  - {id: a1, look: {}}
  - {id: a2, set: {n: 3}}
  - {id: a3, move: {}}
  - id: t
    try:
      - {id: b1, put: {}, undo: {move: {}}}
      - {id: b2, move: {}, undo: {put: {}}}
      - {id: b3, silence: {match: [rule=x], for: 1h, why: test}, undo: true}
      - {id: b4, put: {fails: 1}, retry: {max: 3, backoff: 1ms}, undo: {move: {}}}
      - id: p
        parallel:
          left: [{id: c1, move: {}, undo: {move: {}}}, {id: c2, look: {}}, {id: c3, put: {}, undo: {put: {}}}]
          right: [{id: d1, put: {}, undo: {move: {}}}, {id: d2, move: {}}, {id: d3, look: {}}]
      - id: l
        for_each: [x, y]
        do: [{id: e1, move: {}, undo: {move: {}}}]
      - {id: f1, look: {fails: 9}, retry: {max: 2, backoff: 1ms}}
    rescue: [{id: g1, notify: failed}, {id: g2, put: {}}]
    always: [{id: h1, move: {}}]
  - {id: i1, look: {}}
"""


def main(directory: Path) -> None:
    prepared = directory / "prepared"
    run_id = prepare(prepared)
    plain = watch_one(directory / "plain", prepared, run_id, "never", 0)
    print(json.dumps(plain))
    kills = [("before", number) for number in range(1, plain["written"] + 1)]
    kills += [("after", number + 1) for number, name in enumerate(plain["after"]["names"]) if name == "intent"]
    for when, number in kills:
        print(json.dumps(watch_one(directory / f"{when}{number}", prepared, run_id, when, number)))


def prepare(directory: Path) -> str:
    directory.mkdir(parents=True)
    (directory / "test.runbook.yaml").write_text(RUNBOOK)
    desk = desk_in(directory)
    READ["test"] = desk.library.find("test")
    run = desk.start(READ["test"], Request({}, "test"))
    desk.database.close()
    return run.id


def watch_one(directory: Path, prepared: Path, run_id: str, when: str, number: int) -> dict[str, object]:
    """Run in a child that is killed, then in children that are not, until the run has ended."""
    shutil.copytree(prepared, directory)
    in_child(directory, run_id, when, number)
    before = look(directory, run_id)
    asked = 0
    for _ in range(9):
        in_child(directory, run_id, "never", 0)
        state = look(directory, run_id)
        if state["status"] != "unknown":
            break
        asked += tell_the_truth(directory, run_id)
    shutil.rmtree(directory)
    return {
        "when": when,
        "number": number,
        "before": before,
        "after": state,
        "asked": asked,
        "written": state["written"],
    }


def in_child(directory: Path, run_id: str, when: str, number: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            desk = desk_in(directory)
            kill_at(when, number)
            desk.walk(runs.find(desk.database, run_id))
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def kill_at(when: str, number: int) -> None:
    """Let the journal of this process end it before or after it writes its `number`-th event."""
    write, count = journal.StoredJournal.append, iter(range(1, 10_000))

    def append(self, event, within=None):
        is_last = next(count) == number
        if is_last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        stored = write(self, event, within)
        if is_last and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return stored

    journal.StoredJournal.append = append


def look(directory: Path, run_id: str) -> dict[str, object]:
    """Return how a run stands: what its journal says, and what was really done."""
    database = open_state(Home.open(directory / "home"))
    run, events = runs.find(database, run_id), runs.events(database, run_id)
    with database.read() as reader:
        [told] = reader.execute("SELECT count(*) FROM alert_event").fetchone()
        silences = reader.execute("SELECT starts_ns < ends_ns FROM silence").fetchall()
    database.close()
    finished = [event.path for event in events if event.name == "outcome" and event.fields["status"] == "succeeded"]
    written = [event.name for event in events if event.name in {"intent", "outcome"}]
    return {
        "status": run.status,
        "finished": finished,
        "done": done_in(directory),
        "told": told,
        "silences": len(silences),
        "written": len(written),
        "names": written,
    }


def done_in(directory: Path) -> list[str]:
    file = directory / "done"
    return file.read_text().splitlines() if file.exists() else []


def tell_the_truth(directory: Path, run_id: str) -> int:
    """Say of each step that nobody knows of whether it was done, as a person would who has looked."""
    desk = desk_in(directory)
    last = {event.path: event for event in runs.events(desk.database, run_id) if event.path}
    done = Counter(done_in(directory))
    unknown = [path for path, event in last.items() if event.name == "intent" and path.rpartition("/")[2] in MOVES]
    for path in unknown:
        desk.assume(run_id, path, by="me", status="done" if done[path] else "redo", outputs={})
    desk.database.close()
    return len(unknown)


KINDS = (("look", "read", True), ("put", "change", True), ("move", "change", False))
READ: dict[str, Runbook] = {}
"""The runbook once it was read, so that children need not read it again."""
MOVES = {"a3", "b1.undo", "b2", "b4.undo", "c1", "c1.undo", "d1.undo", "d2", "e1", "e1.undo", "h1"}


def desk_in(directory: Path) -> Desk:
    def act(context, given):
        with (directory / "done").open("a") as file:
            file.write(f"{context.step}\n")
        if context.attempt <= given.get("fails", 0):
            raise StepFailedError("not yet")
        return {}

    home = Home.open(directory / "home", create=True)
    database = open_state(home)
    around = Surroundings(open_home=lambda: home)
    kinds = [StepKind(name, name, effect, safe, ANY, ANY, act) for name, effect, safe in KINDS]
    library = Library(Kinds([*kinds, *own_kinds(around)]), (directory,), {}, READ)
    return Desk(database, library, {}, Timing(longest_nap_s=0.001))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
