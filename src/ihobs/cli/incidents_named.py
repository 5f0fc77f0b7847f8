"""Which incident somebody means, who somebody is, and where incidents are changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.errors import NotFoundError
from ihobs.store.state import incidents
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.incidents.session import Desk
    from ihobs.store.home import Home

LATEST = "latest"


def id_of(home: Home, named: str) -> str:
    """Return the id of the incident that somebody names: its own, or the newest one's.

    Raises:
        NotFoundError: there is none at all.
    """
    if named != LATEST:
        return named.upper()
    found = incidents.newest(open_state(home), 1)
    if not found:
        raise NotFoundError("incident", named, "there has been none yet")
    return found[0].id


def desk_of(app: AppContext, home: Home) -> Desk:
    """Return where the incidents of a home are changed, by the settings in force."""
    from ihobs.incidents.policy import policy_of
    from ihobs.incidents.session import Desk

    return Desk(open_state(home), policy_of(app.config.settings), app.clock)
