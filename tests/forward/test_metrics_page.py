"""How far the destinations are, for Prometheus."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.forward.backend import Reply
from tests.forward.conftest import drain

from ihobs.web.forwarding import forwarding
from ihobs.web.openmetrics import render


def read(place, clock):
    """Return name -> value, of one destination, as a parser of OpenMetrics reads them."""
    text = render(forwarding(place.store.database, clock()))
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels["destination"] for sample in samples} <= {"there"}
    return {sample.name + sample.labels.get("outcome", ""): sample.value for sample in samples}


def test_what_waits_what_was_sent_and_what_is_paused(place, forward, backend, clock):
    assert read(place, clock) == {}
    line = forward()
    place.put("a", "b")
    drain(line, clock)
    place.put("c")
    backend.answer = lambda _: Reply(403)
    drain(line, clock)
    clock.advance(30)
    assert read(place, clock) == {
        "ihobs_forward_backlog_spans": 1,
        "ihobs_forward_lag_seconds": 30,
        "ihobs_forward_paused": 1,
        "ihobs_forward_dead_letters": 0,
        "ihobs_forwarded_spans_totalsent": 2,
        "ihobs_forwarded_spans_totalrejected": 0,
    }
