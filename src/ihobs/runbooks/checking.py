"""What a schema cannot say about a runbook: names, types, what is never reached, and what must not stand there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jsonschema import Draft202012Validator, SchemaError

from ihobs.redact.text import secrets_in
from ihobs.runbooks.building import NEVER
from ihobs.runbooks.expressions import Expression, ExpressionError, is_template, parse_template
from ihobs.runbooks.inference import Judge, type_of
from ihobs.runbooks.kinds.people import QUESTIONS
from ihobs.runbooks.model import (
    DEFAULT_TIMEOUT_S,
    Action,
    Attempt,
    Choice,
    Loop,
    Node,
    Parallel,
    Runbook,
    actions,
    walk,
)
from ihobs.schemas import findings_in

if TYPE_CHECKING:
    from ihobs.documents import At
    from ihobs.runbooks.building import Builder
    from ihobs.steps import JsonSchema, StepKind

Outputs = Callable[[str], "JsonSchema | None"]
"""Returns the schema of the outputs of another runbook; None when it is not known."""

ERROR: JsonSchema = {
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "kind": {"type": "string"},
        "step": {"type": "string"},
        "status": {"type": ["integer", "null"]},
        "details": {"type": "object"},
    },
    "additionalProperties": False,
}
"""What `error` is in rescue, always and retry."""
RUN: JsonSchema = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "runbook", "by", "started_at", "reason", "status")}
    | {"dry_run": {"type": "boolean"}},
    "additionalProperties": False,
}
STEP: JsonSchema = {
    "type": "object",
    "properties": {"status": {"type": "string"}, "attempts": {"type": "integer"}, "error": ERROR},
    "additionalProperties": False,
}
"""What `steps.<id>` is: how a step went."""
LOOP: JsonSchema = {
    "type": "object",
    "properties": {"count": {"type": "integer"}, "results": {"type": "array"}},
    "additionalProperties": False,
}
NAMES_OF_OURS = frozenset({"inputs", "run", "steps", "secret", "error", "event", "env"})
WORDS = frozenset({"true", "false", "none", "and", "or", "not", "in", "is", "if", "else"})
RUNBOOK_ID = re.compile(r"[a-z][a-z0-9-]{0,59}")
SECRET_KEY = re.compile(r"auth|cookie|password|passwd|secret|token|api[-_]?key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions see at a point of the runbook: values by name, and the steps that came before."""

    names: Mapping[str, JsonSchema]
    steps: Mapping[str, JsonSchema] = field(default_factory=dict)

    def all(self) -> dict[str, JsonSchema]:
        """Return every name."""
        known = {"type": "object", "properties": dict(self.steps), "additionalProperties": False}
        return {**self.names, "steps": known}

    def adding(self, **names: JsonSchema) -> Scope:
        """Return the scope with more names."""
        return replace(self, names={**self.names, **names})

    def after(self, name: str, outputs: JsonSchema | None) -> Scope:
        """Return the scope after a step."""
        steps = {**self.steps, name: STEP}
        return Scope(self.names if outputs is None else {**self.names, name: outputs}, steps)

    def joined(self, others: Sequence[Scope]) -> Scope:
        """Return the scope after one of several ways."""
        names, steps = dict(self.names), dict(self.steps)
        for other in others:
            names |= other.names
            steps |= other.steps
        return Scope(names, steps)


