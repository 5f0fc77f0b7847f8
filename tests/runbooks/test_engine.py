"""What the engine does with each part of the language, on a real journal."""

from __future__ import annotations

import json

import pytest

from ihobs.errors import InvalidInputError, RefusedError
from ihobs.runbooks.running import Request
from ihobs.steps import StepFailedError
from ihobs.store.state import runs

from .desk import Office


@pytest.fixture
def office(tmp_path) -> Office:
    return Office(tmp_path)


def test_steps_run_in_order_and_see_what_came_before(office):
    result = office.run(
        """
inputs: {n: {type: integer}}
outputs: {sum: c.total, who: run.by}
steps:
  - {id: a, look: {value: "{{ inputs.n }}"}}
  - {id: b, look: {value: "{{ a.value + 1 }}"}, when: a.value == 3}
  - {id: skipped, look: {}, when: a.value == 4}
  - {id: c, set: {total: "{{ a.value + b.value }}", how: "{{ steps.skipped.status }}"}}
  - {id: d, check: c.total == 7 and c.how == "skipped"}
""",
        n=3,
    )
    assert (result.status, result.outputs) == ("succeeded", {"sum": 7, "who": "alice"})
    assert office.world.done == ["a", "b"]


def test_a_failure_ends_the_run_and_says_where(office):
    office.world.failing["b"] = [StepFailedError("no", kind="status", status=503)]
    result = office.run("steps: [{id: a, look: {}}, {id: b, look: {}}, {id: c, look: {}}]")
    assert result.status == "failed"
    assert result.error == {"message": "no", "kind": "status", "step": "b", "status": 503, "details": {}}
    assert office.world.done == ["a", "b"]
    assert result.exit_code == 1


@pytest.mark.parametrize(("value", "taken"), [(1, ["one"]), (2, ["two"]), (9, ["other"])])
def test_switch_takes_the_first_case_that_holds(office, value, taken):
    office.run(f"""
steps:
  - {{id: a, set: {{v: {value}}}}}
  - id: s
    switch:
      - {{when: a.v == 1, do: [{{id: one, look: {{}}}}]}}
      - {{when: a.v < 3, do: [{{id: two, look: {{}}}}]}}
      - {{default: [{{id: other, look: {{}}}}]}}
""")
    assert office.world.done == taken


@pytest.mark.parametrize(("value", "taken"), [(1, ["x"]), (2, ["y"]), (3, ["z"])])
def test_if_elif_else(office, value, taken):
    office.run(f"""
steps:
  - {{id: a, set: {{v: {value}}}}}
  - id: s
    if: a.v == 1
    then: [{{id: x, look: {{}}}}]
    elif: [{{if: a.v == 2, then: [{{id: y, look: {{}}}}]}}]
    else: [{{id: z, look: {{}}}}]
""")
    assert office.world.done == taken


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_loop_runs_for_each_item_and_collects_what_they_yield(office, concurrency):
    result = office.run(f"""
outputs: {{all: each.results, n: each.count}}
steps:
  - id: each
    for_each: [a, b, c]
    as: letter
    concurrency: {concurrency}
    do:
      - {{id: one, look: {{value: "{{{{ letter }}}}{{{{ letter_index }}}}"}}}}
""")
    assert result.outputs == {"n": 3, "all": [{"one": {"value": value}} for value in ("a0", "b1", "c2")]}
    assert sorted(office.world.done) == ["each[0]/one", "each[1]/one", "each[2]/one"]


def test_a_loop_is_bounded(office):
    result = office.run("steps: [{id: l, for_each: [1, 2, 3], limit: 2, do: [{id: x, look: {}}]}]")
    assert (result.status, office.world.done) == ("failed", [])


def test_branches_run_to_their_end_and_then_the_first_failure_counts(office):
    office.world.failing["b"] = [StepFailedError("b")]
    office.world.failing["d"] = [StepFailedError("d")]
    result = office.run("""
steps:
  - id: p
    parallel:
      left: [{id: a, look: {}}, {id: b, look: {}}, {id: never, look: {}}]
      right: [{id: c, look: {}}, {id: d, look: {}}]
  - {id: after, look: {}}
""")
    assert (result.status, result.error["message"]) == ("failed", "b")
    assert sorted(office.world.done) == ["a", "b", "c", "d"]


