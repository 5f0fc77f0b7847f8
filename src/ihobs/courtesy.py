"""Let the program's own threads run while one of ours does long work in Python.

A thread that wants the interpreter gets it when the one that has it waits for something, else only after Python's
switch interval of 5 ms; an event loop that shares its process with such a worker would be that late, again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Pause = Callable[[], None]
"""Called between two small pieces of work; may let other threads run."""

HOLD_S = 0.001
"""How long the interpreter is held at a time."""

REST_S = 20e-6
"""Enough to wake up whoever waits; a sleep of 0 s would take the interpreter back before that."""


def no_pause() -> None:
    """Go on at once: nobody else is in a hurry here."""


class Courtesy:
    """A `Pause` that rests briefly once the interpreter was held for `HOLD_S`."""

    def __init__(
        self, clock_s: Callable[[], float] = time.perf_counter, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock_s, self._sleep = clock_s, sleep
        self._until_s = 0.0

    def __call__(self) -> None:
        """Rest when it is time."""
        if self._clock_s() >= self._until_s:
            self._sleep(REST_S)
            self._until_s = self._clock_s() + HOLD_S
