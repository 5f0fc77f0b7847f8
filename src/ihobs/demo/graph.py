"""InsightHub's graph: outline -> research -> draft -> review, and back to draft or on to publish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from langchain_core.tools import BaseTool, tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy

from ihobs.demo import prompts
from ihobs.demo.content import Content, Passage  # noqa: TC001 - LangGraph looks the types of the state up
from ihobs.demo.faults import Services, is_transient

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langgraph.graph.state import CompiledStateGraph

    from ihobs.demo.content import Library

MAX_DRAFTS = 3
MAX_ATTEMPTS = 3
SEARCHED_TOPICS = 2


class Work(TypedDict, total=False):
    """What the nodes hand on. Each returns the keys that it changes."""

    content: Content
    topics: list[str]
    related: list[Passage]
    draft: str
    drafts: int
    absent: list[str]
    approved: bool


class Nodes:
    """The nodes' functions, with what they call."""

    def __init__(self, model: BaseChatModel, search: BaseTool) -> None:
        self._model, self._search = model, search

    def outline(self, state: Work) -> Work:
        """Name the topics of the document."""
        return {"topics": prompts.listed(self._ask(state, prompts.OUTLINE))}

    def research(self, state: Work) -> Work:
        """Find what other documents say on the main topics."""
        title = state["content"].title
        found = [
            passage
            for topic in state["topics"][:SEARCHED_TOPICS]
            for passage in self._search.invoke({"topic": topic, "outside": title})
        ]
        return {"related": found}

    def draft(self, state: Work) -> Work:
        """Summarise the document; after a review, with the topics that were missing."""
        details = [prompts.topics_line(state["absent"])] if state.get("absent") else []
        return {"draft": self._ask(state, prompts.DRAFT, *details), "drafts": state.get("drafts", 0) + 1}

    def review(self, state: Work) -> Work:
        """Compare the draft with the topics."""
        details = prompts.topics_line(state["topics"]), prompts.draft_lines(state["draft"])
        verdict = self._ask(state, prompts.REVIEW, *details)
        return {
            "approved": verdict.startswith(prompts.APPROVAL),
            "absent": prompts.listed(verdict.partition("REVISE:")[2]),
        }

    def publish(self, state: Work) -> Work:
        """Keep each related sentence once; documents of one family often share them."""
        first_of: dict[str, Passage] = {}
        for passage in state["related"]:
            first_of.setdefault(passage.sentence, passage)
        return {"related": list(first_of.values())}

    def _ask(self, state: Work, task: str, *details: str) -> str:
        return str(self._model.invoke(prompts.about(state["content"].text, task, *details)).content)


def after_review(state: Work) -> Literal["draft", "publish"]:
    """Choose the way on: another draft, unless this one is good or the last allowed."""
    return "publish" if state["approved"] or state["drafts"] >= MAX_DRAFTS else "draft"


def search_tool(library: Library, services: Services) -> BaseTool:
    """Return the tool that searches `library`, a service like any other: it can be slow or refuse."""

    @tool
    def search_library(topic: str, outside: str) -> Sequence[Passage]:
        """Find sentences on `topic` in documents other than `outside`."""
        services.request()
        return library.search(topic, outside=outside)

    return search_library


def build(model: BaseChatModel, search: BaseTool, *, retry_interval_s: float) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the compiled graph. Nodes that call a service are tried three times."""
    nodes = Nodes(model, search)
    retry = RetryPolicy(
        initial_interval=retry_interval_s,
        max_attempts=MAX_ATTEMPTS,
        jitter=False,  # adds up to a whole second
        retry_on=is_transient,
    )
    graph = StateGraph(Work)
    graph.add_node("outline", nodes.outline, retry_policy=retry)
    graph.add_node("research", nodes.research, retry_policy=retry)
    graph.add_node("draft", nodes.draft, retry_policy=retry)
    graph.add_node("review", nodes.review, retry_policy=retry)
    graph.add_node("publish", nodes.publish)
    graph.add_edge(START, "outline")
    graph.add_edge("outline", "research")
    graph.add_edge("research", "draft")
    graph.add_edge("draft", "review")
    graph.add_conditional_edges("review", after_review)
    graph.add_edge("publish", END)
    return graph.compile(name="InsightHub")
