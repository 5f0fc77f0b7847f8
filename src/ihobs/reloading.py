"""The configuration of a process that goes on running: read again when a file has changed, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.errors import NotFoundError
from ihobs.rule_files import files_of

if TYPE_CHECKING:
    from ihobs.config import Config
    from ihobs.settings import Settings

Print = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, inode, time of change and size: editors replace a file, shells write into it."""

AT_NEXT_START = (
    "home",
    "service",
    "disabled",
    "endpoint",
    "redact",
    "dialects",
    "destinations",
    "retention",
    "deadman",
)
"""Settings that a running process does not take over."""


class Watched:
    """A configuration and its files.

    Args:
        config: as it is in force.
        read: reads it again, by the same options and variables.
    """

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        self._config, self._again = config, read
        self._print = self._look()

    def changed(self) -> Config | None:
        """Return the configuration that is in force from now on; None when no file has changed since the last time.

        Raises:
            InvalidInputError: what the files say now cannot be used. What was in force stays; the same mistake is
                raised once.
            NotFoundError: as above, for a file of rules.
        """
        seen = self._look()
        if seen == self._print:
            return None
        self._print = seen
        self._config = self._again()
        self._print = self._look()
        return self._config

    def _look(self) -> Print:
        return tuple(print_ for path in self._files() for print_ in _print_of(path))

    def _files(self) -> Iterator[Path]:
        """Yield the files that are in force, and those that have come since."""
        if self._config.path is None:
            return
        yield self._config.path
        try:
            yield from files_of(self._config.settings, self._config.path)
        except NotFoundError:
            yield from self._config.rule_files


def _print_of(path: Path) -> Iterator[tuple[str, int, int, int]]:
    try:
        found = path.stat()
    except OSError:  # in the moment in which an editor replaces it, or for good
        return
    yield str(path), found.st_ino, found.st_mtime_ns, found.st_size


def waits_for_next_start(before: Settings, after: Settings) -> list[str]:
    """Return the settings that differ, and that take effect at the next start only."""
    return [name for name in AT_NEXT_START if getattr(before, name) != getattr(after, name)]
