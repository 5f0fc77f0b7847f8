"""Prices of one's own: which calls they are of, since when, and what they are beside genai-prices."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest
from tests.prices.calls import NOW_NS, START_NS, call, totals

from ihobs.clock import DAY_NS
from ihobs.config import load
from ihobs.settings import PriceSettings
from ihobs.spans.dialects import dialects_of
from ihobs.spans.price import lookup
from ihobs.store.prices import PriceList, fill, price_list
from ihobs.store.pricing import in_force

DAY = date(2025, 10, 9)
"""The day of START_NS."""


def own(model, usd=1.0, provider="openai", **more):
    return PriceSettings(provider, model, usd, 2 * usd, **more)


def input_rate(prices, model=("openai", "gpt-4o"), at_ns=NOW_NS):
    [price] = in_force(prices.rates(model), at_ns)
    return price.input_pico_usd / 10**6


def known_rate(model="gpt-4o"):
    return lookup("openai", model)[0].input_pico_usd / 10**6


@pytest.mark.parametrize(
    ("provider", "model", "seen"),
    [
        ("openai", "gpt-4o", ("openai", "gpt-4o")),
        ("OpenAI", "GPT-4o", ("openai", "gpt-4o")),
        ("openai", "gpt-*", ("openai", "gpt-4o")),
        ("azure", "my-*", ("azure.ai.openai", "my-gpt4o-eu")),
        ("az.ai.openai", "my-*", ("azure.ai.openai", "my-gpt4o-eu")),
        ("azure.ai.openai", "my-*", ("azure.ai.openai", "my-gpt4o-eu")),
        ("openrouter", "openai/gpt-4o", ("openrouter", "openai/gpt-4o")),
        ("*", "in-house", ("", "in-house")),
        ("*", "in-house", ("openai", "in-house")),
        ("acme", "m", ("acme-gateway", "m")),
    ],
)
def test_a_price_is_of_the_models_that_its_key_names(provider, model, seen):
    dialects = dialects_of({"providers": {"acme": "acme-gateway"}})
    assert input_rate(PriceList((own(model, 7.0, provider),), dialects), seen) == 7.0


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt", "GPT-4", ""])
def test_it_is_not_of_others(model):
    assert PriceList((own("gpt-4o", 7.0),)).rates(("openai", model)) == (lookup("openai", model) or ())


def test_a_name_goes_before_a_pattern_and_the_first_pattern_before_the_next():
    prices = PriceList((own("gpt-*", 1.0), own("*", 2.0), own("gpt-4o", 3.0)))
    assert input_rate(prices) == 3.0
    assert input_rate(prices, ("openai", "gpt-5")) == 1.0
    assert input_rate(prices, ("openai", "o3")) == 2.0


def test_what_is_not_said_of_the_cache_is_as_other_input():
    [price] = PriceList((own("m", 2.5, cache_write_usd_per_mtok=3.125),)).rates(("openai", "m"))
    assert (price.input_pico_usd, price.cached_input_pico_usd) == (2_500_000, 2_500_000)
    assert (price.cache_write_pico_usd, price.output_pico_usd) == (3_125_000, 5_000_000)
    assert (price.from_ns, price.above_input_tokens, price.source) == (0, 0, "ihobs.yaml: openai/m")


def test_the_decimals_of_the_file_are_exact():
    [price] = PriceList((PriceSettings("openai", "m", 0.07, 0.000001),)).rates(("openai", "m"))
    assert (price.input_pico_usd, price.output_pico_usd) == (70_000, 1)


def test_before_the_day_on_which_it_begins_the_price_is_the_one_that_is_known():
    prices = PriceList((own("gpt-4o", 7.0, from_day=DAY),))
    midnight = START_NS // DAY_NS * DAY_NS
    assert input_rate(prices, at_ns=midnight) == 7.0
    assert input_rate(prices, at_ns=midnight - 1) == known_rate()


def test_before_that_day_a_model_that_nobody_knows_has_no_price():
    prices = PriceList((own("in-house", from_day=DAY),)).rates(("openai", "in-house"))
    assert in_force(prices, START_NS)
    assert not in_force(prices, START_NS - DAY_NS)


def test_a_model_may_have_prices_for_several_times():
    later = date(2025, 11, 1)
    prices = PriceList((own("m", 3.0, from_day=later), own("m", 1.0), own("m", 2.0, from_day=DAY)))
    rates = [input_rate(prices, ("openai", "m"), at) for at in (0, START_NS, START_NS + 30 * DAY_NS)]
    assert rates == [1.0, 2.0, 3.0]


def test_the_file_says_all_this(tmp_path):
    path = tmp_path / "ihobs.yaml"
    path.write_text("""
dialects: {providers: {acme: openai}}
prices:
  acme/m:
    - {input_usd_per_mtok: 1, output_usd_per_mtok: 4}
    - {input_usd_per_mtok: 2, output_usd_per_mtok: 4, from: 2025-10-09}
""")
    prices = price_list(load(path, environ={}).settings)
    assert [input_rate(prices, ("openai", "m"), at) for at in (START_NS - DAY_NS, START_NS)] == [1.0, 2.0]


def test_unpriced_calls_get_the_own_price(store):
    store.ingest_many([call(1, "in-house"), call(2, "gpt-4o"), call(3, "gpt-4o-mini")], live=False)
    assert fill(store, PriceList((own("in-house"), own("gpt-4o")))) == 3
    assert totals(store, model="in-house") == totals(store, model="gpt-4o") == (1000 * 1000 + 50 * 2000, 0)
    assert totals(store, model="gpt-4o-mini") == (1000 * 150 + 50 * 600, 0)


def test_a_list_that_has_changed_holds_from_now_on(store):
    store.ingest_many([call(1, "gpt-4o")], live=False)
    fill(store, clock=lambda: NOW_NS)
    before = totals(store)
    assert fill(store, PriceList((own("gpt-4o"),)), clock=lambda: NOW_NS) == 0
    assert totals(store) == before
    store.ingest_many([call(2, "gpt-4o", start_ns=NOW_NS - 1)], live=False)  # it was under way
    assert totals(store) == (2 * before[0], 0)
    store.ingest_many([call(3, "gpt-4o", start_ns=NOW_NS)], live=False)
    assert totals(store) == (2 * before[0] + 1_100_000, 0)


def test_a_list_that_is_the_same_writes_nothing(store):
    store.ingest_many([call(1, "gpt-4o")], live=False)
    prices = PriceList((own("gpt-4o"),))
    fill(store, prices)
    before = store.database.data_version()
    assert fill(store, PriceList(prices.own), clock=lambda: NOW_NS + DAY_NS) == 0
    assert store.database.data_version() == before


def test_a_price_that_the_list_has_no_more_stays_until_it_is_asked_for(store):
    store.ingest_many([call(1, "in-house")], live=False)
    fill(store, PriceList((own("in-house"),)))
    fill(store, PriceList())
    store.ingest_many([call(2, "in-house", start_ns=NOW_NS)], live=False)
    assert totals(store) == (2_200_000, 0)


def test_a_model_of_ones_own_needs_no_genai_prices():
    code = """
import sys
from ihobs.settings import PriceSettings
from ihobs.store.prices import PriceList
assert PriceList((PriceSettings("p", "m", 1, 2),)).rates(("p", "m"))
assert "genai_prices" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
