"""When live spans arrive: late ones are counted, and the median tells of a service whose clock is off."""

import pytest

from ihobs.clock import HOUR_NS, MINUTE_NS
from ihobs.store import arrivals


@pytest.fixture
def seen(store, clock):
    """What arrived in the last hour, by service."""

    def read():
        found = arrivals.arrivals(store.database, start_ns=clock() - HOUR_NS, end_ns=clock() + MINUTE_NS)
        return {each.service: each for each in found}

    return read


def send(store, build, *agos_s, trace=1, service="svc", **settings):
    request = build.request(*((n + 1, {"trace": trace, "ago_s": ago}) for n, ago in enumerate(agos_s)))
    for resource in request.resource_spans:
        resource.resource.attributes[0].value.string_value = service
    return store.ingest(request, **settings)


@pytest.mark.parametrize("delay_s", [0.02, 0.5, 3.0, 61.0, 4_000.0, -0.5, -30.0, -5_000.0])
def test_the_median_delay_is_within_5_percent_whichever_way_a_clock_is_off(store, build, seen, delay_s):
    send(store, build, *(delay_s + spread / 1000 for spread in (-9, -4, 0, 3, 8)))
    assert seen()["svc"].median_delay_s == pytest.approx(delay_s, rel=0.05, abs=0.002)


def test_a_few_late_spans_are_counted_and_do_not_move_the_median(store, build, seen):
    send(store, build, 0.5, 0.5, 0.5, 0.5, 60.0, 60.5, 90_000)
    found = seen()["svc"]
    assert (found.spans, found.late) == (7, 2)
    assert found.median_delay_s == pytest.approx(0.5, rel=0.05)


def test_services_are_told_apart_and_a_span_sent_again_is_not_counted_again(store, build, seen):
    send(store, build, 1.0, 1.0, service="good")
    send(store, build, 1.0, 1.0, service="good")
    send(store, build, -300.0, trace=2, service="ahead")
    assert {name: each.spans for name, each in seen().items()} == {"good": 2, "ahead": 1}
    assert seen()["ahead"].median_delay_s == pytest.approx(-300, rel=0.05)


def test_an_import_tells_nothing_of_clocks(store, build, seen):
    send(store, build, 400.0, live=False)
    assert seen() == {}


def test_what_arrived_is_told_by_the_minute_of_receipt_and_kept_for_a_day(store, build, seen, clock):
    send(store, build, 5_000.0)
    assert seen()["svc"].late == 1
    clock.forward(2 * HOUR_NS)
    assert seen() == {}
    clock.forward(23 * HOUR_NS)
    store.maintain()
    assert arrivals.arrivals(store.database, start_ns=0, end_ns=clock()) == []


def test_very_many_services_of_one_delivery_count_together(store, build, seen):
    request = build.request(*((n + 1, {}) for n in range(arrivals.MAX_SERVICES + 10)))
    for number, resource in enumerate(request.resource_spans):
        resource.resource.attributes[0].value.string_value = f"svc-{number}"
    store.ingest(request)
    assert seen()[arrivals.OTHER].spans == 10
    assert len(seen()) == arrivals.MAX_SERVICES + 1
