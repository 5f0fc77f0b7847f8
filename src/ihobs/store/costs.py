"""What stored calls cost, and would cost by other prices; and the calls of which only sums are left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ihobs.clock import DAY_NS, HOUR_NS
from ihobs.spans.facts import CALLS, COST, facts
from ihobs.spans.normalise import BUCKET_NS
from ihobs.spans.span import Shape, Span
from ihobs.spans.tree import MODEL_KINDS, has_usage, read_trace
from ihobs.store.numbers import Numbers
from ihobs.store.repricing import find_traces
from ihobs.store.retention import BUCKETS_A_DAY
from ihobs.store.traces import load_spans

if TYPE_CHECKING:
    import sqlite3

    from ihobs.store.database import Database
    from ihobs.store.pricing import Model, PriceBook
    from ihobs.store.repricing import Job

Progress = Callable[[int], None]
"""Told up to which trace number the reading has come."""


@dataclass(slots=True)
class ModelCost:
    """Calls to one model that tell their usage; of nested ones the innermost.

    Attributes:
        cost_nano_usd, unpriced_calls: as they are stored. new_cost_nano_usd, new_unpriced_calls: by the new prices.
        changed_calls: how many of the stored costs are another then.
    """

    provider: str
    model: str
    calls: int = 0
    cost_nano_usd: int = 0
    unpriced_calls: int = 0
    new_cost_nano_usd: int = 0
    new_unpriced_calls: int = 0
    changed_calls: int = 0

    def add(self, before: int | None, after: int | None) -> None:
        """Add a call with what it costs (nano-USD); None: not known."""
        self.calls += 1
        self.cost_nano_usd += before or 0
        self.unpriced_calls += before is None
        self.new_cost_nano_usd += after or 0
        self.new_unpriced_calls += after is None
        self.changed_calls += before != after


class Forgotten(NamedTuple):
    """Calls to models whose rows are gone, so that no new price reaches them; the sums keep what they cost."""

    calls: int = 0
    cost_nano_usd: int = 0


def compare(database: Database, job: Job, prices: PriceBook, progress: Progress) -> list[ModelCost]:
    """Return what the calls of a job cost, and would cost by `prices`, model by model; reads every such trace.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    costs: dict[Model, ModelCost] = {}
    while True:
        with database.read() as connection:  # a short one each time: a long one would let the log grow
            found = [no for no, _ in find_traces(connection, job)]
            traces = list(_load(connection, found))
        if not found:
            return list(costs.values())
        for spans in traces:
            _compare(spans, job, prices, costs)
        progress(found[-1])
        job = job._replace(done_no=found[-1])


def forgotten(database: Database, since_ns: int) -> Forgotten:
    """Return the calls to models that ended in the hour of `since_ns` or later, and whose rows are gone.

    Only days that are sealed can hold such calls: there, what the sums have more than the rows is what is gone.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    first_hour = since_ns // HOUR_NS
    with database.read() as connection:
        query = "SELECT day FROM sealed_day WHERE day >= ?"
        days = [row[0] for row in connection.execute(query, [since_ns // DAY_NS])]
        if not days:
            return Forgotten()
        counted = _counted(connection, days, first_hour)
        kept = _kept(connection, days, first_hour * HOUR_NS // BUCKET_NS)
    return Forgotten(counted.calls - kept.calls, counted.cost_nano_usd - kept.cost_nano_usd)


def _load(connection: sqlite3.Connection, traces: Iterable[int]) -> Iterator[list[Span]]:
    shapes: Numbers[Shape] = Numbers("shape", Shape)
    for no in traces:
        yield load_spans(connection, no, shapes)


def _compare(spans: list[Span], job: Job, prices: PriceBook, costs: dict[Model, ModelCost]) -> None:
    """Add the calls of a trace to `costs`; they are those that `facts` counts the usage of."""
    inner = read_trace(spans).below.usage
    for span in spans:
        model = (span.shape.provider, span.shape.model)
        if span.shape.kind not in MODEL_KINDS or not has_usage(span) or span.span_id in inner:
            continue
        if model in job.models and span.start_ns >= job.since_ns:
            cost = costs.setdefault(model, ModelCost(*model))
            cost.add(span.cost_nano_usd, job.priced(span, prices).cost_nano_usd)


def _counted(connection: sqlite3.Connection, days: Sequence[int], first_hour: int) -> Forgotten:
    """Return what the hours of some days hold of calls to models."""
    row = connection.execute(
        "SELECT coalesce(sum(calls), 0), coalesce(sum(cost_nano_usd), 0) FROM rollup_1h "  # noqa: S608 - our own numbers
        "JOIN series ON series.id = series_id WHERE kind IN ('llm', 'embedding') "
        f"AND bucket >= ? AND bucket / 24 IN ({_list(days)})",
        [first_hour],
    ).fetchone()
    return Forgotten(*row)


def _kept(connection: sqlite3.Connection, days: Sequence[int], first_bucket: int) -> Forgotten:
    """Return what the rows of the same hours make."""
    condition = f"bucket >= ? AND bucket / {BUCKETS_A_DAY} IN ({_list(days)})"
    query = f"SELECT DISTINCT trace_no FROM span WHERE {condition}"  # noqa: S608 - our own numbers
    calls = cost_nano_usd = 0
    traces = [row[0] for row in connection.execute(query, [first_bucket])]
    for spans in _load(connection, traces):
        for (bucket, series), sums in facts(spans).sums.items():
            if series.kind in MODEL_KINDS and bucket >= first_bucket and bucket // BUCKETS_A_DAY in days:
                calls += sums[CALLS]
                cost_nano_usd += sums[COST]
    return Forgotten(calls, cost_nano_usd)


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
