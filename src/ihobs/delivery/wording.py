"""Messages in words: a title that says it all for one alert, and a list for several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.delivery.decision import RANK

if TYPE_CHECKING:
    from ihobs.model import Event, Level

MAX_LINES = 20
"""Alerts named in a message; of more it says how many there are."""


@dataclass(frozen=True, slots=True)
class Line:
    """An alert in a message: its newest event, and the level to name it by ("ok": resolved)."""

    event: Event
    level: Level


def title_of(news: Sequence[Line], firing: Sequence[Line], group_key: str) -> str:
    """Return the title: the event's own words when there is one thing to say, else how many alerts there are."""
    known = set(_keys(firing))
    if len(news) == 1 and known <= {news[0].event.subject}:
        return news[0].event.text
    if not news and len(firing) == 1:
        return f"still {firing[0].level}: {firing[0].event.text}"
    counts = Counter(one.level for one in firing)
    parts = [f"{counts[level]} {level}" for level in sorted(counts, key=RANK.__getitem__, reverse=True)]
    resolved = sum(one.level == "ok" for one in news)
    said = sum(one.level != "ok" and one.event.subject not in known for one in news)
    parts += [f"{said} messages"] if said else []
    parts += [f"{resolved} resolved"] if resolved else []
    what = group_key.partition("{")[2].removesuffix("}") or "alerts"
    return f"{'still firing: ' if not news else ''}{', '.join(parts)} ({what})"


def body_of(news: Sequence[Line], firing: Sequence[Line]) -> str:
    """Return the text below the title: the summary of a single alert, else the alerts, the worst first."""
    if len(news) <= 1 and len({*_keys(news), *_keys(firing)}) <= 1:
        [only, *_] = [*news, *firing]
        return str(only.event.fields.get("summary") or "")
    told = set(_keys(news))
    unchanged = [one for one in firing if one.event.subject not in told]
    listed = [*sorted(news, key=_worst_first), *sorted(unchanged, key=_worst_first)]
    lines = [f"{_WORDS[one.level]:8} {one.event.text}" for one in listed[:MAX_LINES]]
    if len(listed) > MAX_LINES:
        lines.append(f"and {len(listed) - MAX_LINES} more")
    return "\n".join(lines)


_WORDS: dict[Level, str] = {"ok": "RESOLVED", "warning": "WARNING", "critical": "CRITICAL"}


def _worst_first(line: Line) -> tuple[int, int]:
    return -RANK[line.level], line.event.at_ns


def _keys(lines: Iterable[Line]) -> list[str]:
    return [one.event.subject for one in lines]
