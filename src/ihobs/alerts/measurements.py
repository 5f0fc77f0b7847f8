"""What one pass over the rules asks of the numbers, each question once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ihobs.clock import SECOND_NS
from ihobs.store import query

if TYPE_CHECKING:
    from datetime import tzinfo

    from ihobs.alerts.machine import Readings
    from ihobs.model import MetricsResult, Of, Rule
    from ihobs.store.database import Database
    from ihobs.store.forecast import Forecast
    from ihobs.store.forwarding import Backlog

BUCKET_NS = 10 * SECOND_NS
"""A trailing window of W is the closed buckets that W reaches into, and the open one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a rule's metric for one instance.

    Attributes:
        by: the instance: values of the rule's dimensions.
        value: in the metric's unit; None when there is no data, or too little of it.
        note: what people should know beside the value, or an empty string.
        readings: what the levels compare with their thresholds, when that is not the value.
        epoch: of a budget: the period that the value is of, and its limit.
    """

    by: Mapping[str, str | None]
    value: float | None
    note: str = ""
    readings: Readings | None = None
    epoch: str = ""


Sampler = Callable[["Measurements", "Rule"], list[Sample]]
"""Reads a metric: one sample for each instance of the rule that its window holds."""


class Numbers(Protocol):
    """Where windows are read: the store, its history, or the invented ones of a rule test."""

    def metrics(
        self,
        *,
        start_ns: int,
        end_ns: int,
        by: Sequence[str],
        where: Mapping[str, str],
        of: Of | None,
        durations: bool,
    ) -> MetricsResult:
        """Return the numbers of the window, as `query.metrics` does."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The numbers of a telemetry database."""

    database: Database

    def metrics(
        self,
        *,
        start_ns: int,
        end_ns: int,
        by: Sequence[str],
        where: Mapping[str, str],
        of: Of | None,
        durations: bool,
    ) -> MetricsResult:
        """Return the numbers of the window."""
        return query.metrics(
            self.database, start_ns=start_ns, end_ns=end_ns, by=by, where=where, of=of, durations=durations
        )


@dataclass(frozen=True)
class Measurements:
    """The numbers as they are at one moment; rules that look at the same window share its query.

    Attributes:
        database: the telemetry database; None in a replay, which has numbers only.
        now_ns: the end of all trailing windows.
        quotas: limits of each provider. timezone: whose calendar periods they mean; None: the machine's.
        disk: tells what the database takes of the disk at a moment; None: that is not known.
        numbers: where windows are read; None: in the database.
        destinations: tells how the destinations are at a moment; None: that is not known.
        told: metrics that are told instead of read, in rule tests.
        unhealthy: how many rules could not be evaluated in the pass before.
    """

    database: Database | None
    now_ns: int
    quotas: Mapping[str, Mapping[str, float]]
    timezone: tzinfo | None
    disk: Callable[[int], Forecast] | None = None
    destinations: Callable[[int], Sequence[Backlog]] | None = None
    numbers: Numbers | None = None
    told: Mapping[str, Sampler] = field(default_factory=dict)
    unhealthy: int = 0
    _results: dict[tuple[object, ...], MetricsResult] = field(default_factory=dict)

    def of_rule(self, rule: Rule) -> MetricsResult:
        """Return the numbers of the rule's window."""
        return self.trailing(rule, rule.window_s, durations=rule.stat != "mean")

    def trailing(self, rule: Rule, window_s: float, *, durations: bool = False) -> MetricsResult:
        """Return the numbers of what the rule is about in another window than its own."""
        return self.since(
            self.now_ns - round(window_s * SECOND_NS),
            by=tuple(rule.by),
            where=tuple(sorted(rule.where.items())),
            of=None if rule.of == "run" else rule.of,
            durations=durations,
        )

    def since(
        self,
        start_ns: int,
        *,
        end_ns: int | None = None,
        by: tuple[str, ...] = (),
        where: tuple[tuple[str, str], ...] = (),
        of: Of | None = None,
        durations: bool = False,
    ) -> MetricsResult:
        """Return the numbers from the bucket that holds `start_ns` until `end_ns`, or until now.

        `durations` are wanted for quantiles only: they are most of the rows.
        """
        start_ns = start_ns // BUCKET_NS * BUCKET_NS
        end_ns = self.now_ns if end_ns is None else end_ns
        asked = (start_ns, end_ns, by, where, of, durations)
        if asked not in self._results:
            self._results[asked] = self._source.metrics(
                start_ns=start_ns, end_ns=end_ns, by=by, where=dict(where), of=of, durations=durations
            )
        return self._results[asked]

    @property
    def _source(self) -> Numbers:
        return self.numbers or Stored(self.stored)

    @property
    def stored(self) -> Database:
        """The telemetry database.

        Raises:
            LookupError: there is none: what is asked cannot be told from numbers alone.
        """
        if self.database is None:
            raise LookupError("is not among the stored numbers")
        return self.database

    def active_workflows(self) -> int:
        """Return how many workflows are running."""
        return query.active_workflows(self.stored, now_ns=self.now_ns)
