"""The JSON Schema of a runbook: for the check when one is read, and, with the kinds of steps, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ihobs.runbooks.kinds.forms import DURATION, TEXT, said
from ihobs.runbooks.registry import COMMON_KEYS
from ihobs.steps import NAME

if TYPE_CHECKING:
    from ihobs.runbooks.registry import Kinds
    from ihobs.steps import StepKind

ID = "urn:ihobs:schema:runbook:1"
TEMPLATE = {"type": "string", "pattern": r"\{\{", "description": "Filled in when the step runs."}

_NAME = {"type": "string", "pattern": f"^{NAME.pattern}$", "title": "a name of small letters, digits and _"}
_CONDITION = said(TEXT, "An expression without braces that yields true or false.", examples=["rate.value > 0.15"])
_STEPS = {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1}
_FREE = {"type": "object", "description": "JSON Schema of one value."}


def document_schema(kinds: Kinds | None = None) -> dict[str, Any]:
    """Return the schema of a runbook; with `kinds`, the parameters of each kind of step are part of it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "ihobs runbook",
        "description": "What to do, in which order, what to check, and how to take it back. See docs/runbooks.md.",
        "type": "object",
        "required": ["id", "title", "steps"],
        "additionalProperties": False,
        "properties": _properties(),
        "$defs": {
            "step": _step(kinds),
            "retry": _RETRY,
            "kinds": {name: _parameters(kind) for name, kind in kinds.items()} if kinds else {},
        },
    }


def _properties() -> dict[str, Any]:
    return {
        "apiVersion": {"const": "ihobs/v1", "description": "The version of this language."},
        "kind": {"const": "Runbook", "description": "What this file is."},
        "id": {
            "type": "string",
            "pattern": "^[a-z][a-z0-9-]{0,59}$",
            "title": "a name of small letters, digits and -",
            "description": "Its name for `ihobs run`.",
            "examples": ["provider-errors"],
        },
        "title": said(TEXT, "One line for people."),
        "description": {"type": "string", "description": "When it is for, and what to know before."},
        "owner": said(TEXT, "Who looks after it."),
        "links": {"type": "object", "description": "For people: alerts, severities, documents."},
        "lock": said(TEXT, "Runs of runbooks with the same lock come one after another."),
        "timeout": said(DURATION, "For a whole run, counted anew when it is resumed.", default="1h"),
        "auto": {
            "enum": ["none", "diagnose", "full"],
            "default": "none",
            "description": "What a run that an alert started may do by itself: nothing, look and tell, all of it.",
        },
        "inputs": _by_name(_FREE, "What a run is given, each by JSON Schema; required without a default."),
        "secrets": {
            "type": "array",
            "items": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "title": "a name of a variable"},
            "description": "Environment variables that steps may use as {{ secret.NAME }}.",
        },
        "outputs": _by_name(TEXT, "What a run yields: expressions by name."),
        "end_states": _by_name(_END_STATE, "Named ways to end, reached by the step `end`."),
        "triggers": {"type": "array", "items": _TRIGGER, "description": "What starts it by itself."},
        "steps": said(_STEPS, "What to do, one after another."),
        "tests": {
            "type": "array",
            "items": _SCENARIO,
            "description": "What must come of it when the world answers so.",
        },
        "faults": {"enum": ["all", "none"], "default": "none", "description": "Whether fault cases are generated."},
        "coverage": {
            "type": "object",
            "properties": {
                "fail_under": {"type": "number", "minimum": 0, "maximum": 100, "description": "In percent."}
            },
            "additionalProperties": False,
            "description": "How much of it the tests must show.",
        },
    }


def _by_name(schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME.pattern}$", "title": "a name of small letters, digits and _"},
        "additionalProperties": dict(schema),
        "description": description,
    }


