"""The orchestrator of `asyncio_app.py`: an ordinary class and an ordinary function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


async def summarise(text: str) -> str:
    await asyncio.sleep(0.01)
    return text.upper()


class Orchestrator:
    async def process_content(self, content: str) -> str:
        if not content:
            raise ValueError("there is no content")
        return await summarise(content)

    async def stream(self, content: str) -> AsyncIterator[str]:
        for word in content.split():
            await asyncio.sleep(0.001)
            yield word
