"""`ihobs metrics`: the promised JSON, what is unknown, windows, and a table that fits."""

import io
import json
import math
import re
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.cells import cell_len
from rich.console import Console

from ihobs.cli import main
from ihobs.cli.figures import figures
from ihobs.cli.render_metrics import render
from ihobs.clock import isoformat
from ihobs.store.home import Home
from ihobs.store.query import metrics
from ihobs.store.telemetry import TelemetryStore

GROUP = [
    "by", "spans", "runs", "failed_runs", "error_rate", "recovered_errors", "calls", "failed_calls", "input_tokens",
    "output_tokens", "cached_input_tokens", "cost_usd", "unpriced_calls", "usage_missing_calls", "run_duration_s",
    "call_duration_s", "time_to_first_token_s",
]  # fmt: skip
STATISTICS = ["mean", "p50", "p95", "p99", "max"]
NOTHING = dict.fromkeys(STATISTICS)


def read(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def only_group(result):
    [group] = read(result)["groups"]
    return group


def test_json_has_exactly_the_promised_names(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1).store()
    printed = read(ihobs("metrics", "--json"))
    [group] = printed["groups"]
    assert list(printed) == ["window", "groups"]
    assert list(printed["window"]) == ["start", "end"]
    assert list(group) == GROUP
    for durations in ("run_duration_s", "call_duration_s", "time_to_first_token_s"):
        assert list(group[durations]) == STATISTICS


def test_runs_calls_tokens_and_durations_are_those_of_the_spans(filled, ihobs):
    filled.span("job", 1, kind="workflow", took_s=2).call(2, parent=1, took_s=0.5)
    filled.span("job", 3, kind="workflow", took_s=4, trace=2, error="ValueError")
    filled.span("search", 4, kind="tool", parent=3, trace=2, took_s=1, error="ValueError").store()
    group = only_group(ihobs("metrics", "--json"))
    assert group["by"] == {}
    assert (group["spans"], group["runs"], group["failed_runs"], group["error_rate"]) == (4, 2, 1, 0.5)
    assert (group["calls"], group["failed_calls"], group["recovered_errors"]) == (2, 1, 0)
    assert (group["input_tokens"], group["output_tokens"], group["cached_input_tokens"]) == (100, 10, 0)
    assert group["run_duration_s"]["mean"] == 3.0
    assert group["call_duration_s"]["mean"] == 0.75
    assert group["run_duration_s"]["max"] == pytest.approx(4, rel=0.01)


def test_a_table_leaves_out_groups_that_count_nothing_and_json_has_them(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1).store()
    groups = read(ihobs("metrics", "--by", "model", "--json"))["groups"]
    assert {group["by"]["model"] for group in groups} == {None, "gpt-4o"}
    rows = ihobs("metrics", "--by", "model").stdout.splitlines()[2:]
    assert rows[0].startswith("gpt-4o ")
    assert not any(row.startswith("- ") for row in rows)


@pytest.mark.parametrize("options", ["--by=model", "--by=provider", "--by=node", "--by=workflow,model"])
def test_runs_are_null_when_grouped_by_what_a_run_does_not_have(filled, ihobs, options):
    filled.span("job", 1, kind="workflow").call(2, parent=1).store()
    for group in read(ihobs("metrics", "--json", options))["groups"]:
        assert (group["runs"], group["failed_runs"], group["error_rate"]) == (None, None, None)
        assert group["run_duration_s"] == NOTHING


def test_runs_are_null_when_filtered_by_what_a_run_does_not_have(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1).store()
    group = only_group(ihobs("metrics", "--json", "--where", "model=gpt-4o"))
    assert (group["spans"], group["runs"], group["calls"]) == (1, None, 1)


def test_groups_are_named_by_all_their_dimensions_and_unknown_ones_are_null(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1, model="b").call(3, parent=1, model="b")
    filled.call(4, parent=1, model="a").store()
    groups = read(ihobs("metrics", "--json", "--by", "kind, model", "--by", "model"))["groups"]
    assert {tuple(group["by"].items()): group["calls"] for group in groups} == {
        (("kind", "llm"), ("model", "b")): 2,
        (("kind", "llm"), ("model", "a")): 1,
        (("kind", "workflow"), ("model", None)): 0,
    }


def test_the_time_to_first_token_is_shown_where_calls_tell_it(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1, gen_ai__response__time_to_first_chunk="0.25").store()
    assert only_group(ihobs("metrics", "--json"))["time_to_first_token_s"]["mean"] == 0.25
    assert "stream  first token after 250 ms (mean), " in ihobs("metrics").stdout


def test_without_streamed_calls_there_is_no_time_to_first_token(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1).store()
    assert only_group(ihobs("metrics", "--json"))["time_to_first_token_s"] == NOTHING
    assert "first token" not in ihobs("metrics").stdout


def test_without_any_call_the_cost_is_zero(filled, ihobs):
    filled.span("job", 1, kind="workflow").store()
    group = only_group(ihobs("metrics", "--json"))
    assert (group["cost_usd"], group["unpriced_calls"], group["usage_missing_calls"]) == (0, 0, 0)


def test_without_any_known_price_the_cost_is_unknown(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1, model="mystery").store()
    group = only_group(ihobs("metrics", "--json"))
    assert (group["cost_usd"], group["unpriced_calls"]) == (None, 1)


def test_a_cost_known_in_part_stands_beside_the_calls_without_a_price(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1).call(3, parent=1, model="mystery").store()
    filled.price("gpt-4o")
    group = only_group(ihobs("metrics", "--json"))
    assert (group["cost_usd"], group["unpriced_calls"]) == (110e-6, 1)


def test_without_any_usage_tokens_and_cost_are_unknown(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1, tokens=None).store()
    group = only_group(ihobs("metrics", "--json"))
    assert group["usage_missing_calls"] == 1
    assert (group["input_tokens"], group["output_tokens"], group["cost_usd"]) == (None, None, None)


def test_the_error_rate_of_no_runs_is_unknown(filled, ihobs):
    filled.span("job", 1, kind="workflow").call(2, parent=1).store()
    group = only_group(ihobs("metrics", "--json", "--where", "kind=llm", "--by", "kind"))
    assert (group["runs"], group["error_rate"], group["run_duration_s"]) == (0, None, NOTHING)


def test_of_chooses_what_counts_as_a_call(filled, ihobs):
    filled.span("job", 1, kind="workflow").span("plan", 2, kind="node", parent=1, took_s=0.5)
    filled.call(3, parent=2, took_s=0.25).span("search", 4, kind="tool", parent=2, took_s=0.125).store()
    means = {of: only_group(ihobs("metrics", "--json", "--of", of))["call_duration_s"]["mean"] for of in KINDS}
    assert means == {"node": 0.5, "llm": 0.25, "tool": 0.125}


KINDS = ("node", "llm", "tool")


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ((), 1),
        (("--window", "15m"), 1),
        (("--window", "3h"), 2),
        (("--since", "3h"), 2),
        (("--since", "7d"), 3),
        (("--all",), 4),
    ],
)
def test_a_window_holds_what_ended_in_it(filled, ihobs, options, runs):
    for number, ago_s in enumerate((60, 2 * 3600, 5 * 86_400, 100 * 86_400), start=1):
        filled.span("job", number, trace=number, kind="workflow", ago_s=ago_s)
    filled.store(live=False)
    assert only_group(ihobs("metrics", "--json", *options))["runs"] == runs


