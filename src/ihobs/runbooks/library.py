"""The runbooks that there are: the shipped ones, and those in the directories that the configuration names."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.documents import DocumentInvalidError, Finding, parse, read_text
from ihobs.errors import InvalidInputError, NotFoundError
from ihobs.resources import shipped
from ihobs.runbooks.loading import load_text
from ihobs.runbooks.model import Action, Runbook, actions
from ihobs.store.state.runs import Definition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ihobs.runbooks.registry import Kinds
    from ihobs.steps import JsonSchema

SUFFIXES = (".runbook.yaml", ".runbook.yml")
"""What a runbook's file is called, so that other YAML can lie beside it."""


@dataclass
class Library:
    """Runbooks by id. Files are read when they are asked for.

    Attributes:
        kinds: the kinds of steps there are.
        paths: directories and files with runbooks; of two with one id, the first goes.
        snapshot: definitions that go over files: those that a run was started with.
    """

    kinds: Kinds
    paths: tuple[Path, ...] = ()
    snapshot: Mapping[str, Definition] = field(default_factory=dict)
    _loaded: dict[str, Runbook] = field(default_factory=dict)
    _loading: list[str] = field(default_factory=list)
    _verified_ids: set[str] = field(default_factory=set)

    def keeping(self, snapshot: Mapping[str, Definition]) -> Library:
        """Return a library of the same places in which `snapshot` goes over files."""
        known = {
            name: runbook
            for name, runbook in self._loaded.items()
            if name in snapshot and runbook.source == snapshot[name].source
        }
        return Library(self.kinds, self.paths, snapshot, known)

    def files(self) -> Iterator[Path]:
        """Yield the files of runbooks, ours last."""
        for path in (*self.paths, *_shipped()):
            if path.is_dir():
                yield from sorted(file for file in path.rglob("*") if file.name.endswith(SUFFIXES))
            else:
                yield path

    def all(self) -> tuple[dict[str, Runbook], list[DocumentInvalidError]]:
        """Return all runbooks by id, and what is wrong with those that cannot be used."""
        found: dict[str, Runbook] = {}
        broken: list[DocumentInvalidError] = []
        for file in self.files():
            try:
                runbook = self.read(file)
            except DocumentInvalidError as error:
                broken.append(error)
            else:
                found.setdefault(runbook.id, runbook)
        return found, broken

    def find(self, name: str) -> Runbook:
        """Return the runbook that is called `name`, or stands in the file `name`.

        Raises:
            NotFoundError: there is none.
            DocumentInvalidError: it is not valid, or calls one that is not.
        """
        return self._verified(self._found(name), ())

    def read(self, file: Path) -> Runbook:
        """Return the runbook in `file`.

        Raises:
            NotFoundError: there is no such file.
            DocumentInvalidError: it is not valid, or calls one that is not.
        """
        return self._verified(self._loaded_from(str(file), file), ())

    def _found(self, name: str) -> Runbook:
        """Return a runbook, without a look at those that it calls."""
        if name in self._loaded:
            return self._loaded[name]
        if name in self.snapshot:
            definition = self.snapshot[name]
            return self._loaded_from(name, Path(definition.path), definition.source)
        if name.endswith((".yaml", ".yml")):
            return self._loaded_from(name, Path(name))
        for file in self.files():
            if file.name.removesuffix(SUFFIXES[0]).removesuffix(SUFFIXES[1]) == name:
                return self._loaded_from(str(file), file)
        return self._by_content(name)

    def _loaded_from(self, key: str, file: Path, source: str | None = None) -> Runbook:
        if key not in self._loaded:
            self._loading.append(key)
            try:
                text = read_text(file) if source is None else source
                runbook = load_text(file, text, self.kinds, self._outputs_of)
            finally:
                self._loading.pop()
            self._loaded[key] = self._loaded[runbook.id] = runbook
        return self._loaded[key]

    def _by_content(self, name: str) -> Runbook:
        for file in self.files():
            with contextlib.suppress(DocumentInvalidError):
                self._loaded_from(str(file), file)
        if name not in self._loaded:
            known = sorted({runbook.id for runbook in self._loaded.values()})
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known) or 'none'}"
            raise NotFoundError("runbook", name, hint)
        return self._loaded[name]

    def _outputs_of(self, name: str) -> JsonSchema | None:
        """Return what a called runbook yields; nothing when it is being read itself: that is a cycle, told later."""
        if any(key == name or Path(key).name.startswith(f"{name}.") for key in self._loading):
            return None
        try:
            runbook = self._found(name)
        except (NotFoundError, DocumentInvalidError):
            return None
        names: dict[str, JsonSchema] = {output: {} for output in runbook.outputs}
        return {"type": "object", "properties": names, "additionalProperties": False}

    def _verified(self, runbook: Runbook, above: tuple[str, ...]) -> Runbook:
        """Return a runbook when those that it calls are there, valid, take what they are given, and end somewhere.

        Args:
            above: those that call it, and theirs.
        """
        if runbook.id in self._verified_ids:
            return runbook
        way = (*above, runbook.id)
        wrong = [(action, reason) for action in _calls(runbook) for reason in self._wrong_with_call(action, way)]
        if wrong:
            document = parse(runbook.path, runbook.source)
            findings = [Finding(document.place((*action.at, "call")), reason) for action, reason in wrong]
            raise DocumentInvalidError(runbook.path, findings)
        self._verified_ids.add(runbook.id)
        return runbook

    def _wrong_with_call(self, action: Action, way: tuple[str, ...]) -> Iterator[str]:
        try:
            called = self._found(action.parameters["runbook"])
            if called.id in way:
                yield f"calls itself: {' -> '.join((*way[way.index(called.id) :], called.id))}"
                return
            self._verified(called, way)
        except InvalidInputError as error:
            yield f"the runbook that is called is not valid: {error.where}: {error.reason}"
        except NotFoundError as error:
            yield str(error)
        else:
            yield from _wrong_inputs(action, called)

    def definitions(self, runbook: Runbook) -> dict[str, Definition]:
        """Return `runbook` and all that it calls, as they are now, for a run to keep."""
        found: dict[str, Definition] = {}
        waiting = [runbook]
        while waiting:
            one = waiting.pop()
            if one.id not in found:
                found[one.id] = Definition(str(one.path), one.source)
                waiting += [self._found(action.parameters["runbook"]) for action in _calls(one)]
        return found


def _calls(runbook: Runbook) -> Iterable[Action]:
    return (action for action in actions(runbook.steps) if action.kind == "call")


def _wrong_inputs(action: Action, called: Runbook) -> Iterator[str]:
    given = action.parameters.get("inputs", {})
    for name in given:
        if name not in called.inputs:
            close = difflib.get_close_matches(name, called.inputs, 1)
            yield f"{called.id} has no input {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
    for name, one in called.inputs.items():
        if one.is_required and name not in given:
            yield f"{called.id} needs the input {name!r}"


def _shipped() -> tuple[Path, ...]:
    """Return where our own runbooks are; nothing in a package without any."""
    try:
        return (Path(str(shipped("runbooks"))),)
    except FileNotFoundError:
        return ()
