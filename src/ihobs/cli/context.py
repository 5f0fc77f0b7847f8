"""What every command is given by `@click.pass_obj`: the configuration, the home and the plug-ins, each when asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.clock import Clock, now_ns

if TYPE_CHECKING:
    from ihobs.config import Config
    from ihobs.plugins import Plugins
    from ihobs.reloading import Watched
    from ihobs.store.home import Home


@dataclass(frozen=True)
class AppContext:
    """The global options, and what follows from them. Nothing is read before it is asked for.

    Attributes:
        home_option: `--home`, or None.
        config_option: `--config`, or None.
        debug: show tracebacks instead of writing them to a file.
        clock: tells the time.
    """

    home_option: Path | None = None
    config_option: Path | None = None
    debug: bool = False
    clock: Clock = now_ns

    @cached_property
    def config(self) -> Config:
        """The configuration in force.

        Raises:
            InvalidInputError: the file, a variable or an option cannot be used.
        """
        return self._read()

    def watched(self) -> Watched:
        """Return the configuration in force with its files, for a process that goes on running."""
        from ihobs.reloading import Watched

        return Watched(self.config, self._read)

    def _read(self) -> Config:
        from ihobs.config import load

        overrides = {} if self.home_option is None else {"home": self.home_option}
        return load(self.config_option, overrides=overrides)

    @cached_property
    def plugins(self) -> Plugins:
        """The plug-ins that are installed, ours first."""
        from ihobs.plugins import load

        return load()

    def home(self, *, create: bool = False) -> Home:
        """Return the home; make it first when `create`.

        Raises:
            NotFoundError: there is none and `create` is False.
            StoreUnavailableError: it cannot be read or made.
        """
        from ihobs.store.home import Home

        return Home.open(self.config.settings.home, create=create)
