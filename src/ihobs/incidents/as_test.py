"""Write what happened in an incident as a test of rules: the real numbers, and that they must be noticed sooner.

The test fails with the rule that was too late, and passes with one that is better. What can be counted is written as
it was counted, so that any rule can be tried on it; a metric that cannot be made of counts is written as the rule saw
it, so that its thresholds and times can be tried, but not another window.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.alerts.rule_tests import Failure, run, tests_in
from ihobs.clock import HOUR_NS, MINUTE_NS, SECOND_NS, isoformat
from ihobs.documents import parse
from ihobs.errors import RefusedError
from ihobs.incidents.curve import Past, check_is_stored, onset_ns, width_ns
from ihobs.store.moments import moments
from ihobs.store.parts import Part, Question
from ihobs.store.query import call_kinds, group_of

if TYPE_CHECKING:
    from ihobs.alerts.rules import RuleSet
    from ihobs.config import Settings
    from ihobs.model import MetricGroup, Rule
    from ihobs.store.database import Database
    from ihobs.store.state.incidents import Incident

COUNTED = frozenset(
    {
        "error_rate",
        "response_time",
        "cost_per_hour",
        "total_tokens_per_hour",
        "throughput",
        "timeout_rate",
        "retry_rate",
        "recovered_rate",
        "unpriced_calls",
    }
)
"""Metrics that can be made of counts; durations as means only."""

RUN_COUNTS = ("runs", "failed_runs", "timed_out_runs", "run_duration_s")
CALL_COUNTS = (
    "calls",
    "failed_calls",
    "timed_out_calls",
    "call_duration_s",
    "recovered_errors",
    "retries",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "unpriced_calls",
    "usage_missing_calls",
)
"""What of runs, and of calls, is written when there is any; the names are those of the notation."""

OF_RUNS = frozenset({"error_rate", "response_time", "throughput", "timeout_rate"})
"""Metrics that are of runs, unless their rule says `of:` what else."""

LEAD_NS = 15 * MINUTE_NS
"""How much of the good time before is written, beyond the rule's window: nothing must fire there."""

LONGEST_NS = 6 * HOUR_NS
"""So much of what followed its opening is written at most."""

STEPS_NS = (60 * SECOND_NS, 30 * SECOND_NS, 10 * SECOND_NS)
PARTS = 6
"""Values are as far apart as is fine enough to tell a sixth of the time in which it must be noticed."""

LINE = 100
"""Columns of a line of values."""

Values = Sequence[float | None]
Labels = tuple[tuple[str, str], ...]
Series = dict[tuple[str, str, Labels], list[float | None]]
"""("count" or "metric", what, whose) -> values."""


@dataclass(frozen=True, slots=True)
class Watched:
    """An incident, and the instance of a rule that is to notice it.

    Attributes:
        within_s: how soon after its beginning; None: in half the time that it took.
    """

    incident: Incident
    rule: Rule
    by: Mapping[str, str | None]
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """A test that was written.

    Attributes:
        text: the file. name: of the test in it.
        began_ns: when what was wrong began, by the numbers. noticed_after_s: how long it took until it was noticed.
        within_s: how soon the test wants it noticed.
        failures: of the rule that is in force now; none: it is good enough already.
    """

    text: str
    name: str
    began_ns: int
    noticed_after_s: float
    within_s: float
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """The time that is written: values are `step_ns` apart, the first is at `start_ns`."""

    start_ns: int
    end_ns: int
    step_ns: int
    began_ns: int

    def after(self, at_ns: int) -> str:
        return f"{(at_ns - self.start_ns) // SECOND_NS}s"


