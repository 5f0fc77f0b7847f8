"""Prices reach the calls that are stored already, once, and whatever comes later."""

from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ihobs.store.home import Home
from ihobs.store.prices import fill
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

START_NS = 1_760_000_000_000_000_000
HOUR_NS = 3600 * 10**9


@pytest.fixture
def store(tmp_path):
    with TelemetryStore(Home.open(tmp_path / "home", create=True), clock=lambda: START_NS + HOUR_NS) as store:
        yield store


def call(number, model, input_tokens=1000, cached=0, provider="openai"):
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=number.to_bytes(16),
            span_id=number.to_bytes(8),
            name="chat",
            start_time_unix_nano=START_NS,
            end_time_unix_nano=START_NS + 10**9,
        )
    )
    texts = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model}
    for key, value in texts.items():
        span.attributes.add(key=key).value.string_value = value
    counts = {"input_tokens": input_tokens, "output_tokens": 50, "cache_read.input_tokens": cached}
    for key, value in counts.items():
        span.attributes.add(key=f"gen_ai.usage.{key}").value.int_value = value
    return request


def totals(store):
    [group] = metrics(store.database, start_ns=0, end_ns=START_NS + HOUR_NS).groups
    return group.counters.cost_nano_usd, group.counters.unpriced_calls


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
    assert store.unpriced_models() == [("openai", "no-such-model")]


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
