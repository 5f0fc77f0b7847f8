"""Turn a document into the tree of a runbook, and collect what is wrong with it on the way."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ihobs.documents import Finding
from ihobs.quantities import seconds
from ihobs.runbooks import expressions
from ihobs.runbooks.expressions import Expression, ExpressionError
from ihobs.runbooks.model import (
    DEFAULT_TIMEOUT_S,
    Action,
    Attempt,
    Branch,
    Choice,
    Loop,
    Node,
    Parallel,
    Retry,
)
from ihobs.runbooks.registry import BLOCK_KEYS, BLOCKS, COMMON_KEYS, Kinds

if TYPE_CHECKING:
    from ihobs.documents import At, Document

NEVER = expressions.parse("false")
"""Stands in for an expression that cannot be read; the document is refused in any case."""


@dataclass
class Builder:
    """Makes nodes of the steps of one document.

    Attributes:
        document: what is read. kinds: the kinds of steps there are.
        findings: what is wrong with it.
    """

    document: Document
    kinds: Kinds
    findings: list[Finding] = field(default_factory=list)

    def say(self, at: At, reason: str, hint: str = "") -> None:
        """Note something that is wrong at `at`."""
        self.findings.append(Finding(self.document.values.get(at) or self.document.place(at), reason, hint))

    def expression(self, source: Any, at: At) -> Expression:
        """Return the expression that stands at `at`."""
        try:
            return expressions.parse(str(source))
        except ExpressionError as error:
            hint = "write it without braces" if "{{" in str(source) else error.hint
            self.say(at, f"{_short(source)}: {error.reason}", hint)
            return NEVER

    def steps(self, raw: Sequence[Any], at: At) -> tuple[Node, ...]:
        """Return the nodes of a list of steps."""
        return tuple(self.node(step, (*at, index)) for index, step in enumerate(raw))

    def node(self, raw: Mapping[str, Any], at: At) -> Node:
        """Return the node of one step."""
        word = next((key for key in BLOCKS if key in raw), None)
        if word is None:
            return self.action(raw, at, raw["id"])
        block: Node = getattr(self, f"_{word}")(raw, at, self._when(raw, at))
        return block

    def action(self, raw: Mapping[str, Any], at: At, name: str) -> Action:
        """Return an action; `name` is its id."""
        kind = next(key for key in raw if key in self.kinds)
        return Action(
            id=name,
            kind=kind,
            parameters=self._full(kind, raw[kind]),
            at=at,
            when=self._when(raw, at),
            timeout_s=seconds(raw.get("timeout", DEFAULT_TIMEOUT_S)),
            retry=self._retry(raw, at),
            continue_on_error=raw.get("continue_on_error", False),
            effect=raw.get("effect"),
            idempotent=raw.get("idempotent"),
            undo=self._undo(raw, at, name),
            outputs=_declared(raw.get("outputs")),
            note=raw.get("note", ""),
        )

    def _full(self, kind: str, value: Any) -> Any:
        """Return parameters in their full form."""
        shorthand = self.kinds[kind].shorthand
        if isinstance(value, Mapping) or not shorthand:
            return {} if value is None else value
        return {shorthand: value}

    def _when(self, raw: Mapping[str, Any], at: At) -> Expression | None:
        return self.expression(raw["when"], (*at, "when")) if "when" in raw else None

    def _retry(self, raw: Mapping[str, Any], at: At) -> Retry:
        given = raw.get("retry")
        if given is None:
            return Retry()
        condition = self.expression(given["if"], (*at, "retry", "if")) if "if" in given else None
        return Retry(
            attempts=given["max"],
            backoff_s=seconds(given.get("backoff", 1.0)),
            max_backoff_s=seconds(given.get("max_backoff", 60.0)),
            jitter=given.get("jitter", True),
            condition=condition,
        )

    def _undo(self, raw: Mapping[str, Any], at: At, name: str) -> Action | Literal[True] | None:
        given = raw.get("undo")
        if given in (None, False):
            return None
        return True if given is True else self.action(given, (*at, "undo"), f"{name}.undo")

    def _if(self, raw: Mapping[str, Any], at: At, when: Expression | None) -> Node:
        branches = [Branch("then", self.expression(raw["if"], (*at, "if")), self.steps(raw["then"], (*at, "then")))]
        for index, other in enumerate(raw.get("elif", ())):
            inner: At = (*at, "elif", index)
            condition = self.expression(other["if"], (*inner, "if"))
            branches.append(Branch(f"elif{index + 1}", condition, self.steps(other["then"], (*inner, "then"))))
        if "else" in raw:
            branches.append(Branch("else", None, self.steps(raw["else"], (*at, "else"))))
        return Choice(raw["id"], at, tuple(branches), "if", when)

    def _switch(self, raw: Mapping[str, Any], at: At, when: Expression | None) -> Node:
        branches = []
        for index, case in enumerate(raw["switch"]):
            inner: At = (*at, "switch", index)
            if "default" in case:
                branches.append(Branch("default", None, self.steps(case["default"], (*inner, "default"))))
                if index + 1 < len(raw["switch"]):
                    self.say((*at, "switch", index + 1), "is never reached: it stands after the default")
            else:
                condition = self.expression(case["when"], (*inner, "when"))
                branches.append(Branch(f"case{index + 1}", condition, self.steps(case["do"], (*inner, "do"))))
        return Choice(raw["id"], at, tuple(branches), "switch", when)

    def _for_each(self, raw: Mapping[str, Any], at: At, when: Expression | None) -> Node:
        given = raw["for_each"]
        source = json.dumps(given, ensure_ascii=False) if isinstance(given, list) else given
        return Loop(
            id=raw["id"],
            at=at,
            items=self.expression(source, (*at, "for_each")),
            name=raw.get("as", "item"),
            steps=self.steps(raw["do"], (*at, "do")),
            concurrency=raw.get("concurrency", 1),
            limit=raw.get("limit", 100),
            when=when,
        )

    def _parallel(self, raw: Mapping[str, Any], at: At, when: Expression | None) -> Node:
        branches = {name: self.steps(steps, (*at, "parallel", name)) for name, steps in raw["parallel"].items()}
        return Parallel(raw["id"], at, branches, when)

    def _try(self, raw: Mapping[str, Any], at: At, when: Expression | None) -> Node:
        tried, rescue, always = (self.steps(raw.get(key, ()), (*at, key)) for key in ("try", "rescue", "always"))
        return Attempt(raw["id"], at, tried, rescue, always, when)


def wrong_keys(builder: Builder, raw: Any, at: At) -> None:
    """Note the keys of all steps under `raw` that mean nothing, or that do not go together.

    It looks at documents that are not yet known to have the right form.
    """
    for step, place in _raw_steps(raw, at):
        _check_step(builder, step, place, needs_id=True)
        if isinstance(step.get("undo"), Mapping):
            _check_step(builder, step["undo"], (*place, "undo"), needs_id=False)


def _raw_steps(raw: Any, at: At) -> Iterator[tuple[Mapping[str, Any], At]]:
    """Yield everything that stands where a step should, with its place."""
    for index, step in enumerate(raw if isinstance(raw, list) else ()):
        if not isinstance(step, Mapping):
            continue
        place: At = (*at, index)
        yield step, place
        for key in ("then", "else", "do", "try", "rescue", "always"):
            yield from _raw_steps(step.get(key), (*place, key))
        for key, inner in (("elif", ("then",)), ("switch", ("do", "default"))):
            for number, case in enumerate(step[key] if isinstance(step.get(key), list) else ()):
                for word in inner if isinstance(case, Mapping) else ():
                    yield from _raw_steps(case.get(word), (*place, key, number, word))
        branches = step.get("parallel")
        for name, inner_steps in branches.items() if isinstance(branches, Mapping) else ():
            yield from _raw_steps(inner_steps, (*place, "parallel", name))


def _check_step(builder: Builder, step: Mapping[str, Any], at: At, *, needs_id: bool) -> None:
    blocks = [key for key in BLOCKS if key in step]
    kinds = [key for key in step if key in builder.kinds]
    words = [*blocks, *kinds]
    allowed: tuple[str, ...] = (
        COMMON_KEYS if needs_id else ("timeout", "retry", "effect", "idempotent", "outputs", "note")
    )
    if blocks:
        allowed = ("id", "when", "note", *BLOCK_KEYS[blocks[0]])
    strange = [key for key in step if key not in words and key not in allowed]
    for key in strange:
        builder.say((*at, key), f"unknown key {key!r}", _meant(builder.kinds, key, allowed, has_word=bool(words)))
    if len(words) > 1:
        builder.say((*at, words[1]), f"a step is one thing, not {' and '.join(map(repr, words))}", "make two of it")
    if not words and not strange:
        builder.say(at, "the step does nothing", builder.kinds.like(""))
    required = {"if": ("then",), "for_each": ("do",)}.get(blocks[0], ()) if blocks else ()
    for key in required:
        if key not in step:
            builder.say(at, f"key {key!r} is missing")


def _meant(kinds: Kinds, key: str, allowed: Sequence[str], *, has_word: bool) -> str:
    close = difflib.get_close_matches(key, [*allowed, *(() if has_word else (*kinds, *BLOCKS))], 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here are {', '.join(allowed)}" if has_word else kinds.like(key)


def _declared(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the schema of declared outputs."""
    return None if given is None else {"type": "object", "properties": dict(given), "required": list(given)}


def _short(source: object) -> str:
    text = str(source)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - fits on a line
