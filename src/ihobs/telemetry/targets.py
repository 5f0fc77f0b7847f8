"""Functions and methods that are traced because the configuration names them; their code stays as it is.

    insighthub.orchestrator:Orchestrator.process_content      a method
    insighthub.nodes:*                                        the public functions that the module defines
    insighthub.agents:Writer.write_*                          methods by pattern

A module is patched right after it is imported, or at once when it is imported already. References taken before
(`from nodes import draft` in a module that was imported first) stay as they are. A target becomes a workflow
where it is called outside of any, and a node inside one.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import trace

from ihobs.guard import guard, log
from ihobs.telemetry.arguments import arguments_of
from ihobs.telemetry.calls import Traced, traced
from ihobs.telemetry.langchain import innermost_context
from ihobs.telemetry.places import open_spans
from ihobs.telemetry.recording import Recording, open_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType


@dataclass(frozen=True, slots=True)
class Target:
    """One entry of `instrument.targets`, taken apart.

    Attributes:
        text: as it was written. module: where it is. path: names or patterns from there.
    """

    text: str
    module: str
    path: tuple[str, ...]


def parse_target(text: str) -> Target | None:
    """Return the target that `text` names; None when it is not of the form `package.module:name.name`."""
    module, colon, path = text.partition(":")
    names = tuple(path.split("."))
    if not colon or "*" in module or not module.strip(".") or not all(names):
        return None
    return Target(text, module, names)


class TargetPatches:
    """Wraps targets as their modules are imported.

    Attributes:
        problems: targets that cannot be found, in words.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._watched: set[str] = set()

    def watch(self, targets: Sequence[str]) -> None:
        """Have `targets` wrapped, now or when their modules are imported; those that are watched already are not."""
        main = _main_module(getattr(sys, "orig_argv", []))
        fresh = [text for text in targets if text not in self._watched]
        self._watched.update(fresh)
        for text in fresh:
            target = parse_target(text)
            if target is None:
                self._problem(f"target '{text}' is not of the form 'package.module:Class.method'")
            elif target.module in {"__main__", main}:
                self._problem(
                    f"target '{text}' is in the program that is run, which nobody imports; "
                    "move it to a module, or use @ihobs.workflow"
                )
            else:
                wrapt.register_post_import_hook(self._hook(target), target.module)

    def _hook(self, target: Target) -> Callable[[ModuleType], None]:
        def imported(module: ModuleType) -> None:
            with guard:
                found = list(_find(module, target.path, module.__name__))
                for owner, name, qualified_name in found:
                    _wrap(owner, name, qualified_name)
                if not found:
                    self._problem(f"target '{target.text}': {target.module} has no function of that name")

        return imported

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        log.warning("ihobs: %s", text)


def _find(owner: Any, path: Sequence[str], module: str, prefix: str = "") -> Iterator[tuple[Any, str, str]]:
    """Yield (owner, attribute, qualified name) of the functions below `owner` that `path` names."""
    first, *rest = path
    for name in _names(owner, first):
        value = inspect.getattr_static(owner, name, None)
        if rest and inspect.isclass(value):
            yield from _find(value, rest, module, f"{prefix}{name}.")
        elif not rest and _is_function(value) and (first == name or _defined_in(value, module)):
            yield owner, name, prefix + name


def _names(owner: Any, pattern: str) -> list[str]:
    """Return the attributes that `pattern` stands for: itself, or the public ones of `owner`'s own that match."""
    if "*" not in pattern:
        return [pattern]
    return [name for name in vars(owner) if not name.startswith("_") and fnmatchcase(name, pattern)]


def _is_function(value: Any) -> bool:
    return inspect.isroutine(value) or isinstance(value, (staticmethod, classmethod, wrapt.FunctionWrapper))


def _defined_in(value: Any, module: str) -> bool:
    """Return whether a function was defined in `module` and not imported into it."""
    return getattr(getattr(value, "__func__", value), "__module__", None) == module


def _wrap(owner: Any, name: str, qualified_name: str) -> None:
    original = inspect.getattr_static(owner, name)
    if isinstance(original, Traced):  # decorated by hand, or by another target
        return
    setattr(owner, name, traced(original, _opener(qualified_name)))


def _opener(name: str) -> Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Recording]:
    def open_call(wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recording:
        kind = "node" if _is_inside_workflow() else "workflow"
        attributes = {"ihobs.kind": kind, f"ihobs.{kind}": name, **arguments_of(wrapped, args, kwargs)}
        return open_recording(name, attributes, Recording)

    return open_call


def _is_inside_workflow() -> bool:
    with guard:
        span = trace.get_current_span(innermost_context())
        place = open_spans.find(span.get_span_context().span_id)
        return place is not None and place.workflow is not None
    return False


def _main_module(command: Sequence[str]) -> str | None:
    """Return the name that the program itself would have as a module: `python app.py` is `app`."""
    for part, following in pairwise((*command[1:], "")):
        if part == "-m":
            return following
        if not part.startswith("-"):
            return Path(part).stem
    return None
