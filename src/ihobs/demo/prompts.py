"""What InsightHub says to its model. Any chat model can answer; the local one knows the task by its first line.

The document comes first and the task last, so that the calls about one document share their beginning and a
provider that caches prompts can reuse it.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

SYSTEM = "You are InsightHub, a careful editor. Use only what the document says. Answer with the result alone."

OUTLINE = "Name the five main topics of the document, one word each, separated by commas."
DRAFT = "Summarise the document in three sentences taken from it, one a line."
REVIEW = "Does the draft mention all topics but one? Answer PASS, or REVISE: and the topics that are missing."

APPROVAL = "PASS"


def about(document: str, task: str, *details: str) -> list[BaseMessage]:
    """Return the messages that give `task`, with its `details` a line each, about `document`."""
    return [SystemMessage(SYSTEM), HumanMessage(document), HumanMessage("\n".join((task, *details)))]


def topics_line(topics: Sequence[str]) -> str:
    """Return the detail that names the topics."""
    return "Topics: " + ", ".join(topics)


def draft_lines(draft: str) -> str:
    """Return the detail that holds the draft under review; it is the last one, so it may have several lines."""
    return "Draft:\n" + draft


def listed(answer: str) -> list[str]:
    """Return the words of a comma-separated answer, stripped, without empty ones."""
    return [word.strip().strip(".").lower() for word in answer.split(",") if word.strip(" .\n")]
