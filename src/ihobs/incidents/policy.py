"""What the settings say about incidents, ready to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ihobs.clock import SECOND_NS
from ihobs.incidents import deadlines, escalation
from ihobs.incidents.severity import is_worse
from ihobs.incidents.working_time import WorkingTime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ihobs.config import Settings
    from ihobs.incident_settings import BridgeSettings, IncidentSettings, SeverityName
    from ihobs.store.state.incidents import Deadline, Tier

BRIDGE_SEVERITY: SeverityName = "P1"
"""The severity that gets a bridge, and that leadership hears of."""


@dataclass(frozen=True)
class Policy:
    """Answers what is to be done about an incident."""

    settings: IncidentSettings
    working: WorkingTime

    def opens(self, severity: SeverityName) -> bool:
        """Whether an alert of this severity opens an incident by itself."""
        least = self.settings.open_from
        return least is not None and not is_worse(least, severity)

    def join_key(self, labels: Mapping[str, str]) -> str:
        """Return the key that alerts share which belong together, e.g. `rule="errors", workflow="import"`."""
        return ", ".join(f'{name}="{labels.get(name, "")}"' for name in self.settings.join_by)

    def deadlines(self, severity: SeverityName, from_ns: int) -> list[Deadline]:
        """Return the deadlines of an incident that is of this severity since `from_ns`."""
        found = deadlines.response(self.settings, self.working, severity, from_ns)
        resolution = deadlines.resolution(self.settings, severity, from_ns)
        return [found] if resolution is None else [found, resolution]

    def chain(self, severity: SeverityName) -> tuple[Tier, ...]:
        """Return who is told while nobody acknowledges."""
        return escalation.snapshot(self.settings.chain, severity)

    def leadership(self, severity: SeverityName) -> tuple[str, ...]:
        """Return who hears of an incident beside those who hear of its level."""
        return self.settings.leadership if severity == BRIDGE_SEVERITY else ()

    def bridge(self, severity: SeverityName) -> BridgeSettings | None:
        """Return where people meet; None: nowhere."""
        return self.settings.bridge if severity == BRIDGE_SEVERITY else None

    @property
    def reopen_within_ns(self) -> int:
        """For how long an incident that ended is reopened by its alerts."""
        return round(self.settings.reopen_within_s * SECOND_NS)

    @property
    def settle_ns(self) -> int:
        """For how long all alerts must be over before an incident is resolved."""
        return round(self.settings.settle_s * SECOND_NS)


def policy_of(settings: Settings) -> Policy:
    """Return what `settings` say; its time zone was checked when it was read."""
    timezone = None if settings.timezone is None else ZoneInfo(settings.timezone)
    return Policy(settings.incidents, WorkingTime(settings.calendar, timezone))
