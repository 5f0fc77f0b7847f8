"""Make a message of a decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ihobs.delivery.wording import Line, body_of, title_of
from ihobs.store.state.messages import Content, Draft

if TYPE_CHECKING:
    from ihobs.delivery.decision import Decision, Standing
    from ihobs.delivery.picture import Group
    from ihobs.model import Event

MAX_NAMED = 100
"""Events and alerts that a message holds for machines; of more it says how many there are."""


def draft(decision: Decision, group: Group, events: Mapping[int, Event]) -> Draft:
    """Return the message that `decision` asks for, with all events that it stands for."""
    tells = sorted(number for one in decision.say for number in one.waiting)
    news = list(_lines(decision.say, group, events))
    firing = list(_lines(decision.firing, group, events))
    named = tuple((tells or sorted(_newest(one, group) for one in decision.firing))[-MAX_NAMED:])
    content = Content(
        event_ids=named,
        omitted=max(0, len(tells) - MAX_NAMED),
        firing=tuple(one.alert for one in decision.firing[:MAX_NAMED]),
        supersedes=_superseded(group),
    )
    return Draft(
        reference=group.reference,
        route=group.route,
        group_key=group.key,
        kind=decision.kind or "change",
        level=decision.level,
        title=title_of(news, firing, group.key),
        body=body_of(news, firing),
        content=content,
        tells=tuple(tells),
    )


def _lines(standings: Iterable[Standing], group: Group, events: Mapping[int, Event]) -> Iterable[Line]:
    """Yield the alerts in words; of single words each by itself."""
    for one in standings:
        if one.passes:
            yield from (Line(events[number], events[number].level) for number in one.waiting)
        else:
            yield Line(events[_newest(one, group)], one.level)


def _newest(standing: Standing, group: Group) -> int:
    """Return the number of the newest event of an alert that is told or was."""
    return standing.waiting[-1] if standing.waiting else group.beliefs[standing.alert].event_id


def _superseded(group: Group) -> tuple[str, ...]:
    """Return the keys of the messages that may or may not have arrived, and that this one takes the place of."""
    if group.open is None:
        return ()
    tried = (group.open.key,) if group.open.attempts else ()
    return (*group.open.content.supersedes, *tried)[-MAX_NAMED:]
