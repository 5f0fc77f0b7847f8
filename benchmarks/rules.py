"""How long a pass over many rules takes, and that it does not depend on how many spans are stored."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.table import Table, best_s
from ihobs import config
from ihobs.alerts.evaluator import Evaluator
from ihobs.alerts.rules import RuleSet
from ihobs.clock import DAY_NS, SECOND_NS
from ihobs.model import Rule
from ihobs.store.home import Home
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore

RULES, GROUPS = 1000, 100
SPANS = (20_000, 200_000)
NOW_NS = 20_400 * DAY_NS + 43_217 * SECOND_NS
NOTE = f"""\
Milliseconds of processor time for one pass over {RULES:,} rules, each split into {GROUPS} workflows, with what changed
committed: the best of 5. *Calm*: the numbers are as in the pass before. *Stormy*: every alert changes its level in
every pass. Rules differ in metric, window and threshold; rules with the same window share its query. Goal: 1 000 ms,
whatever number of spans is stored."""


def run() -> Table:
    return Table("A pass over the rules, ms", NOTE, ("spans", "calm", "stormy"), [_row(spans) for spans in SPANS])


def _row(spans: int) -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        home = Home.open(Path(name, "home"), create=True)
        with TelemetryStore(home, clock=lambda: NOW_NS) as store:
            for request in _requests(spans):
                store.ingest(request)
            settings = config.load(environ={}, overrides={"home": str(home.path)}).settings
            evaluator = Evaluator(store.database, open_state(home), settings, clock=lambda: NOW_NS)
            calm = _rules(above=0.0)
            assert len(evaluator.run(calm).alerts) == RULES * GROUPS
            calm_s = best_s(lambda: evaluator.run(calm))
            storm = iter([_rules(above=above) for above in (0.0, 1e12) * 3])
            next(storm)
            stormy_s = best_s(lambda: evaluator.run(next(storm)))
        return [f"{spans:,}", f"{calm_s * 1000:,.0f}", f"{stormy_s * 1000:,.0f}"]


def _rules(*, above: float) -> RuleSet:
    """Return rules that fire for all groups when `above` is 0, and for none when it is large."""
    metrics = ("response_time", "throughput", "cost_per_hour", "total_tokens_per_hour")
    rules = (
        Rule(
            f"rule-{number}",
            metrics[number % len(metrics)],
            warning=above + number / 1e9,
            window_s=60.0 * (1 + number % 10),
            by=("workflow",),
            min_count=1,
            source="benchmark",
        )
        for number in range(RULES)
    )
    return RuleSet(tuple(rules), sources=frozenset({"benchmark"}))


def _requests(spans: int) -> Iterator[ExportTraceServiceRequest]:
    """Yield runs of GROUPS workflows that ended within the last ten minutes."""
    for first in range(0, spans, 2000):
        request = ExportTraceServiceRequest()
        target = request.resource_spans.add().scope_spans.add()
        for number in range(first, min(spans, first + 2000)):
            end_ns = NOW_NS - 1 - number * 50 * SECOND_NS // spans
            span = target.spans.add(
                trace_id=(number + 1).to_bytes(16),
                span_id=(number + 1).to_bytes(8),
                name="run",
                start_time_unix_nano=end_ns - SECOND_NS,
                end_time_unix_nano=end_ns,
            )
            _set(span, {"ihobs.kind": "workflow", "ihobs.workflow": f"workflow-{number % GROUPS}"})
        yield request


def _set(span: object, attributes: dict[str, str]) -> None:
    for key, value in attributes.items():
        span.attributes.add(key=key).value.string_value = value
