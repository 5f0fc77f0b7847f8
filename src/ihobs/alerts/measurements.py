"""What one pass over the rules asks the store, each question once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS
from ihobs.store import query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

    from ihobs.model import MetricsResult, Of, Rule
    from ihobs.store.database import Database
    from ihobs.store.forecast import Forecast

BUCKET_NS = 10 * SECOND_NS
"""A trailing window of W is the closed buckets that W reaches into, and the open one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a rule's metric for one instance.

    Attributes:
        by: the instance: values of the rule's dimensions.
        value: in the metric's unit; None when there is no data, or too little of it.
        note: what people should know beside the value, or an empty string.
    """

    by: Mapping[str, str | None]
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Measurements:
    """The store as it is at one moment; rules that look at the same window share its query.

    Attributes:
        database: the telemetry database.
        now_ns: the end of all trailing windows.
        quotas: limits of each provider. timezone: whose calendar months they mean; None: the machine's.
        disk: tells what the database takes of the disk at a moment; None: that is not known.
    """

    database: Database
    now_ns: int
    quotas: Mapping[str, Mapping[str, float]]
    timezone: tzinfo | None
    disk: Callable[[int], Forecast] | None = None
    _results: dict[tuple[object, ...], MetricsResult] = field(default_factory=dict)

    def of_rule(self, rule: Rule) -> MetricsResult:
        """Return the numbers of the rule's window."""
        return self.since(
            self.now_ns - round(rule.window_s * SECOND_NS),
            by=tuple(rule.by),
            where=tuple(sorted(rule.where.items())),
            of=None if rule.of == "run" else rule.of,
            durations=rule.stat != "mean",
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
            self._results[asked] = query.metrics(
                self.database,
                start_ns=start_ns,
                end_ns=end_ns,
                by=by,
                where=dict(where),
                of=of,
                durations=durations,
            )
        return self._results[asked]

    def active_workflows(self) -> int:
        """Return how many workflows are running."""
        return query.active_workflows(self.database, now_ns=self.now_ns)
