"""A telemetry store for calls to models."""

from __future__ import annotations

import pytest
from tests.prices.calls import NOW_NS

from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore


@pytest.fixture
def store(tmp_path):
    with TelemetryStore(Home.open(tmp_path / "home", create=True), clock=lambda: NOW_NS) as store:
        yield store
