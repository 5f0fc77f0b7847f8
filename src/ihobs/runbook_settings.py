"""What the configuration says of runbooks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunbookSettings:
    """Where runbooks are, and what their steps may touch outside of ihobs.

    Attributes:
        paths: directories and files with runbooks, relative to the configuration's directory.
        commands: programs, by the name that is looked for in PATH or by an absolute path.
        hosts: as in a URL, with the port when it is not the usual one; "*.internal" stands for what ends so.
        python: functions, "package.module:function".
    """

    paths: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
