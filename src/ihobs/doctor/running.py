"""What runs: who has the duties, what waits and was lost, rules that cannot be evaluated, and clocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, MINUTE_NS, isoformat
from ihobs.delivery.addresses import Addresses
from ihobs.doctor.finding import Finding, ok, problem, warning
from ihobs.store.arrivals import arrivals
from ihobs.store.health import health
from ihobs.store.home import Home
from ihobs.store.log_query import lost_logs
from ihobs.store.losses import read_losses
from ihobs.store.spool import ENDPOINT_LOG_SPOOL, ENDPOINT_SPOOL, LOG_SPOOL, SPOOL, Spool
from ihobs.store.state import messages, progress
from ihobs.store.state.alerts import unhealthy_rules

if TYPE_CHECKING:
    from ihobs.doctor.examined import Examined

DUTIES_LOCK = "duties"
LOSS_MATTERS_NS = DAY_NS
WAIT_MATTERS_NS = MINUTE_NS
SKEW_WINDOW_NS = 15 * MINUTE_NS
AHEAD_S, BEHIND_S = -5.0, 60.0
"""A median delay below the first: a clock is ahead. Above the second: it is behind, or deliveries wait."""


def duties(examined: Examined) -> Iterator[Finding]:
    """Whether a process evaluates the rules and delivers."""
    if examined.home is None or examined.settings.endpoint:
        return
    owner = examined.home.lock_owner(DUTIES_LOCK)
    if owner is not None:
        yield ok("duties", f"process {owner} evaluates the rules")
        return
    live_ns = health(examined.telemetry, now_ns=examined.clock()).live_ns if examined.telemetry else None
    if live_ns is not None and live_ns > _evaluated_until_ns(examined):
        yield problem(
            "duties", f"no process has them, though spans came in at {isoformat(live_ns)}",
            "no rule is evaluated, nothing is delivered or forwarded", "run 'ihobs serve', or start programs with "
            "'ihobs exec --'",
        )  # fmt: skip
    else:
        yield ok("duties", "no process has them, and no program is being watched")


def _evaluated_until_ns(examined: Examined) -> int:
    """Return until when the last owner of the duties, which ended in good order, had evaluated everything."""
    return (progress.reached_ns(examined.state, progress.DUTIES) or 0) if examined.state else 0


_SPOOLS = (
    (SPOOL, "spans", "a duties process"),
    (ENDPOINT_SPOOL, "spans", "a program that reaches the endpoint"),
    (LOG_SPOOL, "log records", "a duties process"),
    (ENDPOINT_LOG_SPOOL, "log records", "a program that reaches the endpoint"),
)


def waiting(examined: Examined) -> Iterator[Finding]:
    """Whether spans wait on disk that nobody takes."""
    for name, items, takes in _SPOOLS:
        found = Spool(examined.home_path / name).waiting()
        if found.since_ns is None:
            continue
        text = f"{found.files} file(s) of {items} wait in {examined.home_path / name} since {isoformat(found.since_ns)}"
        if examined.clock() - found.since_ns > WAIT_MATTERS_NS:
            advice = f"they are taken by {takes}; see whether it can write: 'ihobs status'"
            yield problem("spool", text, "what they hold is in no number and no list yet", advice)
        else:
            yield ok("spool", text)


def losses(examined: Examined) -> Iterator[Finding]:
    """Whether spans were lost within the last day."""
    now_ns = examined.clock()
    told = health(examined.telemetry, now_ns=now_ns).losses if examined.telemetry else ()
    for loss in (*told, *read_losses(examined.home_path / SPOOL), *read_losses(examined.home_path / ENDPOINT_SPOOL)):
        if now_ns - loss.last_ns < LOSS_MATTERS_NS:
            yield problem(
                "losses", f"{loss.spans} spans were lost ({loss.reason}), the last at {isoformat(loss.last_ns)}",
                "sums of that time are too small", "see what the disk, the home or the endpoint had then",
            )  # fmt: skip
    yield from _lost_records(examined, now_ns)


def _lost_records(examined: Examined, now_ns: int) -> Iterator[Finding]:
    told = lost_logs(examined.telemetry) if examined.telemetry else ()
    beside = (loss for name in (LOG_SPOOL, ENDPOINT_LOG_SPOOL) for loss in read_losses(examined.home_path / name))
    for reason, count, last_ns in (*told, *((loss.reason, loss.spans, loss.last_ns) for loss in beside)):
        if now_ns - last_ns < LOSS_MATTERS_NS:
            yield problem(
                "losses", f"{count} log records were lost ({reason}), the last at {isoformat(last_ns)}",
                "what is logged of that time is not all", "log less, or from a higher level on: 'instrument: logs:'",
            )  # fmt: skip


def rules(examined: Examined) -> Iterator[Finding]:
    """Whether every rule could be evaluated the last time."""
    if examined.state is None:
        return
    unhealthy = unhealthy_rules(examined.state)
    for rule in unhealthy:
        yield problem(
            "rules", f"{rule.rule} cannot be evaluated since {isoformat(rule.since_ns)}: {rule.error}",
            "it cannot fire", "put the rule right; 'ihobs rules check' says where it stands",
        )  # fmt: skip
    if not unhealthy:
        yield ok("rules", "all could be evaluated the last time")


def deliveries(examined: Examined) -> Iterator[Finding]:
    """Whether receivers get what they should hear."""
    if examined.state is None:
        return
    addresses = Addresses(Home(examined.home_path), examined.settings.receivers, examined.environ)
    with examined.state.read() as reader:
        known = messages.receivers(reader)
        given_up = messages.dead_since(reader, examined.clock() - LOSS_MATTERS_NS)
    failing = [one for one in known.values() if one.outcome != "delivered"]
    for one in failing:
        yield problem(
            "deliveries", f"'{addresses.shown(one.reference)}' fails since {isoformat(one.since_ns)}: {one.detail}",
            "what it should hear waits, or goes to the fallback",
            f"put it right, then: ihobs channels test '{addresses.shown(one.reference)}'",
        )  # fmt: skip
    if given_up:
        yield problem(
            "deliveries", f"{given_up} messages were given up within the last day", "somebody did not hear of an alert",
            "ihobs channels list shows which, and why",
        )  # fmt: skip
    if known and not failing and not given_up:
        yield ok("deliveries", f"arrive at {', '.join(addresses.shown(one) for one in known)}")


def clocks(examined: Examined) -> Iterator[Finding]:
    """Whether the clocks of programs agree with ours."""
    if examined.telemetry is None:
        return
    now_ns = examined.clock()
    for each in arrivals(examined.telemetry, start_ns=now_ns - SKEW_WINDOW_NS, end_ns=now_ns):
        if each.median_delay_s < AHEAD_S:
            yield warning(
                "clocks", f"spans of '{each.service}' end {-each.median_delay_s:.0f} s after they arrive",
                "its clock is ahead of ours; its spans count at their receipt", "set its clock (NTP), or ours",
            )  # fmt: skip
        elif each.median_delay_s > BEHIND_S:
            yield warning(
                "clocks", f"spans of '{each.service}' arrive {each.median_delay_s:.0f} s after their end",
                "its clock is behind ours, or its deliveries wait: alerts look at windows without them",
                "set its clock (NTP), and look at what its exporter waits for",
            )  # fmt: skip
