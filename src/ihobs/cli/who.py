"""Who acts, for what is written down: the one that is named, else the user who is logged in."""

from __future__ import annotations

import getpass


def who(author: str | None = None) -> str:
    """Return who acts: `author` when it is given, else the user."""
    if author:
        return author
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without users
        return "unknown"
