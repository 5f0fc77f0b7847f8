"""Text of others (names, errors, attributes) made harmless for a terminal: no escape sequences, one line."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC and the like: titles, links
    r"|\x1b[ -/]*[0-~]"  # the other escapes
)
"""ECMA-48's control sequences, whole. What is left of a broken one loses its control characters below."""

_SPACES = re.compile(r"\s+")


def inert(text: object) -> str:
    """Return `text` without control sequences and invisible characters; line breaks and tabs become a space."""
    spaced = _SPACES.sub(" ", _ESCAPES.sub("", str(text)))
    return spaced if spaced.isprintable() else "".join(filter(str.isprintable, spaced))