def export(telemetry: Database, settings: Settings, rules: RuleSet, watched: Watched, now_ns: int) -> Exported:
    """Return the test of an incident, tried on the rules in force.

    Raises:
        RefusedError: the numbers are not stored, or it was noticed as soon as numbers can tell.
        StoreUnavailableError: the telemetry database cannot be read.
    """
    check_is_stored(watched.rule)
    began_ns = _began_ns(telemetry, settings, watched)
    kept_ns = width_ns(telemetry, began_ns - round(watched.rule.window_s * SECOND_NS) - LEAD_NS)
    took_s = (watched.incident.opened_ns - began_ns) / SECOND_NS
    within_s = _within_s(watched, took_s, kept_ns / SECOND_NS)
    fitting = (one for one in STEPS_NS if one * PARTS <= within_s * SECOND_NS)
    span = _span(watched, began_ns, max(kept_ns, next(fitting, 0)), now_ns)
    series = _counts(telemetry, watched.rule, span)
    if not _is_counted(watched.rule):
        series = _metric(Past(telemetry, settings, span.start_ns, span.end_ns), watched, span)
    if not series:
        raise RefusedError(f"there are no numbers of {watched.incident.id} any more", "see 'retention' in ihobs.yaml")
    name = f"{watched.incident.id} is noticed within {within_s:g} s"
    text = "\n".join(_lines(watched, span, series, name, within_s))
    document = parse(Path(f"{watched.incident.id}.yaml"), text)
    [test] = tests_in(document, [rule.id for rule in rules.rules])
    return Exported(text, name, span.began_ns, took_s, within_s, run(test, rules, settings).failures)


def _began_ns(telemetry: Database, settings: Settings, watched: Watched) -> int:
    """Return when what was wrong began, by the numbers; else since when the alert fired."""
    incident = watched.incident
    past = Past(telemetry, settings, incident.opened_ns, incident.opened_ns)
    found = onset_ns(past, watched.rule, watched.by)
    return min(incident.began_ns, incident.opened_ns) if found is None else found


