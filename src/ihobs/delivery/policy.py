"""Who hears of an alert, in which group and how often: the settings, applied to labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.delivery.decision import Timing
from ihobs.delivery.labels import group_key
from ihobs.matchers import Matcher, all_match
from ihobs.model import DIMENSIONS
from ihobs.routes import DeliverySettings, InhibitSettings, RouteSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ihobs.config import Settings
    from ihobs.store.home import Home

CONSOLE = "console:"
FILE = "file:"
LEVELS = ("warning", "critical")

DEFAULT_ROUTE = "channels"
"""Name of what `channels:` says: the route of whatever fits no other."""

STANDING_INHIBITIONS = (
    InhibitSettings(
        (Matcher("level", "=", "critical"), Matcher("metric", "!=", "")),
        (Matcher("level", "=", "warning"),),
        ("metric", *sorted(DIMENSIONS)),
    ),
    InhibitSettings((Matcher("metric", "=~", "ingest_lag|spans_dropped"),), (Matcher("reason", "=", "no data"),), ()),
)
"""Always in force: a critical alert mutes the warnings about the same subject; and when spans do not come in, that is
why there is no data."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message about an alert belongs: a receiver, and its group there."""

    reference: str
    route: str
    group_key: str


@dataclass(frozen=True)
class Policy:
    """What the settings say about delivery.

    Attributes:
        channels: level -> references, for what no route has kept for itself.
        routes: in their order. fallback: who is told when others fail.
        for_incidents: who hears of incidents beside them: leadership, and the escalation chain.
    """

    channels: Mapping[str, Sequence[str]]
    fallback: tuple[str, ...]
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    routes: tuple[RouteSettings, ...] = ()
    inhibitions: tuple[InhibitSettings, ...] = STANDING_INHIBITIONS
    for_incidents: tuple[str, ...] = ()

    def addresses(self, labels: Mapping[str, str]) -> list[Address]:
        """Return where an alert belongs; of two routes to one receiver, the first counts."""
        found: dict[str, Address] = {}
        for route, references in self._fitting(labels):
            group_by = route.group_by if route and route.group_by is not None else self.delivery.group_by
            name = route.name if route else DEFAULT_ROUTE
            for reference in references:
                found.setdefault(reference, Address(reference, name, group_key(name, group_by, labels)))
        return list(found.values())

    def timing(self, reference: str, route: str) -> Timing:
        """Return how often a group of a route is told. The console and files are logs: they are told at once."""
        own = next((one for one in self.routes if one.name == route), RouteSettings(route, (), ()))
        wait_s = _first(own.group_wait_s, self.delivery.group_wait_s)
        interval_s = _first(own.group_interval_s, self.delivery.group_interval_s)
        repeat_s = _first(own.repeat_interval_s, self.delivery.repeat_interval_s)
        if reference.startswith((CONSOLE, FILE)):
            wait_s = interval_s = 0.0
        return Timing(*(round(seconds * SECOND_NS) for seconds in (wait_s, interval_s, repeat_s)))

    def references(self) -> list[str]:
        """Return every receiver that is named, without repetition."""
        named = [one for references in self.channels.values() for one in references]
        named += [one for route in self.routes for one in route.receivers]
        return list(dict.fromkeys([*named, *self.for_incidents, *self.fallback]))

    def _fitting(self, labels: Mapping[str, str]) -> Iterator[tuple[RouteSettings | None, Sequence[str]]]:
        for route in self.routes:
            if all_match(route.match, labels):
                yield route, route.receivers
                if not route.goes_on:
                    return
        yield None, self.channels.get(labels.get("level", ""), ())


def policy_of(settings: Settings, home: Home, receivers: Mapping[str, Sequence[str]] | None = None) -> Policy:
    """Return what `settings` say; `receivers` take the place of `channels` and routes when they are given."""
    ways = logs(home)
    fallback = settings.delivery.fallback or ways
    if receivers is not None:
        return Policy(receivers, fallback, settings.delivery, (), (*STANDING_INHIBITIONS, *settings.inhibit))
    channels = {level: settings.channels.get(level, ways) for level in LEVELS}
    inhibitions = (*STANDING_INHIBITIONS, *settings.inhibit)
    chain = [reference for tier in settings.incidents.chain for reference in tier.receivers]
    named = (*settings.incidents.leadership, *chain)
    return Policy(channels, fallback, settings.delivery, settings.routes, inhibitions, named)


def logs(home: Home) -> tuple[str, ...]:
    """Return the receivers that always work: the console, and the file of alerts."""
    return (CONSOLE, f"{FILE}{home.path / 'logs' / 'alerts.jsonl'}")


def _first(one: float | None, other: float) -> float:
    return other if one is None else one
