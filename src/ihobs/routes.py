"""Who hears of what, and how often, as `ihobs.yaml` says it: routes, inhibition, timing, and the dead-man ping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ihobs.matchers import Matcher, parse
from ihobs.quantities import seconds


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How messages are grouped, where no route says otherwise.

    Attributes:
        group_by: labels; alerts that are equal in these share messages.
        group_wait_s: after the first message of a group, which leaves at once, one more may follow so soon.
        group_interval_s: at most one message a group in such a time, unless its level rises.
        repeat_interval_s: what goes on firing is told again after so long.
        fallback: receivers that are told when others fail; empty: the console and the file of alerts.
    """

    group_by: tuple[str, ...] = ("rule",)
    group_wait_s: float = 0.3
    group_interval_s: float = 60.0
    repeat_interval_s: float = 4 * 3600.0
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """Receivers for the alerts that fit all of its conditions; None: as in `delivery`.

    Attributes:
        name: unique; part of the name of its groups.
        match: conditions on labels.
        receivers: references.
        goes_on: look at the routes after it, too, and at last at `channels`.
    """

    name: str
    match: tuple[Matcher, ...]
    receivers: tuple[str, ...]
    goes_on: bool = False
    group_by: tuple[str, ...] | None = None
    group_wait_s: float | None = None
    group_interval_s: float | None = None
    repeat_interval_s: float | None = None


@dataclass(frozen=True, slots=True)
class InhibitSettings:
    """While an alert that fits `source` fires, those that fit `target` and are `equal` in these labels are not told."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadmanSettings:
    """A ping out, so that somebody else notices when ihobs is gone.

    Attributes:
        url: where to, with `${env:NAME}` not yet resolved; None: nobody listens.
        every_s: how often.
    """

    url: str | None = None
    every_s: float = 60.0


_DURATIONS = ("group_wait", "group_interval", "repeat_interval")


def routes_of(value: Sequence[Mapping[str, Any]]) -> tuple[RouteSettings, ...]:
    """Read the routes of the file.

    Raises:
        ValueError: a condition or a duration cannot be read.
    """
    return tuple(_route(index, fields) for index, fields in enumerate(value))


def _route(index: int, fields: Mapping[str, Any]) -> RouteSettings:
    return RouteSettings(
        name=fields.get("name", f"route-{index + 1}"),
        match=_matchers(fields.get("match", ())),
        receivers=tuple(fields["receivers"]),
        goes_on=fields.get("continue", False),
        group_by=tuple(fields["group_by"]) if "group_by" in fields else None,
        **{f"{name}_s": seconds(fields[name]) for name in _DURATIONS if name in fields},
    )


def inhibitions_of(value: Sequence[Mapping[str, Any]]) -> tuple[InhibitSettings, ...]:
    """Read the rules of inhibition of the file.

    Raises:
        ValueError: a condition cannot be read.
    """
    return tuple(
        InhibitSettings(_matchers(one["source"]), _matchers(one["target"]), tuple(one.get("equal", ())))
        for one in value
    )


def _matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    return tuple(map(parse, texts))
