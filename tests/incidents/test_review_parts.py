"""The parts that a review is made of: the notation of its numbers, its chart, and the text of its document."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihobs.alerts.notation import values_of
from ihobs.clock import MINUTE_NS, SECOND_NS
from ihobs.errors import RefusedError
from ihobs.incidents import chart, document, impact
from ihobs.incidents.as_test import notation
from ihobs.incidents.curve import Curve, check_is_stored
from ihobs.model import Rule

SVG = "{http://www.w3.org/2000/svg}"
RULE = Rule("errors", "error_rate", warning=0.05, critical=0.15)
NUMBERS = st.one_of(st.none(), st.integers(0, 10**9).map(float), st.floats(0, 1e6, allow_subnormal=False))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([None, 0.0, 1.0, 2.5, 1e-7]) | NUMBERS, max_size=40))
def test_values_are_read_back_as_they_were_written(values):
    read = values_of(notation(values))
    assert len(read) == len(values)
    for one, other in zip(values, read, strict=True):
        assert (one is None) is (other is None)
        assert one is None or other == pytest.approx(one, rel=1e-5, abs=1e-300)


def test_what_repeats_is_written_once():
    assert notation([None, None, 7.0, 7.0, 7.0, 0.25, None]) == "_x2 7x2 0.25 _"


def drawn(points, marks=(), by=None):
    curve = Curve(RULE, by or {}, tuple((minute * MINUTE_NS, value) for minute, value in points))
    return ET.fromstring(chart.draw(curve, marks, None))


def test_a_gap_is_no_line():
    root = drawn([(0, 0.1), (1, 0.2), (2, None), (3, 0.3), (4, None), (5, 0.1), (6, 0.2), (7, 0.2)])
    assert [len(line.get("points").split()) for line in root.iter(f"{SVG}polyline")] == [2, 3]
    assert len(list(root.iter(f"{SVG}circle"))) == 1


@pytest.mark.parametrize("points", [[(0, 0.0)], [(0, 0.0), (1, 0.0)], [(0, None), (1, 1.0), (2, None)], [(0, 1e-9)]])
def test_a_chart_of_little_is_a_chart(points):
    root = drawn(points)
    assert len(list(root.iter(f"{SVG}polyline"))) + len(list(root.iter(f"{SVG}circle"))) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1e12)), min_size=2, max_size=30).filter(any))
def test_everything_is_drawn_inside(values):
    root = drawn(list(enumerate(values)), [chart.Mark(MINUTE_NS, "noticed")])
    for line in root.iter(f"{SVG}polyline"):
        for point in line.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= chart.WIDTH
            assert chart.TOP <= y <= chart.HEIGHT


def test_names_are_text_and_not_markup():
    root = drawn([(0, 0.1), (1, 0.2)], by={"workflow": "<script>&"})
    assert "error_rate of workflow <script>&" in [element.text for element in root.iter(f"{SVG}text")]
    assert not list(root.iter(f"{SVG}script"))


COST = impact.Impact(
    start_ns=0,
    end_ns=90 * SECOND_NS,
    runs=10,
    failed_runs=6,
    timed_out_runs=0,
    usual_failed_ratio=0.1,
    failing_minutes=2,
    users=3,
    sessions=None,
    named_of_runs=4,
    failed_traces=6,
    cost_usd=2.5,
    failed_cost_usd=0.0004,
    usual_cost_usd=None,
    unpriced_calls=2,
)


def test_what_is_not_known_is_said():
    lines = dict(document.impact_lines(COST))
    assert lines["runs that failed"] == "6 of 10 (60.0%); usual the day before: 10.0%, so 5 more than usual"
    assert lines["users"] == "at least 3 named by 4 failed traces"
    assert lines["conversations"] == "unknown: no failed run names any"
    assert lines["spent in all"] == "$2.50 at least: 2 calls have no known price"
    assert lines["spent on traces that failed"].startswith("less than $0.001")
    assert impact.from_json(impact.to_json(COST)) == COST


@pytest.mark.parametrize("metric", ["active_workflows", "stuck_runs", "rule_health", "forward_backlog"])
def test_what_nobody_keeps_leaves_no_test(metric):
    with pytest.raises(RefusedError, match=metric):
        check_is_stored(Rule("x", metric, warning=1))
