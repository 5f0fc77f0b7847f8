"""Not losing the last spans: the ways in which a Python process ends, and a last flush for each.

normal end, exception, sys.exit        atexit
multiprocessing's children             its own finalizers: they leave by os._exit, which skips atexit
SIGTERM with the default action        nothing of Python runs; see `flush_on_sigterm`
os._exit, SIGKILL                      lost is what ended in the last 0.5 s
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import TYPE_CHECKING

import wrapt

from ihobs.guard import guard

if TYPE_CHECKING:
    from types import FrameType, ModuleType

    from ihobs.telemetry.processor import IhobsSpanProcessor

LAST_PRIORITY = -1000
"""multiprocessing runs finalizers by falling priority; ours comes after the program's own."""

SIGTERM_FLUSH_MS = 2_000


def flush_at_exit(processor: IhobsSpanProcessor) -> None:
    """Shut `processor` down when this process ends, and likewise in the children that multiprocessing makes."""

    def shut_down() -> None:
        with guard:
            processor.shutdown()

    atexit.register(shut_down)

    def hook(util: ModuleType) -> None:
        def in_child(_: object) -> None:
            util.Finalize(None, shut_down, exitpriority=LAST_PRIORITY)

        util.register_after_fork(processor, in_child)

    wrapt.register_post_import_hook(hook, "multiprocessing.util")


def flush_on_sigterm(processor: IhobsSpanProcessor) -> None:
    """Flush before SIGTERM's default action ends this process; it still dies of the signal, so its status is the same.

    Only under `ihobs exec`, and only while the program has no handler: one that it sets replaces ours. Elsewhere
    a library has no business with signals.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return

    def flush_and_die(number: int, _: FrameType | None) -> None:
        with guard:
            if not processor.force_flush(SIGTERM_FLUSH_MS):
                processor.rescue()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, flush_and_die)