@dataclass
class Checker:
    """Checks one runbook; what is wrong is told to the builder."""

    runbook: Runbook
    builder: Builder
    called: Outputs = lambda _: None

    def check(self) -> None:
        """Check everything."""
        self._ids()
        for name, given in self.runbook.inputs.items():
            self._schema(given.schema, ("inputs", name))
            if "default" in given.schema:
                self.builder.findings += findings_in(
                    self.builder.document, given.schema, given.schema["default"], ("inputs", name, "default")
                )
        inputs = {name: one.schema for name, one in self.runbook.inputs.items()}
        of_inputs = {"type": "object", "properties": inputs, "additionalProperties": False}
        scope = self._steps(self.runbook.steps, Scope({"inputs": of_inputs, "run": RUN}))
        for name, expression in self.runbook.outputs.items():
            self._judge(scope, ("outputs", name)).check(expression)
        self._scenarios()

    def _ids(self) -> None:
        seen: dict[str, At] = {}
        for node in walk(self.runbook.steps):
            if node.id in seen:
                first = self.builder.document.place((*seen[node.id], "id"))
                where = f" in line {first.line}" if first else ""
                self.builder.say((*node.at, "id"), f"the id {node.id!r} stands already{where}")
            elif node.id in NAMES_OF_OURS | WORDS:
                self.builder.say(
                    (*node.at, "id"), f"{node.id!r} cannot be an id: expressions mean something else by it"
                )
            seen.setdefault(node.id, node.at)

    def _steps(self, steps: Sequence[Node], scope: Scope) -> Scope:
        for index, node in enumerate(steps):
            scope = self._node(node, scope)
            is_end = isinstance(node, Action) and node.kind in {"fail", "end"}
            if (
                is_end
                and node.when is None
                and not getattr(node, "continue_on_error", False)
                and index + 1 < len(steps)
            ):
                self.builder.say(steps[index + 1].at, f"is never reached: {node.id!r} ends it before")
        return scope

    def _node(self, node: Node, scope: Scope) -> Scope:
        if node.when is not None:
            self._condition(node.when, scope, (*node.at, "when"))
        match node:
            case Action():
                return self._action(node, scope)
            case Choice():
                return self._choice(node, scope).after(node.id, None)
            case Loop():
                return self._loop(node, scope)
            case Parallel():
                ends = [self._steps(steps, scope) for steps in node.branches.values()]
                return scope.joined(ends).after(node.id, None)
            case Attempt():
                return self._attempt(node, scope).after(node.id, None)

    def _choice(self, node: Choice, scope: Scope) -> Scope:
        ends = []
        for index, branch in enumerate(node.branches):
            if branch.when is not None:
                at: At = (*node.at, "if") if node.word == "if" else (*node.at, "switch", index, "when")
                self._condition(branch.when, scope, at)
            ends.append(self._steps(branch.steps, scope))
        return scope.joined(ends)

    def _loop(self, node: Loop, scope: Scope) -> Scope:
        at: At = (*node.at, "for_each")
        self._judge(scope, at).check_type(node.items, "array")
        if node.name in NAMES_OF_OURS | WORDS | {one.id for one in walk(self.runbook.steps)}:
            self.builder.say((*node.at, "as"), f"{node.name!r} means something else already")
        inner = scope.adding(**{node.name: {}, f"{node.name}_index": {"type": "integer"}})
        self._steps(node.steps, inner)
        return scope.after(node.id, LOOP)

    def _attempt(self, node: Attempt, scope: Scope) -> Scope:
        tried = self._steps(node.steps, scope)
        rescued = self._steps(node.rescue, tried.adding(error=ERROR))
        ended = self._steps(node.always, rescued.adding(error=ERROR))
        names = {name: one for name, one in ended.names.items() if name != "error" or "error" in scope.names}
        return Scope(names, ended.steps)

    def _action(self, node: Action, scope: Scope) -> Scope:
        kind = self.builder.kinds[node.kind]
        self._parameters(node, kind, scope)
        if node.retry.condition is not None:
            self._condition(node.retry.condition, scope.adding(error=ERROR), (*node.at, "retry", "if"))
        if node.outputs is not None:
            self._schema(node.outputs, (*node.at, "outputs"))
            for name, schema in node.outputs["properties"].items():
                if not schema.get("examples"):
                    self.builder.say(
                        (*node.at, "outputs", name), f"output {name!r} has no 'examples'", "dry runs show it"
                    )
        after = scope.after(node.id, self._outputs(node, kind, scope))
        self._undo(node, kind, after)
        return after

    def _undo(self, node: Action, kind: StepKind, scope: Scope) -> None:
        if node.undo is None:
            return
        at: At = (*node.at, "undo")
        effect, _ = effect_of(node, kind)
        if effect in {"read", "manual"}:
            self.builder.say(at, f"step {node.id!r} changes nothing, so there is nothing to undo")
        elif node.undo is True:
            if kind.undo is None:
                self.builder.say(at, f"{node.kind} does not know how to undo itself", "write a step")
        else:
            self._action(node.undo, scope)

    def _parameters(self, node: Action, kind: StepKind, scope: Scope) -> None:
        at: At = (*node.at, node.kind)
        self.builder.findings += findings_in(
            self.builder.document, kind.parameters, node.parameters, at, leave=is_template
        )
        if not isinstance(node.parameters, Mapping):
            return
        for name, value in node.parameters.items():
            place = (*at, name) if (*at, name) in self.builder.document.values else at
            if name in kind.expressions and isinstance(value, str):
                names = scope.adding(**{seen: {} for seen in kind.sees})
                self._condition(self.builder.expression(value, place), names, place)
            else:
                self._values(value, scope, place, may_be_secret=name in kind.secrets)
        self._special(node, at)

    def _special(self, node: Action, at: At) -> None:
        """Check what only some kinds of steps have."""
        given = node.parameters
        if node.kind in {"call", *QUESTIONS} and (node.retry.attempts > 1 or node.timeout_s != DEFAULT_TIMEOUT_S):
            hint = "give 'expires'" if node.kind in QUESTIONS else "they are of the steps of the runbook that is called"
            self.builder.say(node.at, f"{node.kind} has neither timeout nor retry", hint)
        if node.kind == "end" and not is_template(given.get("state")):
            if given.get("state") not in self.runbook.end_states:
                known = ", ".join(self.runbook.end_states)
                hint = f"there are {known}" if known else "write it under end_states"
                self.builder.say(at, f"there is no end state {given.get('state')!r}", hint)
        elif node.kind == "call" and is_template(given.get("runbook")):
            self.builder.say(at, "the runbook that is called must be known beforehand", "use switch")
        elif node.kind == "call" and not RUNBOOK_ID.fullmatch(str(given.get("runbook"))):
            self.builder.say(
                at, f"{given.get('runbook')!r} is no id of a runbook", "runbooks are called by id, not by file"
            )
        elif node.kind == "ask" and isinstance(given.get("schema"), Mapping):
            self._schema(given["schema"], (*at, "schema"))

    def _values(self, value: Any, scope: Scope, at: At, *, may_be_secret: bool, key: str = "") -> None:
        """Check the templates in a value, and that no secret stands there in plain text."""
        if isinstance(value, Mapping):
            for name, one in value.items():
                self._values(one, scope, (*at, name), may_be_secret=may_be_secret, key=str(name))
        elif isinstance(value, list):
            for index, one in enumerate(value):
                self._values(one, scope, (*at, index), may_be_secret=may_be_secret, key=key)
        elif isinstance(value, str):
            self._plain(value, at, key)
            self._template(value, scope, at, may_be_secret=may_be_secret)

    def _plain(self, value: str, at: At, key: str) -> None:
        kinds = secrets_in(value)
        if kinds or (SECRET_KEY.search(key) and value and not is_template(value)):
            what = kinds[0] if kinds else f"the value of {key!r}"
            self.builder.say(at, f"a secret stands here in plain text ({what})", "use {{ secret.NAME }} and `secrets:`")

    def _template(self, value: str, scope: Scope, at: At, *, may_be_secret: bool) -> None:
        try:
            template = parse_template(value) if "{" in value else None
        except ExpressionError as error:
            self.builder.say(at, error.reason, error.hint)
            return
        names = {name: {"type": "string"} for name in self.runbook.secrets}
        secret: JsonSchema = {"type": "object", "properties": names, "additionalProperties": False}
        for expression in template.expressions if template else ():
            if not may_be_secret and any(path[0] == "secret" for path in expression.paths):
                self.builder.say(at, "no secret may be used here", "it would be shown and stored")
            else:
                self._judge(scope.adding(secret=secret) if may_be_secret else scope, at).check(expression)

    def _outputs(self, node: Action, kind: StepKind, scope: Scope) -> JsonSchema:
        if node.kind == "set" and isinstance(node.parameters, Mapping):
            properties = {name: self._type_of(value, scope) for name, value in node.parameters.items()}
            return {"type": "object", "properties": properties, "additionalProperties": False}
        if node.kind == "call" and isinstance(node.parameters, Mapping):
            return self.called(str(node.parameters.get("runbook"))) or {"type": "object"}
        return outputs_of(node, kind)

    def _type_of(self, value: Any, scope: Scope) -> JsonSchema:
        if not is_template(value):
            return type_of(value)
        try:
            parts = parse_template(value).parts
        except ExpressionError:
            return {}
        if len(parts) != 1 or not isinstance(parts[0], Expression):
            return {"type": "string"}
        kind = Judge(scope.all(), lambda _reason, _hint: None).check(parts[0])
        return {"type": kind} if kind else {}

    def _condition(self, expression: Expression, scope: Scope, at: At) -> None:
        self._judge(scope, at).check_type(expression, "boolean")
        if isinstance(expression.node, nodes.Const) and expression is not NEVER:
            self.builder.say(at, f"{expression.source}: is always the same")

    def _judge(self, scope: Scope, at: At) -> Judge:
        return Judge(scope.all(), lambda reason, hint: self.builder.say(at, reason, hint))

    def _schema(self, schema: JsonSchema, at: At) -> None:
        try:
            Draft202012Validator.check_schema(dict(schema))
        except SchemaError as error:
            self.builder.say((*at, *error.absolute_path), f"is no JSON Schema: {error.message}")

    def _scenarios(self) -> None:
        known = {node.id for node in walk(self.runbook.steps)} | {one.id for one in actions(self.runbook.steps)}
        for scenario in self.runbook.scenarios:
            places = [((*scenario.at, "fake", name), name) for name in scenario.fakes]
            for key in ("path", "ran", "not_ran", "undone", "notified"):
                names = scenario.expect.get(key, ())
                places += [((*scenario.at, "expect", key, index), name) for index, name in enumerate(names)]
            places += [((*scenario.at, "expect", "calls", name), name) for name in scenario.expect.get("calls", ())]
            for at, name in places:
                if name.partition("/")[0] not in known:
                    self.builder.say(at, f"there is no step {name!r}")


def effect_of(node: Action, kind: StepKind) -> tuple[str, bool]:
    """Return what a step does to the world, and whether doing it twice is as good as once."""
    own: tuple[str, bool] = (kind.effect, kind.idempotent)
    if kind.effect_of is not None and isinstance(node.parameters, Mapping):
        own = kind.effect_of(node.parameters)
    effect = node.effect or own[0]
    is_idempotent = own[1] if node.idempotent is None else node.idempotent
    return effect, is_idempotent or effect == "read"


def outputs_of(node: Action, kind: StepKind) -> JsonSchema:
    """Return the schema of a step's outputs: what the runbook declares over what the kind knows."""
    if node.outputs is None:
        return kind.outputs
    if kind.open_outputs:
        return {**node.outputs, "additionalProperties": True}
    properties = {**kind.outputs.get("properties", {}), **node.outputs["properties"]}
    return {**kind.outputs, "properties": properties}
