"""Ask cheaply whether plug-ins of others are installed, so that `ihobs --help` need not load any when there are none.

`importlib.metadata` answers the same in 20 to 90 ms, which is more than the whole of a small command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_METADATA = (".dist-info", ".egg-info")


def strangers_installed(paths: Iterable[str] | None = None) -> bool:
    """Return whether a distribution other than ihobs names the entry-point group `ihobs`.

    Args:
        paths: directories to look in; `sys.path` when None.
    """
    return any(
        "[ihobs]" in _entry_points(directory)
        for path in (sys.path if paths is None else paths)
        for directory in _metadata_directories(path or ".")
    )


def _metadata_directories(path: str) -> Iterator[Path]:
    try:
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries]
    except OSError:  # a zip file, or a directory that is gone: sys.path may name both
        return
    for name in names:
        if name.endswith(_METADATA) and not name.startswith("ihobs-"):
            yield Path(path, name)


def _entry_points(directory: Path) -> str:
    try:
        return (directory / "entry_points.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
