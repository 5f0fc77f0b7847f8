"""Prices reach the calls that are stored already, once, and whatever comes later."""

from decimal import Decimal

from genai_prices import Usage, calc_price
from tests.prices.calls import call, totals

from ihobs.store.prices import fill
from ihobs.store.pricing import unpriced_models


def expected(*calls):
    return sum(
        calc_price(
            Usage(input_tokens=tokens, cache_read_tokens=cached, output_tokens=50), model, provider_id="openai"
        ).total_price
        * 10**9
        for model, tokens, cached in calls
    )


def test_calls_are_unpriced_until_their_model_is_looked_up(store):
    store.ingest_many([call(1, "gpt-4o"), call(2, "gpt-4o", 5000, 2000), call(3, "no-such-model")], live=False)
    assert totals(store) == (0, 3)
    assert fill(store) == 2
    assert totals(store) == (expected(("gpt-4o", 1000, 0), ("gpt-4o", 5000, 2000)), 1)
    with store.database.read() as connection:
        assert unpriced_models(connection) == [("openai", "no-such-model")]


def test_filling_again_changes_nothing(store):
    store.ingest_many([call(1, "gpt-4o")], live=False)
    fill(store)
    before = totals(store)
    assert fill(store) == 0
    assert totals(store) == before


def test_a_call_of_a_priced_model_is_priced_as_it_comes_in(store):
    store.ingest_many([call(1, "gpt-4o")], live=False)
    fill(store)
    store.ingest_many([call(2, "gpt-4o", 7)], live=False)
    assert totals(store) == (expected(("gpt-4o", 1000, 0), ("gpt-4o", 7, 0)), 0)


def test_an_empty_store_needs_no_prices(store):
    assert fill(store) == 0


def test_a_model_on_ones_own_machine_is_priced_at_nothing(store):
    store.ingest_many([call(1, "llama3", provider="ollama")], live=False)
    assert fill(store) == 1
    assert totals(store) == (Decimal(0), 0)
