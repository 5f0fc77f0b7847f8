"""How the home and this process are, in `GET /metrics`. What this process counts about itself starts with it at 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

import ihobs
from ihobs.clock import SECOND_NS, Clock
from ihobs.store.health import health, size_bytes
from ihobs.store.log_query import lost_logs
from ihobs.store.state import alerts
from ihobs.web.forwarding import forwarding
from ihobs.web.openmetrics import Family, Sample, counter, gauge
from ihobs.web.recent import recent

if TYPE_CHECKING:
    from ihobs.spans.signals import Signal
    from ihobs.store.database import Database
    from ihobs.store.home import Home
    from ihobs.web.exports import ExportReceiver
    from ihobs.web.room import Room

Answers = Mapping[tuple[str, int], int]
"""(path, status) -> how many answers."""


@dataclass(frozen=True)
class Vitals:
    """Reads everything that `GET /metrics` shows.

    Attributes:
        home: the home. telemetry, state: its databases.
        room: of all requests in hand. receivers: of each signal.
        has_duties: whether this process evaluates the rules.
        clock: tells the time.
    """

    home: Home
    telemetry: Database
    state: Database
    room: Room
    receivers: Sequence[ExportReceiver]
    has_duties: Callable[[], bool]
    clock: Clock

    def of(self, signal: Signal) -> ExportReceiver:
        """Return the receiver of a signal."""
        return next(receiver for receiver in self.receivers if receiver.signal is signal)

    def families(self, answers: Answers) -> Iterator[Family]:
        """Yield what is shown, as it is now.

        Raises:
            StoreUnavailableError: a database cannot be read.
        """
        now_ns = self.clock()
        yield Family("ihobs_build", "info", "The version.", [Sample(1, {"version": ihobs.__version__})])
        yield from recent(self.telemetry, now_ns)
        yield from self._alerts()
        yield from self._home(now_ns)
        yield from forwarding(self.telemetry, now_ns)
        yield from self._receiver(answers)
        resident_bytes = psutil.Process().memory_info().rss
        yield gauge("process_resident_memory_bytes", "Memory of this process.", resident_bytes, "bytes")

    def _alerts(self) -> Iterator[Family]:
        found = Counter((alert.state, alert.level) for alert in alerts.load(self.state).values())
        samples = [Sample(count, {"state": state, "level": level}) for (state, level), count in sorted(found.items())]
        yield Family("ihobs_alerts", "gauge", "Alerts by state and level.", samples)
        unhealthy = len(alerts.unhealthy_rules(self.state))
        yield gauge("ihobs_unhealthy_rules", "Rules that cannot be evaluated.", unhealthy)
        yield gauge("ihobs_duties_here", "1 when this process evaluates the rules.", int(self.has_duties()))

    def _home(self, now_ns: int) -> Iterator[Family]:
        known = health(self.telemetry, now_ns=now_ns)
        yield gauge("ihobs_stored_traces", "Traces whose spans are kept.", known.traces)
        newest_s = None if known.newest_ns is None else known.newest_ns / SECOND_NS
        yield gauge("ihobs_newest_data_timestamp_seconds", "End of the newest bucket.", newest_s, "seconds")
        lost = {loss.reason: loss.spans for loss in known.losses}
        yield counter("ihobs_lost_spans", "Spans lost in instrumented programs, ever.", lost, "reason")
        lost = {loss.reason: loss.records for loss in lost_logs(self.telemetry)}
        yield counter("ihobs_lost_log_records", "Log records lost in instrumented programs, ever.", lost, "reason")
        sizes = {name: size_bytes(self.home.database(name)) for name in ("telemetry", "state")}
        samples = [Sample(size, {"database": name}) for name, size in sizes.items()]
        yield Family("ihobs_database_size_bytes", "gauge", "Databases with their logs.", samples, "bytes")

    def _receiver(self, answers: Answers) -> Iterator[Family]:
        states = [receiver.intake.state() for receiver in self.receivers]
        for receiver, state in zip(self.receivers, states, strict=True):
            items, name = receiver.signal.nouns.capitalize(), receiver.signal.nouns.replace(" ", "_")
            received = {"accepted": state.accepted, "duplicate": state.duplicates}
            yield counter(f"ihobs_ingested_{name}", f"{items} that were received, new or known.", received, "outcome")
            rejected = Counter(state.rejected) + Counter(receiver.undecodable)
            yield counter(f"ihobs_rejected_{name}", f"{items} that were refused.", rejected, "reason")
        samples = [Sample(count, {"path": path, "code": str(code)}) for (path, code), count in sorted(answers.items())]
        yield Family("ihobs_http_requests", "counter", "Requests that were answered.", samples)
        yield gauge("ihobs_ingest_pending_requests", "Requests that wait for their answer.", self.room.requests)
        yield gauge("ihobs_ingest_pending_spans", "Spans and log records that wait for a commit.", self.room.items)
        yield gauge("ihobs_ingest_pending_bytes", "Bytes of requests in hand.", self.room.size_bytes, "bytes")
        lag_ns = max(state.lag_ns for state in states)
        yield gauge("ihobs_ingest_lag_seconds", "Age of the oldest that waits.", lag_ns / SECOND_NS, "seconds")
        commits, commit_ns = (sum(getattr(state, name) for state in states) for name in ("commits", "commit_ns"))
        took = [Sample(commits, suffix="_count"), Sample(commit_ns / SECOND_NS, suffix="_sum")]
        yield Family("ihobs_ingest_commit_seconds", "summary", "Transactions and their time.", took, "seconds")
