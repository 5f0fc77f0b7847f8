"""Where spans go beside the home: destinations, and LangSmith asked in person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ihobs.clock import MINUTE_NS, isoformat
from ihobs.doctor.finding import Finding, ok, problem, warning
from ihobs.langsmith.report import MEANINGS, report
from ihobs.store.forwarding import backlogs

if TYPE_CHECKING:
    from ihobs.doctor.examined import Examined
    from ihobs.langsmith.status import Connection


OLD_NS = 10 * MINUTE_NS
"""What waits longer for a destination that reports no trouble is not being sent."""


def destinations(examined: Examined) -> Iterator[Finding]:
    """Whether every destination gets its spans."""
    configured = examined.settings.destinations
    known = {one.name: one for one in backlogs(examined.telemetry) if one.active} if examined.telemetry else {}
    for name in configured:
        subject, one = f"to '{name}'", known.get(name)
        if one is None:
            yield ok(subject, "nothing was sent yet: no duties process has run with this destination")
        elif one.paused:
            yield problem(
                subject, f"is paused: {one.problem}", f"{one.spans} spans wait, until 'retention' forgets them",
                f"put it right, then: ihobs destinations retry {name}",
            )  # fmt: skip
        elif one.problem:
            yield warning(
                subject, f"takes nothing since {isoformat(one.problem_ns or 0)}: {one.problem}",
                f"{one.spans} spans wait in the home; it is tried again", "see whether it runs and can be reached",
            )  # fmt: skip
        elif one.oldest_ns is not None and examined.clock() - one.oldest_ns > OLD_NS:
            yield warning(
                subject, f"{one.spans} spans wait since {isoformat(one.oldest_ns)}", "nothing hands them on",
                "run 'ihobs serve', and see 'ihobs controls list' for forward.paused",
            )  # fmt: skip
        else:
            yield ok(subject, f"{one.sent_spans} spans sent")
        if one is not None and one.dead_letters:
            yield warning(
                subject, f"refused {one.dead_letters} spans for good", "they are in the home, but not there",
                f"ihobs destinations status {name} says why",
            )  # fmt: skip


def langsmith(examined: Examined) -> Iterator[Finding]:
    """Whether LangSmith can be reached, and what the key may do there."""
    if not examined.online:
        yield ok("langsmith", "not asked (--offline)")
        return
    found = report(examined.settings, examined.environ, clock=examined.clock)
    if found.mode != "forwarding":
        yield ok("langsmith", f"{found.mode}: {MEANINGS[found.mode]}")
    for connection in found.connections:
        yield from _checks(connection)


def _checks(connection: Connection) -> Iterator[Finding]:
    """Yield what fails; a way that nothing is sent on is a warning at most."""
    subject = f"langsmith '{connection.destination}'" if connection.destination else "langsmith"
    failed = [check for check in connection.checks if check.state == "failed"]
    for check in failed:
        text = f"{check.name}: {check.text} ({connection.endpoint})"
        if connection.destination is None:
            yield warning(subject, text, "nothing is sent there; importing history may fail", check.advice)
        elif check.name in {"read", "project"}:
            yield warning(subject, text, "spans may be taken all the same", check.advice)
        else:
            yield problem(subject, text, "spans for it wait in the home, until 'retention' forgets them", check.advice)
    if not failed:
        where = f"{connection.region}, project '{connection.project}'"
        yield ok(subject, f"{where}: {', '.join(check.name for check in connection.checks if check.state == 'ok')}")
