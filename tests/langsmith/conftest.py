"""A LangSmith on loopback, and an environment without one's own."""

import os

import pytest
from tests.langsmith.server import LangSmith


@pytest.fixture(autouse=True)
def no_langsmith_of_the_machine(monkeypatch):
    """A developer's own key must not decide what a test sees, and must never be sent anywhere by one."""
    for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def langsmith():
    server = LangSmith().start()
    yield server
    server.stop()


@pytest.fixture
def self_hosted():
    server = LangSmith("/api/v1").start()
    yield server
    server.stop()
