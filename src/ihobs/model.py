"""The frozen values that travel between the parts. Units stand in the names.

Telemetry values come first (a distribution, a group of metrics), then what alerting speaks of (a rule, a
sample, an alert, an event, a notification). No dict travels between modules but for `by` and `labels`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DIMENSIONS = ("service", "workflow", "node", "kind", "provider", "model")
"""What numbers can be grouped by. `service` and `workflow` hold for runs and calls, the others for calls only."""

CALL_KINDS = ("llm", "embedding", "tool", "retriever", "reranker")
"""Kinds of spans that are calls to something outside the workflow."""

GAMMA = 1.02
"""Ratio of neighbouring histogram buckets. A quantile is read at the middle of its bucket, so it is off by at
most (gamma - 1) / (gamma + 1) = 0.99 % (DDSketch, Masson et al., VLDB 2019, proposition 1)."""

_LOG_GAMMA = math.log(GAMMA)
ZERO_BUCKET = -1
"""The bucket of durations of 0 ns."""


def bucket_index(duration_ns: int) -> int:
    """Return the histogram bucket of a duration: i where gamma^(i-1) < duration_ns <= gamma^i; 0 ns has its own."""
    if duration_ns <= 0:
        return ZERO_BUCKET
    return math.ceil(math.log(duration_ns) / _LOG_GAMMA - 1e-9)


def bucket_middle_ns(index: int) -> float:
    """Return the value that stands for a bucket: at most 0.99 % from anything in it."""
    return 0.0 if index == ZERO_BUCKET else 2.0 * GAMMA**index / (GAMMA + 1.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Durations: an exact count and sum, and counts in logarithmic buckets.

    Attributes:
        count: how many.
        sum_ns: their exact sum.
        buckets: (index, count) in ascending order of index, no zero counts.
    """

    count: int = 0
    sum_ns: int = 0
    buckets: tuple[tuple[int, int], ...] = ()

    def mean_s(self) -> float | None:
        """Return the exact mean in seconds; None when there is nothing."""
        return self.sum_ns / self.count / 1e9 if self.count else None

    def quantile_s(self, q: float) -> float | None:
        """Return the q-quantile by nearest rank (rank ceil(q * n)), within 1 %; None when there is nothing."""
        total = sum(count for _, count in self.buckets)
        if not total:
            return None
        rank = max(1, math.ceil(q * total - 1e-9))
        seen = 0
        for index, count in self.buckets:
            seen += count
            if seen >= rank:
                return bucket_middle_ns(index) / 1e9
        return bucket_middle_ns(self.buckets[-1][0]) / 1e9

    def above(self, duration_s: float) -> int:
        """Return how many were longer than `duration_s`, to within the 2 % that a bucket is wide."""
        last = bucket_index(round(duration_s * 1e9))
        return sum(count for index, count in self.buckets if index > last)

    def max_s(self) -> float | None:
        """Return the largest duration within 1 % (the top bucket that is not empty)."""
        return bucket_middle_ns(self.buckets[-1][0]) / 1e9 if self.buckets else None


@dataclass(frozen=True, slots=True)
class Counters:
    """Exact sums of a group of spans. Everything is an integer, so corrections cancel exactly.

    Attributes:
        spans: spans stored.
        runs, failed_runs: runs that ended, and those of them that failed for good.
        timed_out_runs: failed runs whose error is a timeout.
        calls, failed_calls: calls that ended; those that failed and that no later attempt made good.
        timed_out_calls: failed calls whose error is a timeout.
        recovered_errors: failed attempts whose later attempt succeeded.
        retries: attempts after the first.
        input_tokens: including cached ones. output_tokens: including reasoning.
        cached_input_tokens, cache_write_tokens, reasoning_tokens: parts of the above.
        cost_nano_usd: of the priced calls.
        unpriced_calls: calls with usage whose price is unknown. usage_missing_calls: finished calls to a model
            that reported no usage.
        flagged_times: spans whose clock was off (end before start, or end after receipt).
    """

    spans: int = 0
    runs: int = 0
    failed_runs: int = 0
    timed_out_runs: int = 0
    calls: int = 0
    failed_calls: int = 0
    timed_out_calls: int = 0
    recovered_errors: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int = 0
    unpriced_calls: int = 0
    usage_missing_calls: int = 0
    flagged_times: int = 0


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """The numbers of one group of one window.

    Attributes:
        by: value of each dimension asked for; None where the spans do not say.
        counters: exact sums. With runs_known False its run fields are 0 and mean nothing.
        run_durations, call_durations: distributions.
        first_tokens: from the start of a call to a model to its first token, of those that tell it: whatever
            counts as a call, as with tokens.
        runs_known: False when grouped by something that a run does not have (node, provider, model).
    """

    by: Mapping[str, str | None]
    counters: Counters
    run_durations: Distribution
    call_durations: Distribution
    runs_known: bool = True
    first_tokens: Distribution = Distribution()


@dataclass(frozen=True, slots=True)
class MetricsResult:
    """Answer to a metrics query.

    Attributes:
        start_ns, end_ns: the window really covered (widened to whole buckets).
        groups: largest number of spans first; empty when the window holds nothing.
        newest_ns: end of the newest stored span anywhere; None when the store is empty.
    """

    start_ns: int
    end_ns: int
    groups: tuple[MetricGroup, ...]
    newest_ns: int | None


