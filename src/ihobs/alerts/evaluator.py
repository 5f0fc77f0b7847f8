"""One pass over the rules: ask the store, move the state machines, store what changed in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ihobs.alerts.disk import Disk
from ihobs.alerts.machine import AlertState, Change, Track, next_deadline_ns, step, threshold_shown
from ihobs.alerts.measurements import BUCKET_NS, Measurements, Sample
from ihobs.alerts.metrics import METRICS
from ihobs.alerts.rules import BAD_RULE_ERRORS
from ihobs.alerts.wording import event
from ihobs.clock import Clock, now_ns
from ihobs.errors import IhobsError, InvalidInputError
from ihobs.store.retention import retention_of
from ihobs.store.state import alerts
from ihobs.store.state.alerts import AlertRow, Evaluation, RuleHealth

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.alerts.rules import RuleSet
    from ihobs.config import Settings
    from ihobs.model import Event, Rule
    from ihobs.store.database import Database


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass found.

    Attributes:
        rows: every alert there is now, by key.
        events: what changed, in the order of the rules.
        unhealthy: rules that could not be evaluated.
        deadline_ns: when to look again even if nothing comes in.
    """

    rows: Mapping[str, AlertRow]
    events: tuple[Event, ...]
    unhealthy: tuple[RuleHealth, ...]
    deadline_ns: int


