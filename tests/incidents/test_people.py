"""What people do with incidents; of two who do the same at once, both are told the one outcome."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from ihobs.clock import MINUTE_NS
from ihobs.errors import InvalidInputError, NotFoundError, RefusedError
from ihobs.incidents import people, record
from ihobs.incidents.lifecycle import IllegalTransitionError
from ihobs.store.state import incidents

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "incident.schema.json").read_text())


@pytest.fixture
def opened(world):
    return people.open_by_hand(world.desk, "search is slow", "P2", "anna").incident


def test_a_person_opens_an_incident_and_the_same_thing_is_one(world, opened):
    again = people.open_by_hand(world.desk, "search is slow", "P3", "bob")
    assert (again.changed, again.incident.id) == (False, opened.id)
    assert again.text == f"{opened.id} is open already, by anna since 2027-01-15 12:00:00 UTC"
    worse = people.open_by_hand(world.desk, "search is slow", "P1", "carl")
    assert (worse.changed, worse.incident.id, worse.incident.severity) == (True, opened.id, "P1")
    other = people.open_by_hand(world.desk, "search is wrong", "P4", "bob")
    assert other.incident.id == f"{opened.id}-2"
    assert world.told()[0].text == f"P2 {opened.id} opened: search is slow"


def test_whoever_is_first_takes_it_and_leads_it(world, opened):
    world.after(90)
    first = people.acknowledge(world.desk, opened.id, "anna")
    assert (first.changed, first.incident.state, first.incident.lead) == (True, "acknowledged", "anna")
    assert first.text == f"P2 {opened.id} acknowledged by anna after 1 min"
    deadline = world.deadline(opened.id)
    assert (deadline.state, deadline.ended_ns) == ("met", world.clock())
    second = people.acknowledge(world.desk, opened.id, "bob")
    assert (second.changed, second.incident.lead) == (False, "anna")
    assert second.text == f"{opened.id} was acknowledged already by anna at 2027-01-15 12:01:30 UTC"


def test_what_is_acknowledged_too_late_is_breached_all_the_same(world, opened):
    world.after(31 * 60)
    people.acknowledge(world.desk, opened.id, "anna")
    assert world.deadline(opened.id).state == "breached"
    assert world.deadline(opened.id).ended_ns == opened.opened_ns + 31 * MINUTE_NS


def test_an_incident_that_nobody_took_can_be_resolved_and_its_deadline_does_not_matter_then(world, opened):
    done = people.resolve(world.desk, opened.id, "anna", "it was a test")
    assert (done.changed, done.incident.state, done.incident.resolution) == (True, "resolved", "it was a test")
    assert world.deadline(opened.id).state == "void"
    again = people.resolve(world.desk, opened.id, "bob", "I did it")
    assert (again.changed, again.incident.resolution) == (False, "it was a test")
    assert again.text == f"{opened.id} was resolved already by anna at 2027-01-15 12:00:00 UTC"
    assert [event.level for event in world.told()] == ["critical", "ok"]


def test_what_is_over_cannot_be_taken(world, opened):
    people.resolve(world.desk, opened.id, "anna", "it was a test")
    with pytest.raises(IllegalTransitionError) as caught:
        people.acknowledge(world.desk, opened.id, "bob")
    assert (caught.value.state, caught.value.action) == ("resolved", "acknowledge")
    assert world.one().acknowledged_ns is None


def test_people_may_raise_it_freely_and_lower_it_with_a_reason(world, opened):
    assert people.set_severity(world.desk, opened.id, "P1", "bob", "").changed
    assert not people.set_severity(world.desk, opened.id, "P1", "bob", "").changed
    with pytest.raises(RefusedError, match="say why"):
        people.set_severity(world.desk, opened.id, "P3", "bob", "")
    lowered = people.set_severity(world.desk, opened.id, "P3", "bob", "only the test tenant")
    assert lowered.incident.severity == "P3"
    assert [event.level for event in world.told()] == ["critical", "critical", "warning"]
    people.resolve(world.desk, opened.id, "anna", "")
    with pytest.raises(RefusedError):
        people.set_severity(world.desk, opened.id, "P1", "bob", "")


def test_roles_are_given_and_one_person_may_have_all(world, opened):
    people.assign(world.desk, opened.id, {"lead": "anna", "scribe": "anna"}, "bob")
    assert not people.assign(world.desk, opened.id, {"lead": "anna"}, "bob").changed
    people.acknowledge(world.desk, opened.id, "carl")
    one = world.one()
    assert (one.lead, one.comms, one.scribe) == ("anna", "", "anna")


def test_a_note_and_a_deployment_stand_in_the_timeline(world, opened):
    people.note(world.desk, opened.id, "bob", "restarted the index")
    assert people.note_deployment(world.desk, "ci", "release 7") == 1
    assert [(entry.name, entry.author, entry.text) for entry in world.of(incidents.timeline, opened.id)[1:]] == [
        ("note", "bob", "restarted the index"),
        ("deployment", "ci", "release 7"),
    ]


def test_merging_moves_the_alerts_and_the_worse_severity(world):
    world.alert("response_time", "critical", 70.0)
    world.after(1)
    world.alert("error_rate", "critical", 0.3)
    slow, failing = world.all()
    merged = people.merge(world.desk, failing.id, slow.id, "anna")
    assert (merged.incident.state, merged.incident.merged_into) == ("closed", slow.id)
    assert world.all()[0].severity == "P1"
    assert [one.alert for one in world.of(incidents.members, slow.id)] == ["response_time", "error_rate"]
    assert not people.merge(world.desk, failing.id, slow.id, "bob").changed
    world.alert("error_rate", "ok", 0.0)
    world.alert("response_time", "ok", 1.0)
    assert world.all()[0].state == "mitigated"
    assert len(world.all()) == 2
    with pytest.raises(InvalidInputError):
        people.merge(world.desk, slow.id, slow.id, "anna")
    with pytest.raises(IllegalTransitionError):
        people.merge(world.desk, slow.id, failing.id, "anna")


def test_a_merged_incident_tells_no_more(world):
    world.alert("response_time", "critical", 70.0)
    world.after(1)
    world.alert("error_rate", "critical", 0.2)
    slow, failing = world.all()
    people.merge(world.desk, failing.id, slow.id, "anna")
    told = len(world.told())
    world.after(3600)
    assert {event.subject for event in world.told()[told:]} == {slow.id}


def test_what_would_have_joined_a_merged_incident_joins_the_one_that_it_is_a_part_of(world):
    world.alert("response_time", "critical", 70.0)
    world.after(1)
    world.alert("error_rate.a", "critical", 0.2)
    slow, failing = world.all()
    people.merge(world.desk, failing.id, slow.id, "anna")
    world.alert("error_rate.b", "critical", 0.2)
    assert len(world.all()) == 2
    assert "error_rate.b" in [one.alert for one in world.of(incidents.members, slow.id)]
    people.resolve(world.desk, slow.id, "anna", "done")
    world.alert("error_rate.c", "critical", 0.2)
    assert len(world.all()) == 3


def test_an_incident_that_there_is_not_is_not_found(world):
    with pytest.raises(NotFoundError) as caught:
        people.acknowledge(world.desk, "INC-1", "anna")
    assert caught.value.name == "INC-1"


def test_the_record_is_what_its_schema_says(world, opened):
    world.alert("error_rate", "critical", 0.3)
    for one in world.all():
        found = record.document(record.read(world.state, one.id), world.clock())
        jsonschema.validate(found, SCHEMA, format_checker=jsonschema.FormatChecker())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**found, "state": "ended"}, SCHEMA)


PERSON = """
import json, sys
from ihobs.config import load
from ihobs.incidents import people
from ihobs.incidents.policy import policy_of
from ihobs.incidents.session import Desk
from ihobs.store.home import Home
from ihobs.store.state.migrations import open_state
from ihobs.testing import FakeClock

