"""The chart of an incident as SVG: the value of a rule over time, its thresholds, and what happened when.

Drawn as text, without a library: it is read by browsers, by Markdown viewers and by whoever opens it in ten years.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from ihobs.alerts.metrics import METRICS, shown
from ihobs.incidents.wording import moment_shown

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.alerts.metrics import Unit
    from ihobs.incidents.curve import Curve

WIDTH, HEIGHT = 900, 360
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 60, 46
"""Pixels around the plot: for the axis on the left, the names above it and the times below."""

ROWS = 3
"""Names of marks that stand close together take turns on so many rows."""

ROOM = 120
"""A name that begins nearer to the right edge ends at its mark instead."""

TICKS = 5
COLORS = {"warning": "#b7791f", "critical": "#c53030"}
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#2d3748}.name{font-weight:600;font-size:14px}"
    ".axis{stroke:#a0aec0;stroke-width:1}.grid{stroke:#edf2f7;stroke-width:1}"
    ".value{fill:none;stroke:#2b6cb0;stroke-width:2;stroke-linejoin:round}.dot{fill:#2b6cb0}"
    ".mark{stroke:#718096;stroke-width:1;stroke-dasharray:3 3}"
)


class Mark(NamedTuple):
    """A moment that is named in the chart."""

    at_ns: int
    name: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values stand on the paper."""

    start_ns: int
    end_ns: int
    top: float

    def x(self, at_ns: int) -> float:
        return round(LEFT + (at_ns - self.start_ns) / (self.end_ns - self.start_ns) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - value / self.top * (HEIGHT - BOTTOM - TOP), 1)


def draw(curve: Curve, marks: Sequence[Mark], timezone: tzinfo | None) -> str:
    """Return the chart of a curve with at least one value."""
    values = [value for _, value in curve.points if value is not None]
    thresholds = [(name, getattr(curve.rule, name)) for name in COLORS if getattr(curve.rule, name) is not None]
    first, last = curve.points[0][0], curve.points[-1][0]
    frame = _Frame(first, max(last, first + 1), _round_up(max([*values, *(value for _, value in thresholds)])))
    unit = METRICS[curve.rule.metric].unit
    seen = [mark for mark in marks if first <= mark.at_ns <= last]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">',
            f"<title>{escape(_name(curve))}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            f'<text class="name" x="{LEFT}" y="18">{escape(_name(curve))}</text>',
            *_values_axis(frame, unit),
            *_times_axis(frame, timezone),
            *_marks(frame, seen),
            *(_threshold(frame, name, value, unit) for name, value in thresholds),
            *_line(frame, curve),
            "</svg>",
            "",
        ]
    )


def _name(curve: Curve) -> str:
    whose = ", ".join(f"{name} {value or 'unknown'}" for name, value in curve.by.items())
    statistic = f", {curve.rule.stat}" if METRICS[curve.rule.metric].unit == "s" else ""
    return f"{curve.rule.metric}{statistic}" + (f" of {whose}" if whose else "")


def _values_axis(frame: _Frame, unit: Unit) -> Iterator[str]:
    for step in range(TICKS):
        value = frame.top * step / (TICKS - 1)
        y = frame.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(shown(value, unit))}</text>'


def _times_axis(frame: _Frame, timezone: tzinfo | None) -> Iterator[str]:
    y = HEIGHT - BOTTOM
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
    for step in range(TICKS):
        at_ns = frame.start_ns + (frame.end_ns - frame.start_ns) * step // (TICKS - 1)
        anchor = "start" if step == 0 else "end" if step == TICKS - 1 else "middle"
        form = "%Y-%m-%d %H:%M %Z" if step == 0 else "%H:%M"
        text = escape(moment_shown(at_ns, timezone, form))
        yield f'<text x="{frame.x(at_ns)}" y="{y + 20}" text-anchor="{anchor}">{text}</text>'


def _threshold(frame: _Frame, name: str, value: float, unit: Unit) -> str:
    y, color = frame.y(value), COLORS[name]
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{color}" stroke-dasharray="6 4"/>'
    text = f"{name} {escape(shown(value, unit))}"
    return f'{line}<text x="{WIDTH - RIGHT}" y="{y - 4}" text-anchor="end" style="fill:{color}">{text}</text>'


def _marks(frame: _Frame, marks: Sequence[Mark]) -> Iterator[str]:
    for number, mark in enumerate(sorted(marks)):
        x, row = frame.x(mark.at_ns), TOP - 6 - 13 * (number % ROWS)
        yield f'<line class="mark" x1="{x}" x2="{x}" y1="{row + 2}" y2="{HEIGHT - BOTTOM}"/>'
        anchor, beside = ("end", x - 3) if x > WIDTH - ROOM else ("start", x + 3)
        yield f'<text x="{beside}" y="{row}" text-anchor="{anchor}">{escape(mark.name)}</text>'


def _line(frame: _Frame, curve: Curve) -> Iterator[str]:
    """Yield the values: a line where they follow one another, a dot where one stands alone."""
    piece: list[str] = []
    for (at_ns, value), following in pairwise([*curve.points, (curve.points[-1][0], None)]):
        if value is None:
            continue
        piece.append(f"{frame.x(at_ns)},{frame.y(value)}")
        if following[1] is None:
            if len(piece) == 1:
                x, y = piece[0].split(",")
                yield f'<circle class="dot" cx="{x}" cy="{y}" r="2.5"/>'
            else:
                yield f'<polyline class="value" points="{" ".join(piece)}"/>'
            piece = []


def _round_up(value: float) -> float:
    """Return a round number above `value`, for the top of the axis."""
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 5, 6, 8, 10, 12) if step * size >= value * 1.05)
