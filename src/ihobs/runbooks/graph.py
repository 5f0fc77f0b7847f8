"""A runbook as a picture: an outline for the terminal, and Mermaid for documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ihobs.runbooks.checking import effect_of
from ihobs.runbooks.model import Action, Attempt, Choice, Loop, Node, Parallel, Runbook

if TYPE_CHECKING:
    from ihobs.runbooks.registry import Kinds

MAX_LABEL_CHARS = 60


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an outline. `mark` is the effect of a step, or "" for what only holds steps."""

    depth: int
    text: str
    mark: str = ""


def outline(runbook: Runbook, kinds: Kinds) -> list[Line]:
    """Return the steps of a runbook, one line each."""
    return list(_lines(runbook.steps, kinds, 0))


def _lines(steps: Sequence[Node], kinds: Kinds, depth: int) -> Iterator[Line]:
    for node in steps:
        when = f"  when {node.when.source}" if node.when else ""
        if isinstance(node, Action):
            yield Line(depth, f"{node.id}: {node.kind}{_about(node)}{when}", effect_of(node, kinds[node.kind])[0])
            if isinstance(node.undo, Action):
                yield Line(depth + 1, f"undone by {node.undo.kind}", effect_of(node.undo, kinds[node.undo.kind])[0])
            continue
        yield Line(depth, f"{node.id}: {_word(node)}{when}")
        for name, inner in _inside(node):
            below = depth + 1
            if name:
                yield Line(below, name)
                below += 1
            yield from _lines(inner, kinds, below)


def _about(node: Action) -> str:
    """Return what is special about a step, in a few words."""
    words = []
    if node.retry.attempts > 1:
        words.append(f"up to {node.retry.attempts} times")
    if node.undo is True:
        words.append("undone by itself")
    if node.continue_on_error:
        words.append("may fail")
    if node.kind == "call":
        words.append(str(node.parameters["runbook"]))
    return f" ({', '.join(words)})" if words else ""


def _word(node: Node) -> str:
    match node:
        case Loop():
            return f"for each {node.name} of {node.items.source}"
        case Parallel():
            return "at the same time"
        case Attempt():
            return "try"
        case Choice():
            return node.word
        case _:
            raise TypeError(node)


def _inside(node: Node) -> Iterator[tuple[str, Sequence[Node]]]:
    """Yield the lists of steps in a block, each with what it is for."""
    match node:
        case Choice():
            for branch in node.branches:
                yield f"when {branch.when.source}" if branch.when else "otherwise", branch.steps
        case Loop():
            yield "", node.steps
        case Parallel():
            yield from node.branches.items()
        case Attempt():
            yield "", node.steps
            for name, steps in (("rescue", node.rescue), ("always", node.always)):
                if steps:
                    yield name, steps


def mermaid(runbook: Runbook, kinds: Kinds) -> str:
    """Return a runbook as a flowchart of Mermaid: mermaid.js.org/syntax/flowchart.html."""
    drawing = _Drawing(kinds)
    ends = drawing.steps(runbook.steps, [("begin", "")])
    drawing.edges(ends, "finish")
    lines = [
        "flowchart TD",
        f'  begin(["{_label(runbook.title)}"])',
        '  finish(["end"])',
        *drawing.lines,
        "  classDef change stroke-width:3px",
        "  classDef manual stroke-dasharray:4",
    ]
    return "\n".join(lines) + "\n"


End = tuple[str, str]
"""A node that something comes after, and what stands on the way there."""


@dataclass
class _Drawing:
    """Lines of a flowchart, as they are made."""

    kinds: Kinds
    lines: list[str] = field(default_factory=list)

    def edges(self, ends: Sequence[End], target: str) -> None:
        """Draw the ways from `ends` to a node."""
        for source, text in ends:
            self.lines.append(f'  {source} -->|"{_label(text)}"| {target}' if text else f"  {source} --> {target}")

    def steps(self, steps: Sequence[Node], ends: list[End]) -> list[End]:
        """Draw steps one after another; return where they end."""
        for node in steps:
            ends = self._node(node, ends)
        return ends

    def _node(self, node: Node, ends: list[End]) -> list[End]:
        name = f"s_{node.id}"
        if node.when is not None:
            asked = f"{name}_when"
            self.lines.append(f'  {asked}{{"{_label(node.when.source)}"}}')
            self.edges(ends, asked)
            return [*self._drawn(node, name, [(asked, "yes")]), (asked, "no")]
        return self._drawn(node, name, ends)

    def _drawn(self, node: Node, name: str, ends: list[End]) -> list[End]:
        match node:
            case Action():
                effect = effect_of(node, self.kinds[node.kind])[0]
                mark = f":::{effect}" if effect in {"change", "manual"} else ""
                self.lines.append(f'  {name}["{_label(f"{node.id}: {node.kind}")}"]{mark}')
                self.edges(ends, name)
                return [] if node.kind in {"fail", "end"} else [(name, "")]
            case Attempt():
                return self._attempt(node, name, ends)
            case _:
                return self._block(node, name, ends)

    def _block(self, node: Node, name: str, ends: list[End]) -> list[End]:
        shape = '{{"{}"}}' if isinstance(node, Choice) else '[["{}"]]'
        self.lines.append(f"  {name}{shape.format(_label(f'{node.id}: {_word(node)}'))}")
        self.edges(ends, name)
        after: list[End] = []
        for text, steps in _inside(node):
            after += self.steps(steps, [(name, text)])
        if isinstance(node, Choice) and all(branch.when is not None for branch in node.branches):
            after.append((name, "otherwise"))
        if isinstance(node, Loop):
            self.edges([(end, "next") for end, _ in after], name)
            return [(name, "done")]
        return after

    def _attempt(self, node: Attempt, name: str, ends: list[End]) -> list[End]:
        self.lines.append(f'  {name}[["{_label(f"{node.id}: try")}"]]')
        self.edges(ends, name)
        after = self.steps(node.steps, [(name, "")])
        failed: list[End] = [(name, "fails: undo")]
        rescued = self.steps(node.rescue, failed) if node.rescue else failed
        if not rescued and node.always:  # it fails again, or ends the run: `always` comes all the same
            rescued = [(name, "fails: undo, rescue")]
        after += rescued
        return self.steps(node.always, after)


def _label(text: str) -> str:
    """Return a text that Mermaid takes as it is: it may come from anywhere."""
    short = text if len(text) <= MAX_LABEL_CHARS else f"{text[: MAX_LABEL_CHARS - 3]}..."
    return "".join(one if one.isalnum() or one in " .,:_-" else f"#{ord(one)};" for one in short)
