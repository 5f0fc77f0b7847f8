"""Reading runbooks: what is right is understood, and what is wrong is told by line and column, all at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ihobs.documents import DocumentInvalidError
from ihobs.resources import shipped
from ihobs.runbooks.library import Library
from ihobs.runbooks.model import Action, Attempt, Choice, Loop, Parallel, actions, walk
from ihobs.runbooks.schema import document_schema

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))
GOOD = sorted((Path(__file__).parent / "good").glob("*.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_runbook_says_where_and_why(path, kinds):
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]
    with pytest.raises(DocumentInvalidError) as caught:
        Library(kinds).read(path)
    found = str(caught.value).replace(f"{path}:", "").splitlines()
    assert found == expected


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_runbook_is_read(path, kinds):
    runbook = Library(kinds).read(path)
    assert runbook.steps
    assert len(runbook.hash) == 64


def test_everything_of_the_language_is_understood(kinds):
    runbook = Library(kinds).read(Path(__file__).parent / "good" / "everything.runbook.yaml")
    by_id = {node.id: node for node in walk(runbook.steps)}
    assert isinstance(by_id["kind"], Choice)
    assert [branch.name for branch in by_id["kind"].branches] == ["case1", "case2", "default"]
    assert [branch.name for branch in by_id["quick"].branches] == ["then", "elif1", "else"]
    assert isinstance(by_id["each"], Loop)
    assert (by_id["each"].name, by_id["each"].concurrency) == ("model", 2)
    assert isinstance(by_id["both"], Parallel)
    assert isinstance(by_id["failover"], Attempt)
    route = by_id["switch_route"]
    assert isinstance(route, Action)
    assert (route.timeout_s, route.retry.attempts, route.retry.backoff_s) == (20.0, 3, 2.0)
    assert isinstance(route.undo, Action)
    assert by_id["hush"].undo is True
    assert runbook.end_states["handed_over"].exit_code == 9
    assert "switch_route.undo" in [one.id for one in actions(runbook.steps)]


def test_the_hash_is_of_what_the_runbook_says(read):
    plain = read("steps: [{id: a, set: {x: 1}}]")
    laid_out = read("# a comment\nsteps:\n  - set: {x: 1}\n    id: a\n")
    tested = read("steps: [{id: a, set: {x: 1}}]\ntests: [{name: t, expect: {status: succeeded}}]")
    other = read("steps: [{id: a, set: {x: 2}}]")
    assert plain.hash == laid_out.hash == tested.hash != other.hash


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
        + "".join(f"{x}: &{x} [{', '.join([f'*{y}'] * 9)}]\n" for x, y in zip("cdefgh", "bcdefg", strict=True)),
        "steps: " + "[" * 100 + "]" * 100,
        "steps: " + "[" * 50_000,
        "x: " + "y" * 1_100_000,
        "steps: !!python/object/apply:os.system [id]",
    ],
    ids=["billion laughs", "nested", "nested without end", "large", "a Python object"],
)
def test_yaml_that_is_an_attack_is_refused(text, write, kinds):
    with pytest.raises(DocumentInvalidError):
        Library(kinds).read(write(text))


def test_calls_are_followed_and_cycles_refused(tmp_path, kinds):
    def put(name: str, called: str) -> None:
        text = f"id: {name}\ntitle: t\nsteps: [{{id: go, call: {called}}}]\n"
        (tmp_path / f"{name}.runbook.yaml").write_text(text, encoding="utf-8")

    put("one", "two")
    put("two", "three")
    put("three", "one")
    (tmp_path / "leaf.runbook.yaml").write_text(
        "id: leaf\ntitle: t\ninputs: {n: {type: integer}}\noutputs: {m: inputs.n}\nsteps: [{id: s, set: {a: 1}}]\n",
        encoding="utf-8",
    )
    library = Library(kinds, (tmp_path,))
    _, broken = library.all()
    assert {error.path.name for error in broken} == {f"{name}.runbook.yaml" for name in ("one", "two", "three")}
    assert any("calls itself: " in str(error) for error in broken)

    (tmp_path / "caller.runbook.yaml").write_text(
        "id: caller\ntitle: t\nsteps:\n- {id: a, call: {runbook: leaf, inputs: {m: 1}}}\n- {id: b, check: a.q == 1}\n",
        encoding="utf-8",
    )
    with pytest.raises(DocumentInvalidError) as caught:
        Library(kinds, (tmp_path,)).find("caller")
    assert "a has no 'q'; known are m" in str(caught.value)


def test_the_schema_for_editors_is_the_one_that_is_shipped(kinds):
    stored = json.loads((shipped("schemas") / "runbook.schema.json").read_text(encoding="utf-8"))
    assert stored == document_schema(kinds), (
        "write it anew: ihobs runbooks steps --schema > schemas/runbook.schema.json"
    )


def test_every_key_of_the_language_is_described_for_editors(kinds):
    def described(schema: dict, where: str) -> None:
        for name, inner in schema.get("properties", {}).items():
            if "$ref" not in inner and "const" not in inner:
                assert "description" in inner, f"{where}.{name}"
            described(inner, f"{where}.{name}")

    schema = document_schema(kinds)
    described(schema, "")
    for name, definition in schema["$defs"].items():
        described(definition, name)
