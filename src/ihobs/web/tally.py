"""How many requests were answered, by path and status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OTHER = "other"


class Tally:
    """Counts the answers of `app`. Only `paths` are counted by name: the others are whatever somebody tried."""

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        self._app, self._paths = app, frozenset(paths)
        self._answers: Counter[tuple[str, int]] = Counter()

    @property
    def answers(self) -> Mapping[tuple[str, int], int]:
        """How many answers since the start, by path and status."""
        return dict(self._answers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI asks."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else OTHER

        async def count_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answers[path, message["status"]] += 1
            await send(message)

        await self._app(scope, receive, count_and_send)
