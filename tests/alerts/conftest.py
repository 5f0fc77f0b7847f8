"""A home, its state database, and a clock that moves only when told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ihobs.clock import SECOND_NS
from ihobs.store.home import Home
from ihobs.store.state.migrations import open_state

NOON_NS = 1_800_014_400 * SECOND_NS


@dataclass
class FakeClock:
    now_ns: int = NOON_NS

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home", create=True)


@pytest.fixture
def state(home):
    database = open_state(home)
    yield database
    database.close()