@pytest.mark.parametrize("form", ["{day}", "{day}T00:00:00", "{day}T00:00:00Z", "{day}T02:00:00+02:00"])
def test_since_reads_dates_and_times_as_utc_unless_they_say_otherwise(filled, ihobs, form):
    day = isoformat(filled.now_ns - 2 * 86_400 * 10**9)[:10]
    filled.span("job", 1, kind="workflow").store()
    window = read(ihobs("metrics", "--json", "--since", form.format(day=day)))["window"]
    assert window["start"] == f"{day}T00:00:00.000Z"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--since", "yesterday"), "'yesterday' is neither a duration such as 2h or 7d, nor a time"),
        (("--since", "2999-01-01"), "lies in the future"),
        (("--window", "soon"), "'soon' is not a duration"),
        (("--window", "0s"), "no time at all"),
        (("--all", "--window", "1h"), "use one of --since, --window and --all"),
        (("--by", "colour"), "use one of service, workflow, node, kind, provider, model"),
        (("--where", "model"), "'model' is not of the form model=gpt-4o"),
        (("--where", "model=a", "--where", "model=b"), "model cannot have two values"),
        (("--of", "cat"), "'cat' is not one of"),
    ],
)
def test_a_wrong_option_says_what_would_be_right(filled, ihobs, options, told):
    filled.span("job", 1, kind="workflow").store()
    result = ihobs("metrics", *options)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_empty_window_says_where_the_newest_data_is(filled, ihobs, options):
    filled.span("job", 1, kind="workflow", ago_s=5 * 86_400).store(live=False)
    result = ihobs("metrics", *options)
    newest = isoformat(filled.now_ns - 5 * 86_400 * 10**9)[:10]
    assert re.search(rf"newest data: {newest} \d\d:\d\d:\d\d UTC; use --all", result.stderr)
    if options:
        assert read(result)["groups"] == []
    else:
        assert result.stdout == ""


def test_a_filter_that_nothing_matches_does_not_send_one_to_another_window(filled, ihobs):
    filled.span("job", 1, kind="workflow").store()
    result = ihobs("metrics", "--where", "model=none")
    assert "nothing in this window matches" in result.stderr
    assert "--all" not in result.stderr


@pytest.mark.parametrize("options", [(), ("--all",)])
def test_an_empty_home_says_how_data_comes_in(filled, ihobs, options):
    result = ihobs("metrics", "--json", *options)
    assert read(result)["groups"] == []
    assert "ihobs exec" in result.stderr
    assert filled.home.path.exists()


