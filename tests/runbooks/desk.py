"""A desk for tests: a home of its own, a clock that is told the time, and kinds of steps that note what is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from ihobs.runbooks.kinds.own import own_kinds
from ihobs.runbooks.kinds.surroundings import Surroundings
from ihobs.runbooks.library import Library
from ihobs.runbooks.performing import Timing
from ihobs.runbooks.registry import Kinds
from ihobs.runbooks.running import Desk, Request, Result
from ihobs.steps import StepFailedError, StepKind
from ihobs.store.home import Home
from ihobs.store.state.migrations import open_state
from ihobs.testing import FakeClock

ANY = {"type": "object"}


@dataclass
class World:
    """What steps of the kinds `look`, `move` and `put` do: they note it, and fail as often as they are told.

    Attributes:
        done: "step" for each thing that was done, in order. failing: step -> errors still to come.
    """

    done: list[str] = field(default_factory=list)
    failing: dict[str, list[StepFailedError]] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def act(self, context: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._lock:
            self.done.append(context.step)
            errors = self.failing.get(context.step, [])
            if errors:
                raise errors.pop(0)
        return {"value": given.get("value"), **self.answers.get(context.step, {})}

    def undo(self, context: Any, given: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        with self._lock:
            self.done.append(f"{context.step}({given.get('value')})")

    def kinds(self) -> list[StepKind]:
        outputs = {"type": "object", "properties": {"value": {"examples": [1]}}}
        look = StepKind("look", "look", "read", True, ANY, outputs, self.act)
        move = StepKind("move", "change once", "change", False, ANY, outputs, self.act, undo=self.undo)
        put = StepKind("put", "change", "change", True, ANY, outputs, self.act, undo=self.undo)
        return [look, move, put]


@dataclass
class Office:
    """Everything that a run needs, on a home in `path`."""

    path: Path
    world: World = field(default_factory=World)
    clock: FakeClock = field(default_factory=FakeClock)
    environ: dict[str, str] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = Home.open(self.path / "home", create=True)
        self.database = open_state(self.home)
        self.chances = iter(range(1, 10_000))
        around = Surroundings(open_home=lambda: self.home, environ=self.environ)
        self.library = Library(Kinds([*self.world.kinds(), *own_kinds(around)]), (self.path,))

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    @property
    def desk(self) -> Desk:
        timing = Timing(self.clock, self.sleep, lambda: next(self.chances) / 20_000, longest_nap_s=1e9)
        return Desk(self.database, self.library, self.environ, timing)

    def start(self, text: str, **inputs: Any):
        file = self.path / "test.runbook.yaml"
        file.write_text(f"id: test\ntitle: a test\n{text}", encoding="utf-8")
        self.library = Library(self.library.kinds, (self.path,))
        return self.desk.start(self.library.read(file), Request(inputs, "alice"))

    def run(self, text: str, **inputs: Any) -> Result:
        return self.desk.walk(self.start(text, **inputs))
