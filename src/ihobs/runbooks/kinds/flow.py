"""Steps that only compute or wait, and those that the engine does itself: set, check, fail, wait, end, call."""

from __future__ import annotations

from ihobs.clock import SECOND_NS
from ihobs.quantities import seconds
from ihobs.runbooks.kinds.forms import DURATION, TEXT, outputs, parameters, said
from ihobs.steps import Context, StepFailedError, StepKind, Values


def _set(context: Context, given: Values) -> Values:  # noqa: ARG001 - the contract of steps
    return given


def _check(context: Context, given: Values) -> Values:
    if context.evaluate(given["that"], {}) is not True:
        raise StepFailedError(given.get("text") or f"does not hold: {given['that']}", kind="check")
    return {}


def _fail(context: Context, given: Values) -> Values:  # noqa: ARG001 - the contract of steps
    raise StepFailedError(given["text"], kind="fail")


def _wait(context: Context, given: Values) -> Values:
    context.sleep(seconds(given["for"]))
    return {}


def _waited(context: Context, given: Values) -> Values:  # noqa: ARG001 - the contract of steps
    return {}


CONDITION = said(TEXT, "An expression without braces that yields true or false.", examples=["rate.value < 0.05"])

SET = StepKind(
    name="set",
    summary="give names to values, which later expressions find under this step's id",
    effect="read",
    idempotent=True,
    parameters={"type": "object", "minProperties": 1, "examples": [{"verdict": "recovered"}]},
    outputs={"type": "object"},
    run=_set,
    open_outputs=True,
    is_pure=True,
)
CHECK = StepKind(
    name="check",
    summary="fail unless a condition holds",
    effect="read",
    idempotent=True,
    parameters=parameters(("that",), that=CONDITION, text=said(TEXT, "Why it matters, when it does not hold.")),
    outputs=outputs(),
    run=_check,
    shorthand="that",
    expressions=frozenset({"that"}),
    is_pure=True,
)
FAIL = StepKind(
    name="fail",
    summary="fail, with a text",
    effect="read",
    idempotent=True,
    parameters=parameters(("text",), text=said(TEXT, "Why.")),
    outputs=outputs(),
    run=_fail,
    shorthand="text",
    is_pure=True,
)
WAIT = StepKind(
    name="wait",
    summary="wait for a while",
    effect="read",
    idempotent=True,
    parameters=parameters(("for",), **{"for": said(DURATION, "How long; the step's timeout must be longer.")}),
    outputs=outputs(),
    run=_wait,
    fake=_waited,
    shorthand="for",
)
END = StepKind(
    name="end",
    summary="end the run in a state that `end_states:` names",
    effect="read",
    idempotent=True,
    parameters=parameters(("state",), state=said(TEXT, "A name of `end_states:`.")),
    outputs=outputs(state={"type": "string", "description": "The same.", "examples": ["done"]}),
    run=_set,
    shorthand="state",
    is_pure=True,
)
CALL = StepKind(
    name="call",
    summary="run another runbook as a part of this one; its outputs are this step's",
    effect="read",
    idempotent=True,
    parameters=parameters(
        ("runbook",),
        runbook=said(TEXT, "Its id."),
        inputs={"type": "object", "description": "Its inputs by name."},
    ),
    outputs={"type": "object"},
    shorthand="runbook",
    open_outputs=True,
    is_pure=True,
)

KINDS = (SET, CHECK, FAIL, WAIT, END, CALL)


def remaining_s(context: Context) -> float:
    """Return how much time a step has left, in seconds; never negative."""
    return max(0.0, (context.deadline_ns - context.clock()) / SECOND_NS)
