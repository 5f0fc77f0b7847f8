"""Runs a demo: starts the program, brings the fault and takes it away, and looks at the home meanwhile.

What it knows of runs, numbers and alerts it reads from the home, as any other reader of it would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.demo import caused
from ihobs.demo.faults import HEALTHY
from ihobs.demo.scenario import Course
from ihobs.errors import StoreUnavailableError
from ihobs.store.query import active_workflows, metrics
from ihobs.store.schema import open_telemetry
from ihobs.store.state.alerts import AlertRow, history, load
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
    from ihobs.demo.caused import Caused
    from ihobs.demo.program import Program, Report
    from ihobs.model import MetricGroup
    from ihobs.store.home import Home

LOOK_EVERY_S = 0.2
NORMAL_S = 6.0
GRACE_S = 20.0
"""How long the program may take to finish what it has begun."""

RECENT_S = 10
"""Length of the trailing window of the live numbers; it is widened to whole buckets."""

EVENTS_KEPT = 100


@dataclass(frozen=True, slots=True)
class Frame:
    """What there is to see at one moment.

    Attributes:
        recent: the last ten to twenty seconds. total: since the demo began. None before the first spans.
        done: what the program itself counted, at the end.
        active: runs in progress. alerts: those that are or were firing. incident: what the fault caused.
    """

    now_ns: int
    course: Course
    recent: MetricGroup | None
    total: MetricGroup | None
    active: int
    alerts: tuple[AlertRow, ...]
    done: Report | None = None
    incident: Caused | None = None

    @property
    def is_exact(self) -> bool:
        """Whether ihobs counted the same runs and failures as the program did."""
        if self.done is None or self.total is None:
            return False
        sums = self.total.counters
        return (sums.runs, sums.failed_runs) == (self.done.processed + self.done.failed, self.done.failed)

    @property
    def is_good(self) -> bool:
        """Whether the demo showed what it promises: alert and incident came and went, and the numbers are right."""
        return self.course.cleared is not None and self.course.ended is not None and self.is_exact


class Director:
    """Leads one demo from start to end.

    Args:
        home: the home that the program writes to.
        program: the program, already started.
        fault: the conditions that it is to meet. rule: the alert that these must raise.
        limit_s: how long after the first run to give up.
        clock, sleep: tell the time, and wait that many seconds.
    """

    def __init__(  # noqa: PLR0913 - the parts of one demo, by name
        self,
        home: Home,
        program: Program,
        *,
        fault: str,
        rule: str,
        limit_s: float,
        clock: Clock = now_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._program, self._fault, self._clock, self._sleep = program, fault, clock, sleep
        self._done: Report | None = None
        self._telemetry, self._state = open_telemetry(home), open_state(home)
        now = clock()
        self.course = Course(rule, now, limit_s, phase_ns=now)

    def frames(self) -> Iterator[Frame]:
        """Lead the demo; yield what there is to see, five times a second, the last one when all is stored.

        Raises:
            StoreUnavailableError: the program has ended by itself.
        """
        grace_s = 0.0  # when we are interrupted
        try:
            while self.course.phase != "done":
                self._listen()
                self._move()
                yield self._look()
                self._sleep(LOOK_EVERY_S)
            grace_s = GRACE_S
        finally:
            self._program.stop(grace_s=grace_s)
        self._listen()
        yield self._look()

    def _listen(self) -> None:
        """Take in what the program reports and what the alerts did."""
        for report in self._program.reports():
            if report.event == "done":
                self._done = report
            elif report.event == "conditions" and report.name == self._fault:
                self.course = replace(self.course, fault_ns=report.at_ns)
            elif report.event == "conditions":
                self.course = replace(self.course, healthy_ns=report.at_ns)
        known = len(self.course.events)
        for event in reversed(history(self._state, limit=EVENTS_KEPT)[: -known or None]):
            self.course = self.course.hear(event)

    def _move(self) -> None:
        """Go on to the next phase when it is time."""
        code = self._program.exit_code()
        if code is not None:
            raise StoreUnavailableError(self._program.log, f"the orchestrator ended with exit code {code}", "see there")
        now = self._clock()
        phase = self.course.next_phase(now, normal_s=NORMAL_S)
        if phase == self.course.phase:
            return
        if phase == "fault":
            self._program.tell(self._fault)
        elif self.course.phase == "fault":
            self._program.tell(HEALTHY)
        self.course = replace(self.course, phase=phase, phase_ns=now)

    def _look(self) -> Frame:
        now = self._clock()
        recent = metrics(self._telemetry, start_ns=now - RECENT_S * SECOND_NS, end_ns=now).groups
        total = metrics(self._telemetry, start_ns=self.course.started_ns, end_ns=now).groups
        if self.course.phase == "starting" and total and total[0].counters.runs:
            self.course = replace(self.course, phase="normal", phase_ns=now, normal_ns=now)
        opened = self.course.opened
        return Frame(
            now_ns=now,
            course=self.course,
            recent=recent[0] if recent else None,
            total=total[0] if total else None,
            active=active_workflows(self._telemetry, now_ns=now),
            done=self._done,
            incident=None if opened is None else caused.read(self._state, opened.subject),
            alerts=tuple(row for row in load(self._state).values() if row.state in {"firing", "resolved"}),
        )
