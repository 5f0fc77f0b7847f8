"""Prices that have changed reach the calls that are stored already, in many short transactions.

What is left to do stands in the database, so that whoever looks next goes on where another process was
interrupted. After every commit the sums are those of the stored costs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ihobs.spans.tree import MODEL_KINDS, has_usage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    from ihobs.spans.span import Span
    from ihobs.store.change import Change
    from ihobs.store.pricing import Model, PriceBook

MAX_SPANS = 2_000
"""Spans of the traces that one transaction prices anew: about 0.1 s, so that writers get their turn."""

_MAX_TRACES = 500
_META = "repricing"
"""Under this key the jobs stand in `meta`, as JSON."""


class Job(NamedTuple):
    """Stored calls that are to cost what the price table says.

    Attributes:
        number: of the job. since_ns: calls that began at this time or later.
        models: to these models.
        priced_before: the models whose calls hold costs of an earlier price: with no price now, they have no cost.
        done_no: what is done: the traces up to this number.
    """

    number: int
    since_ns: int
    models: frozenset[Model]
    priced_before: frozenset[Model]
    done_no: int = 0

    def priced(self, span: Span, prices: PriceBook) -> Span:
        """Return `span` as it is when the job is done."""
        model = (span.shape.provider, span.shape.model)
        if model not in self.models or span.start_ns < self.since_ns:
            return span
        if span.shape.kind not in MODEL_KINDS or not has_usage(span):
            return span
        cost = prices.cost_nano_usd(span)
        if cost is None and model not in self.priced_before:
            return span  # what it costs, it said itself
        return span._replace(cost_nano_usd=cost)


class Step(NamedTuple):
    """The next traces of a job; none: the job is done."""

    job: Job
    traces: list[int]


class Repriced(NamedTuple):
    """What a step did: how many calls cost something else now, and up to which trace its job is done."""

    calls: int
    done_no: int


def begin(connection: sqlite3.Connection, models: Collection[Model], priced_before: set[Model], since_ns: int) -> None:
    """Note a job in the running transaction, which has changed the prices of `models`."""
    jobs = _read(connection)
    number = max((job.number for job in jobs), default=0) + 1
    _write(connection, [*jobs, Job(number, since_ns, frozenset(models), frozenset(priced_before))])


def next_step(connection: sqlite3.Connection) -> Step | None:
    """Return what is to be done next. The search holds no write lock, however long it takes."""
    jobs = _read(connection)
    if not jobs:
        return None
    job, spans = jobs[0], 0
    traces: list[int] = []
    for no, length in find_traces(connection, job):
        if traces and spans + length > MAX_SPANS:
            break
        traces.append(no)
        spans += length
    return Step(job, traces)


def take(change: Change, step: Step) -> Repriced:
    """Do a step, and note how far the job is. Two processes may take the same step; the second changes nothing."""
    calls = sum(_reprice(change, step.job, no) for no in step.traces)
    done_no = step.traces[-1] if step.traces else step.job.done_no
    jobs = [job for job in _read(change.connection) if step.traces or job.number != step.job.number]
    moved = [job._replace(done_no=max(job.done_no, done_no)) if job.number == step.job.number else job for job in jobs]
    _write(change.connection, moved)
    return Repriced(calls, done_no)


def find_traces(connection: sqlite3.Connection, job: Job) -> list[tuple[int, int]]:
    """Return (number, spans) of the next traces that hold calls of a job; none: there are no more."""
    return connection.execute(
        "SELECT no, spans FROM trace WHERE no > ? AND EXISTS (SELECT 1 FROM span WHERE trace_no = no "  # noqa: S608 - our own numbers
        f"AND span.start_ns >= ? AND shape_id IN ({_shapes(connection, job.models)})) ORDER BY no LIMIT ?",
        [job.done_no, job.since_ns, _MAX_TRACES],
    ).fetchall()


def _shapes(connection: sqlite3.Connection, models: Collection[Model]) -> str:
    """Return the numbers of the shapes of calls to `models`, as an SQL list."""
    rows = connection.execute("SELECT id, provider, model FROM shape WHERE kind IN ('llm', 'embedding')")
    return ", ".join(str(row[0]) for row in rows if row[1:] in models)


def _reprice(change: Change, job: Job, no: int) -> int:
    """Price the calls of one trace anew; return how many cost something else now."""
    row = change.connection.execute("SELECT trace_id, received_ns FROM trace WHERE no = ?", [no]).fetchone()
    if row is None:  # forgotten meanwhile
        return 0
    before = change.load(no)
    after = [job.priced(span, change.prices) for span in before]
    new = [span for span, was in zip(after, before, strict=True) if span.cost_nano_usd != was.cost_nano_usd]
    if new:
        change.connection.executemany(
            "UPDATE span SET cost_nano_usd = ? WHERE trace_no = ? AND span_id = ?",
            [(span.cost_nano_usd, no, span.span_id) for span in new],
        )
        change.replace((no, row[0]), before, after, row[1])
    return len(new)


def _read(connection: sqlite3.Connection) -> list[Job]:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", [_META]).fetchone()
    return [_job(*entry) for entry in json.loads(row[0])] if row else []


def _job(number: int, since_ns: int, models: list[list[str]], priced_before: list[list[str]], done_no: int) -> Job:
    return Job(number, since_ns, _models(models), _models(priced_before), done_no)


def _models(entries: list[list[str]]) -> frozenset[Model]:
    return frozenset((provider, model) for provider, model in entries)


def _write(connection: sqlite3.Connection, jobs: Iterable[Job]) -> None:
    entries = [[*job[:2], sorted(job.models), sorted(job.priced_before), job.done_no] for job in jobs]
    if entries:
        connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            [_META, json.dumps(entries)],
        )
    else:
        connection.execute("DELETE FROM meta WHERE key = ?", [_META])