Of = Literal["run", "node", "llm", "tool"]
Stat = Literal["mean", "p50", "p95", "p99", "max"]
Level = Literal["ok", "warning", "critical"]
State = Literal["inactive", "pending", "firing", "resolved"]
NoDataPolicy = Literal["keep", "ok", "fire"]
ErrorPolicy = Literal["keep", "fire"]
BudgetPeriod = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be used up in a calendar period of the configured time zone.

    Attributes:
        limit: US dollars, or tokens.
        unit: of the limit.
        per: the period; weeks begin on Monday.
    """

    limit: float
    unit: Literal["usd", "tokens"] = "usd"
    per: BudgetPeriod = "month"


@dataclass(frozen=True, slots=True)
class Objective:
    """What a rule's burn rate is measured against.

    Attributes:
        metric: what spends the error budget: "error_rate", "response_time" or "cost_per_hour".
        objective: the part of the runs (or calls) that must be good; None for a cost, whose budget is money.
        slower_than_s: with response_time, from where on a run is bad.
        period_s: the time that the error budget is for.
    """

    metric: str
    objective: float | None = None
    slower_than_s: float | None = None
    period_s: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a metric over a trailing window; crossing is strictly greater than.

    Attributes:
        id: unique; names the alert.
        metric: a name of `ihobs.alerts.metrics.METRICS`.
        warning, critical: thresholds in the metric's unit; None: no such level.
        clear_ratio: a level is left when the value is at or below clear_ratio x its threshold.
        window_s: length of the trailing window.
        stat: which statistic of a duration metric.
        of: runs or calls. by: dimensions that split the rule into instances.
        for_s: how long the condition must hold before it fires.
        keep_firing_for_s: how long it must be clear before it resolves.
        min_count: fewer runs (or calls) than this in the window is no data.
        source: who brought it: a plug-in's name.
        summary: one line for people.
        on_no_data: what no data means: the alert stays as it is, is over, or fires.
        on_error: what it means that the rule cannot be evaluated.
        blind_for_s: how long no data, or the error, must last for that; None: as long as `for_s`.
        limit: most instances that are watched.
        at: rungs of a ladder instead of thresholds: each is told once in a period of the budget, when it is reached.
            The last one is critical, or those from `critical` on.
        slo: an objective; the metric is then "burn_rate".
        budget: of the metrics "budget_used" and "budget_forecast"; None: `quotas:`.
        older_than_s: with stuck_runs, from which age on a run is stuck; None: by what is usual for its workflow.
    """

    id: str
    metric: str
    warning: float | None = None
    critical: float | None = None
    clear_ratio: float = 0.9
    window_s: float = 300.0
    stat: Stat = "mean"
    of: Of = "run"
    by: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    min_count: int = 5
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    source: str = ""
    on_no_data: NoDataPolicy = "keep"
    on_error: ErrorPolicy = "keep"
    blind_for_s: float | None = None
    limit: int = 500
    at: tuple[float, ...] = ()
    slo: Objective | None = None
    budget: Budget | None = None
    older_than_s: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Metrics of one closed 10 s bucket, given to plug-ins.

    Attributes:
        start_ns, end_ns: the bucket, end exclusive.
        total: all spans of the bucket. by_workflow: the same by workflow.
        active_workflows: runs in progress when the bucket closed.
    """

    start_ns: int
    end_ns: int
    total: MetricGroup
    by_workflow: tuple[MetricGroup, ...]
    active_workflows: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed: an alert rose, cleared, was resolved.

    Attributes:
        name: dotted, e.g. "alert.firing", "alert.resolved", "alert.level".
        at_ns: when it was decided.
        subject: what changed, e.g. the alert's key.
        level: the level now. previous_level: the level before.
        text: one line for people. fields: facts for machines.
    """

    name: str
    at_ns: int
    subject: str
    level: Level
    previous_level: Level
    text: str
    fields: Mapping[str, str | int | float | bool | None]


MessageKind = Literal["change", "repeat", "test"]


@dataclass(frozen=True, slots=True)
class Notification:
    """A message for one receiver, about a group of alerts.

    Attributes:
        key: stable: the same key is the same message sent again.
        level: the highest that fires in the group now; "ok" when all of it is resolved.
        title, body: for people.
        at_ns: when it was made.
        events: what it tells, oldest first; the newest when there are too many.
        group: name of the group, the same for all messages about it. A receiver with a key of its own for what
            belongs together (PagerDuty's `dedup_key`) makes it of this.
        kind: something has changed, it is told again because it goes on, or it is a test.
        firing: keys of the alerts of the group that fire, as far as they were told.
        omitted: how many events are left out of `events`.
        supersedes: keys of messages that may not have arrived, and that this one takes the place of.
        answered: what the receiver answered to the message before about this group (`Outcome.message_id`).
        answered_level: the level that the message before told.
    """

    key: str
    level: Level
    title: str
    body: str
    at_ns: int
    events: tuple[Event, ...]
    group: str = ""
    kind: MessageKind = "change"
    firing: tuple[str, ...] = ()
    omitted: int = 0
    supersedes: tuple[str, ...] = ()
    answered: str = ""
    answered_level: Level = "ok"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message, as a plug-in that delivers tells it.

    Attributes:
        state: "delivered"; "later": try again; "refused": it would fail again, so tell somebody else.
        detail: why, for people. It is stored and shown: no secrets, no addresses with secrets in them.
        retry_after_s: with "later": when the receiver says to try again; None: it does not say.
        message_id: with "delivered": what names the message at the receiver; it comes back as
            `Notification.answered`, so that the message can be changed.
    """

    state: Literal["delivered", "later", "refused"]
    detail: str = ""
    retry_after_s: float | None = None
    message_id: str = ""
