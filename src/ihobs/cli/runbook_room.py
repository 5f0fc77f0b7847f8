"""What the commands about runbooks work with: the kinds of steps, the library, and the desk of runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.runbooks.kinds.own import all_kinds
from ihobs.runbooks.kinds.surroundings import Allowed, Surroundings
from ihobs.runbooks.library import Library
from ihobs.runbooks.performing import Timing
from ihobs.runbooks.running import Desk
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.store.home import Home


def library_of(app: AppContext, home: Home | None = None) -> Library:
    """Return the runbooks of the configuration; their steps work on `home`, when one is given."""
    settings = app.config.settings.runbooks
    base = app.config.path.absolute().parent if app.config.path else Path.cwd()
    around = Surroundings(
        open_home=None if home is None else lambda: home,
        settings=app.config.settings,
        allowed=Allowed(settings.commands, settings.hosts, settings.python),
    )
    return Library(all_kinds(around, app.plugins), tuple(base / path for path in settings.paths))


def desk_of(app: AppContext, *, create: bool = False) -> Desk:
    """Return where runs are started and gone on with."""
    home = app.home(create=create)
    return Desk(open_state(home), library_of(app, home), os.environ, Timing(app.clock))
