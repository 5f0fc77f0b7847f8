"""A home with its two databases, and a clock that moves only when told."""

from __future__ import annotations

import pytest

from ihobs.clock import SECOND_NS
from ihobs.store.home import Home
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore
from ihobs.testing import FakeClock

NOON_NS = 1_800_014_400 * SECOND_NS + 7 * SECOND_NS
"""2027-01-15 12:00:07 UTC: inside a bucket, as it is in life."""


@pytest.fixture
def clock():
    return FakeClock(NOON_NS)


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home", create=True)


@pytest.fixture
def state(home):
    database = open_state(home)
    yield database
    database.close()


@pytest.fixture
def store(home, clock):
    with TelemetryStore(home, clock=clock) as opened:
        yield opened
