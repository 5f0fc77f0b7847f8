"""Alerts open incidents, join them, make them worse and leave them calm; time does the rest."""

from __future__ import annotations

import sqlite3

import pytest

from ihobs.clock import HOUR_NS, MINUTE_NS, SECOND_NS
from ihobs.errors import StoreUnavailableError
from ihobs.incidents import people
from ihobs.model import Event
from ihobs.store.state import incidents
from ihobs.store.state.alerts import insert_event


def test_a_critical_alert_opens_an_incident_with_a_deadline_and_a_title(world):
    world.alert("error_rate", "critical", 0.3)
    one = world.one()
    assert (one.id, one.state, one.severity, one.origin) == ("INC-20270115-120000", "open", "P1", "alert")
    assert one.title == "error_rate is critical"
    assert world.deadline(one.id).due_ns == world.clock() + 5 * MINUTE_NS
    assert world.names(one.id) == ["opened", "alert.joined"]
    [told] = world.told()
    assert (told.name, told.subject, told.level, told.previous_level) == ("incident.opened", one.id, "critical", "ok")
    assert told.text == "P1 INC-20270115-120000 opened: error_rate is critical"
    assert told.fields["summary"] == "Respond by 2027-01-15 12:05 UTC. See: ihobs incidents show INC-20270115-120000"


def test_what_is_not_bad_enough_opens_nothing_until_its_value_says_otherwise(world):
    world.alert("api_quota", "critical", 0.97)
    assert world.all() == []
    world.alert("api_quota", "critical", 1.0)  # the level is the same: no event tells of it
    assert world.one().severity == "P2"


def test_from_which_severity_on_is_for_people_to_say(make_world):
    world = make_world("incidents: {open_from: never}")
    world.alert("error_rate", "critical", 1.0)
    assert world.all() == []
    world = make_world("incidents: {open_from: P4}")
    world.alert("cost_per_hour", "warning", 12.0)
    assert [one.severity for one in world.all()] == ["P1", "P4"]  # what fires already counts, too


def test_words_of_a_program_and_of_incidents_themselves_open_nothing(world):
    said = Event("alert.message", world.clock(), "message", "critical", "ok", "look at this", {"rule": "message"})
    with world.state.write() as writer:
        insert_event(writer, said)
    world.look()
    assert world.all() == []
    world.alert("error_rate", "critical", 0.3)
    world.look()
    assert [event.name for event in world.told()] == ["incident.opened"]


def test_the_severity_rises_with_the_value_and_never_falls_by_itself(world):
    world.alert("error_rate", "warning", 0.06)
    assert world.one().severity == "P3"
    world.after(60)
    world.alert("error_rate", "critical", 0.2)
    assert world.one().severity == "P2"
    world.alert("error_rate", "critical", 0.26)
    assert world.one().severity == "P1"
    world.alert("error_rate", "warning", 0.06)
    one = world.one()
    assert one.severity == "P1"
    assert world.names(one.id).count("severity.raised") == 2
    assert [event.text for event in world.told()][1:] == [
        f"P2 {one.id}: severity raised from P3 to P2: more than 15% of the runs fail",
        f"P1 {one.id}: severity raised from P2 to P1: more than 25% of the runs fail",
    ]


def test_a_deadline_comes_nearer_when_it_gets_worse_and_is_never_put_off(world):
    world.alert("error_rate", "warning", 0.06)
    one = world.one()
    assert world.deadline(one.id).due_ns == world.clock() + 2 * HOUR_NS
    world.after(60)
    world.alert("error_rate", "critical", 0.3)
    assert world.deadline(one.id).due_ns == world.clock() + 5 * MINUTE_NS
    people.acknowledge(world.desk, one.id, "anna")
    met = world.deadline(one.id)
    assert met.state == "met"
    people.set_severity(world.desk, one.id, "P3", "anna", "only the test tenant")
    people.set_severity(world.desk, one.id, "P1", "anna", "")
    assert world.deadline(one.id) == met


def test_when_nothing_succeeds_it_is_a_p1_whatever_fires(world):
    world.alert("response_time", "warning", 31.0)
    assert world.one().severity == "P3"
    world.failing = True
    world.look()
    assert world.one().severity == "P1"


def test_instances_of_a_rule_share_an_incident_and_workflows_have_their_own(world):
    world.alert("error_rate.a", "critical", 0.3, **{"by.node": "a"})
    world.alert("error_rate.b", "warning", 0.06, **{"by.node": "b"})
    assert [one.alert for one in world.of(incidents.members, world.one().id)] == ["error_rate.a", "error_rate.b"]
    world.alert("error_rate.c", "warning", 0.06, **{"by.workflow": "import"})
    assert len(world.all()) == 2


