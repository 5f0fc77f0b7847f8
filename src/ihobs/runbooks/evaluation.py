"""Evaluate expressions and fill templates in, on plain JSON values only, within bounds."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

from jinja2 import nodes

from ihobs.runbooks.expressions import MAX_WHOLE_NUMBER, Expression, ExpressionError, Template, parse_template
from ihobs.runbooks.filters import FILTERS, LOOK_AT_UNDEFINED, MAX_ITEMS, TESTS, Undefined, as_text, bounded

Names = Mapping[str, Any]
"""What expressions can speak of: JSON values by name."""

MAX_NESTING = 40


def evaluate(expression: Expression, names: Names) -> Any:
    """Return what `expression` yields.

    Raises:
        ExpressionError: it speaks of something that is not there, or works on the wrong kind of value.
    """
    try:
        return _defined(_eval(expression.node, names))
    except ExpressionError as error:
        raise ExpressionError(f"{expression.source}: {error.reason}", error.hint) from error
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ExpressionError(f"{expression.source}: {error}") from error


def holds(expression: Expression, names: Names) -> bool:
    """Return whether a condition holds.

    Raises:
        ExpressionError: as `evaluate`, or it yields neither true nor false.
    """
    value = evaluate(expression, names)
    if not isinstance(value, bool):
        raise ExpressionError(f"{expression.source}: yields {_kind(value)}, not true or false")
    return value


def fill_in(template: Template, names: Names) -> Any:
    """Return a template with its expressions evaluated; one that is a single expression keeps the value's type.

    Raises:
        ExpressionError: as `evaluate`, or the text grows too long.
    """
    if len(template.parts) == 1 and isinstance(template.parts[0], Expression):
        return evaluate(template.parts[0], names)
    try:
        texts = [part if isinstance(part, str) else as_text(evaluate(part, names)) for part in template.parts]
        bounded(sum(map(len, texts)))
    except ValueError as error:
        raise ExpressionError(f"{template.source[:80]}: {error}") from error
    return "".join(texts)


def fill_in_all(value: Any, names: Names) -> Any:
    """Return `value` with every text in it filled in; keys of mappings stay as they are.

    Raises:
        ExpressionError: as `fill_in`.
    """
    if isinstance(value, str):
        return fill_in(parse_template(value), names) if "{" in value else value
    if isinstance(value, Mapping):
        return {key: fill_in_all(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_in_all(item, names) for item in value]
    return value


def _eval(node: nodes.Node, names: Names) -> Any:
    return _EVALUATORS[type(node)](node, names)


def _const(node: Any, names: Names) -> Any:  # noqa: ARG001 - one signature for all
    return node.value


def _name(node: Any, names: Names) -> Any:
    return names[node.name] if node.name in names else Undefined(node.name)


def _attribute(node: Any, names: Names) -> Any:
    return _member(_eval(node.node, names), node.attr)


def _item(node: Any, names: Names) -> Any:
    value = _eval(node.node, names)
    if isinstance(node.arg, nodes.Slice):
        return _sliced(value, node.arg, names)
    return _member(value, _defined(_eval(node.arg, names)))


def _member(value: Any, key: Any) -> Any:
    """Return a part of a mapping or a list; never an attribute of a Python object."""
    if isinstance(value, Undefined):
        return Undefined(f"{value.path}.{key}")
    if isinstance(value, Mapping) and isinstance(key, str):
        return value[key] if key in value else Undefined(str(key))
    is_index = isinstance(key, int) and not isinstance(key, bool)
    if isinstance(value, list | tuple | str) and is_index:
        return value[key] if -len(value) <= key < len(value) else Undefined(f"item {key}")
    raise ExpressionError(f"{_kind(value)} has no {key!r}")


def _sliced(value: Any, part: Any, names: Names) -> Any:
    if not isinstance(_defined(value), list | tuple | str):
        raise ExpressionError(f"{_kind(value)} cannot be cut")
    bounds = [None if one is None else _defined(_eval(one, names)) for one in (part.start, part.stop, part.step)]
    return value[slice(*bounds)]


def _both(node: Any, names: Names) -> Any:
    left = _defined(_eval(node.left, names))
    right = _defined(_eval(node.right, names))
    if isinstance(node, nodes.Add) and isinstance(left, str) and isinstance(right, str):
        bounded(len(left) + len(right))
        return left + right
    if isinstance(node, nodes.Add) and isinstance(left, list) and isinstance(right, list):
        bounded(len(left) + len(right), MAX_ITEMS)
        return left + right
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ExpressionError(f"cannot calculate with {_kind(value)}", "use ~ to put texts together")
    return _number(_ARITHMETIC[type(node)](left, right))


def _number(value: float) -> int | float:
    """Return a result that other JSON readers can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("the result is no finite number")
    if isinstance(value, int) and abs(value) > MAX_WHOLE_NUMBER:
        raise ExpressionError("the result is too large")
    return value


