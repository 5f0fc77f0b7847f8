"""A chat model without a network: it does extractive work, and reports usage and takes time as a real one does."""

from __future__ import annotations

import math
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from ihobs.demo import prompts
from ihobs.demo.extract import key_terms, missing, summarise

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun

CHARACTERS_PER_TOKEN = 4
CACHEABLE_TOKENS = 1024
"""The shortest beginning that is cached, and CACHE_STEP_TOKENS its grain: platform.openai.com, prompt caching."""
CACHE_STEP_TOKENS = 128
CACHED_PROMPTS = 256
TOPICS = 5
SUMMARY_SENTENCES = 3


class PromptCache:
    """Remembers the beginnings of prompts, as providers do, so that repeated ones are reported as cached."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._lock = Lock()

    def cached_tokens(self, messages: Sequence[BaseMessage]) -> int:
        """Return how many of the tokens before the last message were sent before; remember them."""
        beginning = tuple(str(message.content) for message in messages[:-1])
        tokens = sum(map(count_tokens, beginning))
        if tokens < CACHEABLE_TOKENS:
            return 0
        with self._lock:
            known = beginning in self._known
            self._known[beginning] = None
            self._known.move_to_end(beginning)
            if len(self._known) > CACHED_PROMPTS:
                self._known.popitem(last=False)
        return tokens // CACHE_STEP_TOKENS * CACHE_STEP_TOKENS if known else 0


class LocalChatModel(BaseChatModel):
    """Answers InsightHub's prompts by extraction. Deterministic, but for the usage of its prompt cache.

    Attributes:
        model_name: the model that it stands for, which sets the price.
        seed: of the latencies. A call takes about base_latency_s + token_latency_s x output tokens.
        sleep: waits that many seconds.
    """

    model_name: str = "gpt-4o-mini"
    seed: int = 0
    base_latency_s: float = 0.025
    token_latency_s: float = 0.0003
    sleep: Callable[[float], None] = time.sleep
    _cache: PromptCache = PrivateAttr(default_factory=PromptCache)

    @property
    def _llm_type(self) -> str:
        return "insighthub-local"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        del stop, kwargs
        return LangSmithParams(ls_provider="openai", ls_model_name=self.model_name, ls_model_type="chat")

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        text = answer(str(messages[-2].content), str(messages[-1].content))
        usage = _usage(messages, text, self._cache.cached_tokens(messages))
        self.sleep(self._latency_s(str(messages[-1].content), usage["output_tokens"]))
        message = AIMessage(text, usage_metadata=usage, response_metadata={"model_name": self.model_name})
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output={"model_name": self.model_name})

    def _latency_s(self, task: str, output_tokens: int) -> float:
        """Return how long this call takes: log-normal around the usual, the same for the same task and seed."""
        spread = random.Random(f"{self.seed}:{task}").lognormvariate(0.0, 0.3)  # noqa: S311 - a simulation
        return spread * (self.base_latency_s + self.token_latency_s * output_tokens)


def count_tokens(text: str) -> int:
    """Return about how many tokens `text` has, by the usual rule of thumb for English."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _usage(messages: Sequence[BaseMessage], text: str, cached_tokens: int) -> UsageMetadata:
    input_tokens = sum(count_tokens(str(message.content)) for message in messages)
    output_tokens = count_tokens(text)
    return UsageMetadata(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
        input_token_details=InputTokenDetails(cache_read=cached_tokens),
    )


def answer(document: str, task: str) -> str:
    """Return the answer to a task of `ihobs.demo.prompts` about `document`; to any other, a summary."""
    instruction, _, details = task.partition("\n")
    topics, _, draft = details.partition("\n")
    named = prompts.listed(topics.partition(": ")[2])
    if instruction == prompts.OUTLINE:
        return ", ".join(key_terms(document, TOPICS))
    if instruction == prompts.REVIEW:
        absent = missing(named, draft)
        return f"REVISE: {', '.join(absent)}" if len(absent) > 1 else prompts.APPROVAL
    return "\n".join(summarise(document, SUMMARY_SENTENCES, focus=named))
