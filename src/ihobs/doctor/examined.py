"""What is examined: the configuration, the environment and the home, as far as each can be had."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.errors import IhobsError
from ihobs.settings import TABLE, build
from ihobs.store import schema
from ihobs.store.home import Home
from ihobs.store.observing import Observed, version_of
from ihobs.store.state import migrations

if TYPE_CHECKING:
    from ihobs.clock import Clock
    from ihobs.config import Config
    from ihobs.plugins import Plugins
    from ihobs.settings import Settings
    from ihobs.store.database import Database


VERSIONS = {"telemetry": schema.VERSION, "state": migrations.VERSION}
"""The versions of the databases that this program writes."""


@dataclass(frozen=True)
class Examined:
    """Everything that checks look at.

    Attributes:
        config: the configuration; None: it cannot be used, `config_error` says why, and the defaults are looked at.
        home_path: where the home is, or should be.
        environ: the environment. Programs may run in another one.
        plugins: loaded without a word in the log.
        clock: tells the time.
        deep: read every page of the databases, however large.
        online: ask LangSmith.
    """

    config: Config | None
    config_error: str
    home_path: Path
    environ: Mapping[str, str]
    plugins: Plugins
    clock: Clock
    deep: bool = False
    online: bool = True

    @cached_property
    def settings(self) -> Settings:
        """The settings in force, or the defaults when the configuration cannot be used."""
        return self.config.settings if self.config else default_settings(self.home_path)

    @cached_property
    def home(self) -> Home | None:
        """The home; None when there is none that could be opened."""
        with contextlib.suppress(IhobsError):
            return Home.open(self.home_path)
        return None

    @cached_property
    def telemetry(self) -> Database | None:
        """The telemetry database, only looked at; None when there is none yet."""
        return self._database("telemetry")

    @cached_property
    def state(self) -> Database | None:
        """The state database, only looked at; None when there is none yet."""
        return self._database("state")

    @cached_property
    def is_outdated(self) -> bool:
        """Whether a database is of an older version than this program's, and some of what it asks for is not there."""
        for name, database in (("telemetry", self.telemetry), ("state", self.state)):
            with contextlib.suppress(IhobsError):
                if database is not None and version_of(database)[0] < VERSIONS[name]:
                    return True
        return False

    def close(self) -> None:
        """Close what was opened to look at."""
        for database in (self.telemetry, self.state):
            if database is not None:
                database.close()

    def _database(self, name: str) -> Database | None:
        with contextlib.suppress(IhobsError):
            if self.home is not None and self.home.database(name).exists():
                return Observed(self.home, name)
        return None


def default_settings(home: Path) -> Settings:
    """Return the settings that nobody has touched, for a home."""
    values = {setting.key: setting.convert(setting.default) for setting in TABLE}
    return build({**values, "home": home})
