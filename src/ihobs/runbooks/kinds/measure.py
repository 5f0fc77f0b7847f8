"""Steps that look at the numbers: query, health, and wait_until something holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ihobs.alerts.evaluator import timezone_of
from ihobs.alerts.measurements import Measurements
from ihobs.alerts.metrics import METRICS
from ihobs.clock import MINUTE_NS, SECOND_NS
from ihobs.model import DIMENSIONS, Rule
from ihobs.quantities import seconds
from ihobs.runbooks.kinds.forms import DURATION, NUMBER_OR_NOTHING, TEXT, outputs, parameters, said
from ihobs.steps import Context, StepFailedError, StepKind, Values
from ihobs.store import query as metrics_query
from ihobs.store.state import alerts

if TYPE_CHECKING:
    from ihobs.runbooks.kinds.surroundings import Surroundings

MAX_GROUPS = 100
DEFAULT_WINDOW = "5m"
HEALTH_WINDOW_NS = 5 * MINUTE_NS


def query_kind(around: Surroundings) -> StepKind:
    """Return the kind of step that reads a metric, as a rule would."""

    def run(context: Context, given: Values) -> Values:
        rule = _rule(given)
        samples = METRICS[rule.metric].samples(_measurements(around, context), rule)
        known = sorted((one for one in samples if one.value is not None), key=lambda one: one.value or 0.0)
        worst = known[-1] if known else None
        groups = [{"by": _known(one.by), "value": one.value} for one in reversed(known[-MAX_GROUPS:])]
        return {
            "value": worst.value if worst else METRICS[rule.metric].absent,
            "by": _known(worst.by) if worst else {},
            "groups": groups,
            "note": next((one.note for one in samples if one.note), ""),
        }

    return StepKind(
        name="query",
        summary="read a metric; `value` is the highest of its groups, nothing when there are no data",
        effect="read",
        idempotent=True,
        parameters=parameters(
            ("metric",),
            metric={"enum": list(METRICS), "description": "What to read; see docs/metrics.md."},
            window=said(DURATION, "How far back to look.", default=DEFAULT_WINDOW),
            by={"type": "array", "items": {"enum": list(DIMENSIONS)}, "description": "Split it by these."},
            where={
                "type": "object",
                "propertyNames": {"enum": list(DIMENSIONS)},
                "additionalProperties": {"type": "string"},
                "description": "Only what fits.",
            },
            stat={"enum": ["mean", "p50", "p95", "p99", "max"], "description": "Of a duration."},
            of={"enum": ["run", "node", "llm", "tool"], "description": "Of what."},
            min_count={"type": "integer", "minimum": 1, "description": "Fewer than this is no data."},
        ),
        outputs=outputs(
            value=said(NUMBER_OR_NOTHING, "The highest value.", examples=[0.31]),
            by={"type": "object", "description": "The group that has it.", "examples": [{"model": "gpt-x"}]},
            groups={"type": "array", "description": "Each group, highest first.", "examples": [[]]},
            note={"type": "string", "description": "What people should know beside it.", "examples": [""]},
        ),
        run=run,
        shorthand="metric",
    )


def health_kind(around: Surroundings) -> StepKind:
    """Return the kind of step that looks at everything at once."""

    def run(context: Context, given: Values) -> Values:  # noqa: ARG001 - the contract of steps
        now_ns = context.clock()
        found = metrics_query.metrics(around.telemetry, start_ns=now_ns - HEALTH_WINDOW_NS, end_ns=now_ns)
        sums = found.groups[0].counters if found.groups else None
        rows = alerts.load(around.state).values()
        return {
            "success_rate": 1 - sums.failed_runs / sums.runs if sums and sums.runs else None,
            "runs": sums.runs if sums else 0,
            "failed_runs": sums.failed_runs if sums else 0,
            "active_workflows": metrics_query.active_workflows(around.telemetry, now_ns=now_ns),
            "firing": sorted(row.key for row in rows if row.state == "firing"),
        }

    return StepKind(
        name="health",
        summary="look at the last five minutes: success rate, runs, what is running and what fires",
        effect="read",
        idempotent=True,
        parameters=parameters(),
        outputs=outputs(
            success_rate=said(
                NUMBER_OR_NOTHING, "Runs that did not fail / runs; nothing without runs.", examples=[0.9]
            ),
            runs={"type": "integer", "description": "Runs that ended.", "examples": [120]},
            failed_runs={"type": "integer", "description": "Of these, failed.", "examples": [12]},
            active_workflows={"type": "integer", "description": "Running now.", "examples": [3]},
            firing={"type": "array", "description": "Alerts that fire.", "examples": [["error_rate"]]},
        ),
        run=run,
    )


def wait_until_kind(readers: Mapping[str, StepKind]) -> StepKind:
    """Return the kind of step that reads again and again until a condition holds."""

    def run(context: Context, given: Values) -> Values:
        [name] = [key for key in readers if key in given]
        reader, began_ns = readers[name], context.clock()
        every_s = seconds(given.get("every", DEFAULT_EVERY))
        count = 0
        while reader.run is not None:
            count += 1
            last = reader.run(context, given[name])
            if context.evaluate(given["until"], last) is True:
                return {"waited_s": (context.clock() - began_ns) / SECOND_NS, "reads": count, "last": dict(last)}
            context.sleep(every_s)
        raise StepFailedError(f"{name} cannot be read")

    return StepKind(
        name="wait_until",
        summary="read every while until a condition holds; the step's timeout ends the waiting",
        effect="read",
        idempotent=True,
        parameters={
            **parameters(
                ("until",),
                until=said(TEXT, "A condition on what was read.", examples=["value < 0.05"]),
                every=said(DURATION, "How long between two readings.", default=DEFAULT_EVERY),
                **{name: {**kind.parameters, "description": kind.summary} for name, kind in readers.items()},
            ),
            "oneOf": [{"required": [name]} for name in readers],
        },
        outputs=outputs(
            waited_s={"type": "number", "description": "How long it took.", "examples": [30.0]},
            reads={"type": "integer", "description": "How often it looked.", "examples": [2]},
            last={"type": "object", "description": "What was read last.", "examples": [{"value": 0.01}]},
        ),
        run=run,
        expressions=frozenset({"until"}),
        sees=frozenset(name for kind in readers.values() for name in kind.outputs["properties"]),
    )


DEFAULT_EVERY = "10s"


def _known(by: Mapping[str, str | None]) -> dict[str, str]:
    """Return the dimensions of a group that spans told; so `by.model | default("?")` is never nothing."""
    return {name: value for name, value in by.items() if value is not None}


def _rule(given: Values) -> Rule:
    """Return the rule that would watch what a step asks for."""
    options: dict[str, Any] = {key: given[key] for key in ("stat", "of", "where") if key in given}
    return Rule(
        "runbook",
        given["metric"],
        window_s=seconds(given.get("window", DEFAULT_WINDOW)),
        by=tuple(given.get("by", ())),
        min_count=given.get("min_count", 1),
        **options,
    )


def _measurements(around: Surroundings, context: Context) -> Measurements:
    settings = around.settings
    if settings is None:
        raise StepFailedError("there is no configuration")
    return Measurements(around.telemetry, context.clock(), settings.quotas, timezone_of(settings))
