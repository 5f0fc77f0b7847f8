"""Tests that stand beside rules: numbers over time, and what the alerts must be at some moments.

They run the real evaluation and the real state machines on these numbers; only time and numbers are invented.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ihobs.alerts.evaluation import Alert, instance_key
from ihobs.alerts.evaluator import timezone_of
from ihobs.alerts.invented import Invented, Series
from ihobs.alerts.machine import AlertState
from ihobs.alerts.metrics import METRICS, shown
from ihobs.alerts.notation import values_of
from ihobs.alerts.replay import Pass, Scene, Stretch, replay
from ihobs.alerts.timeline import Timeline
from ihobs.clock import SECOND_NS
from ihobs.documents import At, Document, DocumentInvalidError, Finding
from ihobs.model import Event
from ihobs.quantities import seconds

if TYPE_CHECKING:
    from ihobs.alerts.rules import RuleSet
    from ihobs.config import Settings
    from ihobs.documents import Place
    from ihobs.model import Rule

START = "2026-01-01T00:00:00Z"
INTERVAL_S, EVERY_S = 60.0, 10.0
LONG_S = 6 * 3600.0
"""A test of a longer time is evaluated every minute unless it says otherwise."""

CHECKED = ("level", "state", "value", "told", "text")
"""What an expectation can be about."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be true at a moment of a test.

    Attributes:
        at_s: time since the first value.
        rule: which rule. by: which of its instances.
        wanted: what of `CHECKED` must be what.
        where: file, line and column.
    """

    at_s: float
    rule: str
    by: Mapping[str, str]
    wanted: Mapping[str, Any]
    where: str


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test. `start_ns` is when its first value is; `every_s` the time between evaluations."""

    name: str
    invented: Invented
    start_ns: int
    every_s: float
    expectations: Sequence[Expectation]
    where: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that is not met, and what is true instead."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test has shown.

    Attributes:
        failures: expectations that are not met.
        shown: (rule, goal) pairs of `goals` that its met expectations prove.
    """

    test: RuleTest
    failures: tuple[Failure, ...]
    shown: frozenset[tuple[str, str]]


def goals(rule: Rule) -> tuple[str, ...]:
    """Return what tests should show of a rule: each level (or rung), that it clears, and what no data does."""
    if rule.at:
        return (*(f"rung {rung:g}" for rung in rule.at), "clears")
    levels = [level for level in ("warning", "critical") if getattr(rule, level) is not None]
    return (*levels, "clears", *(() if METRICS[rule.metric].absent is not None else ("no data",)))


def tests_in(document: Document, rules: Iterable[str]) -> list[RuleTest]:
    """Return the tests of a valid file.

    Args:
        rules: ids of the rules that there are.

    Raises:
        DocumentInvalidError: a test cannot be run; all findings at once.
    """
    reading = _Reading(document, frozenset(rules))
    tests = [reading.test(index, given) for index, given in enumerate(document.value.get("tests", ()))]
    if reading.findings:
        raise DocumentInvalidError(document.path, reading.findings)
    return tests


class _Reading:
    """Reads tests, and notes what is wrong with them."""

    def __init__(self, document: Document, rules: frozenset[str]) -> None:
        self._document, self._rules = document, rules
        self.findings: list[Finding] = []

    def test(self, index: int, given: Mapping[str, Any]) -> RuleTest:
        at: At = ("tests", index)
        interval_s = round(seconds(given.get("interval", INTERVAL_S)))
        start_s = self._start((*at, "start"), given.get("start", START))
        series = [self._series((*at, "series", number), one) for number, one in enumerate(given["series"])]
        expected = [
            self._expectation((*at, "expect", number), one, given.get("rule"))
            for number, one in enumerate(given["expect"])
        ]
        if interval_s < 1:
            self._note((*at, "interval"), "the interval must be at least a second")
            interval_s = 1
        is_long = max(one.at_s for one in expected) > LONG_S
        return RuleTest(
            name=given["name"],
            invented=Invented(series, start_s, interval_s),
            start_ns=start_s * SECOND_NS,
            every_s=max(1.0, seconds(given.get("every", INTERVAL_S if is_long else EVERY_S))),
            expectations=sorted(expected, key=lambda one: one.at_s),
            where=self._where(self._document.place(at)),
        )

    def _series(self, at: At, given: Mapping[str, Any]) -> Series:
        if ("metric" in given) == ("count" in given):
            self._note(at, "a series has either 'metric' or 'count'")
        name = given.get("metric") or given.get("count", "")
        try:
            values = values_of(given["values"])
        except ValueError as error:
            self._note((*at, "values"), str(error))
            values = []
        return Series(name, "metric" in given, given.get("by", {}), values)

    def _expectation(self, at: At, given: Mapping[str, Any], default: str | None) -> Expectation:
        rule = given.get("rule", default)
        if rule is None:
            self._note(at, "which rule?", "give 'rule', here or for the whole test")
        elif rule not in self._rules:
            self._note(at, f"there is no rule {rule!r}", f"there are {', '.join(sorted(self._rules))}")
        wanted = {key: given[key] for key in CHECKED if key in given}
        if not wanted:
            self._note(at, "expects nothing", f"give one of {', '.join(CHECKED)}")
        place = self._document.values.get(at)
        return Expectation(seconds(given["at"]), rule or "", given.get("by", {}), wanted, self._where(place))

    def _start(self, at: At, text: str) -> int:
        try:
            return round(datetime.fromisoformat(text).timestamp())
        except ValueError:
            self._note(at, f"there is no moment {text}")
            return 0

    def _note(self, at: At, reason: str, hint: str = "") -> None:
        self.findings.append(Finding(self._document.values.get(at) or self._document.place(at), reason, hint))

    def _where(self, place: Place | None) -> str:
        path = self._document.path
        return f"{path}:{place.line}:{place.column}" if place else str(path)


def run(test: RuleTest, rules: RuleSet, settings: Settings) -> Outcome:
    """Run a test on those of `rules` that it speaks of."""
    names = {one.rule for one in test.expectations}
    watched = replace(rules, rules=tuple(rule for rule in rules.rules if rule.id in names))
    by_name = {rule.id: rule for rule in watched.rules}
    failures, shown_goals = [], set()
    for expectation, seen in _at_expectations(test, watched, settings):
        if expectation.rule not in by_name:
            refused = dict(rules.refused).get(expectation.rule, "there is no such rule")
            failures.append(Failure(expectation.where, f"{expectation.rule}: {refused}"))
            continue
        wrong = list(_differences(expectation, seen, by_name[expectation.rule]))
        failures += [Failure(expectation.where, text) for text in wrong]
        if not wrong:
            shown_goals |= {(expectation.rule, goal) for goal in _proved(expectation, seen)}
    return Outcome(test, tuple(failures), frozenset(shown_goals))


@dataclass(frozen=True, slots=True)
class _Seen:
    """An alert at the moment of an expectation, and what was told of it until then."""

    alert: Alert
    events: tuple[Event, ...]
    error: str | None


def _at_expectations(test: RuleTest, rules: RuleSet, settings: Settings) -> Iterator[tuple[Expectation, _Seen]]:
    """Yield each expectation with the alert as the last evaluation before it left it."""
    scene = Scene(Timeline(test.invented.read), settings.quotas, timezone_of(settings), test.invented.told())
    end_ns = test.start_ns + math.ceil(test.expectations[-1].at_s * SECOND_NS)
    stretch = Stretch(test.start_ns, end_ns, test.every_s, float(test.invented.interval_s))
    passes = [*replay(scene, rules, [stretch]), None]
    waiting, told = deque(test.expectations), list[Event]()
    for before, after in pairwise(passes):
        if before is None:
            return
        told += before.found.events
        while waiting and (after is None or test.start_ns + round(waiting[0].at_s * SECOND_NS) < after.at_ns):
            yield waiting[0], _seen(waiting.popleft(), before, told, rules)


def _seen(expectation: Expectation, latest: Pass, told: Sequence[Event], rules: RuleSet) -> _Seen:
    rule = next((rule for rule in rules.rules if rule.id == expectation.rule), None)
    key = instance_key(rule, expectation.by) if rule else expectation.rule
    nothing = Alert(key, expectation.rule, expectation.by, "", AlertState(since_ns=latest.at_ns), None)
    errors = {one.rule: one.error for one in latest.found.unhealthy}
    events = tuple(event for event in told if event.subject == key)
    return _Seen(latest.found.alerts.get(key, nothing), events, errors.get(expectation.rule))


def _differences(expectation: Expectation, seen: _Seen, rule: Rule) -> Iterator[str]:
    """Yield what is otherwise than expected."""
    state, unit = seen.alert.state, METRICS[rule.metric].unit
    when = f"at {_span(expectation.at_s)} {seen.alert.key}"
    value = f"the value is {shown(state.value, unit)}"
    if seen.error:
        yield f"{when} cannot be evaluated: {seen.error}"
        return
    for key, wanted in expectation.wanted.items():
        if key in {"level", "state"} and getattr(state, key) != wanted:
            yield f"{when} is {getattr(state, key)}, not {wanted}; {value}"
        elif key == "value" and not _is_close(state.value, wanted, 0.01 if unit == "s" else 1e-9):
            yield f"{when}: {value}, not {shown(wanted, unit)}"
        elif key == "told" and len(seen.events) != wanted:
            yield f"{when}: {len(seen.events)} changes were told, not {wanted}"
        elif key == "text" and wanted not in (seen.events[-1].text if seen.events else ""):
            last = seen.events[-1].text if seen.events else "nothing"
            yield f"{when}: {last!r} was told last, without {wanted!r}"


def _is_close(value: float | None, wanted: float | None, within: float) -> bool:
    """Compare values; quantiles of durations are right within 1 %."""
    if value is None or wanted is None:
        return value is wanted
    return math.isclose(value, wanted, rel_tol=within, abs_tol=1e-12)


def _proved(expectation: Expectation, seen: _Seen) -> Iterator[str]:
    """Yield the goals that a met expectation shows."""
    state = seen.alert.state
    if not expectation.wanted.keys() & {"level", "state"}:
        return
    if state.value is None:
        yield "no data"
    elif state.level != "ok":
        yield state.level if state.rung is None else f"rung {state.rung:g}"
    elif seen.events:
        yield "clears"


def _span(at_s: float) -> str:
    for unit_s, unit in ((3600, "h"), (60, "m")):
        if at_s >= unit_s and at_s % unit_s == 0:
            return f"{at_s / unit_s:g}{unit}"
    return f"{at_s:g}s"
