"""`GET /api/langsmith-status`: asked of LangSmith on a thread of its own, and remembered for a while.

Nobody waits for LangSmith longer than WAIT_S: who asks meanwhile gets what was known before, and is told so.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.langsmith.report import Report, figures

if TYPE_CHECKING:
    from starlette.requests import Request

KEEP_NS = 30 * SECOND_NS
"""How long an answer is good: a page that is open asks often, and LangSmith limits requests."""

WAIT_S = 2.0
"""How long a request waits for LangSmith."""


class LangSmithStatus:
    """Answers who asks how LangSmith is.

    Args:
        ask: finds it out; called on a thread of its own, never twice at once.
        clock: tells the time. wait_s: how long a request waits.
    """

    def __init__(self, ask: Callable[[], Report], *, clock: Clock = now_ns, wait_s: float = WAIT_S) -> None:
        self._ask, self._clock, self._wait_s = ask, clock, wait_s
        self._lock = threading.Lock()
        self._running: Future[Report] | None = None
        self._known: Report | None = None
        self.route = Route("/api/langsmith-status", self.answer)

    async def answer(self, _: Request) -> Response:
        """Say what is known, after waiting a little for what is being found out."""
        asked = self._refreshed()
        if asked is not None:
            await asyncio.wait([asyncio.wrap_future(asked)], timeout=self._wait_s)
            if asked.done():
                self._known = asked.result()
        known = self._known
        body = figures(known) if known else {"mode": None, "ok": None, "checked": None, "connections": []}
        return JSONResponse({**body, "checking": asked is not None and not asked.done()})

    def _refreshed(self) -> Future[Report] | None:
        """Return the question that is open, asking it if what is known is too old; None: it is fresh."""
        with self._lock:
            if self._running is not None:
                if not self._running.done():
                    return self._running
                self._known, self._running = self._running.result(), None
            if self._known is None or not 0 <= self._clock() - self._known.checked_ns < KEEP_NS:
                self._running = Future()
                threading.Thread(
                    target=_fill, args=(self._running, self._ask), name="ihobs-langsmith", daemon=True
                ).start()
            return self._running


def _fill(future: Future[Report], ask: Callable[[], Report]) -> None:
    """Ask, and hand the answer over. On a daemon thread: the end of the server does not wait for LangSmith."""
    try:
        future.set_result(ask())
    except Exception as error:  # noqa: BLE001 - handed on to who waits for it
        future.set_exception(error)
