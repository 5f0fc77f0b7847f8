"""InsightHub: an LLM orchestrator as people write them. It knows nothing of ihobs, which watches it from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihobs.demo.graph import build, search_tool

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.runnables import RunnableConfig

    from ihobs.demo.content import Content, Library, Passage
    from ihobs.demo.faults import Services


@dataclass(frozen=True, slots=True)
class Insight:
    """What InsightHub found in one document.

    Attributes:
        title: the document's. topics: its main topics, most frequent first.
        summary: sentences of the document. related: what other documents say on the topics.
        drafts: how many it took. approved: whether the last one passed the review.
    """

    title: str
    topics: tuple[str, ...]
    summary: tuple[str, ...]
    related: tuple[Passage, ...]
    drafts: int
    approved: bool


class Orchestrator:
    """Turns documents into insights.

    Args:
        model: any chat model.
        library: where it looks for related passages.
        services: what stands between it and the library.
        retry_interval_s: the wait before the first retry of a node; doubled before the next.
    """

    def __init__(
        self, model: BaseChatModel, library: Library, services: Services, *, retry_interval_s: float = 0.05
    ) -> None:
        self._graph = build(model, search_tool(library, services), retry_interval_s=retry_interval_s)

    def process_content(self, content: Content) -> Insight:
        """Return the insight of `content`.

        Raises:
            ServiceError: a service refused a node three times. A real provider raises its own errors.
        """
        return _insight(self._graph.invoke({"content": content}, _config(content)))

    async def aprocess_content(self, content: Content) -> Insight:
        """Do as `process_content`, without blocking the event loop."""
        return _insight(await self._graph.ainvoke({"content": content}, _config(content)))


def _config(content: Content) -> RunnableConfig:
    return {"configurable": {"thread_id": content.title}}


def _insight(work: dict[str, Any]) -> Insight:
    return Insight(
        title=work["content"].title,
        topics=tuple(work["topics"]),
        summary=tuple(work["draft"].splitlines()),
        related=tuple(work["related"]),
        drafts=work["drafts"],
        approved=work["approved"],
    )
