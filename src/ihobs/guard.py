"""The border to the host: an error of ours is logged, never raised into the program that we watch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import TracebackType

log = logging.getLogger("ihobs")


@dataclass
class Guard:
    """`with guard:` logs an error of ours and goes on; `strict` (our own tests) raises it.

    Attributes:
        strict: raise instead of logging.
        errors: how many errors were swallowed, so that they can be shown.
    """

    strict: bool = False
    errors: int = 0

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or self.strict:
            return False  # KeyboardInterrupt and SystemExit belong to the host
        self.errors += 1
        log.error("ihobs.internal_error", exc_info=error)
        return True


guard = Guard()
"""The one border of this process. Tests set `guard.strict = True`."""
