import pytest
from langchain_core.messages import HumanMessage

from ihobs.demo import prompts
from ihobs.demo.local_model import CACHE_STEP_TOKENS, CACHED_PROMPTS, LocalChatModel, PromptCache, count_tokens

from .conftest import ESSAY


@pytest.fixture
def model(naps):
    return LocalChatModel(sleep=naps.append)


def ask(model, task, *details, document=ESSAY.text):
    return model.invoke(prompts.about(document, task, *details))


def test_an_outline_names_five_topics(model):
    assert prompts.listed(ask(model, prompts.OUTLINE).content)[:2] == ["lantern", "harbour"]
    assert len(prompts.listed(ask(model, prompts.OUTLINE).content)) == 5


def test_a_draft_is_three_sentences_of_the_document(model):
    lines = ask(model, prompts.DRAFT).content.splitlines()
    assert len(lines) == 3
    assert all(line in ESSAY.text for line in lines)


def test_a_review_names_the_topics_that_are_missing(model):
    topics = prompts.topics_line(["lantern", "fog", "moon"])
    verdict = ask(model, prompts.REVIEW, topics, prompts.draft_lines("A lantern.\nNothing else."))
    assert verdict.content == "REVISE: fog, moon"


def test_a_review_passes_a_draft_that_lacks_one_topic(model):
    topics = prompts.topics_line(["lantern", "fog", "moon"])
    assert ask(model, prompts.REVIEW, topics, prompts.draft_lines("Fog!\nA lantern.")).content == prompts.APPROVAL


def test_usage_counts_every_message_and_the_answer(model):
    messages = prompts.about(ESSAY.text, prompts.DRAFT)
    message = model.invoke(messages)
    assert message.usage_metadata["input_tokens"] == sum(count_tokens(one.content) for one in messages)
    assert message.usage_metadata["output_tokens"] == count_tokens(message.content)
    assert message.usage_metadata["input_token_details"]["cache_read"] == 0


def test_a_long_beginning_is_cached_from_the_second_time_on(model):
    long = ESSAY.text * 6
    first, second = ask(model, prompts.OUTLINE, document=long), ask(model, prompts.DRAFT, document=long)
    cached = second.usage_metadata["input_token_details"]["cache_read"]
    assert first.usage_metadata["input_token_details"]["cache_read"] == 0
    assert cached >= 1024
    assert cached % CACHE_STEP_TOKENS == 0
    assert cached < second.usage_metadata["input_tokens"]


def test_the_prompt_cache_forgets_the_oldest():
    cache = PromptCache()
    prompt = [[HumanMessage(f"{n} " + "x" * 8000), HumanMessage("task")] for n in range(CACHED_PROMPTS + 1)]
    assert [cache.cached_tokens(one) for one in prompt] == [0] * len(prompt)
    assert cache.cached_tokens(prompt[0]) == 0
    assert cache.cached_tokens(prompt[-1]) > 0


def test_latency_grows_with_the_answer_and_repeats_with_the_seed(naps):
    for seed in (1, 1, 2):
        ask(LocalChatModel(seed=seed, sleep=naps.append), prompts.DRAFT)
    assert naps[0] == naps[1] != naps[2]
    ask(LocalChatModel(seed=1, token_latency_s=0.01, sleep=naps.append), prompts.DRAFT)
    assert naps[3] > 5 * naps[0]
