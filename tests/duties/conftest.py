"""A home for the duties."""

from __future__ import annotations

import pytest

from ihobs.store.home import Home


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home", create=True)
