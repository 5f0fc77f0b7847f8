"""A pass over the rules on a home: read what is stored, evaluate, store what changed in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ihobs.alerts.disk import Disk
from ihobs.alerts.evaluation import Alert, Alerts, evaluate, row_of
from ihobs.alerts.forwarding import Backlogs
from ihobs.alerts.machine import AlertState, Track
from ihobs.alerts.measurements import Measurements
from ihobs.clock import Clock, now_ns
from ihobs.errors import InvalidInputError
from ihobs.store.retention import retention_of
from ihobs.store.state import alerts
from ihobs.store.state.alerts import AlertRow, Evaluation, RuleHealth

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.alerts.evaluation import Found
    from ihobs.alerts.rules import RuleSet
    from ihobs.config import Settings
    from ihobs.store.database import Database


class _Memory:
    """The alerts that the last pass stored, until somebody else writes to the database.

    A duties process evaluates up to 20 times a second; reading back what it has just stored would cost most of it.
    """

    def __init__(self) -> None:
        self._seen: tuple[str, int] | None = None
        self._alerts: Alerts = {}

    def alerts(self, state: Database) -> Alerts:
        """Return all alerts."""
        return self._alerts if self._seen is not None and self._seen == _version(state) else _loaded(state)

    def remember(self, state: Database, stored: Alerts) -> None:
        """Take in what was stored just now."""
        self._seen, self._alerts = _version(state), stored

    def forget(self) -> None:
        """Read what is stored the next time."""
        self._seen = None


@dataclass(frozen=True)
class Evaluator:
    """Evaluates rules on the telemetry of one home, and keeps their alerts in its state database."""

    telemetry: Database
    state: Database
    settings: Settings
    clock: Clock = now_ns
    _memory: _Memory = field(default_factory=_Memory)

    @cached_property
    def _disk(self) -> Disk:
        return Disk(self.telemetry, retention_of(self.settings.retention))

    @cached_property
    def _backlogs(self) -> Backlogs:
        return Backlogs(self.telemetry)

    def run(self, rules: RuleSet) -> Found:
        """Evaluate all rules and store what changed; who is told of it is decided when it is delivered.

        Raises:
            StoreUnavailableError: the state database cannot be read or written; nothing has changed.
        """
        stored, unhealthy = self._memory.alerts(self.state), alerts.unhealthy_rules(self.state)
        found = self._evaluate(rules, stored, unhealthy)
        changes = Evaluation(
            rows=[row_of(alert) for key, alert in found.alerts.items() if stored.get(key) is not alert],
            gone=[key for key in stored if key not in found.alerts],
            events=found.events,
            unhealthy=None if list(found.unhealthy) == unhealthy else found.unhealthy,
        )
        self._memory.forget()
        alerts.save(self.state, changes)
        self._memory.remember(self.state, found.alerts)
        return found

    def preview(self, rules: RuleSet) -> Found:
        """Return what a pass would find now, and change nothing."""
        return self._evaluate(rules, _loaded(self.state), alerts.unhealthy_rules(self.state))

    def _evaluate(self, rules: RuleSet, stored: Alerts, unhealthy: Sequence[RuleHealth]) -> Found:
        measurements = Measurements(
            self.telemetry,
            self.clock(),
            self.settings.quotas,
            timezone_of(self.settings),
            self._disk.forecast,
            self._backlogs.now,
            unhealthy=len(unhealthy),
        )
        return evaluate(rules, measurements, stored, unhealthy)


def _version(state: Database) -> tuple[str, int]:
    return str(state.home.database(state.name)), state.data_version()


def _loaded(state: Database) -> Alerts:
    return {
        key: Alert(key, row.rule, row.by, row.source, state_of(row), row.threshold)
        for key, row in alerts.load(state).items()
    }


def state_of(row: AlertRow) -> AlertState:
    """Return the state that `row` was made of."""
    clocks = json.loads(row.clocks)
    warning, critical = Track(**clocks.pop("warning")), Track(**clocks.pop("critical"))
    seen = AlertState(row.since_ns, row.state, row.level, row.value, warning=warning, critical=critical)
    return replace(seen, **clocks)


def timezone_of(settings: Settings) -> tzinfo | None:
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
