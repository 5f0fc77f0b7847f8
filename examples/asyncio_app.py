"""A plain asyncio program. Its orchestrator stands in `asyncio_orchestrator.py` and knows nothing of ihobs.

What is traced is named in `asyncio_app.ihobs.yaml`:

    ihobs --config examples/asyncio_app.ihobs.yaml exec -- python examples/asyncio_app.py
"""

from __future__ import annotations

import asyncio

from asyncio_orchestrator import Orchestrator


async def main() -> None:
    orchestrator = Orchestrator()
    pages = [f"page {number}" for number in range(5)] + [""]
    results = await asyncio.gather(*(orchestrator.process_content(page) for page in pages), return_exceptions=True)
    for result in results:
        print(result)
    async for word in orchestrator.stream("a stream of words"):
        print(word)


if __name__ == "__main__":
    asyncio.run(main())
