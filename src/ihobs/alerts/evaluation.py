"""One pass over the rules, in memory: samples move the state machines. No clock, no transaction.

The duties process, the tests of rules and their replay over history all run this.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from ihobs.alerts.ladder import climb, rung_shown
from ihobs.alerts.machine import AlertState, Change, blind, next_deadline_ns, step, threshold_shown
from ihobs.alerts.measurements import BUCKET_NS, Measurements, Sample
from ihobs.alerts.metrics import METRICS
from ihobs.alerts.rules import BAD_RULE_ERRORS
from ihobs.alerts.wording import event
from ihobs.errors import IhobsError
from ihobs.store.state.alerts import AlertRow, RuleHealth

if TYPE_CHECKING:
    from ihobs.alerts.rules import RuleSet
    from ihobs.model import Event, Rule

ERROR_NOTE = "its rule cannot be evaluated"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert in memory: an instance of a rule, and where it stands.

    Attributes:
        key: unique; the rule's id, followed by the instance when the rule has several.
        by: values of the rule's dimensions.
        source: the plug-in that brought the rule.
        state: what the state machine knows.
        threshold: in force, or the next to be crossed.
    """

    key: str
    rule: str
    by: Mapping[str, str | None]
    source: str
    state: AlertState
    threshold: float | None


Alerts = Mapping[str, Alert]
"""Alerts by key."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one pass found.

    Attributes:
        alerts: every alert there is now.
        events: what changed, in the order of the rules.
        unhealthy: rules that could not be evaluated, or not for all of their instances.
        deadline_ns: when to look again even if nothing comes in.
    """

    alerts: Alerts
    events: tuple[Event, ...]
    unhealthy: tuple[RuleHealth, ...]
    deadline_ns: int

    @property
    def rows(self) -> Mapping[str, AlertRow]:
        """The alerts as they are stored."""
        return {key: row_of(alert) for key, alert in self.alerts.items()}


