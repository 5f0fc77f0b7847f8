"""`ihobs traces`: the list, the waterfall at any width and size, and names that mean harm."""

import io
import json
import re

import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from rich.console import Console

from ihobs.cli import main
from ihobs.cli.units import count, duration, ratio, size, usd, usd_at_least
from ihobs.cli.waterfall import render
from ihobs.store.trace_query import find_trace

ID = "0" * 31


def read(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def shown(filled, trace_id, *, width=80, limit=100, attributes=False):
    """Return the lines that a terminal shows of a trace."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    render(console, find_trace(filled.telemetry.database, trace_id), limit=limit, attributes=attributes)
    return file.getvalue().splitlines()


def line_of(lines, name):
    [line] = [line for line in lines if name in line]
    return line


def bar_of(line):
    """Return (first cell, number of cells) of the bar in a line; a waterfall's only blocks are bars."""
    cells = [position for position, character in enumerate(line) if "▏" >= character >= "█"]
    return cells[0], len(cells)


@pytest.fixture
def failing(filled):
    """A run that fails, with an attempt made good, an interrupt, an orphan and a call to a model."""
    filled.span("job", 1, kind="workflow", took_s=10, ago_s=60, error="ValueError")
    filled.span("plan", 2, kind="node", parent=1, took_s=5, ago_s=65)
    filled.call(3, parent=2, took_s=1, ago_s=65, tokens=(1234, 56))
    again = {"kind": "node", "parent": 1, "ihobs__attempt_key": "research"}
    filled.span("research", 4, took_s=1, ago_s=64, error="TimeoutError", ihobs__attempt=1, **again)
    filled.span("research", 5, took_s=1, ago_s=62, ihobs__attempt=2, **again)
    filled.span("ask", 6, kind="node", parent=1, took_s=1, ago_s=61, error="GraphInterrupt")
    filled.span("publish", 7, kind="tool", parent=1, took_s=1, ago_s=60, error="ValueError")
    filled.span("stray", 8, kind="tool", parent=99, took_s=0, ago_s=60)
    return filled.store()


def test_the_list_is_newest_first_and_json_says_what_each_trace_was(filled, ihobs):
    filled.span("old", 1, trace=1, kind="workflow", ago_s=100, took_s=2)
    filled.span("new", 1, trace=2, kind="workflow", ago_s=50, error="ValueError").call(2, parent=1, trace=2, ago_s=51)
    filled.store()
    new, old = read(ihobs("traces", "list", "--json"))
    assert (new["trace_id"], new["workflow"], new["service"]) == (ID + "2", "new", "svc")
    assert (new["spans"], new["runs"], new["failed_runs"], new["failed_spans"]) == (2, 1, 1, 1)
    assert (new["input_tokens"], new["output_tokens"], new["cost_usd"], new["unpriced_calls"]) == (100, 10, None, 1)
    assert (old["workflow"], old["duration_s"], old["cost_usd"]) == ("old", 2.0, 0)


def test_the_list_can_be_limited_to_failures_to_a_time_and_to_a_number(filled, ihobs):
    for number in range(1, 7):
        error = "ValueError" if number % 2 else ""
        filled.span("job", 1, trace=number, kind="workflow", ago_s=600 * number, error=error)
    filled.store()

    def listed(*options):
        return [int(trace["trace_id"], 16) for trace in read(ihobs("traces", "list", "--json", *options))]

    assert listed() == [1, 2, 3, 4, 5, 6]
    assert listed("--failed") == [1, 3, 5]
    assert listed("--since", "35m") == [1, 2, 3]
    assert listed("--failed", "--limit", "2") == [1, 3]


def test_the_table_tells_similar_ids_apart_and_says_when_there_are_more(filled, ihobs):
    for number in range(1, 5):
        filled.span("job", 1, trace=16**8 * number, kind="workflow", error="ValueError" if number == 4 else "")
    filled.store()
    result = ihobs("traces", "list", "--limit", "3")
    ids = re.findall(r"^([0-9a-f]+) .* job ", result.stdout, flags=re.MULTILINE)
    assert len(set(ids)) == 3
    assert {len(digits) for digits in ids} == {24}
    assert "failed" in result.stdout
    assert "--limit 30" in result.stderr


def test_an_empty_list_says_where_the_newest_data_is(filled, ihobs):
    assert "ihobs exec" in ihobs("traces", "list").stderr
    filled.span("job", 1, kind="workflow").store()
    result = ihobs("traces", "list", "--failed", "--json")
    assert read(result) == []
    assert "no trace with a failed run in this time; newest data: 2" in result.stderr


def test_json_of_a_trace_holds_every_span_with_its_marks_and_whole_attributes(failing, ihobs):
    failing.span("blob", 20, parent=1, ago_s=61, took_s=0, long="x" * 5000).store()
    trace = read(ihobs("traces", "show", ID, "--json", "--limit", "1"))
    spans = {(span["name"], span["span_id"][-2:]): span for span in trace["spans"]}
    marks = ("is_run", "failed", "recovered", "is_retry", "control_flow", "orphan")
    set_marks = {place: [mark for mark in marks if span[mark]] for place, span in spans.items()}
    assert {place: set_ for place, set_ in set_marks.items() if set_} == {
        ("job", "01"): ["is_run", "failed"],
        ("research", "04"): ["failed", "recovered"],
        ("research", "05"): ["is_retry"],
        ("ask", "06"): ["control_flow"],
        ("publish", "07"): ["failed"],
        ("stray", "08"): ["orphan"],
    }
    assert spans["chat", "03"]["depth"] == 2
    assert (spans["chat", "03"]["input_tokens"], spans["chat", "03"]["model"]) == (1234, "gpt-4o")
    assert spans["publish", "07"]["error"] == "ValueError"
    assert spans["publish", "07"]["status_message"] == "ValueError happened"
    assert spans["blob", "14"]["attributes"] == {"long": "x" * 5000}


def test_attributes_of_bytes_are_base64_and_not_a_number_is_null(filled, ihobs):
    filled.span("job", 1, kind="workflow")
    attributes = filled.request.resource_spans[0].scope_spans[0].spans[0].attributes
    attributes.add(key="raw").value.bytes_value = b"\xff\x00"
    attributes.add(key="list").value.array_value.values.add().bytes_value = b"\x01"
    attributes.add(key="nan").value.double_value = float("nan")
    filled.store()
    [span] = read(ihobs("traces", "show", "0", "--json"))["spans"]
    assert span["attributes"] == {"ihobs.kind": "workflow", "raw": "/wA=", "list": ["AQ=="], "nan": None}


@pytest.mark.parametrize(
    ("prefix", "code", "told"),
    [("f", 3, "no trace 'f'"), ("0", 2, "begins several trace ids"), ("xyz", 2, "is no trace id")],
)
def test_an_id_that_names_no_single_trace_is_refused(filled, ihobs, prefix, code, told):
    filled.span("job", 1, trace=1, kind="workflow").span("job", 1, trace=2, kind="workflow").store()
    result = ihobs("traces", "show", prefix)
    assert result.exit_code == code
    assert told in result.stderr


def test_latest_is_the_trace_that_ended_last(filled, ihobs):
    assert ihobs("traces", "show", "latest").exit_code == 3
    filled.span("old", 1, trace=1, kind="workflow", ago_s=100).span("new", 1, trace=2, kind="workflow").store()
    for command in ("show", "explain"):
        assert read(ihobs("traces", command, "latest", "--json"))["trace_id"].endswith("2")


def test_the_summary_says_runs_failures_tokens_and_cost(failing):
    text = "\n".join(shown(failing, ID)[:3])
    assert f"trace {ID}1  svc  job" in text
    assert "10 s: 1 run, 1 failed, 8 spans, 3 in error" in text
    assert "tokens 1,234 in, 56 out; cost unknown: 1 call without a known price" in text
    failing.price("gpt-4o")
    assert "cost $0.0013" in "\n".join(shown(failing, ID)[:3])


def test_marks_and_errors_say_what_happened_and_the_legend_explains_only_these(failing):
    lines = shown(failing, ID)
    assert line_of(lines, "workflow job").startswith("▶✗ ")
    assert "TimeoutError" in lines[8]
    assert lines[8].startswith("↺ ")
    assert "retry" in lines[9]
    assert line_of(lines, "node ask").startswith("◇ ")
    assert line_of(lines, "tool stray").startswith("? ")
    assert line_of(lines, "chat").rstrip().endswith("1,234/56 gpt-4o")
    assert line_of(lines, "publish: ").endswith("publish: ValueError happened")
    legend = "▶ run   ✗ failed   ↺ failed, then recovered   ◇ control flow   ? parent missing"
    assert line_of(lines, "▶ run") == legend


def test_an_error_passed_up_is_told_once_where_it_arose(filled):
    filled.span("job", 1, kind="workflow", error="ValueError").span(
        "inner", 2, kind="node", parent=1, error="ValueError"
    )
    lines = shown(filled.store(), ID)
    assert [line for line in lines if "ValueError happened" in line] == ["✗ inner: ValueError happened"]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_bars_lie_where_the_time_lies_at_any_width(failing, width):
    lines = shown(failing, ID, width=width)
    assert max(map(cell_len, lines[4:])) <= width
    begin, full = bar_of(line_of(lines, "workflow job"))
    for name, offset, share in (("node plan", 0, 0.5), ("llm chat", 0.4, 0.1), ("tool publish", 0.9, 0.1)):
        first, cells = bar_of(line_of(lines, name))
        assert abs(first - begin - offset * full) <= 1
        assert abs(cells - share * full) <= 1
    assert bar_of(line_of(lines, "tool stray")) == (begin + full - 1, 1)


def test_the_tree_shows_who_called_whom(failing):
    rows = shown(failing, ID, width=120)[5:12]
    assert [re.sub(r" *[▏▎▍▌▋▊▉█].*", "", row[3:]) for row in rows] == [
        "workflow job", "├─ node plan", "│  └─ llm chat", "├─ node research", "├─ node research", "├─ node ask",
        "└─ tool publish",
    ]  # fmt: skip


def test_a_terminal_without_unicode_gets_ascii(failing, monkeypatch):
    failing.span("déjà vu", 21, parent=1, took_s=0).store()
    monkeypatch.chdir(failing.home.path)
    result = CliRunner(charset="ascii").invoke(main, ["--home", ".", "traces", "show", "0"])
    assert result.exit_code == 0
    lines = result.stdout_bytes.decode("ascii").splitlines()
    assert line_of(lines, "node plan").startswith("   |- node plan")
    assert "====" in line_of(lines, "node plan")
    assert line_of(lines, "d?j? vu")


@pytest.fixture
def large(filled):
    """10 000 spans: a run, 9 nodes below it, calls below these that get longer, one of them failed and short."""
    filled.span("job", 1, kind="workflow", took_s=100, ago_s=10)
    for node in range(2, 11):
        filled.span(f"node-{node}", node, kind="node", parent=1, took_s=50, ago_s=20)
    for call in range(11, 10_001):
        error = "ValueError" if call == 5000 else ""
        filled.span(f"call-{call}", call, kind="tool", parent=2 + call % 9, took_s=call / 1000, ago_s=30, error=error)
    return filled.store()


def test_a_large_trace_is_cut_to_what_matters_and_says_how_much_is_hidden(large):
    lines = shown(large, ID, width=100, limit=30)
    rows = [line for line in lines if "█" in line or "▏" in line]
    assert 28 <= len(rows) <= 31
    assert "call-5000" in "\n".join(rows)
    assert [name for name in range(9_990, 10_001) if f"call-{name}" in "\n".join(rows)] == list(range(9_990, 10_001))
    hidden = [int(number.replace(",", "")) for number in re.findall(r"\+([\d,]+) hidden", "\n".join(rows))]
    assert sum(hidden) == 10_000 - 30
    assert "9,970 spans hidden" in "\n".join(lines)


def test_a_very_deep_trace_stays_within_the_terminal(filled):
    for span_id in range(1, 501):
        filled.span(f"s{span_id}", span_id, parent=span_id - 1, kind="workflow" if span_id == 1 else "node")
    lines = shown(filled.store(), ID, limit=500)
    assert max(map(cell_len, lines)) <= 80
    assert "s500" in "\n".join(lines)
    cut = shown(filled, ID, limit=10)
    assert "490 spans hidden" in "\n".join(cut)


def test_names_cannot_send_escape_sequences_or_markup(filled, ihobs):
    evil = "[bold]x[/bold]\x1b[31m\x1b]0;title\x07\x9b2J\u202e\nend"
    filled.span(evil, 1, kind="workflow", error=evil, service=evil, **{evil: evil}).store()
    for command in (("list",), ("show", "0"), ("show", "0", "--attributes")):
        result = ihobs("traces", *command)
        assert result.exit_code == 0
        assert "[bold]x[/bold] end" in result.stdout
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.stdout)


