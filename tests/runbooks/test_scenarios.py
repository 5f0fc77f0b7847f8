"""Scenarios are played by the real engine on fakes, and say what they expect and did not get."""

from __future__ import annotations

import pytest

from ihobs.runbooks.coverage import covered
from ihobs.runbooks.library import Library
from ihobs.runbooks.scenarios import check

FAILOVER = """
secrets: [ROUTER_TOKEN]
outputs: {rate: rate.value, better: better.reads}
end_states: {handed_over: {status: failed, summary: somebody else looks}}
steps:
  - {id: rate, query: {metric: error_rate, window: 15m}}
  - id: kind
    switch:
      - when: rate.value is none or rate.value < 0.05
        do: [{id: fine, set: {verdict: recovered}}]
      - when: rate.value >= 0.25
        do:
          - id: failover
            try:
              - {id: ok, approve: {text: "Move away?", expires: 10m}}
              - id: switch_route
                http:
                  method: PUT
                  url: https://router.internal/route
                  headers: {Authorization: "Bearer {{ secret.ROUTER_TOKEN }}"}
                retry: {max: 3, if: "error.status in [429, 503]"}
                undo: {http: {method: PUT, url: https://router.internal/back}}
              - {id: hush, silence: {match: [rule=error_rate], for: 30m, why: failing over}, undo: true}
              - id: better
                wait_until: {query: {metric: error_rate}, until: value is not none and value < 0.05, every: 30s}
                timeout: 10m
            rescue:
              - {id: tell, notify: "failed: {{ error.message }}"}
              - {id: over, end: handed_over}
            always: [{id: note, notify: "attempt: {{ run.status }}"}]
      - default: [{id: watch, silence: {match: [rule=error_rate], for: 30m, why: watched}}]
"""


@pytest.fixture
def tested(write, kinds):
    """Return a function that plays the scenarios of a runbook and returns what came of each."""

    def run(text: str):
        library = Library(kinds)
        runbook = library.read(write(text))
        return runbook, [check(runbook, library, scenario) for scenario in runbook.scenarios]

    return run


def reasons(outcome) -> list[str]:
    return [text.partition(": ")[2] for text in outcome.failures]


@pytest.mark.parametrize(
    "scenario",
    [
        """{fake: {rate: {value: 0.4}, ok: approved, switch_route: [{error: {status: 503}}, {status: 200}],
            better: [{value: 0.2}, {value: 0.01}]},
           expect: {path: [rate, kind, failover, ok, switch_route, hush, better, note], calls: {switch_route: 2},
            outputs: {rate: 0.4, better: 2}, notified: [note]}}""",
        """{fake: {rate: {value: 0.4}, ok: approved, better: [{value: 0.4}, "..."]},
           expect: {end_state: handed_over, undone: [hush, switch_route], notified: [tell, note]}}""",
        """{fake: {rate: {value: 0.4}, ok: approved, switch_route: {error: {status: 500}}},
           expect: {status: failed, calls: {switch_route: 1}, undone: [], not_ran: [hush]}}""",
        "{fake: {rate: {value: 0.4}, ok: expired}, expect: {status: failed, not_ran: [switch_route], ran: [note]}}",
        "{fake: {rate: {value: 0.4}, ok: rejected}, expect: {status: failed, not_ran: [switch_route], ran: [note]}}",
        "{fake: {rate: {value: 0.4}}, expect: {status: waiting, path: [rate, kind, failover, ok]}}",
        "{fake: {rate: {value: 0.4}, ok: {by: alice}, switch_route: timed_out}, expect: {status: failed}}",
        "{fake: {rate: {value: null}}, expect: {status: succeeded, path: [rate, kind, fine]}}",
        "{fake: {rate: {value: 0.1}}, expect: {ran: [watch]}}",
        "{fake: {rate: {error: {message: no database, kind: unreachable}}}, expect: {status: failed}}",
    ],
    ids=["recovers", "undone", "refused", "expired", "rejected", "waits", "timed-out", "no-data", "watched", "broken"],
)
def test_a_scenario_that_is_right_passes(tested, scenario):
    _, [outcome] = tested(f"{FAILOVER}tests:\n  - {scenario.replace('{', '{name: it, ', 1)}")
    assert outcome.failures == ()


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("{fake: {rate: {value: 0.1}}, expect: {status: failed}}", "status: succeeded, not failed"),
        ("{fake: {rate: {value: 0.4}}, expect: {}}", "status: waiting, not succeeded (at ok)"),
        ("{fake: {rate: {value: 0.1}}, expect: {path: [rate]}}", "path: ['rate', 'kind', 'watch'], not ['rate']"),
        ("{fake: {rate: {value: 0.1}}, expect: {ran: [fine]}}", "fine did not run"),
        ("{fake: {rate: {value: 0.1}}, expect: {not_ran: [watch]}}", "watch ran"),
        ("{fake: {rate: {value: 0.1}}, expect: {calls: {rate: 2}}}", "rate was tried 1 times, not 2"),
        ("{fake: {rate: {value: 0.1}}, expect: {outputs: {rate: 0.2}}}", "rate: 0.1, not 0.2"),
        ("{fake: {rate: {value: 0.1}}, expect: {undone: [hush]}}", "undone: [], not ['hush']"),
        ("{fake: {rate: {value: 0.1}}, expect: {notified: [tell]}}", "notified: [], not ['tell']"),
        (
            "{fake: {rate: {value: 0.1}}, expect: {end_state: handed_over}}",
            "end_state: None, not handed_over",
        ),
        (
            "{fake: {rate: {value: 0.1}, ok: approved}, expect: {}}",
            "the fake of ok is not used: the step does not run, or only computes",
        ),
        (
            "{fake: {rate: [{value: 0.1}, {value: 0.2}]}, expect: {}}",
            "rate is asked 1 times; there are 2 answers",
        ),
        (
            "{fake: {rate: {value: 0.4}, ok: {answer: 5}}, expect: {status: waiting}}",
            "ok is no question that can be answered with {'answer': 5}",
        ),
        ("{fake: {rate: soon}, expect: {}}", "rate cannot answer 'soon'"),
        ("{inputs: {a: 1}, expect: {}}", "there is no input 'a'; there are none"),
    ],
)
def test_what_is_not_met_is_said(tested, scenario, reason):
    runbook, [outcome] = tested(f"{FAILOVER}tests:\n  - {scenario.replace('{', '{name: it, ', 1)}")
    assert reason in reasons(outcome)
    assert all(text.startswith(f"{runbook.path}:") for text in outcome.failures)


