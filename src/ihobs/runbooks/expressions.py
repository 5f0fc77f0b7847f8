"""Expressions and templates of runbooks: Jinja2's syntax, and nothing of its machinery.

Jinja2 parses; its compiler, and so Python's attributes and calls, are never reached. What may stand in an expression
is a list of syntax nodes, filters and tests; what is not on it is refused when the runbook is read. Values are bound
when it is evaluated (`evaluation.py`): text that comes from an alert, a person or a server is never parsed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from ihobs.runbooks.filters import FILTERS, LOOK_AT_UNDEFINED, TESTS

MAX_SOURCE_CHARS = 2_000
MAX_NODES = 200
MAX_DEPTH = 30
MAX_WHOLE_NUMBER = 2**53
"""Larger whole numbers lose digits in other JSON readers: RFC 8259, 6."""

_COMPARISONS = frozenset({"eq", "ne", "lt", "lteq", "gt", "gteq", "in", "notin"})

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Const,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Pos,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Concat,
    nodes.CondExpr,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Filter,
    nodes.Test,
)
_WORDS = {nodes.Call: "a call", nodes.Pow: "**", nodes.Keyword: "an argument by name"}

Path = tuple[str, ...]
"""A name and the attributes read of it: `rate.max` is ("rate", "max")."""


class ExpressionError(Exception):
    """An expression that is not allowed, or that cannot be evaluated; `reason` is for people, `hint` may be empty."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that was parsed and found harmless.

    Attributes:
        source: its text.
        node: its syntax.
        paths: everything that it reads, in the order of the text.
        guarded: those of them that may be missing: they are asked for by `is defined` or `| default`.
    """

    source: str
    node: nodes.Expr = field(compare=False, repr=False)
    paths: tuple[Path, ...] = field(compare=False, repr=False)
    guarded: frozenset[Path] = field(compare=False, repr=False, default=frozenset())


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions in it: parts that are text, and parts that are to be evaluated."""

    source: str
    parts: tuple[str | Expression, ...] = field(compare=False)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in it."""
        return tuple(part for part in self.parts if isinstance(part, Expression))


@lru_cache(maxsize=1_000)
def parse(source: str) -> Expression:
    """Return the expression that `source` is.

    Raises:
        ExpressionError: it is no expression, or holds something that is not allowed.
    """
    _check_size(source)
    try:
        parser = Parser(_ENVIRONMENT, source, state="variable")
        node = parser.parse_expression()
        if not parser.stream.eos:
            raise ExpressionError(f"unexpected {parser.stream.current.value!r}", "one expression, without braces")
    except TemplateSyntaxError as error:
        raise ExpressionError(f"is no expression: {error.message}") from error
    except (RecursionError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise ExpressionError("is nested too deeply, or its numbers are too long") from error
    return _checked(source, node)


@lru_cache(maxsize=1_000)
def parse_template(source: str) -> Template:
    """Return the template that `source` is.

    Raises:
        ExpressionError: its braces do not match, or something in them is not allowed.
    """
    _check_size(source.replace("{{", ""), limit=50_000)
    try:
        body = _ENVIRONMENT.parse(source).body
    except TemplateSyntaxError as error:
        hint = "{% %} is not allowed" if "{%" in source else "write {{ '{{' }} for braces that mean themselves"
        raise ExpressionError(f"is no template: {error.message}", hint) from error
    except (RecursionError, ValueError) as error:
        raise ExpressionError("is nested too deeply, or its numbers are too long") from error
    return Template(source, tuple(_parts(source, body)))


def is_template(value: object) -> bool:
    """Return whether `value` is text that has something to fill in."""
    return isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value)


def _parts(source: str, body: Sequence[nodes.Node]) -> Iterator[str | Expression]:
    for output in body:
        if not isinstance(output, nodes.Output):
            raise ExpressionError("{% %} is not allowed", "use the steps if, switch and for_each")
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                yield node.data
            else:
                yield _checked(source, node)


def _check_size(source: str, limit: int = MAX_SOURCE_CHARS) -> None:
    if len(source) > limit:
        raise ExpressionError(f"is longer than {limit} characters")


def _checked(source: str, root: nodes.Expr) -> Expression:
    """Return `root` as an expression when all of it is allowed."""
    count = 0
    waiting: list[tuple[nodes.Node, int]] = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise ExpressionError("is too long" if count > MAX_NODES else "is nested too deeply")
        _check_node(node)
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())
    guarded = frozenset(path for path in _guarded(root) if path)
    return Expression(source, root, tuple(dict.fromkeys(_paths(root))), guarded)


def _check_node(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED):
        word = _WORDS.get(type(node), type(node).__name__.lower())
        raise ExpressionError(f"{word} is not allowed here", f"filters are {', '.join(FILTERS)}")
    if isinstance(node, nodes.Filter):
        _check_named(node, "filter", FILTERS)
    elif isinstance(node, nodes.Test):
        _check_named(node, "test", TESTS)
    elif isinstance(node, nodes.Const):
        _check_constant(node.value)
    elif isinstance(node, nodes.Operand) and node.op not in _COMPARISONS:
        raise ExpressionError(f"comparison {node.op} is not allowed")
    _refuse_private(node)


def _check_named(node: nodes.Filter | nodes.Test, what: str, known: Any) -> None:
    if node.name not in known:
        raise ExpressionError(f"{what} {node.name!r} is not allowed", f"{what}s are {', '.join(known)}")
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise ExpressionError(f"arguments of {what} {node.name!r} are given by place, not by name")
    least, most = known[node.name].arguments
    if not least <= len(node.args) <= most:
        raise ExpressionError(
            f"{what} {node.name!r} takes {least if least == most else f'{least} to {most}'} arguments"
        )


def _check_constant(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("a number is too large")
    if isinstance(value, int) and abs(value) > MAX_WHOLE_NUMBER:
        raise ExpressionError("a number is too large")


def _refuse_private(node: nodes.Node) -> None:
    name: object = None
    if isinstance(node, nodes.Name):
        name = node.name
    elif isinstance(node, nodes.Getattr):
        name = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
    if isinstance(name, str) and name.startswith("_"):
        raise ExpressionError(f"{name!r} is not allowed: names do not begin with _")


def path_of(node: nodes.Node) -> Path:
    """Return what a chain of attributes reads, as far as it is written out; () when it begins with no name."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        inner = path_of(node.node)
        return (*inner, node.attr) if inner else ()
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        inner = path_of(node.node)
        return (*inner, node.arg.value) if inner else ()
    return ()


def _paths(node: nodes.Node) -> Iterator[Path]:
    path = path_of(node)
    if path:
        yield path
        return
    for child in node.iter_child_nodes():
        yield from _paths(child)


def _guarded(node: nodes.Node) -> Iterator[Path]:
    if isinstance(node, nodes.Filter | nodes.Test) and node.name in LOOK_AT_UNDEFINED and node.node is not None:
        yield path_of(node.node)
    for child in node.iter_child_nodes():
        yield from _guarded(child)


_ENVIRONMENT = Environment(autoescape=False, keep_trailing_newline=True)  # noqa: S701 - it only parses, nothing renders