def test_attributes_are_shown_when_asked_for_and_cut_to_the_width(filled):
    filled.span("job", 1, kind="workflow", question="why? " * 100).store()
    assert "question" not in "".join(shown(filled, ID))
    line = line_of(shown(filled, ID, attributes=True), "question = why?")
    assert cell_len(line) == 80
    assert line.endswith("…")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (duration(0), "0 s"), (duration(8.21e-7), "821 ns"), (duration(0.0009996), "1 ms"), (duration(0.34), "340 ms"),
        (duration(1.2345), "1.23 s"), (duration(59.96), "60 s"), (duration(119.6), "2m 00s"), (duration(143), "2m 23s"),
        (duration(3599.9), "1h 00m"), (duration(9000), "2h 30m"), (duration(None), "-"),
        (count(9999), "9,999"), (count(12_345), "12.3k"), (count(999_999), "1M"), (count(None), "-"),
        (ratio(0), "0 %"), (ratio(0.00001), "<0.01 %"), (ratio(0.0421), "4.2 %"), (ratio(0.125), "12.5 %"),
        (ratio(1), "100 %"), (usd(0), "$0"), (usd(0.00001), "<$0.0001"), (usd(0.0123), "$0.0123"),
        (usd(0.5), "$0.500"), (usd(1234.5), "$1,234.50"), (usd(None), "-"),
        (usd_at_least(1.5), ">$1.50"), (usd_at_least(0.00001), ">$0"), (usd_at_least(None), "-"), (size(999), "999 B"),
        (size(4_014_080), "4.01 MB"),
    ],
)  # fmt: skip
def test_numbers_are_shown_with_three_digits_and_a_unit(text, expected):
    assert text == expected
