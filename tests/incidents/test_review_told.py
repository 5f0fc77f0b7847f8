"""Those who hear of warnings hear of reviews that are missing and of action items that are overdue."""

from __future__ import annotations

from tests.delivery.conftest import Pager

import ihobs_notifier
from ihobs.clock import DAY_NS
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.outbox import Outbox
from ihobs.delivery.policy import Policy, logs
from ihobs.delivery.sending import Sender
from ihobs.incidents import people, review
from ihobs.incidents.answers import QUESTIONS, Answers, Planned
from ihobs.routes import DeliverySettings
from ihobs.testing import plugins_of


def test_reminders_reach_those_who_hear_of_warnings_and_end_with_the_work(world, home, clock):
    pager = Pager()
    policy = Policy({"warning": ("pager:team",), "critical": ("pager:on-call",)}, logs(home), DeliverySettings())
    sender = Sender(plugins_of(notifier=ihobs_notifier, pager=pager), Addresses(home, {}, {}), clock)
    outbox = Outbox(world.state, policy, sender, clock)

    def days(number):
        for _ in range(number * 24):
            world.after(3600)
            outbox.deliver()

    opened = people.open_by_hand(world.desk, "imports fail", "P1", "anna").incident.id
    people.resolve(world.desk, opened, "anna", "restarted")
    action = review.add_action(
        world.desk, opened, Planned("alert sooner", "bob", clock() + 10 * DAY_NS, "high"), "anna"
    )
    days(11)
    heard = pager.titles("pager:team")
    due = "2027-01-22 17:00 UTC"
    assert heard[0] == f"the review of P1 {opened} is due at {due}: imports fail"
    assert heard.count(f"the review of P1 {opened} is overdue since {due}: imports fail") == 3
    assert f"action item #{action.action.id} of {opened} is overdue" in heard[-1]
    assert not any("review" in title for title in pager.titles("pager:on-call"))
    review.close_action(world.desk, action.action.id, "bob", "done", lambda _test: None)
    review.write(world.desk, opened, Answers(dict.fromkeys(QUESTIONS, "text")), {}, "anna")
    before = len(pager.titles("pager:team"))
    days(14)
    assert len(pager.titles("pager:team")) == before