def test_a_failing_try_is_undone_last_first_then_rescued_then_always(office):
    office.world.failing["bad"] = [StepFailedError("broken")]
    result = office.run("""
steps:
  - id: t
    try:
      - {id: one, put: {value: 1}, undo: {put: {value: "back to {{ one.value }}"}}}
      - {id: look, look: {}}
      - id: l
        for_each: [x, y]
        do: [{id: two, put: {value: "{{ item }}"}, undo: true}]
      - id: inner
        try: [{id: three, move: {value: 3}, undo: true}]
      - {id: bad, put: {}, undo: true}
    rescue: [{id: told, look: {value: "{{ error.message }} at {{ error.step }}"}}]
    always: [{id: last, look: {value: "{{ run.status }}"}}]
""")
    assert result.status == "rescued"
    assert office.world.done == [
        *("one", "look", "l[0]/two", "l[1]/two", "three", "bad"),
        *("three.undo(3)", "l[1]/two.undo(y)", "l[0]/two.undo(x)", "one.undo"),
        *("told", "last"),
    ]
    outcomes = {
        event.path: event.fields for event in runs.events(office.database, result.run_id) if event.name == "outcome"
    }
    assert outcomes["told"]["outputs"] == {"value": "broken at bad"}
    assert outcomes["one.undo"]["outputs"] == {"value": "back to 1"}
    assert outcomes["last"]["outputs"] == {"value": "succeeded"}


def test_what_cannot_be_undone_is_told_and_the_rest_still_is(office):
    office.world.failing["b"] = [StepFailedError("broken")]
    office.world.failing["two.undo"] = [StepFailedError("stuck")]
    result = office.run("""
steps:
  - id: t
    try:
      - {id: one, put: {}, undo: {put: {}}}
      - {id: two, put: {}, undo: {put: {}}}
      - {id: b, look: {}}
""")
    assert result.status == "failed"
    assert [error["message"] for error in result.undo_failures] == ["stuck"]
    assert office.world.done[-2:] == ["two.undo", "one.undo"]


def test_a_failure_in_rescue_counts_and_always_runs_all_the_same(office):
    office.world.failing["a"] = [StepFailedError("first")]
    result = office.run("""
steps:
  - id: t
    try: [{id: a, look: {}}]
    rescue: [{id: f, fail: "second: {{ error.message }}"}]
    always: [{id: z, look: {}}]
""")
    assert (result.status, result.error["message"], office.world.done) == ("failed", "second: first", ["a", "z"])


def test_retry_waits_longer_each_time_and_stops_when_the_condition_does_not_hold(office):
    office.world.failing["a"] = [StepFailedError("", status=code) for code in (503, 503, 503, 404, 503)]
    result = office.run("""
steps: [{id: a, look: {}, retry: {max: 9, backoff: 2s, max_backoff: 5s, jitter: false, if: "error.status == 503"}}]
""")
    assert (result.status, result.error["status"]) == ("failed", 404)
    assert office.slept == [2.0, 4.0, 5.0]


def test_jitter_waits_a_random_part(office):
    office.world.failing["a"] = [StepFailedError("") for _ in range(3)]
    assert office.run("steps: [{id: a, look: {}, retry: {max: 4, backoff: 10s}}]").status == "succeeded"
    assert all(0 < slept < longest for slept, longest in zip(office.slept, (10, 20, 40), strict=True))


def test_an_error_may_be_passed_over_and_looked_at_later(office):
    office.world.failing["a"] = [StepFailedError("lost")]
    result = office.run("""
outputs: {why: b.why}
steps:
  - {id: a, look: {}, continue_on_error: true}
  - {id: b, set: {why: "{{ steps.a.error.message }}", v: "{{ a.value | default('none') }}"}}
""")
    assert (result.status, result.outputs) == ("succeeded", {"why": "lost"})


def test_a_named_end_gives_status_and_exit_code(office):
    result = office.run("""
end_states: {given_up: {status: failed, exit_code: 9}}
steps: [{id: t, try: [{id: e, end: given_up}], always: [{id: z, look: {}}]}, {id: never, look: {}}]
""")
    assert (result.status, result.end_state.name, result.exit_code, office.world.done) == (
        "failed",
        "given_up",
        9,
        ["z"],
    )


def test_a_called_runbook_is_a_part_of_the_run_and_is_undone_with_it(office):
    (office.path / "sub.runbook.yaml").write_text("""
id: sub
title: called
inputs: {n: {type: integer}}
outputs: {twice: m.value}
steps: [{id: m, put: {value: "{{ inputs.n * 2 }}"}, undo: true}]
""")
    result = office.run("""
steps:
  - id: t
    try:
      - {id: c, call: {runbook: sub, inputs: {n: 21}}}
      - {id: x, check: c.twice == 42}
      - {id: f, fail: on purpose}
""")
    assert result.error["message"] == "on purpose"
    assert office.world.done == ["c/m", "c/m.undo(42)"]


