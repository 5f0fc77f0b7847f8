"""What rules can watch of how spans reach the store: late ones, clocks that are off, losses."""

from __future__ import annotations

from datetime import UTC

import pytest
from tests.alerts.orchestrator import Run, request

from ihobs.alerts.measurements import Measurements, Sample
from ihobs.alerts.metrics import METRICS
from ihobs.clock import MINUTE_NS
from ihobs.model import Rule


@pytest.fixture
def samples(store, clock):
    """Read a metric by a rule made of the given fields."""

    def read(metric, **fields):
        return METRICS[metric].samples(
            Measurements(store.database, clock(), {}, UTC), Rule(**{"id": "r", "metric": metric, **fields})
        )

    return read


@pytest.fixture
def arrive(store, clock):
    """Let the two spans of a run arrive so many seconds after their end, for each of these delays."""

    def send(*delays_s, service="insighthub", live=True):
        message = request(clock(), *[Run(ended_ago_s=delay_s) for delay_s in delays_s])
        message.resource_spans[0].resource.attributes[0].value.string_value = service
        store.ingest(message, live=live)

    return send


@pytest.mark.parametrize(
    ("delay_s", "skew_s", "note"),
    [
        (0.5, 0.0, ""),
        (9.0, 0.0, ""),
        (100.0, 90.0, "the clock of insighthub is behind, or its deliveries wait"),
        (-100.0, 100.0, "the clock of insighthub is ahead"),
        (-0.5, 0.5, "the clock of insighthub is ahead"),
    ],
)
def test_skew_is_what_a_median_delay_has_beyond_that_of_deliveries(samples, arrive, delay_s, skew_s, note):
    arrive(delay_s, delay_s, delay_s, 0.5)
    [found] = samples("clock_skew")
    assert (found.value, found.note) == (pytest.approx(skew_s, rel=0.06), note)


def test_skew_is_by_service_and_without_that_of_the_one_that_is_off_most(samples, arrive):
    arrive(0.5, 0.5, 0.5, service="good")
    arrive(-200, -200, -200, service="ahead")
    arrive(90, 90, 90, service="behind")
    by_service = {sample.by["service"]: sample.value for sample in samples("clock_skew", by=("service",))}
    assert by_service == {
        "good": 0.0,
        "ahead": pytest.approx(200, rel=0.06),
        "behind": pytest.approx(80, rel=0.06),
    }
    [worst] = samples("clock_skew")
    assert (worst.value, worst.note) == (by_service["ahead"], "the clock of ahead is ahead")


def test_of_a_few_spans_or_an_import_no_skew_is_known(samples, arrive):
    arrive(-200, -200)
    arrive(100, 100, 100, 100, live=False)
    assert samples("clock_skew") == [Sample({}, None)]
    assert len(samples("clock_skew", min_count=4, by=("service",))) == 1


def test_late_spans_are_those_of_the_window_in_all_or_by_service(samples, arrive, clock):
    arrive(0.5, 61, 62)
    arrive(70, service="other")
    assert samples("late_spans") == [Sample({}, 6.0)]
    assert samples("late_spans", by=("service",)) == [
        Sample({"service": "insighthub"}, 4.0),
        Sample({"service": "other"}, 2.0),
    ]
    clock.advance(7 * 60)
    assert samples("late_spans") == [Sample({}, 0.0)]


def test_lost_spans_are_told_while_the_last_loss_is_in_the_window_and_as_an_upper_bound(samples, store, clock):
    store.settle()
    assert samples("spans_dropped") == [Sample({}, 0.0)]
    store.record_dropped("queue full", 40)
    clock.advance(10 * 60)
    assert samples("spans_dropped") == [Sample({}, 0.0)]
    store.record_dropped("store unavailable", 3)
    assert samples("spans_dropped") == [Sample({}, 3.0, "at most: 3 by 'store unavailable' in all")]
    store.record_dropped("queue full", 2)
    assert samples("spans_dropped", window_s=11 * MINUTE_NS / 1e9) == [
        Sample({}, 45.0, "at most: 42 by 'queue full' in all, 3 by 'store unavailable' in all")
    ]
