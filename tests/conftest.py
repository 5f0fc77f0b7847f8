"""For all tests: an error of ours that would be swallowed at the border to the host is raised instead."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ihobs.guard import guard

REPOSITORY = Path(__file__).resolve().parents[1]


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests send it to programs, which inherit its fate


@pytest.fixture(autouse=True)
def strict_guard() -> Iterator[None]:
    before, guard.strict = guard.strict, True
    guard._seen.clear()  # an error that another test has seen is told again
    yield
    guard.strict = before


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own IHOBS_HOME must not decide what a test sees."""
    for name in ("IHOBS_HOME", "IHOBS_CONFIG", "IHOBS_DISABLED", "IHOBS_ENDPOINT", "IHOBS_TOKEN", "IHOBS_SERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY
