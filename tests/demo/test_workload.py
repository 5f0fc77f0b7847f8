import io
import json
import threading

import pytest

from ihobs.demo.content import Content
from ihobs.demo.faults import CONDITIONS, Services
from ihobs.demo.workload import MAX_IN_FLIGHT, Workload, obey

CONTENTS = [Content(str(n), "") for n in range(40)]


@pytest.fixture
def services():
    return Services()


def test_every_document_has_its_turn_before_one_comes_again(services):
    taken = []
    workload = Workload(taken.append, CONTENTS, services)
    for _ in range(len(CONTENTS)):
        workload.arrive().result()
    assert sorted(taken, key=CONTENTS.index) == CONTENTS
    assert taken != CONTENTS
    assert workload.outcomes == {"processed": len(CONTENTS)}


def test_a_failure_is_counted_and_harms_nothing_else(services):
    def process(content):
        if content.title == "7":
            raise RuntimeError(content.title)

    workload = Workload(process, CONTENTS, services)
    futures = [workload.arrive() for _ in range(5)]
    [future.exception() for future in futures]
    for _ in range(len(CONTENTS) - 5):
        workload.arrive().exception()
    assert workload.outcomes == {"processed": len(CONTENTS) - 1, "failed": 1}


def test_arrivals_are_turned_away_when_all_places_are_taken(services):
    opened = threading.Event()
    workload = Workload(lambda _: opened.wait(10), CONTENTS, services)
    futures = [workload.arrive() for _ in range(MAX_IN_FLIGHT)]
    assert workload.arrive() is None
    opened.set()
    assert all(future.result(10) for future in futures)
    assert workload.arrive().result(10)
    assert workload.outcomes == {"processed": MAX_IN_FLIGHT + 1, "turned away": 1}


def test_work_goes_on_until_it_is_stopped_and_the_last_run_is_done(services):
    stopped = threading.Event()
    workload = Workload(lambda _: stopped.set(), CONTENTS, services)
    workload.run(stopped)
    assert workload.outcomes["processed"] >= 1


def test_commands_change_the_conditions_and_are_reported_with_their_time(services):
    report = io.StringIO()
    seen = []

    def commands():
        for name in ("errors", "none", "slow"):
            yield f"{name}\n"
            seen.append(services.conditions)

    obey(commands(), services, report, clock=iter((10, 20, 30)).__next__)
    assert seen == [CONDITIONS["errors"], CONDITIONS["none"], CONDITIONS["slow"]]
    assert [json.loads(line) for line in report.getvalue().splitlines()] == [
        {"event": "conditions", "name": "errors", "at_ns": 10},
        {"event": "conditions", "name": "none", "at_ns": 20},
        {"event": "conditions", "name": "slow", "at_ns": 30},
    ]
