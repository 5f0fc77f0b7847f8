"""Costs: exact integers, equal to what genai-prices itself computes."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, StartDateConstraint, TimeOfDateConstraint
from hypothesis import given
from hypothesis import strategies as st

from ihobs.spans.price import Price, cost_nano_usd, lookup

BASE = Price(
    provider="p",
    model="m",
    from_ns=0,
    above_input_tokens=0,
    input_pico_usd=2_500_000,
    cached_input_pico_usd=1_250_000,
    cache_write_pico_usd=3_000_000,
    output_pico_usd=10_000_000,
    source="test",
)
LARGE = replace(BASE, above_input_tokens=200_000, input_pico_usd=5_000_000, output_pico_usd=15_000_000)
SECOND = 1_000_000_000


def in_force(prices, at):
    newest = max(price.from_ns for price in prices if price.from_ns <= int(at.timestamp()) * SECOND)
    return [price for price in prices if price.from_ns == newest]


def test_cached_and_written_tokens_are_part_of_the_input():
    cost = cost_nano_usd([BASE], input_tokens=1000, output_tokens=100, cached_input_tokens=400, cache_write_tokens=100)
    assert cost == (500 * 2_500_000 + 400 * 1_250_000 + 100 * 3_000_000 + 100 * 10_000_000) // 1000


@pytest.mark.parametrize(("input_tokens", "rate"), [(0, 2_500_000), (200_000, 2_500_000), (200_001, 5_000_000)])
def test_a_tier_holds_for_all_tokens_of_a_request_above_its_size(input_tokens, rate):
    for prices in ([BASE, LARGE], [LARGE, BASE]):
        assert cost_nano_usd(prices, input_tokens=input_tokens, output_tokens=0) == input_tokens * rate // 1000


def test_more_cached_than_input_is_no_negative_cost():
    assert cost_nano_usd([BASE], input_tokens=1, output_tokens=0, cached_input_tokens=10) == 10 * 1250


@given(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**9))
def test_costs_are_rounded_to_the_nearest_nano_usd(input_tokens, output_tokens, rate):
    price = replace(BASE, input_pico_usd=rate, output_pico_usd=rate // 3)
    exact_pico = input_tokens * rate + output_tokens * (rate // 3)
    cost = cost_nano_usd([price], input_tokens=input_tokens, output_tokens=output_tokens)
    assert abs(cost * 1000 - exact_pico) <= 500


def models():
    """Models of all providers that their own id finds, with a moment of each of their prices."""
    snapshot = get_snapshot()
    for provider in snapshot.providers:
        for model in provider.models:
            if provider.find_model(model.id, all_providers=snapshot.providers) is model:
                yield provider.id, model, moments(model)


def moments(model):
    if isinstance(model.prices, ModelPrice):
        return [datetime(2024, 1, 1, 12, tzinfo=UTC)]
    constraints = [each.constraint for each in model.prices]
    starts = [each.start_date for each in constraints if isinstance(each, StartDateConstraint)]
    days = [datetime(start.year, start.month, start.day, tzinfo=UTC) for start in starts]
    return [datetime(2024, 1, 1, 12, tzinfo=UTC), *(day + timedelta(hours=h) for day in days for h in (-1, 0, 36))]


def is_charged_by_the_hour(model):
    return not isinstance(model.prices, ModelPrice) and any(
        isinstance(each.constraint, TimeOfDateConstraint) for each in model.prices
    )


USAGES = [(1000, 100, 0, 0), (150_000, 3, 100_000, 20_000), (300_000, 2000, 7, 11), (1_500_000, 0, 0, 0)]


def test_models_cost_what_genai_prices_says():
    """Every fifth model and all that have dates or tiers, at each date, below and above each tier."""
    compared = 0
    for index, (provider, model, dates) in enumerate(models()):
        prices = lookup(provider, model.id)
        if prices is None or is_charged_by_the_hour(model) or (len(prices) == 1 and index % 5):
            continue
        for at in dates:
            for usage in USAGES:
                compare(provider, model.id, prices, at, usage)
                compared += 1
    assert compared > 2000


def compare(provider, model, prices, at, usage):
    input_tokens, output_tokens, cached, written = usage
    reported = Usage(
        input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached, cache_write_tokens=written
    )
    expected = calc_price(reported, model, provider_id=provider, genai_request_timestamp=at)
    cost = cost_nano_usd(
        in_force(prices, at),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )
    rounding = 1 + (input_tokens + output_tokens) * Decimal("0.0005")  # rates are whole pico-USD a token
    assert abs(expected.total_price * 10**9 - cost) <= rounding, (provider, model, at, usage)


def test_nearly_every_model_that_has_a_rate_for_input_has_a_price():
    rated = [
        lookup(provider, model.id)
        for provider, model, dates in models()
        if model.get_prices(dates[0]).input_mtok is not None
    ]
    assert len(rated) > 1500
    assert sum(prices is None for prices in rated) < 10


def test_a_rate_that_depends_on_the_hour_is_that_of_most_hours():
    """DeepSeek's chat model was cheaper for 8 hours a day (16:30 to 00:30 UTC)."""
    [price] = lookup("deepseek", "deepseek-chat")
    usage = Usage(input_tokens=10**6, output_tokens=0)
    noon = calc_price(
        usage, "deepseek-chat", provider_id="deepseek", genai_request_timestamp=datetime(2025, 6, 1, 12, tzinfo=UTC)
    )
    night = calc_price(
        usage, "deepseek-chat", provider_id="deepseek", genai_request_timestamp=datetime(2025, 6, 1, 20, tzinfo=UTC)
    )
    assert noon.total_price > night.total_price
    assert price.input_pico_usd == noon.total_price * 10**6


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("", "gpt-4o"),
        ("", "openai/gpt-4o"),
        ("openai", "openai/gpt-4o"),
        ("azure.ai.openai", "gpt-4o"),
        ("my-gateway", "gpt-4o"),
        ("litellm", "openai/gpt-4o"),
        ("OpenAI", "GPT-4o"),
    ],
)
def test_a_model_is_found_by_the_names_that_spans_give_it(provider, model):
    prices = lookup(provider, model)
    assert {(price.provider, price.model) for price in prices} == {(provider, model)}
    assert [price.input_pico_usd for price in prices] == [price.input_pico_usd for price in lookup("openai", "gpt-4o")]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("gcp.vertex_ai", "gemini-2.5-pro"),
        ("mistral_ai", "mistral-large-latest"),
        ("aws", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("aws", "claude-sonnet-4-5"),
        ("", "mistral/mistral-medium-latest"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
    ],
)
def test_providers_may_go_by_the_names_of_the_conventions(provider, model):
    assert all(price.input_pico_usd > 0 for price in lookup(provider, model))


