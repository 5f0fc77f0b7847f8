"""Silences, inhibition and acknowledgements: Alertmanager's published behaviour as tables, and what it lacks."""

from __future__ import annotations

import pytest

from ihobs.clock import HOUR_NS, SECOND_NS
from ihobs.delivery.muting import Inhibition
from ihobs.delivery.policy import STANDING_INHIBITIONS, Policy
from ihobs.matchers import parse
from ihobs.routes import DeliverySettings, InhibitSettings, RouteSettings
from ihobs.store.state import acknowledgements, silences
from ihobs.store.state.acknowledgements import Acknowledgement
from ihobs.store.state.silences import Silence


def matchers(*texts):
    return tuple(map(parse, texts))


@pytest.fixture
def silence(world):
    def make(*texts, hours=1, starts_in=0):
        now = world.clock()
        starts = now + starts_in * HOUR_NS
        one = Silence(0, matchers(*texts), starts, starts + hours * HOUR_NS, "ann", "deploy")
        return silences.add(world.state, one, now)

    return make


@pytest.fixture
def ack(world):
    def give(alert, hours=1):
        number, level = acknowledgements.newest_event(world.state, alert)
        now = world.clock()
        given = Acknowledgement(alert, number, level, "bob", "on it", now, now + hours * HOUR_NS)
        acknowledgements.give(world.state, given)

    return give


@pytest.mark.parametrize(
    ("condition", "labels", "fits"),
    [
        ("team=pay", {"team": "pay"}, True),
        ("team=pay", {"team": "payments"}, False),
        ("team=", {}, True),
        ("team!=pay", {}, True),
        ("team!=pay", {"team": "pay"}, False),
        ("team=~pay|search", {"team": "search"}, True),
        ("team=~pay", {"team": "payments"}, False),
        ("team=~pay.*", {"team": "payments"}, True),
        ("team!~pay.*", {"team": "payments"}, False),
        ("team!~pay.*", {}, True),
        (' team = "a b" ', {"team": "a b"}, True),
        ("team='pay'", {"team": "pay"}, True),
        ('team="it\'s"', {"team": "it's"}, True),
    ],
)
def test_conditions_mean_what_they_say(condition, labels, fits):
    assert parse(condition).matches(labels) is fits


@pytest.mark.parametrize("text", ["", "team", "=pay", "te am=x", "team=~(", 'team="a', "1x=2", "team==~x("])
def test_what_is_no_condition_is_refused(text):
    if text == "team==~x(":
        assert parse(text).value == "=~x("
        return
    with pytest.raises(ValueError, match=r"is no (condition|regular expression)"):
        parse(text)


@pytest.mark.parametrize("text", ["team=pay", "rule!=a b", "node=~x|y", "model!~gpt.*"])
def test_a_condition_survives_being_written_down(text):
    assert parse(str(parse(text))) == parse(text)


def test_a_silenced_alert_is_told_when_the_silence_ends(world, silence):
    silence("rule=errors")
    world.set("errors", "critical")
    assert world.deliver() == world.clock() + HOUR_NS
    assert (world.pager.got, world.reasons()) == ([], [("waiting", "silence 1 of ann: deploy")])
    world.after(3600)
    assert world.pager.titles() == ["errors is critical"]


def test_what_was_over_within_a_silence_is_not_told_and_why_is_kept(world, silence):
    silence("rule=errors", "level=critical")
    world.set("errors", "critical")
    world.deliver()
    world.clock.advance(60)
    world.set("errors", "ok")
    assert world.deliver() is None
    assert (world.pager.got, world.reasons()) == ([], [("muted", "silence 1 of ann: deploy")] * 2)


def test_who_was_told_before_a_silence_is_told_that_it_is_over(world, silence):
    world.set("errors", "critical")
    world.deliver()
    world.clock.advance(120)
    silence("rule=errors", hours=8)
    world.after(5 * 3600)
    assert world.pager.titles() == ["errors is critical"]  # not repeated
    world.set("errors", "ok")
    world.deliver()
    assert world.pager.titles() == ["errors is critical", "errors is ok"]


def test_a_silence_that_is_ended_by_hand_is_over_at_once(world, silence):
    number = silence("rule=errors")
    world.set("errors", "critical")
    world.deliver()
    assert silences.expire(world.state, number, world.clock())
    assert not silences.expire(world.state, number, world.clock())
    world.deliver()
    assert world.pager.titles() == ["errors is critical"]


def test_a_silence_that_has_not_begun_is_none(world, silence):
    silence("rule=errors", starts_in=1)
    world.set("errors", "critical")
    world.deliver()
    assert world.pager.titles() == ["errors is critical"]


def test_an_acknowledged_alert_is_not_repeated_and_told_again_when_that_ends(world, ack):
    world.set("errors", "critical")
    world.deliver()
    ack("errors", hours=6)
    world.after(5 * 3600)
    assert len(world.pager.got) == 1
    world.after(3600)
    assert world.pager.last().title == "still critical: errors is critical"
    world.after(60)
    assert len(world.pager.got) == 2


