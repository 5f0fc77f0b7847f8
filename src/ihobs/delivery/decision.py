"""What to tell one receiver of one group of alerts now: a pure function of what is known and the time.

- The first message of a group leaves at once. What joins within `group_wait` goes into one more.
- Then at most one message a group in `group_interval`, unless the group's level rises above what was told: that
  cannot wait.
- What goes on firing is told again after `repeat_interval`, or when an acknowledgement of it has ended.
- Whoever was told that an alert fires is told that it is resolved, also through a silence.
- An alert that is muted waits: when what mutes it ends and it still fires, it is told. One that was over before
  anybody was told is not told any more, and why is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ihobs.clock import isoformat

if TYPE_CHECKING:
    from ihobs.model import Level

RANK: Mapping[Level, int] = {"ok": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Timing:
    """How often a group is told; see `ihobs.routes.DeliverySettings`."""

    group_wait_ns: int
    group_interval_ns: int
    repeat_interval_ns: int


@dataclass(frozen=True, slots=True)
class Mute:
    """Why nobody is told of an alert, and until when at the longest; None: until something else changes."""

    reason: str
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert, or a single word, as it is and as one receiver knows it.

    Attributes:
        alert: its key.
        level: by its newest event. told: what the receiver was told last; "ok": nothing that is not over.
        waiting: numbers of the events that the receiver has not been told, oldest first.
        passes: it does not fire, it was just said (`ihobs.send_alert`).
        mute: why it is not to be told now.
        is_overdue: an acknowledgement ended since it was last told.
        joined_ns: when the oldest of the waiting events happened.
    """

    alert: str
    level: Level
    told: Level
    waiting: tuple[int, ...] = ()
    passes: bool = False
    mute: Mute | None = None
    is_overdue: bool = False
    joined_ns: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """When a group was told.

    Attributes:
        opened_ns: the first message after a time without any. sent_ns: the newest.
        level: that the newest told. peak: the highest since shortly before `opened_ns`.
        answered: by which name the receiver knows the newest.
    """

    opened_ns: int
    sent_ns: int
    level: Level = "ok"
    peak: Level = "ok"
    answered: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now about a group.

    Attributes:
        kind: of the message to send; None: none now.
        say: the alerts whose waiting events it tells.
        firing: the alerts that fire as far as the receiver knows after it.
        level: that it tells.
        held: event -> why it waits. dropped: event -> why it will never be told.
        next_ns: when to look again; None: when something has changed.
    """

    kind: Literal["change", "repeat"] | None = None
    say: tuple[Standing, ...] = ()
    firing: tuple[Standing, ...] = ()
    level: Level = "ok"
    held: Mapping[int, str] = field(default_factory=dict)
    dropped: Mapping[int, str] = field(default_factory=dict)
    next_ns: int | None = None


def decide(standings: Sequence[Standing], told: Told | None, timing: Timing, now_ns: int) -> Decision:
    """Return what to tell a receiver of a group, given how its alerts stand and what was told before."""
    news, held, dropped = _sorted(standings)
    ends_ns = [one.mute.until_ns for one in standings if one.mute is not None and one.level != "ok" and not one.passes]
    told_now = {one.alert for one in news}
    firing = tuple(one for one in standings if _fires(one) and (one.told != "ok" or one.alert in told_now))
    level = highest(one.level for one in (*firing, *news))
    if news:
        due_ns = _due_ns(told, news, level, timing, now_ns)
        if due_ns <= now_ns:
            return Decision("change", tuple(news), firing, level, held, dropped, _earliest(ends_ns))
        held |= {
            event: f"grouped: the next message of its group is due at {isoformat(due_ns)}" for event in _events(news)
        }
        return Decision(None, (), firing, level, held, dropped, _earliest([*ends_ns, due_ns]))
    repeat_ns = _repeat_ns(firing, told, timing, now_ns)
    if repeat_ns is not None and repeat_ns <= now_ns:
        return Decision("repeat", (), firing, level, held, dropped, _earliest(ends_ns))
    return Decision(None, (), firing, level, held, dropped, _earliest([*ends_ns, repeat_ns]))


def after(told: Told | None, level: Level, answered: str, timing: Timing, now_ns: int) -> Told:
    """Return when the group was told, after a message that told `level` was delivered at `now_ns`."""
    if told is None:
        return Told(now_ns, now_ns, level, level, answered)
    if 0 <= now_ns - told.sent_ns < timing.group_interval_ns:
        peak = highest((told.peak, level))
        return Told(told.opened_ns, now_ns, level, peak, answered)
    return Told(now_ns, now_ns, level, highest((told.level, level)), answered)


def highest(levels: Iterable[Level]) -> Level:
    """Return the highest of `levels`; "ok" of none."""
    return max(levels, key=RANK.__getitem__, default="ok")


def _sorted(standings: Iterable[Standing]) -> tuple[list[Standing], dict[int, str], dict[int, str]]:
    """Return the alerts that there is something to tell of, and the events that are held back or dropped."""
    news: list[Standing] = []
    held: dict[int, str] = {}
    dropped: dict[int, str] = {}
    for one in standings:
        if not one.waiting:
            continue
        if one.mute is None or _is_heard_out(one):
            news.append(one)
        elif one.level == "ok" or one.passes:
            dropped |= dict.fromkeys(one.waiting, one.mute.reason)
        else:
            held |= dict.fromkeys(one.waiting, one.mute.reason)
    return news, held, dropped


def _is_heard_out(one: Standing) -> bool:
    """Whether it is over, and the receiver was told that it began."""
    return one.level == "ok" and one.told != "ok" and not one.passes


def _fires(one: Standing) -> bool:
    return one.level != "ok" and not one.passes and one.mute is None


def _due_ns(told: Told | None, news: Sequence[Standing], level: Level, timing: Timing, now_ns: int) -> int:
    """Return when a group with news may be told; a time in the future was set by a clock that was wrong."""
    if told is None or told.sent_ns > now_ns or RANK[level] > RANK[told.peak]:
        return now_ns
    waited_ns = told.opened_ns + timing.group_wait_ns
    if told.sent_ns == told.opened_ns and min(one.joined_ns for one in news) <= waited_ns:
        return waited_ns
    return told.sent_ns + timing.group_interval_ns


def _repeat_ns(firing: Sequence[Standing], told: Told | None, timing: Timing, now_ns: int) -> int | None:
    if not firing or told is None:
        return None
    if any(one.is_overdue for one in firing):
        return now_ns
    return told.sent_ns + timing.repeat_interval_ns


def _events(standings: Iterable[Standing]) -> Iterable[int]:
    return (event for one in standings for event in one.waiting)


def _earliest(moments_ns: Iterable[int | None]) -> int | None:
    return min((moment for moment in moments_ns if moment is not None), default=None)
