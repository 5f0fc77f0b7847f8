"""Plug-ins of others, as pip would leave them on disk: a module and its metadata."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that puts a distribution with one plug-in on `sys.path`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(distribution: str, code: str, *, name: str | None = None) -> Path:
        module = distribution.replace("-", "_") + "_plugin"
        (site / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        metadata = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[ihobs]\n{name or module} = {module}\n")
        return site

    return put
