"""People hear of incidents through the outbox: who hears that one opened hears how it goes on, and how it ends."""

from __future__ import annotations

import pytest
from tests.delivery.conftest import Pager

import ihobs_notifier
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.outbox import Outbox
from ihobs.delivery.policy import Policy, logs, policy_of
from ihobs.delivery.sending import Sender
from ihobs.incidents import people
from ihobs.matchers import parse
from ihobs.routes import DeliverySettings
from ihobs.store.state import silences
from ihobs.store.state.silences import Silence
from ihobs.testing import plugins_of

YAML = """
incidents:
  leadership: ["pager:cto"]
  chain:
    - {receivers: ["pager:first"], after: 2m}
    - {receivers: ["pager:second"], after: 5m}
"""


@pytest.fixture
def pager():
    return Pager()


@pytest.fixture
def telling(make_world, home, clock, pager):
    """Incidents, and an outbox that delivers what is told of them."""
    world = make_world(YAML)
    channels = {"warning": ("pager:team",), "critical": ("pager:on-call",)}
    policy = Policy(channels, logs(home), DeliverySettings())
    sender = Sender(plugins_of(notifier=ihobs_notifier, pager=pager), Addresses(home, {}, {}), clock)
    outbox = Outbox(world.state, policy, sender, clock)

    def passes(seconds=0.0):
        """Let time pass, a minute at most at a time, and deliver what is due."""
        while seconds > 0:
            clock.advance(min(60.0, seconds))
            seconds -= 60.0
            world.look()
            outbox.deliver()
        world.look()
        outbox.deliver()

    world.passes = passes
    return world


def of_incidents(pager, receiver):
    return [title for title in pager.titles(receiver) if "INC-" in title]


def test_on_call_and_leadership_hear_of_a_p1_from_its_opening_to_its_end(telling, pager):
    telling.alert("error_rate", "critical", 0.3)
    telling.passes()
    one = telling.one().id
    telling.passes(61)
    people.acknowledge(telling.desk, one, "anna")
    telling.passes(61)
    people.resolve(telling.desk, one, "anna", "rolled back")
    telling.passes(61)
    for receiver in ("pager:on-call", "pager:cto"):
        assert of_incidents(pager, receiver) == [
            f"P1 {one} opened: error_rate is critical",
            f"P1 {one} acknowledged by anna after 1 min",
            f"P1 {one} resolved by anna after 2 min: rolled back",
        ]
    assert pager.titles("pager:first") == []
    assert pager.last("pager:cto").level == "ok"
    assert pager.got[1][1].body.startswith("Respond by 2027-01-15 12:05 UTC.")


def test_the_chain_is_told_one_after_the_other_and_hears_the_end(telling, pager):
    telling.alert("error_rate", "critical", 0.3)
    telling.passes(119)
    assert pager.titles("pager:first") == []
    telling.passes(1)
    one = telling.one().id
    assert pager.titles("pager:first") == [f"P1 {one} is not acknowledged after 2 min: error_rate is critical"]
    telling.passes(180)
    assert pager.titles("pager:second") == [f"P1 {one} is not acknowledged after 5 min: error_rate is critical"]
    assert any("response at risk" in title for title in pager.titles("pager:first"))
    people.resolve(telling.desk, one, "anna", "rolled back")
    telling.passes(61)
    for receiver in ("pager:first", "pager:second", "pager:cto", "pager:on-call"):
        assert pager.titles(receiver)[-1] == f"P1 {one} resolved by anna after 5 min: rolled back"


def test_a_p3_is_told_as_a_warning_and_goes_over_when_it_rises(telling, pager):
    telling.alert("error_rate", "warning", 0.06)
    telling.passes(61)
    one = telling.one().id
    assert of_incidents(pager, "pager:team") == [f"P3 {one} opened: error_rate is warning"]
    assert of_incidents(pager, "pager:on-call") == []
    telling.alert("error_rate", "critical", 0.3)
    telling.passes(1)
    rise = f"P1 {one}: severity raised from P3 to P1: more than 25% of the runs fail"
    assert of_incidents(pager, "pager:team")[-1] == rise
    assert of_incidents(pager, "pager:on-call") == [rise]
    assert of_incidents(pager, "pager:cto") == [rise]


def test_routes_and_silences_know_the_labels_of_incidents(telling, pager):
    quiet = Silence(0, (parse("severity=P1"),), telling.clock(), telling.clock() + 10**15, "anna", "a drill")
    silences.add(telling.state, quiet, telling.clock())
    telling.alert("error_rate", "critical", 0.3)
    telling.passes(61)
    assert of_incidents(pager, "pager:on-call") == []
    assert "error_rate is critical" in pager.titles("pager:on-call")


def test_who_is_named_for_incidents_is_among_the_receivers_that_can_be_tested(telling):
    named = policy_of(telling.settings, telling.home).references()
    assert {"pager:cto", "pager:first", "pager:second"} <= set(named)


def test_what_is_told_survives_a_restart_and_is_told_once(telling, pager):
    telling.alert("error_rate", "critical", 0.3)
    telling.restarted()
    telling.passes()
    telling.restarted()
    telling.passes()
    assert len(of_incidents(pager, "pager:on-call")) == 1
