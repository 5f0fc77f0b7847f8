"""What an expression speaks of and what it yields, as far as that is known before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes

from ihobs.runbooks.expressions import Expression, Path, path_of
from ihobs.runbooks.filters import FILTERS, LOOK_AT_UNDEFINED, TESTS
from ihobs.steps import JsonSchema

Names = Mapping[str, JsonSchema]
"""What expressions can speak of at some point: the JSON Schema of each name's value."""

Say = Callable[[str, str], None]
"""Told a fault and a hint."""

_NUMBERS = frozenset({"number", "integer"})
_WORDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a number",
    "null": "nothing",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}


@dataclass(frozen=True, slots=True)
class Judge:
    """Says what is wrong with expressions that see `names`."""

    names: Names
    say: Say

    def check(self, expression: Expression) -> str | None:
        """Say what is wrong with an expression; return the JSON type that it yields, None when it is not known."""
        for path in expression.paths:
            self._known(path, is_guarded=path in expression.guarded)
        return self._type(expression.node)

    def check_type(self, expression: Expression, wanted: str) -> None:
        """Say what is wrong with an expression that must yield something of a type."""
        found = self.check(expression)
        if found is not None and found != wanted:
            self.say(f"{expression.source}: yields {_WORDS[found]}, not {_WORDS[wanted]}", "")

    def _known(self, path: Path, *, is_guarded: bool) -> None:
        root, *rest = path
        if root not in self.names:
            self.say(f"{root!r} is not known here", _meant(root, self.names))
            return
        schema: JsonSchema = self.names[root]
        for index, name in enumerate(rest):
            properties = schema.get("properties", {})
            if name not in properties:
                is_closed = schema.get("additionalProperties") is False
                kind = _type_of(schema)
                if is_closed and not is_guarded:
                    so_far = ".".join(path[: index + 1])
                    self.say(f"{so_far} has no {name!r}", _meant(name, properties))
                elif kind is not None and kind != "object":
                    self.say(f"{'.'.join(path[: index + 1])} is {_WORDS[kind]} and has no {name!r}", "")
                return
            schema = properties[name]

    def _schema(self, path: Path) -> JsonSchema:
        schema: JsonSchema = self.names.get(path[0], {})
        for name in path[1:]:
            schema = schema.get("properties", {}).get(name, {})
        return schema

    def _type(self, node: nodes.Node) -> str | None:
        path = path_of(node)
        if path:
            return _type_of(self._schema(path))
        for kinds, yields in _SIMPLE:
            if isinstance(node, kinds):
                self._inner(node)
                return yields
        if isinstance(node, nodes.Const):
            return _type_of_value(node.value)
        if isinstance(node, nodes.And | nodes.Or):
            self._expect_boolean(node.left, node.right)
            return "boolean"
        if isinstance(node, nodes.Not):
            self._expect_boolean(node.node)
            return "boolean"
        return self._composed(node)

    def _composed(self, node: nodes.Node) -> str | None:
        if isinstance(node, nodes.Compare):
            return self._compared(node)
        if isinstance(node, nodes.Filter | nodes.Test):
            return self._named(node)
        if isinstance(node, nodes.CondExpr):
            self._expect_boolean(node.test)
            first, second = self._type(node.expr1), self._type(node.expr2) if node.expr2 else None
            return first if first == second else None
        if isinstance(node, nodes.BinExpr):
            return self._calculated(node)
        self._inner(node)
        return None

    def _inner(self, node: nodes.Node) -> None:
        for child in node.iter_child_nodes():
            self._type(child)

    def _expect_boolean(self, *operands: nodes.Node) -> None:
        for operand in operands:
            found = self._type(operand)
            if found not in {None, "boolean"}:
                self.say(f"{_WORDS[str(found)]} is neither true nor false", "compare it with something")

    def _compared(self, node: nodes.Compare) -> str:
        left = self._type(node.expr)
        for operand in node.ops:
            right = self._type(operand.expr)
            if operand.op in {"lt", "lteq", "gt", "gteq"} and left and right and not _ordered(left, right):
                self.say(f"{_WORDS[left]} and {_WORDS[right]} have no order", "")
            left = right
        return "boolean"

    def _calculated(self, node: nodes.BinExpr) -> str | None:
        left, right = self._type(node.left), self._type(node.right)
        for found in (left, right):
            is_number = found is None or found in _NUMBERS
            if not is_number and not (isinstance(node, nodes.Add) and found in {"string", "array"}):
                self.say(f"cannot calculate with {_WORDS[str(found)]}", "use ~ to put texts together")
        if left in _NUMBERS and right in _NUMBERS:
            return "number"
        return left if left == right else None

    def _named(self, node: nodes.Filter | nodes.Test) -> str | None:
        inner = self._type(node.node) if node.node is not None else None
        for argument in node.args:
            self._type(argument)
        if isinstance(node, nodes.Test):
            return "boolean" if node.name in TESTS else None
        named = FILTERS[node.name]
        found = "number" if inner == "integer" else inner
        if named.takes and found is not None and found not in named.takes and node.name not in LOOK_AT_UNDEFINED:
            wanted = " or ".join(_WORDS[one] for one in named.takes)
            self.say(f"filter {node.name!r} works on {wanted}, not on {_WORDS[found]}", "")
        return named.yields


def type_of(value: Any) -> JsonSchema:
    """Return a schema of a literal, for what expressions may ask of it."""
    kind = _type_of_value(value)
    if isinstance(value, Mapping):
        properties = {name: type_of(one) for name, one in value.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}
    return {} if kind is None else {"type": kind}


def _type_of_value(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    kinds = ((str, "string"), (int, "integer"), (float, "number"), (list, "array"), (Mapping, "object"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null" if value is None else None)


def _type_of(schema: JsonSchema) -> str | None:
    """Return the one type that a schema allows; None when there are several, or it does not say."""
    kind = schema.get("type")
    if kind is None and schema.get("enum"):
        kinds = {_type_of_value(value) for value in schema["enum"]}
        return kinds.pop() if len(kinds) == 1 else None
    return kind if isinstance(kind, str) else None


def _ordered(left: str, right: str) -> bool:
    return (left in _NUMBERS and right in _NUMBERS) or left == right == "string"


def _meant(wrong: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(wrong, known, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(sorted(known))}" if known else ""


_SIMPLE: tuple[tuple[type[nodes.Node] | tuple[type[nodes.Node], ...], str], ...] = (
    (nodes.Concat, "string"),
    ((nodes.List, nodes.Tuple), "array"),
    (nodes.Dict, "object"),
    ((nodes.Neg, nodes.Pos), "number"),
)
