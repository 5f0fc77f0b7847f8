"""How incidents are led, as `ihobs.yaml` says it: deadlines, escalation, the bridge, and when people work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any, Literal

from ihobs.quantities import seconds

SeverityName = Literal["P1", "P2", "P3", "P4"]
SEVERITIES: tuple[SeverityName, ...] = ("P1", "P2", "P3", "P4")
"""The worst first."""

NEVER = "never"
NEXT_BUSINESS_DAY = "next business day"
"""A deadline in words: the end of the working hours of the next day on which people work."""

RESPOND_WITHIN = {"P1": "5m", "P2": "30m", "P3": "2h", "P4": NEXT_BUSINESS_DAY}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_TIERS = 3


@dataclass(frozen=True, slots=True)
class CalendarSettings:
    """When people work.

    Attributes:
        hours: from and until, in minutes after midnight.
        days: of the week; 0 is Monday.
        holidays: days on which nobody works.
    """

    hours: tuple[int, int]
    days: frozenset[int]
    holidays: frozenset[date]


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Where people meet for a P1.

    Attributes:
        link: of the conference, the same each time; empty: `webhook` opens one.
        webhook: URL that is sent the incident, and answers with a link. headers: what the request carries; both with
            `${env:NAME}` not yet resolved.
        answer: where the link stands in the answer, such as "room.url".
    """

    link: str = ""
    webhook: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: str = "url"


@dataclass(frozen=True, slots=True)
class TierSettings:
    """A step of the escalation chain.

    Attributes:
        receivers: who is told, as in `channels:`.
        after_s: so long after the opening, when nobody has acknowledged by then.
        severities: of which incidents.
    """

    receivers: tuple[str, ...]
    after_s: float
    severities: tuple[SeverityName, ...] = ("P1", "P2")


@dataclass(frozen=True, slots=True)
class IncidentSettings:
    """What opens an incident, who hears of it, and until when somebody must respond.

    Attributes:
        bridge: where people meet for a P1; None: nowhere.
        leadership: who hears of each P1, beside those who hear of critical alerts.
        open_from: alerts of this severity and worse open an incident by themselves; None: none does.
        join_by: labels; alerts that are equal in these belong to one incident.
        reopen_within_s: an alert that comes back so soon reopens its incident.
        settle_s: an incident whose alerts are all over is resolved after so long.
        respond_within_s: by severity; None: by the next business day.
        resolve_within_s: by severity; what is not named has no deadline.
        chain: who is told when nobody acknowledges.
    """

    bridge: BridgeSettings | None
    leadership: tuple[str, ...]
    open_from: SeverityName | None
    join_by: tuple[str, ...]
    reopen_within_s: float
    settle_s: float
    respond_within_s: Mapping[str, float | None]
    resolve_within_s: Mapping[str, float]
    chain: tuple[TierSettings, ...]


def hours_of(value: str) -> tuple[int, int]:
    """Read working hours such as "09:00-18:00".

    Raises:
        ValueError: they end before they begin.
    """
    begin, end = (_minutes(one) for one in value.split("-"))
    if begin >= end:
        raise ValueError(f"working hours end after they begin, not {value!r}")
    return begin, end


def days_of(value: str) -> frozenset[int]:
    """Read days such as "mon-fri" or "mon-thu,sat"; "sat-mon" goes over the end of the week."""
    found: set[int] = set()
    for part in value.split(","):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found.update(day % 7 for day in range(begin, end + (7 if end < begin else 0) + 1))
    return frozenset(found)


def holidays_of(value: Sequence[str]) -> frozenset[date]:
    """Read days such as "2026-12-25".

    Raises:
        ValueError: there is no such day.
    """
    return frozenset(date.fromisoformat(str(one)) for one in value)


def bridge_of(value: str | Mapping[str, Any] | None) -> BridgeSettings | None:
    """Read a link, or the webhook that makes one."""
    if value is None:
        return None
    return BridgeSettings(link=value) if isinstance(value, str) else BridgeSettings(**value)


def respond_within_of(value: Mapping[str, float | str]) -> dict[str, float | None]:
    """Read the deadlines of the first response; those that are not named are the usual ones.

    Raises:
        ValueError: one is neither a duration nor the next business day.
    """
    return {name: _respond_within({**RESPOND_WITHIN, **value}[name]) for name in SEVERITIES}


def resolve_within_of(value: Mapping[str, float | str]) -> dict[str, float]:
    """Read the deadlines of the resolution.

    Raises:
        ValueError: one is no duration.
    """
    return {name: seconds(length) for name, length in value.items()}


def open_from_of(value: str) -> str | None:
    """Read from which severity on alerts open incidents."""
    return None if value == NEVER else value


def chain_of(value: Sequence[Mapping[str, Any]]) -> tuple[TierSettings, ...]:
    """Read the escalation chain.

    Raises:
        ValueError: it is too long, its steps are not in order, or a duration cannot be read.
    """
    tiers = tuple(_tier(one) for one in value)
    if len(tiers) > MAX_TIERS:
        raise ValueError(f"incidents.chain has {len(tiers)} steps; more than {MAX_TIERS} reach nobody in time")
    if any(later.after_s < earlier.after_s for earlier, later in pairwise(tiers)):
        raise ValueError("incidents.chain: each step comes after the one before it")
    return tiers


def _tier(value: Mapping[str, Any]) -> TierSettings:
    fields: dict[str, Any] = {"receivers": tuple(value["receivers"]), "after_s": seconds(value.get("after", 0))}
    if "severities" in value:
        fields["severities"] = tuple(value["severities"])
    return TierSettings(**fields)


def _respond_within(value: float | str) -> float | None:
    return None if value == NEXT_BUSINESS_DAY else seconds(value)


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return 60 * int(hour) + int(minute)
