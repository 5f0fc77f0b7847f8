"""Read a runbook: YAML, its schema, and what a schema cannot say, all faults at once with line and column."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ihobs.documents import Document, DocumentInvalidError, Finding, parse, read_text
from ihobs.quantities import seconds
from ihobs.runbooks.building import Builder, wrong_keys
from ihobs.runbooks.checking import Checker, Outputs
from ihobs.runbooks.model import DEFAULT_RUN_TIMEOUT_S, EndState, Input, Runbook, Scenario, Trigger
from ihobs.runbooks.schema import document_schema
from ihobs.schemas import findings_in

if TYPE_CHECKING:
    from ihobs.runbooks.registry import Kinds


def _nothing_is_called(name: str) -> None:  # noqa: ARG001 - the form of `Outputs`
    return None


def load(path: Path, kinds: Kinds, called: Outputs = _nothing_is_called) -> Runbook:
    """Return the runbook in the file `path`.

    Args:
        kinds: the kinds of steps there are.
        called: tells the outputs of runbooks that this one may call.

    Raises:
        NotFoundError: there is no such file.
        DocumentInvalidError: it is no valid runbook; all findings at once.
    """
    return load_text(path, read_text(path), kinds, called)


def load_text(path: Path, source: str, kinds: Kinds, called: Outputs = _nothing_is_called) -> Runbook:
    """Return the runbook that `source` is; `path` is where it came from.

    Raises:
        DocumentInvalidError: it is no valid runbook; all findings at once.
    """
    document = parse(path, source)
    builder = Builder(document, kinds)
    builder.findings += findings_in(document, document_schema(), document.value)
    if isinstance(document.value, Mapping):
        wrong_keys(builder, document.value.get("steps"), ("steps",))
    _refuse(builder)
    runbook = _runbook(builder, source)
    Checker(runbook, builder, called).check()
    _refuse(builder)
    return runbook


def _refuse(builder: Builder) -> None:
    """Raise when something is wrong; a fault that two checks found is told once."""
    unique: dict[object, Finding] = {}
    for finding in builder.findings:
        unique.setdefault((finding.place, finding.reason), finding)
    if unique:
        raise DocumentInvalidError(builder.document.path, unique.values())


def _runbook(builder: Builder, source: str) -> Runbook:
    value: Mapping[str, Any] = builder.document.value
    return Runbook(
        id=value["id"],
        path=builder.document.path,
        source=source,
        hash=_hash(value),
        title=value["title"],
        steps=builder.steps(value["steps"], ("steps",)),
        description=value.get("description", ""),
        owner=value.get("owner", ""),
        links=value.get("links", {}),
        lock=value.get("lock", ""),
        timeout_s=seconds(value.get("timeout", DEFAULT_RUN_TIMEOUT_S)),
        auto=value.get("auto", "none"),
        inputs={name: Input(name, schema) for name, schema in value.get("inputs", {}).items()},
        secrets=tuple(value.get("secrets", ())),
        outputs={name: builder.expression(text, ("outputs", name)) for name, text in value.get("outputs", {}).items()},
        triggers=tuple(_trigger(one) for one in value.get("triggers", ())),
        end_states={name: EndState(name, **(given or {})) for name, given in value.get("end_states", {}).items()},
        scenarios=tuple(_scenario(builder.document, index) for index in range(len(value.get("tests", ())))),
        faults=value.get("faults", "none"),
        fail_under_percent=value.get("coverage", {}).get("fail_under", 0.0),
    )


def _trigger(given: Mapping[str, Any]) -> Trigger:
    return Trigger(given["on"], given.get("where", {}), given.get("inputs", {}))


def _scenario(document: Document, index: int) -> Scenario:
    given: Mapping[str, Any] = document.value["tests"][index]
    return Scenario(
        name=given["name"],
        at=("tests", index),
        inputs=given.get("inputs", {}),
        fakes=given.get("fake", {}),
        expect=given["expect"],
    )


def _hash(value: Mapping[str, Any]) -> str:
    """Return the hash of what a document says: not of its layout, its comments or its tests."""
    said = {key: one for key, one in value.items() if key not in {"tests", "coverage", "faults"}}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
