"""What a call costs: rates as integers, and where they come from.

Rates are in pico-USD a token, so that a price of 0.15 USD a million tokens is exactly 150 000, and a sum of
costs is exact. genai-prices, which knows the rates, is imported only when one is looked up: it takes half a
second and 100 MB, and the orchestrator's process never does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

PICO_USD_A_TOKEN = 1_000_000
"""Pico-USD a token in one USD a million tokens."""

SELF_HOSTED = frozenset(
    {"llama.cpp", "llama_cpp", "llamacpp", "llamafile", "lm_studio", "lmstudio", "local", "ollama", "ollama_chat"}
    | {"sglang", "vllm"}
)
"""Providers that are programs on the user's own machines: a token has no price there."""

_FREE = ":free"
"""The end of the names of OpenRouter's models that cost nothing; genai-prices lists no rates for them."""

_NOT_BY_TOKEN = ("requests_kcount", "input_text_messages_kcount", "output_reasoning_mtok")
"""Rates of genai-prices that `Price` cannot hold. A model that has one is unknown rather than too cheap."""


@dataclass(frozen=True, slots=True)
class Price:
    """Rates of one model, from a moment on, for requests above a size.

    Attributes:
        provider, model: as the spans name them; the provider is empty when they do not say.
        from_ns: in force for calls that began at this time or later, until a newer price.
        above_input_tokens: 0, or the size that a request's input must exceed for this tier; it then holds for
            all of the request's tokens.
        input_pico_usd, output_pico_usd: for a token.
        cached_input_pico_usd, cache_write_pico_usd: for an input token read from, or written to, the provider's
            prompt cache.
        source: where the rates come from, with a version.
    """

    provider: str
    model: str
    from_ns: int
    above_input_tokens: int
    input_pico_usd: int
    cached_input_pico_usd: int
    cache_write_pico_usd: int
    output_pico_usd: int
    source: str


def cost_nano_usd(
    prices: Sequence[Price],
    *,
    input_tokens: int,
    output_tokens: int,
    cached_input_tokens: int = 0,
    cache_write_tokens: int = 0,
) -> int:
    """Return the cost of one call, rounded to the nearest nano-USD.

    Args:
        prices: the tiers of one price, at least one.
        input_tokens: all of them, including those read from and written to a cache.
        output_tokens: all of them, including reasoning.
        cached_input_tokens: the part of the input that was read from a cache.
        cache_write_tokens: the part of the input that was written to a cache.
    """
    reached = [price for price in prices if not price.above_input_tokens or input_tokens > price.above_input_tokens]
    price = max(reached or prices, key=lambda tier: tier.above_input_tokens)
    plain = max(0, input_tokens - cached_input_tokens - cache_write_tokens)
    pico_usd = (
        plain * price.input_pico_usd
        + cached_input_tokens * price.cached_input_pico_usd
        + cache_write_tokens * price.cache_write_pico_usd
        + output_tokens * price.output_pico_usd
    )
    return (pico_usd + 500) // 1000


@lru_cache(maxsize=4096)
def lookup(provider: str, model: str) -> tuple[Price, ...] | None:
    """Return all rates that genai-prices knows of a model, every date and tier; None when it knows none.

    A provider that charges by the hour of the day is taken at the rate of most hours.

    Args:
        provider: as the span names it (its aliases are known); may be empty.
        model: as the span names it, with or without the provider in front ("openai/gpt-4o").
    """
    if provider.lower() in SELF_HOSTED or (not provider and model.partition("/")[0].lower() in SELF_HOSTED):
        return (Price(provider, model, 0, 0, 0, 0, 0, 0, "self-hosted"),)
    match = _find(provider, model)
    if match is None:
        return None
    found, source = match
    if found.id.endswith(_FREE):
        return (Price(provider, model, 0, 0, 0, 0, 0, 0, source),)
    prices: list[Price] = []
    for start in _dates(found):
        rates = _rates_on(found, start or date(1970, 1, 1))
        if rates is None:
            return None
        prices += _tiers(rates, Price(provider, model, _midnight_ns(start), 0, 0, 0, 0, 0, source))
    return tuple(prices)


def _find(provider: str, model: str) -> tuple[ModelInfo, str] | None:
    """Find the model under the provider, under the one in front of its name, or under whichever has such a name.

    Returns:
        The model, and where its rates come from: "genai-prices VERSION: PROVIDER/MODEL", for a gateway's or a
        cloud's model may be found under its maker's name only.
    """
    from genai_prices import __version__ as version
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for provider_id, model_ref in _candidates(provider, model):
        try:
            holder, found = snapshot.find_provider_model(model_ref, None, provider_id, None)
        except LookupError:
            continue
        return found, f"genai-prices {version}: {holder.id}/{found.id}"
    return None


def _candidates(provider: str, model: str) -> Iterator[tuple[str | None, str]]:
    prefix, _, rest = model.partition("/")
    if provider:
        yield provider, model
        if rest:
            yield provider, rest
    if rest:
        yield prefix, rest
    yield None, model
    if rest:
        yield None, rest


def _dates(found: ModelInfo) -> list[date | None]:
    """Return since when each price of a model holds; None stands for the first."""
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(found.prices, ModelPrice):
        return [None]
    constraints = [each.constraint for each in found.prices]
    starts = {each.start_date for each in constraints if isinstance(each, StartDateConstraint)}
    return [None, *sorted(starts)]


def _rates_on(found: ModelInfo, day: date) -> ModelPrice | None:
    """Return the rates of most hours of a day; None when tokens are not what the model is charged by."""
    hours = [found.get_prices(datetime.combine(day, time(hour, 45), UTC)) for hour in range(24)]
    [(identity, _)] = Counter(id(each) for each in hours).most_common(1)
    rates = next(each for each in hours if id(each) == identity)
    by_token = rates.input_mtok is not None and all(getattr(rates, key) is None for key in _NOT_BY_TOKEN)
    return rates if by_token else None


def _midnight_ns(day: date | None) -> int:
    """Return when a day begins in UTC; 0 for the first price, which has no date."""
    return 0 if day is None else int(datetime.combine(day, time(), UTC).timestamp()) * SECOND_NS


def _tiers(rates: ModelPrice, price: Price) -> Iterator[Price]:
    """Yield `price` with its rates, once for each size of request at which any of them changes."""
    from genai_prices.types import TieredPrices

    keys = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok")
    columns: list[Decimal | TieredPrices | None] = [getattr(rates, key) for key in keys]
    sizes = {tier.start for each in columns if isinstance(each, TieredPrices) for tier in each.tiers}
    for above in sorted({0, *sizes}):
        plain, cached, written, output = (None if each is None else _at(each, above) for each in columns)
        yield replace(
            price,
            above_input_tokens=above,
            input_pico_usd=plain or 0,
            cached_input_pico_usd=(plain or 0) if cached is None else cached,
            cache_write_pico_usd=(plain or 0) if written is None else written,
            output_pico_usd=output or 0,
        )


def _at(rate: Decimal | TieredPrices, above_input_tokens: int) -> int:
    """Return a rate in pico-USD a token for requests just larger than a size."""
    if isinstance(rate, Decimal):
        return int((rate * PICO_USD_A_TOKEN).to_integral_value())
    reached = [tier.price for tier in rate.tiers if above_input_tokens and tier.start <= above_input_tokens]
    return _at(reached[-1] if reached else rate.base, 0)