home, me = sys.argv[1:]
clock = FakeClock(1_800_014_400 * 10**9)
desk = Desk(open_state(Home.open(home)), policy_of(load(environ={}).settings), clock)
asked = {
    "open": lambda: people.open_by_hand(desk, "search is slow", "P2", me),
    "acknowledge": lambda: people.acknowledge(desk, "INC-20270115-120000", me),
    "resolve": lambda: people.resolve(desk, "INC-20270115-120000", me, "done"),
}
for line in sys.stdin:
    outcome = asked[line.strip()]()
    print(json.dumps([me, outcome.changed, outcome.text, outcome.incident.state]), flush=True)
"""


def test_two_processes_do_everything_at_once_and_hear_of_one_outcome(world):
    command = [sys.executable, "-c", PERSON, str(world.home.path)]
    both = [
        subprocess.Popen([*command, me], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for me in ("anna", "bob")
    ]
    for asked in ("open", "acknowledge", "resolve"):
        for process in both:
            process.stdin.write(asked + "\n")
        for process in both:
            process.stdin.flush()
        got = [json.loads(process.stdout.readline()) for process in both]
        [first] = [answer for answer in got if answer[1]]
        [second] = [answer for answer in got if not answer[1]]
        assert first[3] == second[3]
        assert first[0] in second[2], "whoever is second hears who was first"
    for process in both:
        process.communicate()
        assert process.returncode == 0
    one = world.one()
    assert [event.name for event in world.told()] == ["incident.opened", "incident.acknowledged", "incident.resolved"]
    assert world.names(one.id) == ["opened", "acknowledged", "resolved"]
