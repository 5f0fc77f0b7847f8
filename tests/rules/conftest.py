"""A directory with an `ihobs.yaml`, and rules that are played without any store."""

from __future__ import annotations

import pytest

from ihobs.alerts.rule_tests import run
from ihobs.alerts.suites import suite
from ihobs.config import load
from ihobs.plugins import load as load_plugins


@pytest.fixture
def play(tmp_path):
    """Return what the tests in the text of an ihobs.yaml show: an outcome each."""

    def outcomes(text):
        path = tmp_path / "ihobs.yaml"
        path.write_text(text, encoding="utf-8")
        found = suite(path, load(path, environ={}), load_plugins())
        return [run(test, found.rules, found.settings) for test in found.tests]

    return outcomes
