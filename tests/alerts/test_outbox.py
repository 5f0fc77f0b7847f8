"""Events reach their receivers: in order, at least once, and never because of another receiver not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import ihobs
import ihobs_notifier
from ihobs.alerts.outbox import GIVE_UP_AFTER_NS, LONGEST_PAUSE_NS, Outbox, channels_of, pause_ns
from ihobs.clock import DAY_NS, SECOND_NS
from ihobs.config import load
from ihobs.model import Event
from ihobs.store.state import alerts, deliveries
from ihobs.store.state.alerts import Evaluation
from ihobs.testing import plugins_of


class Pager:
    """A stranger's plug-in that delivers to pager: addresses, unless it is told not to."""

    def __init__(self):
        self.got = []
        self.down = set()

    @ihobs.hookimpl
    def ihobs_notify(self, notification, receiver):
        if not receiver.startswith("pager:"):
            return None
        if receiver in self.down:
            raise ConnectionError("no route to pager")
        if receiver == "pager:refuses":
            return False
        self.got.append((receiver, notification.title))
        return True


@pytest.fixture
def pager():
    return Pager()


@pytest.fixture
def outbox(home, state, clock, pager):
    plugins = plugins_of(notifier=ihobs_notifier, pager=pager)
    return Outbox(home, state, plugins, {}, clock, environ={"TOKEN": "s3cret"})


@pytest.fixture
def tell(state, clock):
    """Store one event for each text, to be delivered to the given receivers."""

    def store(*texts, to):
        events = [
            Event("alert.firing", clock(), text, "critical", "ok", text, {"summary": "Runs fail."}) for text in texts
        ]
        alerts.save(state, Evaluation(events=events), {"critical": to})

    return store


def written(home):
    path = home.path / "logs" / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def outcomes(state):
    with state.read() as reader:
        return reader.execute("SELECT reference, state, attempts, detail FROM delivery ORDER BY 1, event_id").fetchall()


def test_a_plugin_delivers_to_its_receivers_in_order(outbox, pager, state, tell):
    tell("a", "b", to=["pager:1", "pager:2"])
    assert outbox.deliver() is None
    assert pager.got == [("pager:1", "a"), ("pager:2", "a"), ("pager:1", "b"), ("pager:2", "b")]
    assert outbox.deliver() is None
    assert len(pager.got) == 4


def test_a_receiver_that_is_down_is_tried_again_and_holds_up_only_itself(outbox, pager, clock, tell):
    pager.down = {"pager:1"}
    tell("a", "b", to=["pager:1", "pager:2"])
    assert outbox.deliver() == clock() + SECOND_NS
    assert pager.got == [("pager:2", "a"), ("pager:2", "b")]
    pager.down = set()
    assert outbox.deliver() == clock() + SECOND_NS
    clock.advance(1)
    assert outbox.deliver() is None
    assert pager.got[2:] == [("pager:1", "a"), ("pager:1", "b")]


def test_pauses_grow_to_five_minutes():
    assert [pause_ns(attempts) // SECOND_NS for attempts in range(10)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert pause_ns(10**6) == LONGEST_PAUSE_NS


@pytest.mark.parametrize("how", ["raises", "refuses"])
def test_what_fails_for_a_day_is_a_dead_letter_and_lets_the_next_one_through(outbox, pager, clock, state, tell, how):
    reference = f"pager:{how}"
    pager.down = {"pager:raises"}
    tell("a", to=[reference])
    outbox.deliver()
    clock.advance(GIVE_UP_AFTER_NS / SECOND_NS + 1)
    tell("b", to=[reference])
    outbox.deliver()
    assert [row[1:3] for row in outcomes(state)] == [("dead", 2), ("waiting", 1)]


def test_a_reference_that_nobody_knows_goes_to_console_and_file_once_an_event(outbox, home, state, tell, capsys):
    tell("errors are high", to=["slack://team", "email://on-call", "pager:1"])
    assert outbox.deliver() is None
    assert [line["title"] for line in written(home)] == ["errors are high"]
    assert capsys.readouterr().err.endswith("CRITICAL errors are high\n")
    assert [(row[0], row[1], row[3][:17]) for row in outcomes(state)] == [
        ("email://on-call", "sent", "no plug-in knows "),
        ("pager:1", "sent", ""),
        ("slack://team", "sent", "no plug-in knows "),
    ]


def test_when_even_the_fallback_fails_it_waits(home, state, clock, tell):
    tell("a", to=["slack://team"])
    outbox = Outbox(home, state, plugins_of(), {}, clock)
    assert outbox.deliver() == clock() + SECOND_NS


def test_a_message_has_a_key_that_stays_the_same(outbox, home, tell):
    tell("a", to=["file:x.jsonl", "file:y.jsonl"])
    outbox.deliver()
    lines = [json.loads((home.path / "logs" / name).read_text(encoding="utf-8")) for name in ("x.jsonl", "y.jsonl")]
    assert [line["key"] for line in lines] == ["1:file:x.jsonl", "1:file:y.jsonl"]
    assert lines[0]["body"] == "Runs fail."


def test_an_address_takes_the_place_of_its_reference(outbox, pager, tell):
    mapped = replace(outbox, addresses={"slack://team": "pager:${env:TOKEN}"})
    tell("a", to=["slack://team"])
    mapped.deliver()
    assert pager.got == [("pager:s3cret", "a")]


def test_an_address_with_a_variable_that_is_not_set_falls_back(outbox, home, pager, tell):
    mapped = replace(outbox, addresses={"slack://team": "pager:${env:NOT_SET}"})
    tell("a", to=["slack://team"])
    assert mapped.deliver() is None
    assert (pager.got, len(written(home))) == ([], 1)


def test_a_time_set_by_a_clock_that_was_wrong_does_not_delay_a_message(outbox, pager, clock, tell):
    pager.down = {"pager:1"}
    clock.now_ns += DAY_NS
    tell("a", to=["pager:1"])
    outbox.deliver()
    clock.now_ns -= DAY_NS
    pager.down = set()
    assert outbox.deliver() is None
    assert pager.got == [("pager:1", "a")]


def test_after_a_crash_before_it_was_recorded_a_message_is_sent_again(outbox, pager, state, tell):
    tell("a", to=["pager:1"])
    [waiting] = deliveries.waiting(state)
    outbox._attempt(waiting, set())  # sent, and then the process died
    assert outbox.deliver() is None
    assert pager.got == [("pager:1", "a")] * 2


def test_more_than_one_page_is_delivered_in_one_go(outbox, pager, tell):
    texts = [str(number) for number in range(deliveries.MAX_AT_ONCE + 5)]
    tell(*texts, to=["pager:1"])
    assert outbox.deliver() is None
    assert [text for _, text in pager.got] == texts


def test_levels_without_a_channel_go_to_the_console_and_the_file(home, tmp_path):
    path = tmp_path / "ihobs.yaml"
    path.write_text("channels: {critical: ['slack://team']}\n", encoding="utf-8")
    channels = channels_of(load(path, environ={}).settings, home)
    assert channels["critical"] == ("slack://team",)
    assert channels["warning"] == ("console:", f"file:{home.path}/logs/alerts.jsonl")
