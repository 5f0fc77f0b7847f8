"""What each metric reads from real spans."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from tests.alerts.orchestrator import Run, request

from ihobs.alerts.calendars import period_ns
from ihobs.alerts.measurements import Measurements, Sample
from ihobs.alerts.metrics import METRICS, shown
from ihobs.clock import DAY_NS, SECOND_NS
from ihobs.model import Rule
from ihobs.spans.price import Price

QUOTAS = {"OpenAI": {"requests_per_min": 20, "tokens_per_min": 10_000}, "mistral": {"requests_per_min": 5}}


@pytest.fixture
def samples(store, clock):
    """Read a metric by a rule made of the given fields."""

    def read(metric, quotas=None, **fields):
        rule = Rule(**{"id": "r", "metric": metric, **fields})
        return METRICS[metric].samples(Measurements(store.database, clock(), quotas or {}, UTC), rule)

    return read


@pytest.fixture
def ingest(store, clock):
    return lambda *runs: store.ingest(request(clock(), *runs))


def price(model, usd_per_input_token):
    """Return a price in force since ever; output is free."""
    return Price("openai", model, 0, 0, round(usd_per_input_token * 1e12), 0, 0, 0, "test")


@pytest.mark.parametrize(
    ("metric", "fields", "expected"),
    [
        ("error_rate", {}, 0.25),
        ("error_rate", {"of": "llm"}, 0.25),
        ("timeout_rate", {}, 0.0),
        ("throughput", {}, 8 / 5),
        ("throughput", {"window_s": 60}, 8.0),
        ("retry_rate", {"min_count": 1}, 0.0),
        ("total_tokens_per_hour", {"window_s": 3600}, 960.0),
        ("total_tokens_per_hour", {"window_s": 60}, 960.0 * 60),
        ("unpriced_calls", {}, 8.0),
        ("active_workflows", {}, 0.0),
    ],
)
def test_a_metric_of_eight_runs_two_of_which_failed(samples, ingest, metric, fields, expected):
    ingest(*[Run(failed=number < 2) for number in range(8)])
    assert [sample.value for sample in samples(metric, **fields)] == [pytest.approx(expected)]


@pytest.mark.parametrize(
    ("stat", "expected_s"), [("mean", 14.5), ("p50", 10.0), ("p95", 19.0), ("p99", 100.0), ("max", 100.0)]
)
def test_response_time_by_each_statistic(samples, ingest, stat, expected_s):
    durations = [*range(1, 20), 100]
    ingest(*[Run(took_s=duration_s) for duration_s in durations])
    [sample] = samples("response_time", stat=stat)
    assert sample.value == pytest.approx(expected_s, rel=0.01)


@pytest.mark.parametrize(("stat", "expected_s"), [("mean", 0.1), ("p50", 0.08), ("max", 0.2)])
def test_time_to_first_token_is_of_the_answers_that_were_streamed(samples, ingest, stat, expected_s):
    ingest(*[Run(first_token_s=wait_s) for wait_s in (0.04, 0.08, 0.2, 0.1, 0.08)], *[Run() for _ in range(4)])
    [sample] = samples("time_to_first_token", stat=stat)
    assert sample.value == pytest.approx(expected_s, rel=0.01)
    [of_model] = samples("time_to_first_token", stat=stat, by=("model",))
    assert (of_model.by, of_model.value) == ({"model": "gpt-4o-mini"}, sample.value)


def test_time_to_first_token_of_too_few_streamed_answers_is_no_data(samples, ingest):
    ingest(*[Run(first_token_s=0.1) for _ in range(4)], *[Run() for _ in range(4)])
    assert samples("time_to_first_token") == [Sample({}, None)]


@pytest.mark.parametrize("metric", ["error_rate", "response_time", "timeout_rate"])
def test_ratios_and_durations_of_too_few_runs_are_no_data(samples, ingest, metric):
    ingest(*[Run() for _ in range(4)])
    assert [sample.value for sample in samples(metric)] == [None]
    assert samples(metric, min_count=4)[0].value is not None


def test_a_rule_can_be_narrowed_and_split(samples, ingest):
    ingest(*[Run(workflow="a", failed=True) for _ in range(5)], *[Run(workflow="b") for _ in range(5)])
    assert samples("error_rate", where={"workflow": "a"}) == [Sample({}, 1.0)]
    by_workflow = {sample.by["workflow"]: sample.value for sample in samples("error_rate", by=("workflow",))}
    assert by_workflow == {"a": 1.0, "b": 0.0}


def test_split_by_model_spans_without_one_are_no_instance(samples, ingest):
    ingest(Run(model="gpt-4o"), Run(model="gpt-4o-mini"))
    assert {sample.by["model"] for sample in samples("total_tokens_per_hour", by=("model",))} == {
        "gpt-4o",
        "gpt-4o-mini",
    }


def test_cost_is_a_lower_bound_that_says_so_while_some_prices_are_unknown(samples, ingest, store):
    ingest(Run(model="known", input_tokens=3, output_tokens=0), Run(model="free"))
    assert samples("cost_per_hour", window_s=3600) == [Sample({}, None, "at least: 2 calls have no known price")]
    store.add_prices([price("known", 2.0)])
    assert samples("cost_per_hour", window_s=3600) == [Sample({}, 6.0, "at least: 1 calls have no known price")]
    store.add_prices([price("free", 0.0)])
    assert samples("cost_per_hour", window_s=3600) == [Sample({}, 6.0)]


def test_running_workflows_are_what_the_processes_say(samples, store):
    store.report_active("insighthub", {"digest": 2, "import": 1})
    assert samples("active_workflows") == [Sample({}, 3.0)]


def test_without_quotas_there_is_no_data(samples, ingest):
    ingest(Run())
    assert samples("api_quota") == [Sample({}, None)]


def test_without_any_span_a_quota_is_no_data(samples, store):
    store.settle()
    assert samples("api_quota", QUOTAS) == [Sample({}, None)]


def test_the_quota_is_the_highest_used_part_and_says_whose(samples, ingest):
    ingest(*[Run(provider="openai", input_tokens=900, output_tokens=100) for _ in range(9)])
    assert samples("api_quota", QUOTAS) == [Sample({}, 0.9, "OpenAI: tokens_per_min")]


def test_the_quota_by_provider_holds_each_configured_one(samples, ingest):
    ingest(*[Run(provider="openai", input_tokens=10) for _ in range(15)], Run(provider="elsewhere"))
    assert samples("api_quota", QUOTAS, by=("provider",)) == [
        Sample({"provider": "OpenAI"}, 0.75, "OpenAI: requests_per_min"),
        Sample({"provider": "mistral"}, 0.0, "mistral: requests_per_min"),
    ]


def test_the_minute_of_a_quota_is_sixty_seconds_wherever_it_begins(samples, ingest, clock):
    """Ten calls 63 s ago lie in the bucket that the minute begins in; 7 s after its start, 30 % of it is inside."""
    ingest(*[Run(ended_ago_s=63) for _ in range(10)])
    assert samples("api_quota", {"openai": {"requests_per_min": 10}})[0].value == pytest.approx(0.3)
    clock.advance(3)
    assert samples("api_quota", {"openai": {"requests_per_min": 10}})[0].value == 0.0


@pytest.mark.parametrize(("window_s", "used"), [(10, 1.2), (60, 0.7), (300, 0.7)])
def test_a_short_window_shows_the_pace_of_a_quota_and_a_long_one_the_minute(samples, ingest, window_s, used):
    """Two calls in the last ten seconds are twelve a minute; with five before them, the minute holds seven."""
    ingest(*[Run(ended_ago_s=5) for _ in range(2)], *[Run(ended_ago_s=35) for _ in range(5)])
    quotas = {"openai": {"requests_per_min": 10}}
    assert samples("api_quota", quotas, window_s=window_s)[0].value == pytest.approx(used)


def test_a_monthly_budget_counts_from_the_first_of_the_month(samples, ingest, store, clock):
    store.add_prices([price("m", 1.0)])
    ingest(Run(model="m", input_tokens=40, output_tokens=0))
    month = clock.now_ns // DAY_NS - 14  # the fixture's clock stands at the 15th
    clock.now_ns = (month - 1) * DAY_NS
    ingest(Run(model="m", input_tokens=500, output_tokens=0))
    clock.now_ns = (month + 14) * DAY_NS + 13 * 3600 * SECOND_NS
    [sample] = samples("api_quota", {"openai": {"usd_per_month": 100}})
    assert sample == Sample({}, 0.4, "openai: usd_per_month")


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("UTC", "2026-03-31T23:30:00Z", "2026-03-01T00:00:00Z"),
        ("Europe/Berlin", "2026-03-31T23:30:00Z", "2026-03-31T22:00:00Z"),
        ("Europe/Berlin", "2026-03-30T00:00:00Z", "2026-02-28T23:00:00Z"),
        ("America/New_York", "2026-01-01T03:00:00Z", "2025-12-01T05:00:00Z"),
    ],
)
def test_a_month_begins_where_the_calendar_of_the_time_zone_says(zone, now, expected):
    ns = [round(datetime.fromisoformat(text).timestamp()) * SECOND_NS for text in (now, expected)]
    assert period_ns(ns[0], "month", ZoneInfo(zone))[0] == ns[1]


def test_every_metric_has_a_meaning_and_answers_on_an_empty_store(samples, store):
    store.settle()
    for metric in METRICS.values():
        assert metric.description
        assert all(sample.value in (None, 0.0) for sample in samples(metric.name))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ratio", "unknown"),
        (0.1234, "ratio", "12.3 %"),
        (12.345, "s", "12.3 s"),
        (1234.5, "usd", "$1,234.50"),
        (0.00123, "usd", "$0.00123"),
        (100_000.0, "tokens", "100,000"),
        (3.0, "count", "3"),
        (1.5, "per minute", "1.5/min"),
    ],
)
def test_values_in_words(value, unit, text):
    assert shown(value, unit) == text


def test_rules_that_look_at_the_same_window_share_one_query(store, clock, ingest):
    ingest(Run())
    measurements = Measurements(store.database, clock(), {}, UTC)
    rule = Rule("a", "error_rate")
    assert measurements.of_rule(rule) is measurements.of_rule(replace(rule, id="b", metric="response_time"))
