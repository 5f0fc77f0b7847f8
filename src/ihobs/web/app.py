"""The routes, and what stands before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ihobs.errors import StoreUnavailableError
from ihobs.spans.signals import LOGS, SPANS
from ihobs.store.database import Database
from ihobs.store.schema import VERSION, migrate
from ihobs.web.access import Access, Policy
from ihobs.web.intake import failed_lately
from ihobs.web.openmetrics import CONTENT_TYPE, render
from ihobs.web.tally import Tally
from ihobs.web.wire import RETRY_AFTER_S

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from ihobs.web.vitals import Vitals

READY_WITHIN_S = 1.0
"""How long `/readyz` waits for the write lock: probes give up after a second or two."""

FAILED_WITHIN_S = 10.0
"""How long a failed commit makes the store count as not writable; then senders may try again."""


def make_app(vitals: Vitals, policy: Policy, more: Sequence[Route] = ()) -> ASGIApp:
    """Return the application of a receiver, with `more` routes beside its own."""
    routes = Routes(vitals)
    table = [*routes.table, *more]
    routes.tally = Tally(Access(Starlette(routes=table), policy), [route.path for route in table])
    return routes.tally


class Routes:
    """What is answered at which path. Functions that are not coroutines run on threads: they read the disk."""

    tally: Tally

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._probe = Database(
            vitals.home, "telemetry", version=VERSION, migrate=migrate, busy_timeout_s=READY_WITHIN_S
        )
        self.table = [
            Route("/v1/traces", vitals.of(SPANS).answer, methods=["POST"]),
            Route("/v1/logs", vitals.of(LOGS).answer, methods=["POST"]),
            Route("/metrics", self.metrics),
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/api/test", self.test),
        ]

    async def alive(self, _: Request) -> Response:
        """Say that the process is up."""
        return PlainTextResponse("ok\n")

    async def test(self, _: Request) -> Response:
        """Say so in JSON, as dashboards of old asked."""
        return JSONResponse({"status": "ok"})

    def ready(self, _: Request) -> Response:
        """Say whether the store can be written to now."""
        state = self._vitals.of(SPANS).intake.state()
        if failed_lately(state, self._vitals.clock(), FAILED_WITHIN_S):
            return _unavailable(state.failed)
        try:
            with self._probe.write():
                pass
        except StoreUnavailableError as error:
            return _unavailable(error.reason)
        return PlainTextResponse("ok\n")

    def metrics(self, _: Request) -> Response:
        """Show the numbers of the last minutes, and how this process is."""
        try:
            text = render(self._vitals.families(self.tally.answers))
        except StoreUnavailableError as error:
            return _unavailable(error.reason)
        return Response(text, headers={"content-type": CONTENT_TYPE})


def _unavailable(reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", 503, {"retry-after": str(RETRY_AFTER_S)})
