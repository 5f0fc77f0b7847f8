"""Changes reach their receivers: in order, at least once, few messages, and never because of another receiver not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ihobs.clock import DAY_NS, SECOND_NS
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.sending import GIVE_UP_AFTER_NS, LONGEST_PAUSE_NS, pause_ns
from ihobs.model import Event, Outcome
from ihobs.routes import DeliverySettings
from ihobs.store.state import alerts
from ihobs.store.state.alerts import Evaluation
from ihobs.testing import plugins_of

LATER = Outcome("later", "it is down")


def logged(world, name="alerts.jsonl"):
    path = world.home.path / "logs" / name
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def test_the_first_message_of_a_group_leaves_at_once(world):
    world.set("errors", "warning")
    assert world.deliver() == world.clock() + 4 * 3600 * SECOND_NS
    assert world.pager.titles() == ["errors is warning"]
    assert world.deliver() is not None
    assert len(world.pager.got) == 1


def test_a_rise_leaves_at_once_and_the_rest_waits_for_its_turn(world):
    world.set("errors", "warning")
    world.deliver()
    world.clock.advance(5)
    world.set("errors", "critical")
    world.deliver()
    assert world.pager.titles() == ["errors is warning", "errors is critical"]
    world.clock.advance(5)
    world.set("errors", "ok")
    assert world.deliver() == world.clock() + 55 * SECOND_NS
    assert len(world.pager.got) == 2
    world.after(55)
    assert world.pager.titles()[2:] == ["errors is ok"]
    assert world.pager.last().level == "ok"
    assert world.deliver() is None


def test_what_joins_within_the_wait_goes_into_one_more_message(world):
    world.set("slow.a", "warning")
    world.deliver()
    for name in "bcd":
        world.set(f"slow.{name}", "warning")
    assert world.deliver() == world.clock() + round(0.3 * SECOND_NS)
    world.after(0.3)
    assert world.pager.titles() == ["slow.a is warning", '4 warning (rule="slow")']
    world.set("slow.e", "warning")
    world.after(1)
    assert len(world.pager.got) == 2
    world.after(59)
    assert world.pager.last().title == '5 warning (rule="slow")'


def test_ten_thousand_alerts_at_once_are_one_message(world):
    world.set_all({f"slow.{number}": "warning" for number in range(10_000)})
    world.deliver()
    assert world.pager.titles() == ['10000 warning (rule="slow")']
    last = world.pager.last()
    assert (len(last.events), last.omitted, len(last.firing)) == (100, 9900, 100)
    assert last.body.endswith("and 9980 more")
    assert world.rows("notice", "count(*), state") == [(10_000, "sent")]


def test_alerts_of_different_rules_are_told_by_themselves(world):
    world.set_all({"errors": "critical", "slow.a": "warning"})
    world.deliver()
    assert world.pager.titles() == ["errors is critical", "slow.a is warning"]


def test_what_goes_on_is_repeated(world):
    world.set("errors", "critical")
    world.deliver()
    world.after(4 * 3600 - 1)
    assert len(world.pager.got) == 1
    world.after(1)
    last = world.pager.last()
    assert (last.title, last.kind, last.level) == ("still critical: errors is critical", "repeat", "critical")
    world.after(3600)
    assert len(world.pager.got) == 2
    world.after(3 * 3600)
    assert len(world.pager.got) == 3


def test_an_alert_that_rose_and_fell_between_two_messages_is_told_once_with_both(world):
    world.set("slow.a", "warning")
    world.deliver()
    world.clock.advance(10)
    world.set("slow.b", "warning")
    world.set("slow.b", "ok")
    world.after(50)
    last = world.pager.last()
    assert [event.name for event in last.events] == ["alert.firing", "alert.resolved"]
    assert (last.firing, last.title) == (("slow.a",), '1 warning, 1 resolved (rule="slow")')


@pytest.mark.parametrize("answer", [LATER, False, ConnectionError("no route")])
def test_a_receiver_that_is_down_is_tried_again_and_holds_up_only_itself(world, answer):
    world.configure(channels={"warning": ("pager:1", "pager:2")})
    world.pager.answers["pager:1"] = answer
    world.set_all({"a": "warning", "b": "warning"})
    assert world.deliver() == world.clock() + SECOND_NS
    assert (world.pager.titles("pager:1"), world.pager.titles("pager:2")) == ([], ["a is warning", "b is warning"])
    world.pager.answers.clear()
    world.deliver()
    assert world.pager.titles() == []
    world.after(1)
    assert world.pager.titles() == ["a is warning", "b is warning"]


def test_after_an_hour_without_the_receiver_the_newest_state_is_sent_once(world):
    world.pager.answers["pager:1"] = LATER
    world.set("errors", "warning")
    world.deliver()
    tried = [world.rows("message", "key", "id")[0][0]]
    for level in ("critical", "warning", "critical"):
        world.set("errors", level)
        world.after(1200)
        tried.append(world.rows("message", "key", "id DESC")[0][0])
    world.pager.answers.clear()
    world.after(300)
    [(_, message)] = world.pager.got
    assert (message.title, message.level) == ("errors is critical", "critical")
    assert [event.level for event in message.events] == ["warning", "critical", "warning", "critical"]
    assert message.key not in message.supersedes
    assert list(message.supersedes) == tried[:-1]
    assert {state for state, _ in world.reasons()} == {"sent"}


def test_the_same_message_has_the_same_key_however_often_it_is_sent(world):
    keys = []
    world.outbox.sender = (
        replace(world.outbox.sender, send=lambda one, to: keys.append(one.key)) if False else world.outbox.sender
    )
    world.pager.answers["pager:1"] = LATER
    world.set("errors", "critical")
    world.deliver()
    world.after(1)
    world.after(2)
    world.pager.answers.clear()
    world.after(4)
    assert len(world.rows("message")) == 1
    assert world.rows("attempt", "number, outcome") == [(1, "later"), (2, "later"), (3, "later"), (4, "delivered")]
    assert world.pager.last().key == world.rows("message", "key")[0][0]


def test_pauses_grow_to_five_minutes():
    assert [pause_ns(attempts) // SECOND_NS for attempts in range(10)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert pause_ns(10**6) == LONGEST_PAUSE_NS


def test_a_receiver_that_asks_for_a_longer_pause_gets_it(world):
    world.pager.answers["pager:1"] = Outcome("later", "429", retry_after_s=90)
    world.set("errors", "critical")
    assert world.deliver() == world.clock() + 90 * SECOND_NS
    world.pager.answers.clear()
    world.after(89)
    assert world.pager.got == []
    world.after(1)
    assert world.pager.titles() == ["errors is critical"]


def test_after_five_minutes_others_are_told_once_and_the_receiver_when_it_is_back(world, capsys):
    world.pager.answers["pager:1"] = LATER
    world.set("errors", "critical")
    world.deliver()
    for _ in range(11):
        world.after(30)
    assert [line["title"] for line in logged(world)] == ["errors is critical"]
    assert "CRITICAL errors is critical" in capsys.readouterr().err
    world.pager.answers.clear()
    world.after(300)
    assert world.pager.titles() == ["errors is critical"]
    assert len(logged(world)) == 1


def test_what_fails_for_a_day_is_a_dead_letter_and_lets_the_next_one_through(world):
    world.pager.answers["pager:1"] = LATER
    world.set("errors", "critical")
    world.deliver()
    world.after(GIVE_UP_AFTER_NS / SECOND_NS + 1)
    assert world.rows("message", "state", "id")[0] == ("dead",)
    world.pager.answers.clear()
    world.set("slow", "warning")
    world.deliver()
    assert world.pager.titles() == ["slow is warning"]
    assert logged(world)[0]["title"] == "errors is critical"


def test_what_a_receiver_refuses_is_a_dead_letter_at_once_and_others_are_told(world):
    world.pager.answers["pager:1"] = Outcome("refused", "channel_not_found")
    world.set("errors", "critical")
    world.deliver()
    assert world.rows("message", "state, reason", "id")[0] == ("dead", "channel_not_found")
    assert world.reasons() == [("dead", "channel_not_found")]
    assert [line["title"] for line in logged(world)] == ["errors is critical"]
    world.set("errors", "ok")
    world.deliver()
    assert [line["title"] for line in logged(world)] == ["errors is critical", "errors is ok"]


def test_a_reference_that_nobody_knows_goes_to_console_and_file_once_an_event(world, capsys):
    world.configure(channels={"critical": ("slack://team", "email://on-call", "pager:1")})
    world.set("errors", "critical")
    world.deliver()
    assert [line["title"] for line in logged(world)] == ["errors is critical"]
    assert capsys.readouterr().err.endswith("CRITICAL errors is critical\n")
    assert world.pager.titles() == ["errors is critical"]
    [(state, reason)] = world.reasons("slack://team")
    assert (state, reason[:30]) == ("dead", "no plug-in knows this receiver")


def test_when_even_the_fallback_is_unknown_it_is_kept_as_a_dead_letter(world):
    world.outbox.sender = replace(world.outbox.sender, plugins=plugins_of())
    world.set("errors", "critical")
    assert world.deliver() is None
    assert {state for (state,) in world.rows("message", "state")} == {"dead"}


def test_an_address_takes_the_place_of_its_reference(world):
    known = {"slack://team": "pager:${env:TOKEN}"}
    world.outbox.sender = replace(world.outbox.sender, addresses=Addresses(world.home, known, {"TOKEN": "s3cret"}))
    world.configure(channels={"critical": ("slack://team",)})
    world.set("errors", "critical")
    world.deliver()
    assert world.pager.titles("pager:s3cret") == ["errors is critical"]
    assert "s3cret" not in json.dumps([world.rows(table) for table in ("message", "notice", "attempt", "receiver")])


def test_an_address_with_a_variable_that_is_not_set_falls_back_and_says_which(world):
    known = {"slack://team": "pager:${env:NOT_SET}"}
    world.outbox.sender = replace(world.outbox.sender, addresses=Addresses(world.home, known, {}))
    world.configure(channels={"critical": ("slack://team",)})
    world.set("errors", "critical")
    world.deliver()
    assert world.reasons("slack://team") == [("dead", "the variable NOT_SET is not set")]
    assert len(logged(world)) == 1


def test_who_heard_the_beginning_hears_the_rest(world):
    world.configure(
        channels={"warning": ("pager:w",), "critical": ("pager:c",)}, delivery=DeliverySettings(group_interval_s=0)
    )
    for level in ("warning", "critical", "ok", "warning"):
        world.set("errors", level)
        world.deliver()
        world.clock.advance(1)
    assert world.pager.titles("pager:w") == [
        "errors is warning",
        "errors is critical",
        "errors is ok",
        "errors is warning",
    ]
    assert world.pager.titles("pager:c") == ["errors is critical", "errors is ok"]


def test_an_event_that_nobody_is_to_hear_says_so(world):
    world.configure(channels={})
    world.set("errors", "critical")
    assert world.deliver() is None
    assert world.reasons("") == [("muted", "no receiver for critical")]


@pytest.mark.parametrize("hours", [-1, 1, -3])
def test_a_clock_that_jumps_neither_doubles_nor_delays(world, hours):
    world.pager.answers["pager:1"] = LATER
    world.set("a", "critical")
    world.deliver()
    world.clock.advance(hours * 3600)
    world.pager.answers.clear()
    world.deliver()
    world.after(1)
    assert world.pager.titles() == ["a is critical"]
    world.set("b", "critical")
    world.deliver()
    world.set("a", "ok")
    world.clock.advance(-hours * 3600)
    world.deliver()
    world.after(60)
    assert world.pager.titles() == ["a is critical", "b is critical", "a is ok"]


def test_a_time_set_by_a_clock_that_was_wrong_does_not_delay_a_message(world):
    world.pager.answers["pager:1"] = LATER
    world.clock.now_ns += DAY_NS
    world.set("a", "critical")
    world.deliver()
    world.clock.now_ns -= DAY_NS
    world.pager.answers.clear()
    world.deliver()
    assert world.pager.titles() == ["a is critical"]


def test_old_messages_are_forgotten_and_what_became_of_each_event_is_not(world):
    world.set("errors", "critical")
    world.deliver()
    world.clock.advance(91 * 86_400)
    world.set("slow", "critical")
    world.deliver()
    world.outbox.forget()
    assert ("errors is critical",) not in world.rows("message", "title")
    assert world.rows("attempt", "count(*)") == world.rows("message", "count(*)")
    assert {state for state, _ in world.reasons()} == {"sent"}


def test_events_are_forgotten_after_400_days_but_not_what_still_fires(world):
    world.set("over", "critical")
    world.deliver()
    world.set_all({"over": "ok", "fires": "critical"})
    world.after(100)
    world.clock.advance(401 * 86_400)
    world.outbox.forget()
    assert world.rows("alert_event", "alert, name") == [("fires", "alert.firing")]
    assert {event for (event,) in world.rows("notice", "event_id")} == {
        number for (number,) in world.rows("alert_event", "id")
    }
    world.set("fires", "ok")
    world.deliver()
    assert world.pager.titles()[-1] == "fires is ok"


def test_the_next_rung_of_a_ladder_is_told_although_the_level_stays(world):
    world.set("budget", "warning")
    world.deliver()
    rung = Event(
        "alert.level", world.clock(), "budget", "warning", "warning", "95 % of it are spent", {"rule": "budget"}
    )
    alerts.save(world.state, Evaluation(events=[rung]))
    world.after(61)
    assert world.pager.titles() == ["budget is warning", "95 % of it are spent"]
