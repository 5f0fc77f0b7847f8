"""The one place where InsightHub's model calls leave the house: the real model, the local one, and the faults."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import ConfigDict

from ihobs.demo.faults import Services  # noqa: TC001 - the type of a field: pydantic looks it up
from ihobs.demo.local_model import LocalChatModel

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

USUAL_MODEL = "gpt-4o-mini"
EXPENSIVE_MODEL = {"local": "o1", "openai": "gpt-4o"}
"""What a gateway falls back to. With the real provider it is one that does not ruin who tries the demo."""


class ChatGateway(BaseChatModel):
    """A chat model that passes each call on to `usual`, or to `expensive`, as the services' conditions are."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    usual: BaseChatModel
    expensive: BaseChatModel
    services: Services

    @property
    def _llm_type(self) -> str:
        return "insighthub-gateway"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._routed(self.services.conditions.expensive)._get_ls_params(stop=stop, **kwargs)  # noqa: SLF001 - a model wraps a model

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model = self._routed(self.services.request().expensive)
        return model._generate(messages, stop=stop, run_manager=run_manager, **kwargs)  # noqa: SLF001 - a model wraps a model

    def _routed(self, expensive: bool) -> BaseChatModel:
        return self.expensive if expensive else self.usual


def connect(provider: str, services: Services, environ: Mapping[str, str]) -> ChatGateway:
    """Return the gateway to `provider`, which `ihobs.demo.requirements` has found to be usable."""
    if provider == "openai":
        usual, expensive = _openai(USUAL_MODEL, environ), _openai(EXPENSIVE_MODEL[provider], environ)
    else:
        usual = LocalChatModel(model_name=USUAL_MODEL, sleep=services.sleep)
        expensive = LocalChatModel(model_name=EXPENSIVE_MODEL[provider], sleep=services.sleep)
    return ChatGateway(usual=usual, expensive=expensive, services=services)


def _openai(model: str, environ: Mapping[str, str]) -> BaseChatModel:
    chat_model = import_module("langchain_openai").ChatOpenAI
    # Retrying is the graph's business: it is what ihobs shows as attempts.
    made: BaseChatModel = chat_model(model=model, temperature=0, max_retries=0, api_key=environ["OPENAI_API_KEY"])
    return made