_END_STATE = {
    "type": "object",
    "properties": {
        "status": {"enum": ["succeeded", "failed"], "default": "succeeded", "description": "What it counts as."},
        "exit_code": {"type": "integer", "minimum": 0, "maximum": 125, "description": "Of `ihobs run`."},
        "summary": said(TEXT, "One line for people."),
    },
    "additionalProperties": False,
}
_TRIGGER = {
    "type": "object",
    "properties": {
        "on": {"enum": ["alert", "incident"], "description": "What begins."},
        "where": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Labels and what they must be.",
            "examples": [{"rule": "error_rate", "level": "critical"}],
        },
        "inputs": {"type": "object", "description": "Values or templates; they see `event`."},
    },
    "required": ["on"],
    "additionalProperties": False,
}
_RETRY = {
    "type": "object",
    "properties": {
        "max": {"type": "integer", "minimum": 1, "maximum": 100, "description": "Attempts, the first included."},
        "backoff": said(DURATION, "Longest wait before the second attempt; doubled each time.", default="1s"),
        "max_backoff": said(DURATION, "Longest wait of all.", default="60s"),
        "jitter": {"type": "boolean", "default": True, "description": "Wait for a random part of that."},
        "if": said(TEXT, "Retry only when it holds; it sees `error`.", examples=["error.status in [429, 503]"]),
    },
    "required": ["max"],
    "additionalProperties": False,
}
_SCENARIO = {
    "type": "object",
    "properties": {
        "name": said(TEXT, "What it shows."),
        "inputs": {"type": "object", "description": "Inputs of the run."},
        "fake": {
            "type": "object",
            "description": "What each step answers, by its id: outputs, a list of them, `approved`, `expired`, "
            "or {error: {...}}.",
        },
        "expect": {
            "type": "object",
            "properties": {
                "status": {
                    "enum": ["succeeded", "rescued", "failed", "timed_out", "cancelled", "waiting", "unknown"],
                    "description": "How the run is in the end.",
                },
                "end_state": said(TEXT, "The name of its end."),
                "path": {"type": "array", "items": TEXT, "description": "Steps that ran, in this order."},
                "ran": {"type": "array", "items": TEXT, "description": "Steps that ran."},
                "not_ran": {"type": "array", "items": TEXT, "description": "Steps that did not."},
                "undone": {"type": "array", "items": TEXT, "description": "Steps that were undone, in this order."},
                "calls": {"type": "object", "description": "How often steps were tried."},
                "notified": {"type": "array", "items": TEXT, "description": "Steps that told somebody."},
                "outputs": {"type": "object", "description": "What the run yields."},
            },
            "additionalProperties": False,
            "description": "What must come of it.",
        },
    },
    "required": ["name", "expect"],
    "additionalProperties": False,
}
_COMMON: dict[str, Any] = {
    "id": said(_NAME, "Unique in the file; expressions find the step's outputs under it."),
    "when": said(_CONDITION, "The step is skipped unless it holds."),
    "timeout": said(DURATION, "For each attempt.", default="60s"),
    "retry": {"description": "How often to try: {max, backoff, jitter, if}.", "$ref": "#/$defs/retry"},
    "continue_on_error": {"type": "boolean", "description": "A failure is recorded, and the run goes on."},
    "effect": {"enum": ["read", "notify", "change", "manual"], "description": "What it does, over the kind's own."},
    "idempotent": {"type": "boolean", "description": "Twice is as good as once, over the kind's own."},
    "undo": {
        "type": ["object", "boolean"],
        "title": "a step, or true",
        "description": "A step that takes it back, without id; true: as its kind does.",
    },
    "outputs": _by_name(_FREE, "JSON Schema of each output, with examples, where the kind cannot know them."),
    "note": {"type": "string", "description": "For people."},
}
_BLOCKS: dict[str, Any] = {
    "if": said(_CONDITION, "Then `then`, else the first `elif` that holds, else `else`."),
    "then": said(_STEPS, "When it holds."),
    "elif": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"if": _CONDITION, "then": _STEPS},
            "required": ["if", "then"],
            "additionalProperties": False,
        },
        "description": "Further conditions, with `if` and `then` each.",
    },
    "else": said(_STEPS, "When none holds."),
    "switch": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": {"when": _CONDITION, "do": _STEPS, "default": _STEPS},
            "oneOf": [{"required": ["when", "do"]}, {"required": ["default"]}],
            "additionalProperties": False,
        },
        "description": "The first case whose `when` holds, else `default`.",
    },
    "for_each": {
        "type": ["string", "array"],
        "title": "a list, or an expression that yields one",
        "description": "`do` for each item; the step's outputs are `count` and `results`.",
    },
    "as": said(_NAME, "What the item is called in `do`.", default="item"),
    "do": said(_STEPS, "The steps of a loop."),
    "concurrency": {"type": "integer", "minimum": 1, "maximum": 32, "description": "Items at a time.", "default": 1},
    "limit": {"type": "integer", "minimum": 1, "maximum": 10000, "description": "Most items.", "default": 100},
    "parallel": {
        **_by_name(_STEPS, "Branches by name, at the same time; one that fails does not stop the others."),
        "minProperties": 1,
    },
    "try": said(_STEPS, "When one fails, the finished changes are undone, last first."),
    "rescue": said(_STEPS, "Then, when one failed; it sees `error`."),
    "always": said(_STEPS, "In any case."),
}


def _step(kinds: Kinds | None) -> dict[str, Any]:
    own = {name: {"$ref": f"#/$defs/kinds/{name}"} for name in kinds or ()}
    return {
        "type": "object",
        "description": "A step: an id, one kind of step or block, and what holds for it.",
        "required": ["id"],
        "properties": {**{key: _COMMON[key] for key in COMMON_KEYS}, **_BLOCKS, **own},
    }


def _parameters(kind: StepKind) -> dict[str, Any]:
    """Return what may stand under a kind's name in an editor: its parameters, templates, or the short form."""
    full = _or_template(kind.parameters)
    full["description"] = kind.summary
    if not kind.shorthand:
        return full
    short = kind.parameters["properties"][kind.shorthand]
    return {"description": kind.summary, "anyOf": [full, _or_template(short)]}


def _or_template(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` with a template allowed wherever text is not."""
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {name: _value_or_template(one) for name, one in made["properties"].items()}
    return made


def _value_or_template(schema: Mapping[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "string" and "pattern" not in schema and "enum" not in schema:
        return dict(schema)
    if not schema.keys() & {"type", "enum", "pattern"}:
        return dict(schema)
    about = {key: schema[key] for key in ("description", "default", "examples") if key in schema}
    return {**about, "anyOf": [_or_template(schema), TEMPLATE]}
