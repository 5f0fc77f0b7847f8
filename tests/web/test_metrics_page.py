"""`GET /metrics`, read with the parser of the Prometheus project."""

import math

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.web.sender import JSON, span_request

from ihobs.clock import now_ns
from ihobs.spans.price import Price
from ihobs.web.openmetrics import CONTENT_TYPE, Family, Sample, render


def read(text):
    """Return the value of each sample by its name and labels."""
    families = list(text_string_to_metric_families(text))
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def scrape(receiver):
    answer = receiver.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    return read(answer.text)


def call(span_id, model, tokens, **more):
    request = span_request(span_id, **more)
    attributes = request.resource_spans[0].scope_spans[0].spans[0].attributes
    for key, value in {
        "ihobs.kind": "llm",
        "ihobs.workflow": "answer",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
    }.items():
        attributes.add(key=key).value.string_value = value
    attributes.add(key="gen_ai.usage.input_tokens").value.int_value = tokens
    attributes.add(key="gen_ai.usage.output_tokens").value.int_value = 1
    return request


def run(span_id, name, *, failed=False, trace=1):
    request = span_request(span_id, trace=trace, name=name)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="ihobs.kind").value.string_value = "workflow"
    span.status.code = 2 if failed else 0
    return request


def test_an_empty_home_has_a_page(receiver):
    found = scrape(receiver)
    assert found["ihobs_recent_window_seconds",] == 300
    assert found["ihobs_ingested_spans_total", ("outcome", "accepted")] == 0
    assert not [name for name, *_ in found if name == "ihobs_recent_runs"]


def test_runs_calls_tokens_and_cost_of_the_last_minutes(receiver):
    rates = dict.fromkeys(("input_pico_usd", "cached_input_pico_usd", "cache_write_pico_usd"), 10**6)
    receiver.store.add_prices([Price("openai", "gpt-4o", 0, 0, **rates, output_pico_usd=10**6, source="test")])
    for trace in range(1, 5):
        receiver.post(run(1, 'say "hi"\\\n', failed=trace == 1, trace=trace))
    receiver.post(call(2, "gpt-4o", 99, parent_span_id=(1).to_bytes(8)))
    receiver.post(call(3, "no-such-model", 50, parent_span_id=(1).to_bytes(8)))
    found = scrape(receiver)
    of_run = (("service", "sender"), ("workflow", 'say "hi"\\\n'))
    assert found["ihobs_recent_runs", *of_run] == 4
    assert found["ihobs_recent_failed_runs", *of_run] == 1
    for stat in ("mean", "p50", "p99", "max"):
        value = found["ihobs_recent_run_duration_seconds", of_run[0], ("stat", stat), of_run[1]]
        assert value == pytest.approx(1.0, rel=0.01)
    known, unknown = (
        (("kind", "llm"), ("model", model), ("provider", "openai"), ("service", "sender"))
        for model in ("gpt-4o", "no-such-model")
    )
    assert found["ihobs_recent_calls", *known] == found["ihobs_recent_calls", *unknown] == 1
    assert found["ihobs_recent_input_tokens", *known] == 99
    assert found["ihobs_recent_cost_usd", *known] == pytest.approx(100e-6)
    assert ("ihobs_recent_cost_usd", *unknown) not in found  # unknown is not 0
    assert found["ihobs_recent_unpriced_calls", *unknown] == 1


def test_what_is_older_than_the_window_is_not_recent(receiver):
    old = run(1, "answer")
    span = old.resource_spans[0].scope_spans[0].spans[0]
    span.start_time_unix_nano -= 400 * 10**9
    span.end_time_unix_nano -= 400 * 10**9
    receiver.post(old)
    found = scrape(receiver)
    assert not [name for name, *_ in found if name == "ihobs_recent_runs"]
    assert 0 <= found["ihobs_newest_data_timestamp_seconds",] <= now_ns() / 1e9


def test_the_receiver_tells_what_it_did(receiver):
    receiver.post(span_request(1, 2))
    receiver.post(span_request(2, 3))
    receiver.post(span_request(4, span_id=b"no"))
    receiver.post(b'{"resourceSpans": [{"scopeSpans": [{"spans": [7]}, 8]}]}', JSON)
    receiver.post(b"{", JSON)
    receiver.get("/there/is/no/such/path")
    found = scrape(receiver)
    assert found["ihobs_ingested_spans_total", ("outcome", "accepted")] == 3
    assert found["ihobs_ingested_spans_total", ("outcome", "duplicate")] == 1
    assert found["ihobs_rejected_spans_total", ("reason", "invalid span id")] == 1
    assert found["ihobs_http_requests_total", ("code", "200"), ("path", "/v1/traces")] == 3
    assert found["ihobs_http_requests_total", ("code", "400"), ("path", "/v1/traces")] == 2
    assert found["ihobs_http_requests_total", ("code", "404"), ("path", "other")] == 1
    assert found["ihobs_ingest_commit_seconds_count",] == 3
    assert found["ihobs_ingest_commit_seconds_sum",] > 0
    waiting = [found[f"ihobs_ingest_pending_{of}",] for of in ("requests", "spans", "bytes")]
    assert (waiting, found["ihobs_ingest_lag_seconds",]) == ([0, 0, 0], 0)
    assert found["process_resident_memory_bytes",] > 10**7


def test_spans_lost_elsewhere_are_told(receiver):
    receiver.store.record_dropped("queue full", 7)
    assert scrape(receiver)["ihobs_lost_spans_total", ("reason", "queue full")] == 7


def test_a_store_that_cannot_be_read_has_no_page(receiver):
    current = receiver.home.path / "CURRENT"
    text = current.read_text()
    current.unlink()
    answer = receiver.get("/metrics")
    assert (answer.status_code, answer.text) == (503, "the home is gone\n")
    current.write_text(text)
    scrape(receiver)


def test_each_kind_of_family_is_written_as_the_parser_reads_it():
    families = [
        Family("a", "gauge", 'A "quoted" \\ line\nand another.', [Sample(1.5, {"x": '"\\\n', "y": ""})]),
        Family("b", "counter", "B.", [Sample(2, {"x": "1"}), Sample(3, {"x": "2"})]),
        Family("c_seconds", "summary", "C.", [Sample(4, suffix="_count"), Sample(5, suffix="_sum")], "seconds"),
        Family("d", "info", "D.", [Sample(1, {"version": "1"})]),
        Family("e", "gauge", "Not known.", [Sample(None)]),
        Family("f", "gauge", "None.", []),
        Family("g", "gauge", "Not a number.", [Sample(math.inf)]),
    ]
    assert read(render(families)) == {
        ("a", ("x", '"\\\n')): 1.5,
        ("b_total", ("x", "1")): 2,
        ("b_total", ("x", "2")): 3,
        ("c_seconds_count",): 4,
        ("c_seconds_sum",): 5,
        ("d_info", ("version", "1")): 1,
        ("g",): math.inf,
    }
    assert render([]) == "# EOF\n"