def test_what_rises_or_begins_anew_is_told_in_spite_of_an_acknowledgement(world, ack):
    world.set("errors", "warning")
    world.deliver()
    ack("errors", hours=24)
    world.clock.advance(120)
    world.set("errors", "critical")
    world.deliver()
    world.clock.advance(120)
    world.set("errors", "warning")  # falls to what was acknowledged
    world.deliver()
    assert world.pager.titles() == ["errors is warning", "errors is critical"]
    world.set("errors", "ok")
    world.deliver()
    world.clock.advance(120)
    world.set("errors", "warning")
    world.deliver()
    assert world.pager.titles()[2:] == ["errors is ok", "errors is warning"]


ONE_SIDED = InhibitSettings(matchers("level=critical"), matchers("level=warning"), ("cluster",))
BOTH = InhibitSettings(matchers("kind=~.*x.*"), matchers("kind=~.*"), ("cluster",))


@pytest.mark.parametrize(
    ("rule", "firing", "labels", "source"),
    [
        (ONE_SIDED, {"s": {"level": "critical", "cluster": "a"}}, {"level": "warning", "cluster": "a"}, "s"),
        (ONE_SIDED, {"s": {"level": "critical", "cluster": "a"}}, {"level": "warning", "cluster": "b"}, None),
        (ONE_SIDED, {"s": {"level": "critical"}}, {"level": "warning", "cluster": ""}, "s"),  # missing counts as empty
        (ONE_SIDED, {"s": {"level": "critical", "cluster": "a"}}, {"level": "critical", "cluster": "a"}, None),
        (ONE_SIDED, {}, {"level": "warning"}, None),
        (BOTH, {"t": {"kind": "x"}}, {"kind": "x"}, None),  # fits both sides, and so does the source: it itself
        (BOTH, {"s": {"kind": "x"}}, {"kind": "x"}, None),  # the same with another one
        (BOTH, {"s": {"kind": "x"}}, {"kind": "y"}, "s"),
    ],
)
def test_inhibition_follows_alertmanager(rule, firing, labels, source):
    assert Inhibition([rule], firing).source_of("t", labels) == source


def test_a_critical_alert_mutes_the_warning_about_the_same_until_it_is_over(world):
    world.set("burn", "critical", metric="error_rate", **{"by.workflow": "a"})
    world.set("errors.a", "warning", metric="error_rate", **{"by.workflow": "a"})
    world.set("errors.b", "warning", metric="error_rate", **{"by.workflow": "b"})
    world.deliver()
    assert world.pager.titles() == ["burn is critical", "errors.b is warning"]
    assert ("waiting", "inhibited: burn says it already") in world.reasons()
    world.clock.advance(61)
    world.set("burn", "ok", metric="error_rate", **{"by.workflow": "a"})
    world.deliver()
    assert world.pager.titles()[2:] == ["burn is ok", '2 warning (rule="errors")']


def test_while_spans_do_not_come_in_no_data_is_no_news():
    firing = {"late": {"metric": "ingest_lag", "level": "warning"}}
    inhibition = Inhibition(STANDING_INHIBITIONS, firing)
    assert inhibition.source_of("errors", {"reason": "no data", "level": "warning"}) == "late"
    assert inhibition.source_of("errors", {"level": "warning"}) is None


CHANNELS = {"critical": ("c",), "warning": ("w",)}
ROUTES = (
    RouteSettings("audit", matchers("rule=~cost.*"), ("audit",), goes_on=True),
    RouteSettings("pay", matchers("team=pay"), ("pay", "c"), group_by=("team",)),
    RouteSettings("quiet", matchers("rule=noise"), ()),
)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"level": "critical"}, ["c"]),
        ({"level": "warning", "rule": "cost_per_hour"}, ["audit", "w"]),
        ({"level": "critical", "team": "pay"}, ["pay", "c"]),
        ({"level": "critical", "team": "pay", "rule": "cost"}, ["audit", "pay", "c"]),
        ({"level": "critical", "rule": "noise"}, []),
    ],
)
def test_the_first_route_that_fits_counts_unless_it_goes_on(labels, receivers):
    policy = Policy(CHANNELS, (), DeliverySettings(), ROUTES)
    assert [one.reference for one in policy.addresses(labels)] == receivers


def test_groups_are_named_for_their_route_and_labels():
    policy = Policy(CHANNELS, (), DeliverySettings(group_by=("rule", "node")), ROUTES)
    assert policy.addresses({"level": "warning", "rule": "a"})[0].group_key == 'channels{rule="a", node=""}'
    assert policy.addresses({"team": "pay"})[0].group_key == 'pay{team="pay"}'


def test_a_route_has_its_own_times_and_logs_are_written_at_once():
    route = RouteSettings("slow", (), ("x",), group_interval_s=600)
    policy = Policy(CHANNELS, (), DeliverySettings(), (route,))
    assert policy.timing("x", "slow").group_interval_ns == 600 * SECOND_NS
    assert policy.timing("x", "channels").group_interval_ns == 60 * SECOND_NS
    assert policy.timing("console:", "slow").group_interval_ns == 0
