"""Why an alert is not told now: it is silenced, another one says it already, or somebody takes care of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.delivery.decision import RANK, Mute
from ihobs.matchers import all_match

if TYPE_CHECKING:
    from ihobs.model import Level
    from ihobs.routes import InhibitSettings
    from ihobs.store.state.acknowledgements import Acknowledgement
    from ihobs.store.state.silences import Silence

Labels = Mapping[str, str]
Sources = dict[tuple[str, ...], str]
"""The values that must be equal -> the alert that has them."""


@dataclass(frozen=True)
class Mutes:
    """All that keeps alerts quiet at one moment.

    Attributes:
        silences: those that have not ended. acknowledgements: by alert, also those that have ended.
        began: alert -> number of the event with which it last began to fire.
    """

    silences: tuple[Silence, ...]
    acknowledgements: Mapping[str, Acknowledgement]
    inhibition: Inhibition
    began: Mapping[str, int]
    now_ns: int

    def of(self, alert: str, labels: Labels, level: Level) -> Mute | None:
        """Return why `alert` is not told now; None when it is."""
        return self._silenced(labels) or self._inhibited(alert, labels) or self._acknowledged(alert, level)

    def is_overdue(self, alert: str, level: Level, told_ns: int) -> bool:
        """Whether an acknowledgement of what still fires has ended since it was told at `told_ns`."""
        given = self._valid(alert, level)
        return given is not None and told_ns < given.until_ns <= self.now_ns

    def _silenced(self, labels: Labels) -> Mute | None:
        for one in self.silences:
            if one.starts_ns <= self.now_ns < one.ends_ns and all_match(one.matchers, labels):
                return Mute(f"silence {one.id} of {one.author}: {one.reason}", one.ends_ns)
        return None

    def _inhibited(self, alert: str, labels: Labels) -> Mute | None:
        source = self.inhibition.source_of(alert, labels)
        return None if source is None else Mute(f"inhibited: {source} says it already")

    def _acknowledged(self, alert: str, level: Level) -> Mute | None:
        given = self._valid(alert, level)
        if given is None or self.now_ns >= given.until_ns:
            return None
        why = f": {given.reason}" if given.reason else ""
        return Mute(f"acknowledged by {given.author}{why}", given.until_ns)

    def _valid(self, alert: str, level: Level) -> Acknowledgement | None:
        """Return the acknowledgement of `alert`, unless it has risen or begun to fire anew since."""
        given = self.acknowledgements.get(alert)
        if given is None or RANK[level] > RANK[given.level] or self.began.get(alert, 0) > given.event_id:
            return None
        return given


class Inhibition:
    """Which alerts are muted by others that fire; Alertmanager's semantics.

    An alert that fits both sides of a rule is not muted by one that does, too: neither by itself.

    Args:
        rules: what mutes what.
        firing: labels of all alerts that fire, by key.
    """

    def __init__(self, rules: Iterable[InhibitSettings], firing: Mapping[str, Labels]) -> None:
        self._rules = [(rule, _sources(rule, firing)) for rule in rules]

    def source_of(self, alert: str, labels: Labels) -> str | None:
        """Return the key of an alert that mutes `alert`; None when there is none."""
        for rule, (every, one_sided) in self._rules:
            if not every or not all_match(rule.target, labels):
                continue
            sources = one_sided if all_match(rule.source, labels) else every
            source = sources.get(_values(rule, labels))
            if source is not None and source != alert:
                return source
        return None


def _sources(rule: InhibitSettings, firing: Mapping[str, Labels]) -> tuple[Sources, Sources]:
    """Return what fits the source of `rule` by the values that must be equal; then only what is no target, too."""
    every: Sources = {}
    one_sided: Sources = {}
    for alert, labels in firing.items():
        if all_match(rule.source, labels):
            every.setdefault(_values(rule, labels), alert)
            if not all_match(rule.target, labels):
                one_sided.setdefault(_values(rule, labels), alert)
    return every, one_sided


def _values(rule: InhibitSettings, labels: Labels) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in rule.equal)