def test_a_question_pauses_the_run_and_its_answer_goes_on(office):
    run = office.start("""
outputs: {said: q.answer, by: q.by}
steps:
  - {id: a, look: {}}
  - {id: q, ask: {text: "How many? ({{ a.value }})", schema: {type: integer}, expires: 10m}}
  - {id: b, look: {}}
""")
    result = office.desk.walk(run)
    assert (result.status, result.paused_at, result.exit_code) == ("waiting", "q", 4)
    [asked] = [event for event in runs.events(office.database, run.id) if event.name == "asked"]
    assert asked.fields["text"] == "How many? (null)"
    office.desk.answer(run.id, "q", by="bob", answer=3)
    result = office.desk.walk(run)
    assert (result.status, result.outputs) == ("succeeded", {"said": 3, "by": "bob"})
    assert office.world.done == ["a", "b"]


def test_an_answer_must_fit_and_comes_once(office):
    run = office.start("steps: [{id: q, ask: {text: x, schema: {enum: [yes, no]}}}]")
    office.desk.walk(run)
    with pytest.raises(InvalidInputError, match="is not one of"):
        office.desk.answer(run.id, "q", by="bob", answer="maybe")
    office.desk.answer(run.id, "q", by="bob", answer="yes")
    with pytest.raises(RefusedError, match="answered"):
        office.desk.answer(run.id, "q", by="eve", answer="no")


@pytest.mark.parametrize(("yes", "status"), [(True, "succeeded"), (False, "failed")])
def test_an_approval_is_given_or_refused(office, yes, status):
    run = office.start("steps: [{id: ok, approve: Restart}, {id: a, put: {}}]")
    assert office.desk.walk(run).status == "waiting"
    office.desk.approve(run.id, "ok", by="bob", yes=yes, note="because")
    result = office.desk.walk(run)
    assert result.status == status
    assert result.error is None or (result.error["kind"], result.error["message"]) == (
        "rejected",
        "bob said no: because",
    )


def test_a_question_that_nobody_answers_expires(office):
    run = office.start("steps: [{id: ok, approve: {text: Restart, expires: 10m}}]")
    assert office.desk.walk(run).status == "waiting"
    office.clock.advance(599)
    assert office.desk.walk(run).status == "waiting"
    office.clock.advance(2)
    result = office.desk.walk(run)
    assert (result.status, result.error["kind"]) == ("failed", "expired")


def test_approvals_may_be_given_beforehand_but_questions_not(office):
    run = office.start("steps: [{id: ok, approve: Restart}, {id: q, ask: Why}]")
    result = office.desk.walk(run, approver="alice")
    assert (result.status, result.paused_at) == ("waiting", "q")


def test_a_run_that_may_only_diagnose_stops_before_a_change(office):
    office.start("steps: [{id: a, look: {}}, {id: b, put: {}}]")
    runbook = office.library.find("test")
    run = office.desk.start(runbook, Request({}, "alert error_rate", permission="diagnose"))
    result = office.desk.walk(run)
    assert (result.status, result.paused_at, office.world.done) == ("waiting", "b.permit", ["a"])
    office.desk.approve(run.id, "b.permit", by="bob", yes=True)
    assert office.desk.walk(run).status == "succeeded"
    assert office.world.done == ["a", "b"]


def test_what_was_permitted_is_undone_without_asking_again(office):
    office.start("""
steps:
  - id: t
    try: [{id: b, put: {}, undo: {put: {}}}, {id: f, fail: x}]
    always: [{id: z, put: {}}]
""")
    run = office.desk.start(office.library.find("test"), Request({}, "alert error_rate", permission="diagnose"))
    office.desk.walk(run)
    office.desk.approve(run.id, "b.permit", by="bob", yes=True)
    result = office.desk.walk(run)
    assert (result.status, result.paused_at, office.world.done) == ("waiting", "z.permit", ["b", "b.undo"])


def test_a_run_is_not_called_rescued_when_something_could_not_be_undone(office):
    office.world.failing["one.undo"] = [StepFailedError("stuck")]
    result = office.run("""
steps: [{id: t, try: [{id: one, put: {}, undo: {put: {}}}, {id: f, fail: x}], rescue: [{id: r, look: {}}]}]
""")
    assert (result.status, result.error["message"]) == ("failed", "could not be undone: stuck")
    assert office.world.done == ["one", "one.undo", "r"]


def test_a_lock_lets_one_run_in_until_it_has_ended(office):
    text = "lock: one\nsteps: [{id: ok, approve: Go}]"
    first = office.start(text)
    office.desk.walk(first)
    with pytest.raises(RefusedError, match=first.id):
        office.start(text)
    office.desk.cancel(first.id, by="bob")
    assert office.desk.walk(first).status == "cancelled"
    assert office.start(text).status == "running"