@settings(max_examples=12, deadline=None)
@given(
    durations=st.lists(st.one_of(st.integers(1, 3600 * 10**9), st.integers(1, 10**4)), min_size=1, max_size=60),
    splits=st.data(),
)
def test_printed_quantiles_are_within_one_percent_of_sorting(durations, splits):
    order = splits.draw(st.permutations(range(len(durations))))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "home")
        with TelemetryStore(Home.open(path, create=True)) as store:
            request = ExportTraceServiceRequest()
            for number in order:
                _add_run_and_call(request, number, durations[number])
                if splits.draw(st.booleans()):
                    store.ingest(request)
                    request = ExportTraceServiceRequest()
            store.ingest(request)
            store.settle(everything=True)
        group = only_group(CliRunner().invoke(main, ["--home", str(path), "metrics", "--json", "--all"]))
    exact = sorted(durations)
    for key, values in (("run_duration_s", exact), ("call_duration_s", [value // 2 for value in exact])):
        assert group[key]["mean"] == pytest.approx(sum(values) / len(values) / 1e9, rel=1e-9)
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
            nearest = values[math.ceil(len(values) * q - 1e-9) - 1] / 1e9
            assert abs(group[key][name] - nearest) <= 0.01 * nearest, (key, name)


def _add_run_and_call(request, number, duration_ns):
    """Add a run, and within it a call to a tool that takes half of its time; they come in two orders."""
    spans = request.resource_spans.add().scope_spans.add().spans
    start_ns = time.time_ns() - 2 * 3600 * 10**9
    for span_id, parent, kind, took_ns in ((2, 1, "tool", duration_ns // 2), (1, 0, "workflow", duration_ns)):
        span = spans.add(name=kind, trace_id=(number + 1).to_bytes(16, "big"), span_id=span_id.to_bytes(8, "big"))
        span.start_time_unix_nano, span.end_time_unix_nano = start_ns, start_ns + took_ns
        span.parent_span_id = parent.to_bytes(8, "big") if parent else b""
        span.attributes.add(key="ihobs.kind").value.string_value = kind


def shown(filled, width, *, by=(), of=None):
    """Return the lines that a terminal of `width` columns shows."""
    start_ns, end_ns = filled.now_ns - 3600 * 10**9, filled.now_ns
    result = metrics(filled.telemetry.database, start_ns=start_ns, end_ns=end_ns, by=by, of=of)
    groups = [figures(group, runs_known=group.runs_known) for group in result.groups]
    file = io.StringIO()
    render(Console(file=file, width=width, force_terminal=True, color_system=None), result, groups, by=by, of=of)
    return file.getvalue().splitlines()


@pytest.fixture
def busy(filled):
    """Groups with long names, large numbers and everything that can be unknown."""
    for number in range(1, 9):
        name = f"a-workflow-with-a-rather-long-name-{number}"
        span_id = 100 * number
        filled.span(name, span_id, trace=number, kind="workflow", took_s=200, service="service-" + "x" * 30)
        filled.call(span_id + 1, parent=span_id, trace=number, tokens=(12_345_678, 345_678))
        filled.call(span_id + 2, parent=span_id, trace=number, model="unpriced-" + "y" * 40)
        filled.call(span_id + 3, parent=span_id, trace=number, model="silent", tokens=None)
    filled.store()
    filled.price("gpt-4o")
    return filled


@pytest.mark.parametrize("by", [(), ("workflow",), ("service", "workflow"), ("provider", "model")])
def test_a_table_never_wraps_and_keeps_its_most_important_numbers(busy, by):
    for width in (60, 80, 100, 120):
        lines = [line for line in shown(busy, width, by=by) if "without" not in line]
        assert max(map(cell_len, lines)) <= width
        assert lines[1].split()[: len(by)] == list(by)
        assert {"failed", "p95"} <= set(lines[1].split())
        assert by or "…" not in "".join(lines)


def test_a_wider_terminal_shows_more_columns(busy):
    narrow, wide = (set(shown(busy, width, by=("model",))[1].split()) for width in (60, 200))
    assert {"model", "calls", "failed", "p95", "cost"} <= narrow < wide
    assert {"p50", "p99", "max", "mean", "recovered", "cached", "unpriced"} <= wide


def test_a_cost_of_which_a_part_is_unknown_is_shown_as_a_lower_bound(busy):
    text = "\n".join(shown(busy, 120, by=("service",)))
    assert re.search(r">\$101\.53\b", text)
    assert "8 calls without a known price" in text
    assert "8 calls without usage" in text


def test_of_chooses_whose_durations_the_table_shows(busy):
    assert "runs" in shown(busy, 120, by=("workflow",))[1].split()
    assert "runs" not in shown(busy, 120, by=("workflow",), of="llm")[1].split()


def test_names_cannot_send_escape_sequences_or_markup(filled, ihobs):
    filled.span("[red]job[/red]\x1b[2J\x1b]0;owned\x07\nnext", 1, kind="workflow").store()
    result = ihobs("metrics", "--by", "workflow")
    assert "[red]job[/red] next" in result.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.stdout)