@dataclass(frozen=True)
class Evaluator:
    """Evaluates rules on the telemetry of one home, and keeps their alerts in its state database."""

    telemetry: Database
    state: Database
    settings: Settings
    clock: Clock = now_ns

    @cached_property
    def _disk(self) -> Disk:
        return Disk(self.telemetry, retention_of(self.settings.retention))

    def run(self, rules: RuleSet, channels: Mapping[str, Sequence[str]]) -> Pass:
        """Evaluate all rules and store what changed, together with what is to be delivered to `channels`.

        Raises:
            StoreUnavailableError: the state database cannot be read or written; nothing has changed.
        """
        stored, unhealthy = alerts.load(self.state), alerts.unhealthy_rules(self.state)
        found = self._evaluate(rules, stored, unhealthy)
        changes = Evaluation(
            rows=[row for key, row in found.rows.items() if stored.get(key) != row],
            gone=[key for key in stored if key not in found.rows],
            events=found.events,
            unhealthy=None if list(found.unhealthy) == unhealthy else found.unhealthy,
        )
        alerts.save(self.state, changes, channels)
        return found

    def preview(self, rules: RuleSet) -> Pass:
        """Return what a pass would find now, and change nothing."""
        return self._evaluate(rules, alerts.load(self.state), alerts.unhealthy_rules(self.state))

    def _evaluate(self, rules: RuleSet, stored: Mapping[str, AlertRow], unhealthy: Sequence[RuleHealth]) -> Pass:
        now = self.clock()
        timezone = _timezone(self.settings)
        measurements = Measurements(self.telemetry, now, self.settings.quotas, timezone, self._disk.forecast)
        work = _Work(measurements, stored)
        for rule in rules.rules:
            work.evaluate(rule)
        work.leave_alone({name for name, _ in rules.refused})
        work.end_those_without_rule(rules.sources)
        since = {one.rule: one.since_ns for one in unhealthy}
        sick = sorted((*rules.refused, *work.errors))
        return Pass(
            rows=work.rows,
            events=tuple(work.events),
            unhealthy=tuple(RuleHealth(name, error, since.get(name, now)) for name, error in sick),
            deadline_ns=min([(now // BUCKET_NS + 1) * BUCKET_NS, *work.deadlines_ns]),
        )


@dataclass
class _Work:
    """What a pass has found so far."""

    measurements: Measurements
    stored: Mapping[str, AlertRow]
    rows: dict[str, AlertRow] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    deadlines_ns: list[int] = field(default_factory=list)

    def evaluate(self, rule: Rule) -> None:
        """Evaluate one rule; when that fails, its alerts stay as they are and the rule is unhealthy."""
        try:
            samples = list(self._samples(rule))
            moved = [self._moved(rule, sample) for sample in samples]
        except (IhobsError, *BAD_RULE_ERRORS) as error:
            self.errors.append((rule.id, str(error) or type(error).__name__))
            self.leave_alone({rule.id})
            return
        for row, events, deadline_ns in moved:
            self.rows[row.key] = row
            self.events += events
            if deadline_ns is not None:
                self.deadlines_ns.append(deadline_ns)

    def _samples(self, rule: Rule) -> Iterator[Sample]:
        """Yield a sample for each instance: those in the window, and those that still mean something."""
        metric = METRICS[rule.metric]
        found = metric.samples(self.measurements, rule)
        yield from found
        present = {instance_key(rule, sample.by) for sample in found}
        absent = [row.by for row in self.stored.values() if row.rule == rule.id and row.state != "inactive"]
        for by in absent if rule.by else [{}]:
            if instance_key(rule, by) not in present and set(by) == set(rule.by):
                is_empty = metric.absent is None or self.measurements.of_rule(rule).newest_ns is None
                yield Sample(by, None if is_empty else metric.absent)

    def _moved(self, rule: Rule, sample: Sample) -> tuple[AlertRow, list[Event], int | None]:
        """Return an instance's new row, what changed, and when its clocks end."""
        now = self.measurements.now_ns
        key = instance_key(rule, sample.by)
        before = state_of(self.stored[key]) if key in self.stored else AlertState(since_ns=now)
        after, changes = step(before, sample.value, now, rule)
        row = AlertRow(
            key=key,
            rule=rule.id,
            by=dict(sample.by),
            source=rule.source,
            state=after.state,
            level=after.level,
            since_ns=after.since_ns,
            value=after.value,
            threshold=threshold_shown(after.level, rule),
            clocks=_clocks(after),
        )
        events = [event(row, change, now, rule, sample.note) for change in changes]
        return row, events, next_deadline_ns(after, now, rule)

    def leave_alone(self, rules: set[str]) -> None:
        """Keep the alerts of `rules` as they are stored."""
        self.rows.update({key: row for key, row in self.stored.items() if row.rule in rules})

    def end_those_without_rule(self, sources: frozenset[str]) -> None:
        """Resolve what no rule speaks of any more; keep the alerts of plug-ins that did not answer today."""
        now = self.measurements.now_ns
        for key, row in self.stored.items():
            if key in self.rows:
                continue
            if row.source not in sources:
                self.rows[key] = row
            elif row.level != "ok":
                change = Change("alert.resolved", "ok", row.level)
                self.events.append(event(row, change, now, None, "its rule was removed or changed"))


def instance_key(rule: Rule, by: Mapping[str, str | None]) -> str:
    """Return the key of an alert: the rule's id, and the instance when the rule is split."""
    return rule.id + (json.dumps(dict(by), sort_keys=True, separators=(",", ":")) if by else "")


def state_of(row: AlertRow) -> AlertState:
    """Return the state that `row` was made of."""
    clocks = json.loads(row.clocks)
    return AlertState(
        since_ns=row.since_ns,
        state=row.state,
        level=row.level,
        value=row.value,
        evaluated_ns=clocks["evaluated_ns"],
        warning=Track(**clocks["warning"]),
        critical=Track(**clocks["critical"]),
    )


def _clocks(state: AlertState) -> str:
    clocks = {
        "evaluated_ns": state.evaluated_ns,
        "warning": asdict(state.warning),
        "critical": asdict(state.critical),
    }
    return json.dumps(clocks)


def _timezone(settings: Settings) -> tzinfo | None:
    """Return the configured time zone; None: the machine's.

    Raises:
        InvalidInputError: the system does not know it.
    """
    if settings.timezone is None:
        return None
    try:
        return ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInputError("timezone", f"'{settings.timezone}' is unknown", "use an IANA name") from error