def _sign(node: Any, names: Names) -> Any:
    value = _defined(_eval(node.node, names))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"cannot calculate with {_kind(value)}")
    return -value if isinstance(node, nodes.Neg) else value


def _and(node: Any, names: Names) -> bool:
    return _truth(node.left, names) and _truth(node.right, names)


def _or(node: Any, names: Names) -> bool:
    return _truth(node.left, names) or _truth(node.right, names)


def _not(node: Any, names: Names) -> bool:
    return not _truth(node.node, names)


def _truth(node: nodes.Node, names: Names) -> bool:
    """Return what a part of a condition is; only true and false are, so that no typo passes for one of them."""
    value = _defined(_eval(node, names))
    if not isinstance(value, bool):
        raise ExpressionError(f"{_kind(value)} is neither true nor false", "compare it with something")
    return value


def _compare(node: Any, names: Names) -> bool:
    left = _defined(_eval(node.expr, names))
    for operand in node.ops:
        right = _defined(_eval(operand.expr, names))
        if operand.op in {"in", "notin"}:
            _check_container(left, right)
        elif operand.op not in {"eq", "ne"}:
            _check_order(left, right)
        if not _COMPARISONS[operand.op](left, right):
            return False
        left = right
    return True


def _check_container(item: Any, container: Any) -> None:
    if isinstance(container, str) and not isinstance(item, str):
        raise ExpressionError(f"{_kind(item)} cannot be in text")
    if not isinstance(container, str | list | tuple | Mapping):
        raise ExpressionError(f"nothing can be in {_kind(container)}")
    if isinstance(container, Mapping) and not isinstance(item, str):
        raise ExpressionError(f"{_kind(item)} cannot be a key")


def _check_order(left: Any, right: Any) -> None:
    are_numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (left, right))
    if not are_numbers and not (isinstance(left, str) and isinstance(right, str)):
        raise ExpressionError(f"{_kind(left)} and {_kind(right)} have no order")


def _concat(node: Any, names: Names) -> str:
    texts = [as_text(_defined(_eval(one, names))) for one in node.nodes]
    bounded(sum(map(len, texts)))
    return "".join(texts)


def _conditional(node: Any, names: Names) -> Any:
    if _truth(node.test, names):
        return _eval(node.expr1, names)
    return _eval(node.expr2, names) if node.expr2 is not None else Undefined("else")


def _list(node: Any, names: Names) -> list[Any]:
    return [_defined(_eval(item, names)) for item in node.items]


def _dict(node: Any, names: Names) -> dict[str, Any]:
    built = {}
    for pair in node.items:
        key = _defined(_eval(pair.key, names))
        if not isinstance(key, str):
            raise ExpressionError(f"{_kind(key)} cannot be a key")
        built[key] = _defined(_eval(pair.value, names))
    return built


def _filter(node: Any, names: Names) -> Any:
    return _called(node, FILTERS[node.name].call, names)


def _test(node: Any, names: Names) -> Any:
    return _called(node, TESTS[node.name].call, names)


def _called(node: Any, call: Callable[..., Any], names: Names) -> Any:
    value = _eval(node.node, names)
    if node.name not in LOOK_AT_UNDEFINED:
        value = _defined(value)
    arguments = [_defined(_eval(argument, names)) for argument in node.args]
    made = call(value, *arguments)
    return _number(made) if isinstance(made, int | float) and not isinstance(made, bool) else made


def _defined(value: Any) -> Any:
    if isinstance(value, Undefined):
        raise ExpressionError(f"{value.path!r} is not defined", "use | default(...) when it may be missing")
    return value


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    if isinstance(value, Mapping):
        return "a mapping"
    return names.get(type(value), "a list")


_ARITHMETIC: Mapping[type, Callable[[Any, Any], int | float]] = {
    nodes.Add: operator.add,
    nodes.Sub: operator.sub,
    nodes.Mul: operator.mul,
    nodes.Div: operator.truediv,
    nodes.FloorDiv: operator.floordiv,
    nodes.Mod: operator.mod,
}

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda item, container: item in container,
    "notin": lambda item, container: item not in container,
}

_EVALUATORS: Mapping[type, Callable[[Any, Names], Any]] = cast(
    "Mapping[type, Callable[[Any, Names], Any]]",
    {
        nodes.Const: _const,
        nodes.Name: _name,
        nodes.Getattr: _attribute,
        nodes.Getitem: _item,
        nodes.Compare: _compare,
        nodes.And: _and,
        nodes.Or: _or,
        nodes.Not: _not,
        nodes.Neg: _sign,
        nodes.Pos: _sign,
        nodes.Concat: _concat,
        nodes.CondExpr: _conditional,
        nodes.List: _list,
        nodes.Tuple: _list,
        nodes.Dict: _dict,
        nodes.Filter: _filter,
        nodes.Test: _test,
        **dict.fromkeys(_ARITHMETIC, _both),
    },
)
