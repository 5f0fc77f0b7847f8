"""Reviews are asked for, chased and written; what follows from them has an owner and a due date."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml

from ihobs.clock import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, isoformat
from ihobs.errors import InvalidInputError, NotFoundError, RefusedError
from ihobs.incidents import answers, people, review
from ihobs.incidents.answers import QUESTIONS, Answers, Planned
from ihobs.incidents.lifecycle import STATES, TRANSITIONS, IllegalTransitionError
from ihobs.store.state import actions, alerts, incidents

COMPLETE = Answers(dict.fromkeys(QUESTIONS, "text"))


def ended(world, severity="P1", title="imports fail"):
    """An incident of a Friday noon, resolved within the second."""
    opened = people.open_by_hand(world.desk, title, severity, "anna").incident
    people.acknowledge(world.desk, opened.id, "anna")
    people.resolve(world.desk, opened.id, "anna", "restarted")
    return opened.id


def said(world):
    """What was said of reviews and action items, oldest first: subject and text."""
    history = reversed(alerts.history(world.state, limit=1000))
    return [(event.subject, event.text) for event in history if event.name == "alert.message"]


def until(world, moment):
    """Let time pass to a moment of RFC 3339, hour by hour, as a duties process would see it."""
    end_ns = round(datetime.fromisoformat(moment).timestamp()) * SECOND_NS
    while world.clock() < end_ns:
        world.clock.now_ns = min(end_ns, world.clock() + HOUR_NS)
        world.look()


def item(world, incident, **changes):
    facts = {"text": "alert sooner", "owner": "anna", "due_ns": world.clock() + DAY_NS} | changes
    return review.add_action(world.desk, incident, Planned(**facts), "bob").action


def never(test):
    raise AssertionError(f"{test} is not to be run")


@pytest.mark.parametrize("severity", ["P1", "P2"])
def test_a_review_is_asked_for_in_five_working_days(world, severity):
    incident = ended(world, severity)
    world.look()
    found = world.of(actions.review_of, incident)
    assert isoformat(found.due_ns) == "2027-01-22T17:00:00.000Z"  # the fifth working day after a Friday
    assert world.names(incident)[-1] == "review.asked"
    assert said(world) == []


@pytest.mark.parametrize("severity", ["P3", "P4"])
def test_a_lesser_incident_need_not_be_reviewed(world, severity):
    incident = ended(world, severity)
    until(world, "2027-02-15T12:00:00+00:00")
    assert world.of(actions.review_of, incident) is None
    assert said(world) == []
    assert review.close(world.desk, incident, "anna").incident.state == "closed"


def test_a_missing_review_is_chased_once_before_it_is_due_and_then_each_working_day(world):
    incident = ended(world)
    until(world, "2027-01-27T12:00:00+00:00")
    due = "2027-01-22 17:00 UTC"
    early, late, *again = [text for subject, text in said(world) if subject == f"{incident}/review"]
    assert early == f"the review of P1 {incident} is due at {due}: imports fail"
    assert late == f"the review of P1 {incident} is overdue since {due}: imports fail"
    assert again == [late] * 3  # Monday to Wednesday; nothing on a weekend
    assert world.names(incident).count("review.overdue") == 1
    review.write(world.desk, incident, COMPLETE, {}, "anna")
    until(world, "2027-02-10T12:00:00+00:00")
    assert len(said(world)) == 5


def test_a_late_review_says_how_late_it_is(world):
    incident = ended(world)
    until(world, "2027-01-25T17:00:00+00:00")
    assert review.write(world.desk, incident, COMPLETE, {}, "anna").text.endswith("0 action items, 3 d late")


def test_what_comes_back_is_reviewed_again(world):
    world.alert("errors", "critical", 0.5)
    incident = world.one().id
    people.resolve(world.desk, incident, "anna", "restarted")
    review.write(world.desk, incident, COMPLETE, {}, "anna")
    world.alert("errors", "ok", 0.0)
    world.after(60)
    world.alert("errors", "critical", 0.5)
    assert world.one().state == "open"
    world.after(60)
    people.resolve(world.desk, incident, "anna", "restarted for good")
    world.look()
    found = world.of(actions.review_of, incident)
    assert (found.written_ns, found.chase_ns is None) == (None, False)
    assert found.answers["root_cause"] == "text"  # to go on from


def test_a_restart_changes_nothing_about_what_is_chased(world):
    incident = ended(world)
    world.look()
    before = world.of(actions.review_of, incident)
    until(world.restarted(), "2027-01-25T12:00:00+00:00")
    assert world.of(actions.review_of, incident).due_ns == before.due_ns
    assert len(said(world)) == 3


@pytest.mark.parametrize("state", STATES)
def test_only_what_is_over_and_not_closed_can_be_reviewed(world, state):
    incident = ended(world)
    with world.desk.session() as session:
        found = session.find(incident)
        session.save(type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"state": state}))
    if (state, "review") in TRANSITIONS:
        assert review.write(world.desk, incident, COMPLETE, {}, "anna").incident.state == "reviewed"
    else:
        with pytest.raises(IllegalTransitionError):
            review.write(world.desk, incident, COMPLETE, {}, "anna")
        assert world.of(actions.review_of, incident) is None


def test_every_question_needs_an_answer(world):
    incident = ended(world)
    partial = Answers({**COMPLETE.texts, "response": "", "detection": ""})
    with pytest.raises(InvalidInputError, match=r"detection.*, response \(Were response procedures effective\?\)"):
        review.write(world.desk, incident, partial, {}, "anna")
    assert world.one().state == "resolved"


def test_a_review_that_is_written_again_takes_the_place_of_the_first_and_doubles_no_action(world):
    incident = ended(world)
    planned = Answers(COMPLETE.texts, planned=[Planned("alert sooner", "anna", world.clock() + DAY_NS)])
    review.write(world.desk, incident, planned, {"runs": 1}, "anna")
    again = Answers({**COMPLETE.texts, "root_cause": "something else"}, planned=planned.planned)
    review.write(world.desk, incident, again, {"runs": 2}, "bob")
    found = world.of(actions.review_of, incident)
    assert (found.author, found.answers["root_cause"], found.impact) == ("bob", "something else", {"runs": 2})
    assert len(world.of(lambda reader, one: actions.listed(reader, incident=one), incident)) == 1


def test_a_p1_cannot_be_closed_without_a_review_nor_with_something_to_do(world):
    incident = ended(world)
    with pytest.raises(RefusedError, match="must be reviewed first"):
        review.close(world.desk, incident, "anna")
    review.write(world.desk, incident, COMPLETE, {}, "anna")
    action = item(world, incident)
    with pytest.raises(RefusedError, match=f"open action items: #{action.id}"):
        review.close(world.desk, incident, "anna")
    review.close_action(world.desk, action.id, "anna", "", never)
    assert review.close(world.desk, incident, "anna").changed
    assert not review.close(world.desk, incident, "bob").changed
    with pytest.raises(IllegalTransitionError):
        item(world, incident)


def test_a_reviewed_incident_closes_by_itself_when_it_cannot_come_back_and_all_is_done(world):
    incident = ended(world)
    review.write(world.desk, incident, COMPLETE, {}, "anna")
    action = item(world, incident, due_ns=world.clock() + 30 * DAY_NS)
    world.after(3 * 3600)
    assert world.one().state == "reviewed"
    review.close_action(world.desk, action.id, "anna", "done", never)
    world.look()
    assert (world.one().state, world.names(incident)[-1]) == ("closed", "closed")


def test_an_overdue_action_is_chased_in_working_hours_until_it_is_done(world):
    incident = ended(world, "P3")
    due_ns = round(datetime(2027, 1, 16, 3, tzinfo=UTC).timestamp()) * SECOND_NS  # in the night to a Saturday
    high = item(world, incident, due_ns=due_ns, priority="high")
    low = item(world, incident, text="tidy up", owner="bob", due_ns=due_ns, priority="low")
    until(world, "2027-01-18T08:59:00+00:00")
    assert said(world) == []
    until(world, "2027-01-18T09:01:00+00:00")
    text = f"action item #{high.id} of {incident} is overdue by 2 d 6 h, anna has it: alert sooner"
    assert said(world)[0] == (f"{incident}/action-{high.id}", text)
    assert len(said(world)) == 2
    until(world, "2027-01-20T12:00:00+00:00")
    assert [subject for subject, _ in said(world)].count(f"{incident}/action-{high.id}") == 3
    assert [subject for subject, _ in said(world)].count(f"{incident}/action-{low.id}") == 1
    review.close_action(world.desk, high.id, "anna", "", never)
    review.drop_action(world.desk, low.id, "bob", "not worth it")
    until(world, "2027-02-20T12:00:00+00:00")
    assert len(said(world)) == 4


def test_what_is_said_of_an_action_can_be_routed_to_its_owner(world):
    incident = ended(world, "P3")
    item(world, incident, due_ns=world.clock() + MINUTE_NS, priority="high")
    world.after(120)
    [event] = [event for event in alerts.history(world.state, limit=100) if event.name == "alert.message"]
    assert event.level == "warning"
    assert (event.fields["rule"], event.fields["label.owner"]) == ("incident-action", "anna")
    assert len(world.all()) == 1  # it opens no incident of its own


def test_two_who_close_the_same_action_hear_of_one_outcome(world):
    action = item(world, ended(world))
    first = review.close_action(world.desk, action.id, "anna", "done", never)
    second = review.drop_action(world.desk, action.id, "bob", "no")
    assert (first.changed, second.changed) == (True, False)
    assert second.text == f"action item #{action.id} was done already, by anna"
    with pytest.raises(NotFoundError):
        review.close_action(world.desk, 99, "anna", "", never)


def test_an_action_is_open_as_long_as_its_test_does_not_pass(world):
    action = item(world, ended(world), test="rules/errors.yaml::sooner")

    def fails(test):
        raise RefusedError(f"{test} fails", "")

    with pytest.raises(RefusedError, match=r"rules/errors.yaml::sooner fails"):
        review.close_action(world.desk, action.id, "anna", "", fails)
    assert world.of(actions.find, action.id).state == "open"
    ran = []
    closed = review.close_action(world.desk, action.id, "anna", "a shorter window", ran.append)
    assert (ran, closed.action.outcome) == ([action.test], "a shorter window; rules/errors.yaml::sooner passes")


def test_the_timeline_tells_what_followed(world):
    incident = ended(world)
    review.write(world.desk, incident, COMPLETE, {}, "anna")
    review.drop_action(world.desk, item(world, incident).id, "bob", "not worth it")
    assert world.names(incident)[-3:] == ["reviewed", "action.added", "action.dropped"]
    with pytest.raises(RefusedError, match="for a reason only"):
        review.drop_action(world.desk, 1, "bob", "")
    assert world.of(incidents.timeline, incident)[-1].text == "action item #1 is dropped: not worth it"


FILE = {
    **dict.fromkeys(QUESTIONS, "text"),
    "contributing": ["nobody watched the disk"],
    "actions": [{"text": "alert sooner", "owner": "anna", "due": "2027-01-22", "for": "detection"}],
}


def read(tmp_path, now_ns=0, **changes):
    file = tmp_path / "answers.yaml"
    file.write_text(yaml.safe_dump({**FILE, **changes}))
    return answers.from_file(file, now_ns, UTC)


def test_answers_are_read_from_a_file(tmp_path):
    found = read(tmp_path, lessons=["light helps"])
    assert (found.missing(), found.contributing, found.lessons) == ([], ("nobody watched the disk",), ("light helps",))
    [planned] = found.planned
    assert isoformat(planned.due_ns) == "2027-01-22T23:59:59.000Z"
    assert (planned.priority, planned.question) == ("medium", "detection")
    assert answers.from_json(json.loads(json.dumps(found.to_json()))).texts == found.texts


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"root_causes": "x"}, "root_causes"),
        ({"root_cause": 3}, "root_cause"),
        ({"actions": [{"text": "x", "owner": "anna"}]}, "due"),
        ({"actions": [{"text": "x", "owner": "anna", "due": "soon"}]}, "is no due date"),
        ({"actions": [{"text": "x", "owner": "anna", "due": "2027-02-30"}]}, "is no due date"),
        ({"actions": [{"text": "x", "owner": "anna", "due": "5d", "test": "errors.yaml"}]}, "test"),
        ({"actions": [{"text": "x", "owner": "anna", "due": "5d", "priority": "urgent"}]}, "urgent"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path, changes, reason):
    with pytest.raises(InvalidInputError, match=reason):
        read(tmp_path, **changes)


def test_answers_and_actions_are_read_from_options():
    words = ["root_cause=a = b", "lessons=one", "lessons=two"]
    found = answers.from_words(words, ["alert sooner; owner=anna; due=5d; priority=high; test=a.yaml::b c"], 0, None)
    assert (found.texts, found.lessons) == ({"root_cause": "a = b"}, ("one", "two"))
    assert found.planned == [Planned("alert sooner", "anna", 5 * DAY_NS, "high", "", "a.yaml::b c")]
    assert len(found.missing()) == 4


@pytest.mark.parametrize(
    ("words", "spoken"),
    [
        (["cause=x"], []),
        (["root_cause="], []),
        ([], ["alert sooner"]),
        ([], ["alert sooner; owner=anna"]),
        ([], ["; owner=anna; due=5d"]),
        ([], ["x; owner=anna; due=5d; who=bob"]),
        ([], ["x; owner=anna; due=5d; for=cause"]),
        ([], ["x; owner=anna; due=5d; priority=urgent"]),
    ],
)
def test_options_that_cannot_be_read_are_refused(words, spoken):
    with pytest.raises(InvalidInputError):
        answers.from_words(words, spoken, 0, None)


def test_what_was_given_last_counts():
    first = Answers({"root_cause": "a", "detection": "b"}, ("x",))
    second = Answers({"root_cause": "c", "detection": ""}, ("y",))
    found = answers.together(first, second)
    assert (found.texts["root_cause"], found.texts["detection"], found.contributing) == ("c", "b", ("x", "y"))
