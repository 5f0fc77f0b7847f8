"""Steps for people: tell them, ask them, have them approve or do something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ihobs.model import Event, Level
from ihobs.redact.text import scrubbed
from ihobs.runbooks.kinds.forms import DURATION, LABELS, TEXT, outputs, parameters, said
from ihobs.steps import Context, StepKind, Values
from ihobs.store.state.alerts import insert_event

if TYPE_CHECKING:
    import sqlite3

MAX_TEXT_CHARS = 2_000

_EXPIRES = said(DURATION, "When nobody has answered by then, the step fails with the kind 'expired'.")
_FROM = said({"type": "array", "items": TEXT}, "Who should answer, for people; whoever can reach the home may.")
_WHO = {"type": "string", "description": "Who answered.", "examples": ["alice"]}


def _notify(context: Context, given: Values, connection: sqlite3.Connection) -> Values:
    """Store what is to be told, in the transaction that records the step; the duties process delivers it."""
    level: Level = "critical" if given.get("level") == "critical" else "warning"
    line = scrubbed(" ".join(given["text"].split()))[:MAX_TEXT_CHARS]
    labels: dict[str, Any] = {f"label.{name}": scrubbed(value) for name, value in given.get("labels", {}).items()}
    fields = {"rule": "runbook", "label.run": context.run_id, **labels}
    event = Event("alert.message", context.clock(), "runbook", level, "ok", line, fields)
    return {"event": insert_event(connection, event)}


NOTIFY = StepKind(
    name="notify",
    summary="tell people, by the routes and channels of the configuration",
    effect="notify",
    idempotent=False,
    parameters=parameters(
        ("text",),
        text=said(TEXT, "One line for people."),
        level={"enum": ["warning", "critical"], "default": "warning", "description": "Decides which channels hear it."},
        labels=said(LABELS, "Further labels that `routes:` can look at."),
    ),
    outputs=outputs(event={"type": "integer", "description": "Its number in the history.", "examples": [7]}),
    store=_notify,
    shorthand="text",
)
ASK = StepKind(
    name="ask",
    summary="ask a person something, and wait for an answer that fits a schema",
    effect="manual",
    idempotent=True,
    parameters=parameters(
        ("text",),
        text=said(TEXT, "The question."),
        schema={
            "type": "object",
            "description": "JSON Schema of the answer; text when it is missing.",
            "examples": [{"type": "integer", "minimum": 1}, {"enum": ["wait", "fail over"]}],
        },
        expires=_EXPIRES,
        **{"from": _FROM},
    ),
    outputs=outputs(
        answer={"description": "What was answered.", "examples": ["yes"]},
        by=_WHO,
    ),
    shorthand="text",
)
APPROVE = StepKind(
    name="approve",
    summary="go on only when a person says so; a no fails with the kind 'rejected'",
    effect="manual",
    idempotent=True,
    parameters=parameters(("text",), text=said(TEXT, "What is about to happen."), expires=_EXPIRES, **{"from": _FROM}),
    outputs=outputs(by=_WHO),
    shorthand="text",
)
MANUAL = StepKind(
    name="manual",
    summary="have a person do something, and wait until it is said to be done",
    effect="manual",
    idempotent=True,
    parameters=parameters(("text",), text=said(TEXT, "What to do."), expires=_EXPIRES, **{"from": _FROM}),
    outputs=outputs(by=_WHO),
    shorthand="text",
)

KINDS = (NOTIFY, ASK, APPROVE, MANUAL)
QUESTIONS = frozenset({"ask", "approve", "manual"})
"""Kinds that wait for a person."""
