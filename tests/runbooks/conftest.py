"""Runbooks as files, the kinds of steps without a home, and runs on a home of their own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ihobs.runbooks.kinds.own import all_kinds
from ihobs.runbooks.kinds.surroundings import Surroundings
from ihobs.runbooks.loading import load
from ihobs.runbooks.model import Runbook

if TYPE_CHECKING:
    from ihobs.runbooks.registry import Kinds

Write = Callable[..., Path]
Read = Callable[[str], Runbook]


@pytest.fixture(scope="session")
def kinds() -> Kinds:
    """Return ihobs' own kinds of steps, for looking."""
    return all_kinds(Surroundings())


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a runbook; steps alone get an id and a title."""

    def put(text: str, name: str = "test") -> Path:
        text = textwrap.dedent(text).lstrip("\n")
        if not text.startswith(("id:", "apiVersion:")):
            text = f"id: {name}\ntitle: a test\n{text}"
        path = tmp_path / f"{name}.runbook.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture
def read(write: Write, kinds: Kinds) -> Read:
    """Return a function that reads a runbook from its text."""
    return lambda text: load(write(text), kinds)
