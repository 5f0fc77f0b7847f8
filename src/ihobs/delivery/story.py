"""Why a receiver was told of an alert, or not, and what comes next: for `ihobs alerts history` and `ihobs explain`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.delivery.decision import decide
from ihobs.delivery.picture import Remembered, look
from ihobs.delivery.sending import is_paused
from ihobs.store.state.delivery_history import Chapter, story

if TYPE_CHECKING:
    from ihobs.delivery.addresses import Addresses
    from ihobs.delivery.decision import Standing
    from ihobs.delivery.picture import Group, Picture
    from ihobs.delivery.policy import Policy
    from ihobs.model import Level
    from ihobs.store.database import Database

__all__ = ["Chapter", "Prospect", "prospects", "story"]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What one receiver knows of an alert, and when it hears of it next.

    Attributes:
        told: the level it was told last; "ok": nothing, or that it is over.
        next_ns: when it hears of it next if nothing changes; None: not before something does.
        reason: why then, or why not.
    """

    reference: str
    group_key: str
    told: Level
    next_ns: int | None
    reason: str


def prospects(state: Database, policy: Policy, alert: str, now_ns: int) -> list[Prospect]:
    """Return what each receiver of `alert` hears next, as it stands now."""
    with state.read() as reader:
        picture = look(reader, policy, Remembered(), now_ns)
    found = []
    for group in picture.groups.values():
        standing = next((one for one in picture.standings(group) if one.alert == alert), None)
        if standing is not None:
            found.append(_prospect(picture, policy, group, standing, now_ns))
    return found


def _prospect(picture: Picture, policy: Policy, group: Group, standing: Standing, now_ns: int) -> Prospect:
    receiver = picture.receivers.get(group.reference)
    if receiver is not None and is_paused(receiver, now_ns):
        why = f"it failed {receiver.failures} times: {receiver.detail}"
        return Prospect(group.reference, group.key, standing.told, receiver.next_ns, why)
    decision = decide(picture.standings(group), group.told, policy.timing(group.reference, group.route), now_ns)
    if standing.mute is not None and standing not in decision.say:
        return Prospect(group.reference, group.key, standing.told, standing.mute.until_ns, standing.mute.reason)
    if decision.kind is not None:
        return Prospect(group.reference, group.key, standing.told, now_ns, "due now")
    reason = "grouped" if standing.waiting else "repeated, as long as it fires"
    if decision.next_ns is None:
        reason = "nothing to tell"
    return Prospect(group.reference, group.key, standing.told, decision.next_ns, reason)


def in_words(prospect: Prospect, addresses: Addresses) -> str:
    """Return a prospect as a line, e.g. `slack://ops was told critical; next at ...: repeated, as long as it fires`."""
    told = "has not been told" if prospect.told == "ok" else f"was told {prospect.told}"
    when = ""
    if prospect.next_ns is not None:
        when = f"; next at {datetime.fromtimestamp(prospect.next_ns // SECOND_NS, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{addresses.shown(prospect.reference)} {told}{when}: {prospect.reason}"
