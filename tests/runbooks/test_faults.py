"""Faults are generated from scenarios, and what must hold in each of them is really looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ihobs.runbooks.faults import broken, faults_of
from ihobs.runbooks.library import Library
from ihobs.runbooks.scenarios import play
from ihobs.steps import StepKind

SAFE = """
faults: all
steps:
  - id: attempt
    try:
      - {id: ok, approve: {text: Really, expires: 1h}}
      - {id: once, command: [restart], undo: {command: [restore]}}
      - {id: again, http: {method: PUT, url: "https://a/"}, undo: {http: {method: PUT, url: "https://b/"}}}
      - id: both
        parallel:
          left: [{id: l, silence: {match: [a=b], for: 1h, why: x}, undo: true}]
          right: [{id: r, wait: 1s}]
      - {id: last, http: {method: PUT, url: "https://c.internal/"}, retry: {max: 2}}
    always: [{id: note, notify: over}]
tests:
  - {name: works, fake: {ok: approved}, expect: {status: succeeded}}
  - {name: fails, fake: {ok: approved, last: {error: {}}}, expect: {status: failed, undone: [l, again, once]}}
"""


@pytest.fixture
def cases(write, kinds):
    """Return a function that returns for each case of a runbook what does not hold."""

    def run(text: str, **changes) -> dict[str, list[str]]:
        library = Library(kinds)
        runbook = replace(library.read(write(text)), **changes)
        return {fault.name: broken(runbook, library, fault) for fault in faults_of(runbook, library)}

    return run


def test_a_runbook_that_reckons_with_everything_survives_every_fault(cases):
    found = cases(SAFE)
    assert {name: texts for name, texts in found.items() if texts} == {}
    names = " ".join(found)
    for part in (
        "ok is refused",
        "ok expires",
        "once fails",
        "once times out",
        "again answers nonsense",
        "last fails once",
        "killed with once begun and not done",
        "killed with again done and not written",
        "killed with last about to begin, attempt 2",
        "killed with once.undo begun and not done",
        "killed with ok asked and not answered",
    ):
        assert part in names


def test_no_faults_are_generated_unless_the_runbook_says_so(cases):
    assert cases(SAFE, faults="none") == {}


def test_a_runbook_that_does_not_reckon_with_missing_data_is_caught(cases):
    found = cases("""
faults: all
steps: [{id: rate, query: error_rate}, {id: ok, check: rate.value < 0.1}]
tests: [{name: it, fake: {rate: {value: 0.01}}, expect: {status: succeeded}}]
""")
    assert [name for name, texts in found.items() if texts] == ["rate has no data (it)"]


def test_a_step_that_goes_on_after_an_error_and_is_used_all_the_same_is_caught(cases):
    found = cases("""
faults: all
steps: [{id: state, health: {}, continue_on_error: true}, {id: ok, check: state.runs >= 0}]
tests: [{name: it, expect: {status: succeeded}}]
""")
    assert "the run fails by a mistake of the runbook" in found["state fails (it)"][0]


def test_a_kind_that_lies_about_being_safe_to_repeat_is_caught(write, kinds):
    """The invariants look at what was done, not at what the engine says: here the engine itself is misled."""
    library = Library(kinds)
    runbook = library.read(
        write("""
faults: all
steps: [{id: once, command: {argv: [pay]}, idempotent: true}]
tests: [{name: it, expect: {status: succeeded}}]
""")
    )
    [fault] = [one for one in faults_of(runbook, library) if "done and not written" in one.name]
    honest = replace(runbook, steps=(replace(runbook.steps[0], idempotent=None),))
    played = play(runbook, library, fault.scenario, kill=fault.kill)
    assert played.done == ("once", "once")
    assert broken(runbook, library, fault) == []
    assert broken(honest, library, fault) == []
    assert play(honest, library, fault.scenario, kill=fault.kill).result.status == "unknown"


def test_a_secret_in_the_journal_is_caught(write, kinds, monkeypatch):
    from ihobs.runbooks.masking import Secrets

    library = Library(kinds)
    runbook = library.read(
        write("""
faults: all
secrets: [TOKEN]
steps: [{id: call, http: {url: "https://a.internal/", headers: {Authorization: "Bearer {{ secret.TOKEN }}"}}}]
tests: [{name: it, expect: {status: succeeded}}]
""")
    )
    fault = next(iter(faults_of(runbook, library)))
    assert broken(runbook, library, fault) == []
    monkeypatch.setattr(Secrets, "mask", lambda _self, value: value)
    assert broken(runbook, library, fault) == ["the secret TOKEN stands in the journal"]


def test_kinds_of_plug_ins_are_faked_as_well(write, kinds):
    from ihobs.runbooks.registry import Kinds

    def refuse(_context, _given):
        raise AssertionError("a test does nothing")

    outputs = {"type": "object", "properties": {"pid": {"type": "integer", "examples": [4711]}}}
    restart = StepKind("restart", "restart", "change", True, {"type": "object"}, outputs, refuse)
    library = Library(Kinds([restart, *kinds.values()]))
    runbook = library.read(
        write("""
outputs: {pid: one.pid}
steps: [{id: one, restart: {}}]
tests: [{name: it, expect: {outputs: {pid: 4711}}}]
""")
    )
    assert play(runbook, library, runbook.scenarios[0]).result.outputs == {"pid": 4711}
