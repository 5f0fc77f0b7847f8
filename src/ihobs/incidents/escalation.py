"""The escalation chain: who is told when nobody acknowledges. An incident keeps the chain of the day it opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.store.state.incidents import Tier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ihobs.incident_settings import SeverityName, TierSettings
    from ihobs.store.state.incidents import Incident


def snapshot(chain: Iterable[TierSettings], severity: SeverityName) -> tuple[Tier, ...]:
    """Return the steps for an incident of this severity."""
    return tuple(Tier(one.receivers, round(one.after_s * SECOND_NS)) for one in chain if severity in one.severities)


def due(incident: Incident, now_ns: int) -> tuple[Tier, ...]:
    """Return the steps that are to be told now: nobody has acknowledged, and their time has come."""
    if incident.state != "open":
        return ()
    waiting = incident.chain[incident.chain_told :]
    return tuple(one for one in waiting if now_ns >= incident.chain_from_ns + one.after_ns)


def next_ns(incident: Incident) -> int | None:
    """Return when the next step is due; None: there is none, or somebody has acknowledged."""
    if incident.state != "open" or incident.chain_told >= len(incident.chain):
        return None
    return incident.chain_from_ns + incident.chain[incident.chain_told].after_ns
