"""How spans reach us: late ones, senders whose clock is off, and what was lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.alerts.measurements import Measurements, Sample
from ihobs.clock import SECOND_NS
from ihobs.store.arrivals import Arrivals, arrivals
from ihobs.store.health import losses

if TYPE_CHECKING:
    from ihobs.model import Rule

DELIVERY_S = 10.0
"""So long may a span be on its way: OpenTelemetry sends every 5 s, and gives up on an attempt after 10 s."""


def late_spans(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return how many live spans came more than a minute after their end; a window is whole minutes of receipt."""
    found = _arrived(measurements, rule)
    if rule.by:
        return [Sample({"service": one.service}, float(one.late)) for one in found]
    return [Sample({}, float(sum(one.late for one in found)))]


def clock_skew(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return by how many seconds a service's clock is off at least; of all services, the one that is off most."""
    found = [one for one in _arrived(measurements, rule) if one.spans >= rule.min_count]
    if rule.by:
        return [Sample({"service": one.service}, _skew_s(one), _why(one)) for one in found]
    worst = max(found, key=_skew_s, default=None)
    return [Sample({}, None) if worst is None else Sample({}, _skew_s(worst), _why(worst))]


def spans_dropped(measurements: Measurements, rule: Rule) -> list[Sample]:
    """Return how many spans were lost, for the reasons for which some were lost within the window.

    Only totals are kept, with the time of the last loss: it is how many at most, and 0 only when it is none.
    """
    lost = losses(measurements.stored, since_ns=_start_ns(measurements, rule))
    note = ", ".join(f"{one.spans} by '{one.reason}' in all" for one in lost)
    return [Sample({}, float(sum(one.spans for one in lost)), f"at most: {note}" if note else "")]


def _arrived(measurements: Measurements, rule: Rule) -> list[Arrivals]:
    start_ns = _start_ns(measurements, rule)
    return arrivals(measurements.stored, start_ns=start_ns, end_ns=measurements.now_ns)


def _start_ns(measurements: Measurements, rule: Rule) -> int:
    return measurements.now_ns - round(rule.window_s * SECOND_NS)


def _skew_s(one: Arrivals) -> float:
    """Return how far the median delay is from what deliveries take, in either direction."""
    return max(0.0, -one.median_delay_s, one.median_delay_s - DELIVERY_S)


def _why(one: Arrivals) -> str:
    if one.median_delay_s < 0:
        return f"the clock of {one.service} is ahead"
    if _skew_s(one):
        return f"the clock of {one.service} is behind, or its deliveries wait"
    return ""