@pytest.mark.parametrize("provider", ["", "openai", "nobody"])
@pytest.mark.parametrize("model", ["no-such-model", "", "/", "openai/", "a/b/c", "insighthub-local"])
def test_an_unknown_model_has_no_price_rather_than_none_to_pay(provider, model):
    assert lookup(provider, model) is None


@pytest.mark.parametrize(("provider", "model"), [("ollama", "llama3"), ("", "ollama/llama3"), ("vllm", "gpt-oss-120b")])
def test_a_model_on_ones_own_machine_costs_nothing(provider, model):
    [price] = lookup(provider, model)
    assert cost_nano_usd([price], input_tokens=10**6, output_tokens=10**6) == 0
    assert price.source == "self-hosted"


def test_a_model_charged_otherwise_than_by_token_is_unknown():
    whisper = [model.id for provider in get_snapshot().providers if provider.id == "groq" for model in provider.models]
    assert lookup("groq", next(model for model in whisper if model.startswith("whisper"))) is None


def test_prices_say_where_they_come_from():
    [version, found] = lookup("aws", "claude-sonnet-4-5")[0].source.split(": ")
    assert version.startswith("genai-prices ")
    assert found == "anthropic/claude-sonnet-4-5"


def test_a_model_that_is_given_away_costs_nothing():
    [price] = lookup("openrouter", "meta-llama/llama-3.3-70b-instruct:free")
    assert cost_nano_usd([price], input_tokens=10**6, output_tokens=10**6) == 0


def test_pricing_imports_genai_prices_only_when_it_looks_something_up():
    code = """
import sys
from ihobs.spans.price import lookup
import ihobs.store.prices
assert "genai_prices" not in sys.modules
lookup("ollama", "x")
assert "genai_prices" not in sys.modules
lookup("openai", "gpt-4o")
assert "genai_prices" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