def test_alerts_join_by_the_labels_that_people_name(make_world):
    world = make_world("incidents: {join_by: [team]}")
    world.alert("error_rate", "critical", 0.3, **{"label.team": "search"})
    world.alert("response_time", "critical", 70.0, **{"label.team": "search"})
    world.alert("cost_per_hour", "critical", 70.0, **{"label.team": "import"})
    assert [one.severity for one in world.all()] == ["P1", "P3"]


def test_two_that_open_in_the_same_second_have_ids_of_their_own(world):
    world.alert("error_rate", "critical", 0.3)
    world.alert("response_time", "critical", 70.0)
    assert [one.id for one in world.all()] == ["INC-20270115-120000", "INC-20270115-120000-2"]


def test_calm_that_lasts_resolves_it(world):
    world.alert("error_rate.a", "critical", 0.3)
    world.alert("error_rate.b", "critical", 0.3)
    world.alert("error_rate.a", "ok", 0.0)
    assert world.one().state == "open"
    found = world.alert("error_rate.b", "ok", 0.0)
    assert world.one().state == "mitigated"
    assert found.deadline_ns == world.clock() + 4 * MINUTE_NS  # until the deadline is at risk; nobody has acknowledged
    world.after(299)
    assert world.one().state == "mitigated"
    world.after(1)
    one = world.one()
    assert (one.state, one.resolved_ns) == ("resolved", world.clock())
    assert world.told()[-1].level == "ok"
    assert "resolved" in world.names(one.id)


def test_what_comes_back_while_it_settles_goes_on(world):
    world.alert("error_rate", "critical", 0.3)
    world.alert("error_rate", "ok", 0.0)
    world.after(200)
    world.alert("error_rate", "critical", 0.3)
    assert world.one().state == "open"
    assert world.names(world.one().id)[-2:] == ["alert.back", "recurred"]
    people.acknowledge(world.desk, world.one().id, "anna")
    world.alert("error_rate", "ok", 0.0)
    world.alert("error_rate", "critical", 0.3)
    assert world.one().state == "acknowledged"


def test_what_comes_back_within_two_hours_is_the_same_incident(world):
    world.alert("error_rate", "critical", 0.3)
    first = world.one().id
    people.resolve(world.desk, first, "anna", "restarted")
    world.alert("error_rate", "ok", 0.0)
    world.after(2 * 3600)
    world.alert("error_rate", "critical", 0.2)
    one = world.one()
    assert (one.id, one.state, one.reopened, one.severity) == (first, "open", 1, "P1")
    assert (one.acknowledged_ns, one.resolved_ns) == (None, None)
    assert world.deadline(one.id).due_ns == world.clock() + 5 * MINUTE_NS
    people.resolve(world.desk, first, "anna", "restarted")
    world.alert("error_rate", "ok", 0.0)
    world.after(2 * 3600 + 1)
    world.alert("error_rate", "critical", 0.3)
    assert len(world.all()) == 2


def test_what_people_resolve_while_it_fires_stays_so_unless_it_gets_worse(world):
    world.alert("error_rate", "critical", 0.2)
    people.resolve(world.desk, world.one().id, "anna", "known, harmless")
    world.after(10)
    world.alert("error_rate", "warning", 0.06)
    world.alert("error_rate", "critical", 0.2)
    assert world.one().state == "resolved"
    world.alert("error_rate", "critical", 0.3)
    assert (world.one().state, world.one().severity) == ("open", "P1")


def test_a_deadline_at_risk_and_a_breach_are_told_once_each(world):
    world.alert("error_rate", "critical", 0.2)
    assert world.after(24 * 60 - 1).deadline_ns == world.clock() + SECOND_NS
    assert len(world.told()) == 1
    world.after(1)
    world.after(10)
    world.after(6 * 60)
    world.restarted().after(60)
    [_, at_risk, breached] = world.told()
    due = "nobody has acknowledged it, due 2027-01-15 12:30 UTC"
    assert at_risk.text == f"P2 {world.one().id}: response at risk: {due}"
    assert breached.text == f"P2 {world.one().id}: response breached: {due}"
    assert world.deadline(world.one().id).state == "breached"


def test_an_incident_must_be_resolved_in_time_only_where_people_say_so(make_world):
    world = make_world("incidents: {resolve_within: {P1: 1h}}")
    world.alert("error_rate", "critical", 0.3)
    people.acknowledge(world.desk, world.one().id, "anna")
    world.after(48 * 60)
    world.after(12 * 60)
    assert [event.name for event in world.told()][2:] == ["incident.at_risk", "incident.breached"]
    assert "it is not resolved" in world.told()[-1].text


