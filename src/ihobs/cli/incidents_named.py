"""Which incident somebody means, and who somebody is."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from ihobs.errors import NotFoundError
from ihobs.store.state import incidents
from ihobs.store.state.migrations import open_state

if TYPE_CHECKING:
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


def who(author: str | None) -> str:
    """Return who acts: the one that is named, else the user."""
    if author:
        return author
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without users
        return "unknown"
