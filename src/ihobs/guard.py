"""The border to the host: an error of ours is logged, never raised into the program that we watch.

An error that happens at every span would fill the host's log. So the first of its kind is told with its traceback,
and the same again, from the same line, as a count once a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

TOLD_AGAIN_AFTER_S = 60.0
MAX_KINDS = 100
"""Kinds of errors that are remembered; beyond it the memory starts anew."""

log = logging.getLogger("ihobs")

_Kind = tuple[type[BaseException], str, int]
"""An error's class, and the file and line that raised it."""


@dataclass(slots=True)
class _Repeats:
    """How often an error happened since it was last told, and when that was."""

    told_s: float
    count: int = 0


@dataclass
class Guard:
    """`with guard:` logs an error of ours and goes on; `strict` (our own tests) raises it.

    Attributes:
        strict: raise instead of logging.
        errors: how many errors were swallowed, so that they can be shown.
        clock_s: seconds that only go forward.
    """

    strict: bool = False
    errors: int = 0
    clock_s: Callable[[], float] = time.monotonic
    _seen: dict[_Kind, _Repeats] = field(default_factory=dict)

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or self.strict:
            return False  # KeyboardInterrupt and SystemExit belong to the host
        self.errors += 1
        self._tell(error, trace)
        return True

    def _tell(self, error: Exception, trace: TracebackType | None) -> None:
        now_s, kind = self.clock_s(), (type(error), *_origin(trace))
        repeats = self._seen.get(kind)
        if repeats is None:
            if len(self._seen) >= MAX_KINDS:
                self._seen.clear()
            self._seen[kind] = _Repeats(now_s)
            log.error("ihobs.internal_error", exc_info=error)
            return
        repeats.count += 1
        if now_s - repeats.told_s >= TOLD_AGAIN_AFTER_S:
            log.error("ihobs.internal_error: %r happened %d more times", error, repeats.count)
            repeats.told_s, repeats.count = now_s, 0


def _origin(trace: TracebackType | None) -> tuple[str, int]:
    """Return the file and line where an error was raised."""
    if trace is None:
        return "", 0
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno


guard = Guard()
"""The one border of this process. Tests set `guard.strict = True`."""
