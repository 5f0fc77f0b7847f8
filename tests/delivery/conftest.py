"""A home with a state database, a clock that moves only when told, and receivers that say what they got."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

import ihobs
import ihobs_notifier
from ihobs.clock import SECOND_NS
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.outbox import Outbox
from ihobs.delivery.policy import Policy, logs
from ihobs.delivery.sending import Sender
from ihobs.model import Event, Outcome
from ihobs.routes import DeliverySettings
from ihobs.store.home import Home
from ihobs.store.state import alerts
from ihobs.store.state.alerts import AlertRow, Evaluation
from ihobs.store.state.migrations import open_state
from ihobs.testing import FakeClock, plugins_of

NOON_NS = 1_800_014_400 * SECOND_NS


class Pager:
    """A stranger's plug-in that delivers to pager: addresses, unless it is told not to."""

    def __init__(self):
        self.got = []
        self.answers = {}

    @ihobs.hookimpl
    def ihobs_notify(self, notification, receiver):
        if not receiver.startswith("pager:"):
            return None
        answer = self.answers.get(receiver, True)
        if isinstance(answer, Exception):
            raise answer
        if answer is True or (isinstance(answer, Outcome) and answer.state == "delivered"):
            self.got.append((receiver, notification))
        return answer

    def titles(self, receiver="pager:1"):
        return [notification.title for to, notification in self.got if to == receiver]

    def last(self, receiver="pager:1"):
        return [notification for to, notification in self.got if to == receiver][-1]


@dataclass
class World:
    """Alerts that change as told, and the outbox that tells of them."""

    home: Home
    state: object
    clock: FakeClock
    pager: Pager
    outbox: Outbox
    levels: dict = field(default_factory=dict)

    def set(self, alert, level, **fields):
        """Let an alert have `level` from now on; its rule is what stands before a dot."""
        self.set_all({alert: level}, **fields)

    def set_all(self, levels, **fields):
        events, rows = [], []
        for alert, level in levels.items():
            before = self.levels.get(alert, "ok")
            if level == before:
                continue
            name = "alert.firing" if before == "ok" else "alert.resolved" if level == "ok" else "alert.level"
            facts = {"rule": alert.split(".")[0], "summary": "Runs fail.", **fields}
            events.append(Event(name, self.clock(), alert, level, before, f"{alert} is {level}", facts))
            state = "resolved" if level == "ok" else "firing"
            rows.append(AlertRow(alert, facts["rule"], {}, "test", state, level, self.clock(), 1.0, 0.5, "{}"))
            self.levels[alert] = level
        alerts.save(self.state, Evaluation(rows=rows, events=events))

    def deliver(self):
        return self.outbox.deliver()

    def after(self, seconds):
        """Let time pass, and deliver what is due then."""
        self.clock.advance(seconds)
        return self.deliver()

    def configure(self, **changes):
        """Change the policy: `channels`, `routes`, `fallback`, `delivery`, `inhibitions`."""
        self.outbox.policy = replace(self.outbox.policy, **changes)

    def rows(self, table, columns="*", order=1):
        with self.state.read() as reader:
            return reader.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()

    def reasons(self, reference="pager:1"):
        with self.state.read() as reader:
            return reader.execute(
                "SELECT state, reason FROM notice WHERE reference = ? ORDER BY event_id", (reference,)
            ).fetchall()

    def restarted(self):
        """The same home in a process that knows nothing."""
        self.outbox = replace(self.outbox, _remembered=type(self.outbox._remembered)())
        return self


@pytest.fixture
def clock():
    return FakeClock(NOON_NS)


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home", create=True)


@pytest.fixture
def state(home):
    database = open_state(home)
    yield database
    database.close()


@pytest.fixture
def pager():
    return Pager()


@pytest.fixture
def world(home, state, clock, pager):
    channels = {"warning": ("pager:1",), "critical": ("pager:1",)}
    policy = Policy(channels, logs(home), DeliverySettings(group_wait_s=0.3, group_interval_s=60))
    plugins = plugins_of(notifier=ihobs_notifier, pager=pager)
    addresses = Addresses(home, {}, {"TOKEN": "s3cret"})
    return World(home, state, clock, pager, Outbox(state, policy, Sender(plugins, addresses, clock), clock))