def test_a_cancelled_run_is_undone_and_cleaned_up_but_not_rescued(office):
    run = office.start("""
steps:
  - id: t
    try: [{id: a, put: {value: 1}, undo: true}, {id: ok, approve: Go}, {id: b, put: {}}]
    rescue: [{id: r, look: {}}]
    always: [{id: z, look: {}}]
  - {id: never, look: {}}
""")
    office.desk.walk(run)
    office.desk.cancel(run.id, by="bob")
    result = office.desk.walk(run)
    assert (result.status, office.world.done) == ("cancelled", ["a", "a.undo(1)", "z"])
    with pytest.raises(RefusedError, match="has ended"):
        office.desk.walk(run)


def test_the_time_of_a_run_ends_it(office):
    result = office.run("timeout: 1m\nsteps: [{id: w, wait: 50s}, {id: v, wait: 50s}, {id: a, look: {}}]")
    assert (result.status, office.world.done) == ("timed_out", [])


def test_a_step_that_takes_too_long_fails_or_is_unknown(office):
    result = office.run("steps: [{id: w, wait: 10m, timeout: 5s}]")
    assert (result.status, result.error["kind"]) == ("failed", "timeout")
    assert office.slept == [5.0]


def test_inputs_must_fit(office):
    text = "inputs: {n: {type: integer, maximum: 3}}\nsteps: [{id: a, look: {}}]"
    for given, words in (({}, "missing"), ({"n": 9}, "maximum"), ({"n": 1, "m": 2}, "no input 'm'")):
        with pytest.raises(InvalidInputError, match=words):
            office.start(text, **given)


def test_outputs_that_break_their_schema_fail_the_step(office):
    office.world.answers["a"] = {"value": float("nan")}
    assert office.run("steps: [{id: a, look: {}}]").error["kind"] == "outputs"
    office.world.answers["a"] = {"value": "x" * 200_000}
    assert office.run("steps: [{id: a, look: {}}]").error["kind"] == "outputs"
    office.world.answers["a"] = {"value": "text"}
    text = "steps: [{id: a, look: {}, outputs: {value: {type: integer, examples: [1]}}}]"
    assert office.run(text).error["kind"] == "outputs"


def test_a_secret_reaches_the_step_and_nothing_else(office, tmp_path):
    office.environ["ROUTER_TOKEN"] = 'hunter2"\\hunter3'
    (tmp_path / "bin").mkdir()
    result = office.run("""
secrets: [ROUTER_TOKEN]
steps:
  - id: t
    try: [{id: a, http: {url: "http://127.0.0.1:1/", headers: {Authorization: "Bearer {{ secret.ROUTER_TOKEN }}"}}}]
    rescue: [{id: b, look: {value: "{{ error.message }}"}}]
""")
    assert result.status == "rescued"
    journal = json.dumps([dict(event.fields) for event in runs.events(office.database, result.run_id)])
    assert "hunter2" not in journal
    assert "Bearer [secret:ROUTER_TOKEN]" in journal
    office.database.close()
    assert not [file for file in office.home.path.rglob("*") if file.is_file() and b"hunter2" in file.read_bytes()]


def test_a_secret_does_not_come_in_as_an_input(office):
    office.environ["TOKEN"] = "s3cr3t-value"
    with pytest.raises(InvalidInputError, match="holds a secret"):
        office.start("secrets: [TOKEN]\ninputs: {a: {}}\nsteps: [{id: a, look: {}}]", a="x s3cr3t-value")


def test_a_missing_or_short_secret_is_refused_before_anything_is_done(office):
    text = "secrets: [T]\nsteps: [{id: a, look: {}}]"
    for value in ("", "abc"):
        office.environ["T"] = value
        with pytest.raises(RefusedError, match="the secret T"):
            office.start(text)
    assert office.world.done == []


def test_a_run_keeps_the_definition_that_it_began_with(office):
    run = office.start("steps: [{id: ok, approve: Go}, {id: a, look: {}}]")
    office.desk.walk(run)
    (office.path / "test.runbook.yaml").write_text("id: test\ntitle: t\nsteps: [{id: other, look: {}}]")
    office.desk.approve(run.id, "ok", by="bob", yes=True)
    assert office.desk.walk(run).status == "succeeded"
    assert office.world.done == ["a"]


def test_the_journal_cannot_be_changed(office):
    import sqlite3

    run = office.start("steps: [{id: a, look: {}}]")
    office.desk.walk(run)
    for statement in ("UPDATE run_event SET name = 'x'", "DELETE FROM run_event"):
        with pytest.raises(sqlite3.Error, match="append-only"), office.database.write() as writer:
            writer.execute(statement)
