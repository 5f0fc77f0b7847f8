"""A LangGraph app with a chat model that runs here and reports its usage. Nothing in it knows of ihobs.

ihobs exec -- python examples/langgraph_app.py
ihobs metrics --by node
"""

from __future__ import annotations

from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy


class LocalChat(BaseChatModel):
    """Answers with the first words of the question, and counts words as tokens."""

    model_name: str = "local-1"

    @property
    def _llm_type(self) -> str:
        return "local"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": "local", "ls_model_name": self.model_name}

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        words = str(messages[-1].content).split()
        usage = {"input_tokens": len(words), "output_tokens": 3, "total_tokens": len(words) + 3}
        answer = AIMessage(" ".join(words[:3]), usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=answer)])


class State(TypedDict, total=False):
    question: str
    draft: str
    facts: str


@tool
def look_up(topic: str) -> str:
    """Return what is known about a topic."""
    return f"{topic} is well known"


class Flaky:
    """Fails the first time that it is called for a question, as networks do."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, state: State) -> State:
        question = state["question"]
        if question not in self.seen:
            self.seen.add(question)
            raise ConnectionError("the encyclopedia does not answer")
        return {"facts": look_up.invoke({"topic": question.split()[-1]})}


def build_graph() -> Any:
    chat = LocalChat()

    def draft(state: State) -> State:
        return {"draft": str(chat.invoke(state["question"]).content)}

    graph = StateGraph(State)
    graph.add_node("draft", draft)
    graph.add_node("research", Flaky(), retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01))
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "research")
    graph.add_edge("research", END)
    return graph.compile(name="Answering")


def main() -> None:
    graph = build_graph()
    for question in ("what do we know about otters", "how long is a piece of string"):
        print(graph.invoke({"question": question})["facts"])


if __name__ == "__main__":
    main()