CHAIN = """
incidents:
  leadership: ["email://cto@example.com"]
  chain:
    - {receivers: ["pager://first"]}
    - {receivers: ["pager://second"], after: 5m}
    - {receivers: ["sms://boss"], after: 10m, severities: [P1]}
"""


def test_the_chain_goes_on_until_somebody_acknowledges(make_world):
    world = make_world(CHAIN)
    world.alert("error_rate", "critical", 0.3)
    assert world.addressed() == {
        "incident.opened": ["email://cto@example.com"],
        "incident.escalated": ["pager://first"],
    }
    world.after(299)
    assert "pager://second" not in str(world.addressed())
    world.after(1)
    assert world.addressed()["incident.escalated"] == ["pager://first", "pager://second"]
    people.acknowledge(world.desk, world.one().id, "anna")
    world.after(3600)
    assert "sms://boss" not in str(world.addressed())


def test_an_incident_keeps_the_chain_of_the_day_it_opened(make_world):
    world = make_world(CHAIN)
    world.alert("error_rate", "critical", 0.3)
    world = make_world("")
    world.after(601)
    assert world.addressed()["incident.escalated"] == ["pager://first", "pager://second", "sms://boss"]


def test_leadership_hears_of_what_becomes_a_p1_and_a_p2_has_its_own_chain(make_world):
    world = make_world(CHAIN)
    world.alert("error_rate", "critical", 0.2)
    assert len(world.one().chain) == 2
    assert "incident.opened" not in world.addressed()
    world.alert("error_rate", "critical", 0.3)
    assert world.addressed()["incident.severity"] == ["email://cto@example.com"]


def test_a_link_is_the_bridge_of_each_p1_and_of_nothing_else(make_world):
    world = make_world('incidents: {bridge: "https://meet.example.com/ops"}')
    world.alert("error_rate", "critical", 0.2)
    assert world.one().bridge == ""
    world.alert("error_rate", "critical", 0.3)
    assert world.one().bridge == "https://meet.example.com/ops"
    assert "Bridge: https://meet.example.com/ops" in world.told()[-1].fields["summary"]


def test_a_home_with_a_past_begins_with_what_fires_now(make_world):
    world = make_world()
    with world.state.write() as writer:
        writer.execute("DELETE FROM meta WHERE key = 'reached:incidents'")
    world.alert("response_time", "critical", 90.0, watch=False)
    world.alert("response_time", "ok", 1.0, watch=False)
    world.alert("error_rate", "critical", 0.3, watch=False)
    world.look()
    assert world.one().title == "error_rate is critical"


def test_what_was_over_before_anybody_looked_is_kept_all_the_same(world):
    world.alert("error_rate", "critical", 0.3, watch=False)
    world.alert("error_rate", "ok", 0.0, watch=False)
    world.look()
    assert world.one().state == "mitigated"
    assert world.names(world.one().id) == ["opened", "alert.joined", "alert.resolved", "mitigated"]


def test_calls_are_judged_as_calls(world):
    world.alert("calls", "critical", 0.9)
    assert world.one().severity == "P3"


def test_a_pass_without_anything_to_do_writes_nothing(world):
    world.alert("error_rate", "critical", 0.3)
    before = world.one().version
    with world.state.read() as reader:
        changes = reader.execute("PRAGMA data_version").fetchone()
        world.look()
        assert reader.execute("PRAGMA data_version").fetchone() == changes
    assert world.one().version == before


@pytest.mark.parametrize("statement", ["UPDATE incident_event SET text = ''", "DELETE FROM incident_event"])
def test_nothing_of_a_timeline_can_be_changed(world, statement):
    world.alert("error_rate", "critical", 0.3)
    with (
        pytest.raises((sqlite3.IntegrityError, StoreUnavailableError), match="append-only"),
        world.state.write() as writer,
    ):
        writer.execute(statement)
    assert world.names(world.one().id) == ["opened", "alert.joined"]


def test_the_view_for_people_says_how_long_it_took(world):
    world.alert("error_rate", "critical", 0.3)
    world.after(90)
    people.resolve(world.desk, world.one().id, "anna", "restarted")
    with world.state.read() as reader:
        rows = reader.execute("SELECT severity, state, opened, resolved_after_s, lead FROM incidents").fetchall()
    assert rows == [("P1", "resolved", "2027-01-15T12:00:00.000Z", 90.0, None)]
