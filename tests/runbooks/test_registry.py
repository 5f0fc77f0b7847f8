"""Kinds of steps that plug-ins bring: they are used like ours, and take nobody's name."""

from __future__ import annotations

import pytest

from ihobs.hookspecs import hookimpl
from ihobs.runbooks.kinds.own import all_kinds
from ihobs.runbooks.kinds.surroundings import Surroundings
from ihobs.runbooks.loading import load
from ihobs.steps import StepKind
from ihobs.testing import check_keeps_contract, plugins_of


class Ops:
    """A plug-in with a kind of step of its own, and one whose name is taken."""

    @hookimpl
    def ihobs_steps(self):
        def kind(name):
            return StepKind(
                name=name,
                summary="restart a worker",
                effect="change",
                idempotent=True,
                parameters={"type": "object", "properties": {"worker": {"type": "string"}}, "required": ["worker"]},
                outputs={"type": "object", "properties": {"pid": {"type": "integer", "examples": [4711]}}},
                run=lambda _context, given: {"pid": len(given["worker"])},
                shorthand="worker",
            )

        return [kind("restart"), kind("notify"), kind("when")]


def test_a_kind_of_a_plugin_is_checked_and_documented_like_ours(write):
    kinds = all_kinds(Surroundings(), plugins_of(ops=Ops()))
    assert kinds.sources["restart"] == "ops"
    runbook = load(write("steps: [{id: a, restart: ingest}, {id: b, check: a.pid > 0}]"), kinds)
    assert [node.kind for node in runbook.steps] == ["restart", "check"]
    with pytest.raises(Exception, match="did you mean 'restart'"):
        load(write("steps: [{id: a, restrat: ingest}]"), kinds)


def test_a_taken_name_is_refused_and_told():
    kinds = all_kinds(Surroundings(), plugins_of(ops=Ops()))
    assert kinds.sources["notify"] == "ihobs"
    assert kinds.refused == [
        "plug-in ops: the kind of step 'notify' is taken by ihobs",
        "plug-in ops: the kind of step 'when' is taken by ihobs",
    ]


def test_the_contract_of_the_hook_is_held():
    assert len(check_keeps_contract(Ops(), "ihobs_steps")) == 3


def test_a_kind_without_examples_or_with_a_bad_name_cannot_be_made():
    with pytest.raises(ValueError, match="no example"):
        StepKind("a", "", "read", True, {}, {"type": "object", "properties": {"x": {"type": "integer"}}})
    with pytest.raises(ValueError, match="no name"):
        StepKind("Not A Name", "", "read", True, {}, {})