def evaluate(
    rules: RuleSet,
    measurements: Measurements,
    before: Alerts,
    unhealthy: Sequence[RuleHealth] = (),
    only: Container[str] | None = None,
) -> Found:
    """Return what a pass over `rules` finds when `before` is what the pass before it left.

    Args:
        unhealthy: those of the pass before.
        only: the rules to look at; the alerts of the others stay as they are. None: all.
    """
    work = _Work(measurements, before)
    for rule in rules.rules:
        if only is None or rule.id in only:
            work.evaluate(rule)
        else:
            work.leave_alone({rule.id})
            work.errors += [(one.rule, one.error) for one in unhealthy if one.rule == rule.id]
    work.leave_alone({name for name, _ in rules.refused})
    work.end_those_without_rule(rules.sources)
    since = {one.rule: one.since_ns for one in unhealthy}
    now = measurements.now_ns
    sick = sorted((*rules.refused, *work.errors))
    return Found(
        alerts=work.alerts,
        events=tuple(work.events),
        unhealthy=tuple(RuleHealth(name, error, since.get(name, now)) for name, error in sick),
        deadline_ns=min([(now // BUCKET_NS + 1) * BUCKET_NS, *work.deadlines_ns]),
    )


@dataclass
class _Work:
    """What a pass has found so far."""

    measurements: Measurements
    before: Alerts
    alerts: dict[str, Alert] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    deadlines_ns: list[int] = field(default_factory=list)
    of_rules: dict[str, list[Alert]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for alert in self.before.values():
            self.of_rules.setdefault(alert.rule, []).append(alert)

    def evaluate(self, rule: Rule) -> None:
        """Evaluate one rule; when that fails it is unhealthy, and its alerts do what it says of errors."""
        try:
            samples = self._samples(rule)
            moved = [self._moved(rule, key, sample) for key, sample in self._within_limit(rule, samples).items()]
        except (IhobsError, *BAD_RULE_ERRORS) as error:
            self._fail(rule, str(error) or type(error).__name__)
            return
        for alert, changes, note in moved:
            self._take(rule, alert, changes, note)

    def _samples(self, rule: Rule) -> dict[str, Sample]:
        """Return a sample for each instance: those in the window, and those that still mean something."""
        metric = METRICS[rule.metric]
        found = self.measurements.told.get(rule.metric, metric.samples)(self.measurements, rule)
        samples = {instance_key(rule, sample.by): sample for sample in found}
        for by in self._remembered(rule) if rule.by else [{}]:
            key = instance_key(rule, by)
            if key not in samples and set(by) == set(rule.by):
                is_empty = metric.absent is None or self.measurements.of_rule(rule).newest_ns is None
                samples[key] = Sample(by, None if is_empty else metric.absent)
        return samples

    def _remembered(self, rule: Rule) -> list[Mapping[str, str | None]]:
        """Return the instances that mean something even if the window does not hold them."""
        waits = rule.on_no_data == "fire"  # one that went quiet while all was well is what is waited for
        known = self.of_rules.get(rule.id, ())
        return [alert.by for alert in known if waits or alert.state.state != "inactive"]

    def _within_limit(self, rule: Rule, samples: dict[str, Sample]) -> dict[str, Sample]:
        """Return the samples of as many instances as are watched: those that are known, then the highest."""
        if len(samples) <= rule.limit:
            return samples
        self.errors.append((rule.id, f"has {len(samples)} instances; the first {rule.limit} are watched (limit)"))
        known = {alert.key for alert in self.of_rules.get(rule.id, ()) if alert.state.state != "inactive"}

        def rank(item: tuple[str, Sample]) -> tuple[bool, float]:
            key, sample = item
            return key in known, -1.0 if sample.value is None else sample.value

        return dict(sorted(samples.items(), key=rank, reverse=True)[: rule.limit])

    def _moved(self, rule: Rule, key: str, sample: Sample) -> tuple[Alert, tuple[Change, ...], str]:
        """Return an instance as it is now, and what changed."""
        now = self.measurements.now_ns
        known = self.before.get(key)
        before = known.state if known else AlertState(since_ns=now)
        if rule.at:
            after, changes = climb(before, sample.value, sample.epoch, now, rule)
            threshold = rung_shown(after.rung, rule)
        else:
            after, changes = step(before, sample.value, now, rule, sample.readings)
            threshold = threshold_shown(after.level, rule)
        if known and after == before and (threshold, rule.source) == (known.threshold, known.source):
            return known, changes, sample.note
        note = sample.note or ("no data" if after.value is None else "")
        return Alert(key, rule.id, dict(sample.by), rule.source, after, threshold), changes, note

    def _take(self, rule: Rule, alert: Alert, changes: Iterable[Change], note: str) -> None:
        now = self.measurements.now_ns
        self.alerts[alert.key] = alert
        if changes:
            self.events += [event(row_of(alert), change, now, rule, note) for change in changes]
        deadline_ns = next_deadline_ns(alert.state, now, rule) if alert.state.evaluated_ns else None
        if deadline_ns is not None:
            self.deadlines_ns.append(deadline_ns)

    def _fail(self, rule: Rule, error: str) -> None:
        """Note that a rule cannot be evaluated. Its alerts stay as they are, or fire when that is its policy."""
        self.errors.append((rule.id, error))
        self.leave_alone({rule.id})
        if rule.on_error != "fire":
            return
        known = self.before.get(rule.id)
        before = known.state if known else AlertState(since_ns=self.measurements.now_ns)
        after, changes = blind(before, "error", self.measurements.now_ns, rule)
        alert = Alert(rule.id, rule.id, {}, rule.source, after, threshold_shown(after.level, rule))
        self._take(rule, alert, changes, f"{ERROR_NOTE}: {error}")

    def leave_alone(self, rules: set[str]) -> None:
        """Keep the alerts of `rules` as they are."""
        for rule in rules:
            self.alerts.update({alert.key: alert for alert in self.of_rules.get(rule, ())})

    def end_those_without_rule(self, sources: frozenset[str]) -> None:
        """Resolve what no rule speaks of any more; keep the alerts of plug-ins that did not answer today."""
        now = self.measurements.now_ns
        for key, alert in self.before.items():
            if key in self.alerts:
                continue
            if alert.source not in sources:
                self.alerts[key] = alert
            elif alert.state.level != "ok":
                change = Change("alert.resolved", "ok", alert.state.level)
                why = "its rule can be evaluated again" if alert.state.reason == "error" else "its rule was changed"
                self.events.append(event(row_of(alert), change, now, None, why))


def instance_key(rule: Rule, by: Mapping[str, str | None]) -> str:
    """Return the key of an alert: the rule's id, and the instance when the rule is split."""
    return rule.id + (_instance(tuple(by.items())) if by else "")


@lru_cache(maxsize=10_000)
def _instance(by: tuple[tuple[str, str | None], ...]) -> str:
    """Return what stands for an instance in its key; many rules are split alike, and each pass asks for all."""
    return json.dumps(dict(by), sort_keys=True, separators=(",", ":"))


def row_of(alert: Alert) -> AlertRow:
    """Return an alert as it is stored."""
    state = alert.state
    return AlertRow(
        key=alert.key,
        rule=alert.rule,
        by=alert.by,
        source=alert.source,
        state=state.state,
        level=state.level,
        since_ns=state.since_ns,
        value=state.value,
        threshold=alert.threshold,
        clocks=clocks_of(state),
    )


def clocks_of(state: AlertState) -> str:
    """Return what the state machine needs to go on, beside what people see, as JSON."""
    clocks: dict[str, object] = {"evaluated_ns": state.evaluated_ns}
    for name, track in (("warning", state.warning), ("critical", state.critical)):
        clocks[name] = {"phase": track.phase, "held_ns": track.held_ns, "clear_ns": track.clear_ns}
    more = {"blind_ns": state.blind_ns, "reason": state.reason, "epoch": state.epoch, "rung": state.rung}
    return json.dumps({**clocks, **{name: value for name, value in more.items() if value not in (None, "")}})
