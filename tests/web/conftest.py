"""A receiver that listens, in this process."""

import os
from pathlib import Path

import pytest
from tests.web.sender import Listening

from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore
from ihobs.web.access import Policy
from ihobs.web.limits import Limits


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home", create=True)


@pytest.fixture
def listen(home):
    """Start receivers, and stop them at the end."""
    started = []

    def start(limits=None, policy=None, store=TelemetryStore):
        started.append(Listening(store(home), limits or Limits(), policy or Policy(None, None)))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def receiver(listen):
    return listen()


@pytest.fixture(scope="session")
def traces_dir():
    """The folder of real traces: $IHOBS_TRACES, or shared/traces beside the checkout."""
    path = Path(os.environ.get("IHOBS_TRACES") or Path(__file__).parents[2].parent / "shared" / "traces")
    if not path.is_dir():
        pytest.skip(f"the real traces are not at {path}; set IHOBS_TRACES")
    return path