def _span(watched: Watched, began_ns: int, step_ns: int, now_ns: int) -> _Span:
    """Return which time to write: some good time, all of the bad, and what it takes to see that it is over."""
    incident, rule = watched.incident, watched.rule
    window_ns = round(rule.window_s * SECOND_NS)
    start_ns = (began_ns - window_ns - LEAD_NS) // step_ns * step_ns
    calm_ns = window_ns + round((rule.for_s + rule.keep_firing_for_s) * SECOND_NS) + LEAD_NS
    ended_ns = incident.resolved_ns if incident.resolved_ns is not None else now_ns
    end_ns = min(ended_ns + calm_ns, now_ns, incident.opened_ns + LONGEST_NS)
    return _Span(start_ns, max(end_ns, incident.opened_ns) // step_ns * step_ns, step_ns, began_ns)


def _within_s(watched: Watched, took_s: float, step_s: float) -> float:
    if watched.within_s is not None:
        return watched.within_s
    within_s = took_s / 2 // step_s * step_s
    if within_s < step_s:
        took = f"{took_s:.3g} s after its beginning, in numbers that are {step_s:g} s apart"
        raise RefusedError(f"{watched.incident.id} was noticed {took}", "say how soon it must be noticed: --within 1m")
    return within_s


def _is_counted(rule: Rule) -> bool:
    return rule.metric in COUNTED and (rule.metric != "response_time" or rule.stat == "mean")


def _counts(telemetry: Database, rule: Rule, span: _Span) -> Series:
    """Return what was counted, by what the rule is split by and looks at."""
    by = tuple(dict.fromkeys((*rule.by, *sorted(rule.where))))
    of = None if rule.of == "run" else rule.of
    question = Question(by, tuple(sorted(rule.where.items())), call_kinds(by, of), durations=False)
    length = (span.end_ns - span.start_ns) // span.step_ns + 1
    parts: dict[int, Part] = {}
    first_s = (span.start_ns - span.step_ns) // SECOND_NS
    for moment in moments(telemetry, question, first_s, span.end_ns // SECOND_NS):
        index = -(-(moment.end_s * SECOND_NS - span.start_ns) // span.step_ns)
        parts.setdefault(index, Part()).add(moment.part)
    names = RUN_COUNTS if rule.of == "run" and rule.metric in OF_RUNS else CALL_COUNTS
    found: Series = {}
    for index, part in parts.items():
        for place in part.sums if 0 <= index < length else ():
            labels = tuple((name, value) for name, value in zip(by, place, strict=True) if value)
            for name, value in _figures(group_of(question, place, part), names):
                found.setdefault(("count", name, labels), [None] * length)[index] = value
    return {key: values for key, values in found.items() if any(values)}


def _figures(group: MetricGroup, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    sums = group.counters
    means = {"run_duration_s": group.run_durations.mean_s(), "call_duration_s": group.call_durations.mean_s()}
    for name in names:
        value = sums.cost_nano_usd / 1e9 if name == "cost_usd" else means.get(name, getattr(sums, name, None))
        if value is not None:
            yield name, float(value)


def _metric(past: Past, watched: Watched, span: _Span) -> Series:
    """Return the metric as the rule saw it."""
    points = past.curve(watched.rule, watched.by, span.step_ns).points
    labels = tuple((name, value) for name, value in watched.by.items() if value)
    values = [value for _, value in points]
    return {("metric", watched.rule.metric, labels): values} if any(value is not None for value in values) else {}


def _lines(watched: Watched, span: _Span, series: Series, name: str, within_s: float) -> Iterator[str]:
    incident, by = watched.incident, _flow({key: value for key, value in watched.by.items() if value})
    whose = f"by: {by}, " if by else ""
    yield f"# {incident.id} ({incident.severity}): the numbers of an incident that was noticed too late."
    yield f"# It began at {isoformat(span.began_ns)}, was noticed at {isoformat(incident.opened_ns)}."
    yield "# Run it with: ihobs rules test FILE. It passes when the rule notices it in time, and nothing before."
    yield "tests:"
    yield f"  - name: {json.dumps(name)}"
    yield f"    rule: {json.dumps(watched.rule.id)}"
    yield f"    start: {isoformat(span.start_ns).replace('.000Z', 'Z')}"
    yield f"    interval: {span.step_ns // SECOND_NS}s"
    yield "    series:"
    for (kind, what, labels), values in sorted(series.items(), key=_order):
        yield f"      - {kind}: {what}"
        if labels:
            yield f"        by: {_flow(dict(labels))}"
        yield "        values: >-"
        yield from textwrap.wrap(notation(values), LINE, initial_indent=" " * 10, subsequent_indent=" " * 10)
    yield "    expect:"
    yield f"      - {{at: {span.after(span.began_ns)}, {whose}level: ok}}"
    noticed = f"{span.after(span.began_ns + round(within_s * SECOND_NS))}, {whose}state: firing"
    yield f"      - {{at: {noticed}}}  # it was {span.after(incident.opened_ns)}"
    if _is_over(watched, span):
        yield f"      - {{at: {span.after(span.end_ns)}, {whose}level: ok}}"
    yield ""


def _is_over(watched: Watched, span: _Span) -> bool:
    """Whether the time that is written ends well after the incident did."""
    resolved_ns = watched.incident.resolved_ns
    return resolved_ns is not None and span.end_ns >= resolved_ns + round(watched.rule.window_s * SECOND_NS)


def _order(item: tuple[tuple[str, str, Labels], Values]) -> tuple[Labels, int]:
    (_, what, labels), _values = item
    names = (*RUN_COUNTS, *CALL_COUNTS)
    return labels, names.index(what) if what in names else -1


def _flow(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in labels.items()) + "}" if labels else ""


def notation(values: Values) -> str:
    """Return values in the notation of rule tests; what repeats is written once: `7x3` is four times 7."""
    words = []
    for value, same in groupby(values):
        count = len(list(same))
        if value is None:
            words.append("_" if count == 1 else f"_x{count}")
        else:
            number = f"{value:.0f}" if value.is_integer() else f"{value:.6g}"
            words.append(number if count == 1 else f"{number}x{count - 1}")
    return " ".join(words)
