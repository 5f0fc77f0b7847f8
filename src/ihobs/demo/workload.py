"""InsightHub at work: documents arrive at a steady rate, and the outside world can be told to misbehave."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TextIO

from ihobs.clock import Clock, now_ns
from ihobs.demo.faults import CONDITIONS, Services

if TYPE_CHECKING:
    from ihobs.demo.content import Content

RUNS_PER_S = 5.0
MAX_IN_FLIGHT = 24
"""More arrivals than that are turned away, as a queue with a limit does."""


class Workload:
    """Hands documents to the orchestrator, at most MAX_IN_FLIGHT at a time.

    Args:
        process: what is done with each document; what it raises is counted.
        contents: the documents; taken again and again, in an order that `seed` sets.
        services: whose conditions say how many arrive.

    Attributes:
        outcomes: how many were "processed", "failed" or "turned away".
    """

    def __init__(
        self, process: Callable[[Content], object], contents: Sequence[Content], services: Services, *, seed: int = 0
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self._process, self._services = process, services
        shuffled = random.Random(seed).sample(contents, len(contents))  # noqa: S311 - a simulation
        self._arrivals = itertools.cycle(shuffled)
        self._places = threading.BoundedSemaphore(MAX_IN_FLIGHT)
        self._pool = ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="insighthub")
        self._lock = threading.Lock()

    def run(self, stopped: threading.Event) -> None:
        """Let documents arrive until `stopped`; return when the last one is done."""
        with self._pool:
            while not stopped.wait(1.0 / (RUNS_PER_S * self._services.conditions.demand_ratio)):
                self.arrive()

    def arrive(self) -> Future[object] | None:
        """Start on the next document; return None when it is turned away."""
        content = next(self._arrivals)
        if not self._places.acquire(blocking=False):
            self._count("turned away")
            return None
        future = self._pool.submit(self._process, content)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[object]) -> None:
        self._places.release()
        self._count("failed" if future.exception() else "processed")

    def _count(self, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1


def obey(commands: Iterable[str], services: Services, report: TextIO, *, clock: Clock = now_ns) -> None:
    """Set the conditions that `commands` name, one a line, until they end; report when each came into force."""
    for line in commands:
        name = line.strip()
        services.conditions = CONDITIONS[name]
        say(report, event="conditions", name=name, at_ns=clock())


def say(report: TextIO, **facts: object) -> None:
    """Write one line of JSON."""
    report.write(json.dumps(facts) + "\n")
    report.flush()
