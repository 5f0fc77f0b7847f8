"""What ihobs' own kinds of steps work on: the home's databases, the configuration, the world outside."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ihobs.errors import RefusedError

if TYPE_CHECKING:
    from ihobs.settings import Settings
    from ihobs.store.database import Database
    from ihobs.store.home import Home


@dataclass(frozen=True)
class Allowed:
    """What steps may touch outside of ihobs; nothing when nobody says.

    Attributes:
        commands: programs, by the name that is looked for in PATH or by an absolute path.
        hosts: as in a URL, with the port when it is not the usual one; "*.internal" stands for what ends so.
        python: functions, "package.module:function".
    """

    commands: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    python: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """Where steps run. Databases are opened when a step needs them.

    Attributes:
        open_home: returns the home; raises when there is none.
        settings: the configuration; None: only for looking at what kinds there are.
        allowed: what steps may touch.
        environ: where programs are looked for, and secrets are.
    """

    open_home: Callable[[], Home] | None = None
    settings: Settings | None = None
    allowed: Allowed = field(default_factory=Allowed)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def home(self) -> Home:
        """The home.

        Raises:
            RefusedError: these surroundings are only for looking.
        """
        if self.open_home is None:
            raise RefusedError("there is no home to work on", "run it with 'ihobs run'")
        return self.open_home()

    @cached_property
    def state(self) -> Database:
        """The state database."""
        from ihobs.store.state.migrations import open_state

        return open_state(self.home)

    @cached_property
    def telemetry(self) -> Database:
        """The telemetry database."""
        from ihobs.store.schema import open_telemetry

        return open_telemetry(self.home)