def test_a_fake_that_the_real_step_could_not_yield_fails_even_when_the_failure_is_rescued(tested):
    _, [outcome] = tested("""
steps:
  - id: attempt
    try: [{id: rate, query: error_rate}]
    rescue: [{id: tell, notify: failed}]
tests:
  - {name: misfit, fake: {rate: {value: many}}, expect: {status: rescued}}
""")
    assert reasons(outcome) == ["the fake of rate does not fit: value: 'many' is not of type 'number', 'null'"]


def test_waiting_takes_virtual_time_and_its_timeout_holds(tested):
    _, outcomes = tested("""
timeout: 20h
steps: [{id: pause, wait: 6h, timeout: 7h}, {id: long, wait: 2h, timeout: 1h}]
tests: [{name: it, expect: {status: failed, ran: [long]}}]
""")
    assert [one.failures for one in outcomes] == [()]
    events = outcomes[0].played.events
    assert (events[-1].at_ns - events[0].at_ns) / 3.6e12 == pytest.approx(7)


def test_a_question_takes_an_answer_that_fits_its_schema_only(tested):
    text = """
outputs: {n: how_many.answer, by: how_many.by}
steps: [{id: how_many, ask: {text: How many, schema: {type: integer}}}]
tests:
  - {name: right, fake: {how_many: {answer: 3, by: alice}}, expect: {outputs: {n: 3, by: alice}}}
  - {name: wrong, fake: {how_many: {answer: three}}, expect: {}}
"""
    _, [right, wrong] = tested(text)
    assert right.failures == ()
    assert reasons(wrong) == ["the fake of how_many does not fit: 'three' is not of type 'integer'"]


def test_items_of_a_loop_take_the_answers_one_after_another_and_branches_are_in_the_order_of_the_file(tested):
    runbook, outcomes = tested("""
outputs: {rates: "each.results | length"}
inputs: {models: {type: array}}
steps:
  - id: each
    for_each: inputs.models
    as: model
    do:
      - {id: rate, query: {metric: error_rate, where: {model: "{{ model }}"}}}
      - {id: seen, set: {v: "{{ rate.value }}"}}
  - id: both
    parallel: {left: [{id: a, wait: 5s}, {id: b, health: {}}], right: [{id: c, health: {}}, {id: d, wait: 1s}]}
tests:
  - name: two
    inputs: {models: [x, y]}
    fake: {rate: [{value: 0.1}, {value: 0.2}]}
    expect: {path: [each, rate, seen, both, a, b, c, d], calls: {rate: 2}, outputs: {rates: 2}}
  - {name: none, inputs: {models: []}, expect: {path: [each, both, a, b, c, d]}}
""")
    assert [one.failures for one in outcomes] == [(), ()]
    found = covered(runbook, [one.played for one in outcomes])
    assert [str(goal) for goal in found.missing] == ["each: one"]


def test_a_called_runbook_is_played_too_and_its_steps_are_named_after_the_call(write, kinds, tmp_path):
    write("steps: [{id: rate, query: error_rate}, {id: tell, notify: hello}]\noutputs: {rate: rate.value}", "inner")
    path = write(
        """
outputs: {rate: sub.rate}
steps: [{id: sub, call: inner}]
tests: [{name: it, fake: {sub/rate: {value: 0.7}}, expect: {outputs: {rate: 0.7}, ran: [sub/tell], path: [sub]}}]
""",
        "outer",
    )
    library = Library(kinds, (tmp_path,))
    runbook = library.read(path)
    assert check(runbook, library, runbook.scenarios[0]).failures == ()


def test_coverage_names_what_no_scenario_shows(tested):
    runbook, outcomes = tested(
        FAILOVER
        + """
tests:
  - {name: quiet, fake: {rate: {value: 0.01}}, expect: {ran: [fine]}}
  - {name: asked, fake: {rate: {value: 0.4}, ok: rejected}, expect: {status: failed}}
"""
    )
    found = covered(runbook, [one.played for one in outcomes])
    assert [str(goal) for goal in found.missing] == [
        "kind: default",
        "failover: succeeded",
        "ok: expires",
        "switch_route: runs",
        "switch_route.undo: runs",
        "switch_route: is tried again",
        "switch_route: is given up",
        "hush: runs",
        "hush.undo: runs",
        "better: runs",
        "better: does not hold",
        "watch: runs",
    ]
    assert found.counts(branches=False) == (6, 12)
