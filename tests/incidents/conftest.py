"""A home with alerts that change as told, incidents that are watched, and a clock that moves only when told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from ihobs.clock import SECOND_NS
from ihobs.config import load
from ihobs.incidents.policy import policy_of
from ihobs.incidents.session import Desk
from ihobs.incidents.watch import Watch
from ihobs.model import Event, Rule
from ihobs.store.home import Home
from ihobs.store.state import alerts, incidents
from ihobs.store.state.alerts import AlertRow, Evaluation
from ihobs.store.state.migrations import open_state
from ihobs.testing import FakeClock

NOON_NS = 1_800_014_400 * SECOND_NS
"""2027-01-15 12:00:00 UTC, a Friday."""

UNITS = {"error_rate": "ratio", "response_time": "s", "api_quota": "ratio", "cost_per_hour": "usd"}


def settings_of(tmp_path, text):
    path = tmp_path / "ihobs.yaml"
    path.write_text("timezone: UTC\n" + text, encoding="utf-8")
    return load(path, environ={}).settings


@dataclass
class World:
    """Alerts that change as told, and the incidents that come of them."""

    home: Home
    state: object
    clock: FakeClock
    settings: object
    watch: Watch
    levels: dict = field(default_factory=dict)
    failing: bool = False

    @property
    def desk(self):
        return self.watch.desk

    def alert(self, key, level, value=None, *, watch=True, **facts):
        """Let an alert have `level` and `value` from now on; its rule and metric are what stands before a dot."""
        before, rule = self.levels.get(key, "ok"), key.split(".")[0]
        metric = rule if rule in UNITS else "error_rate"
        fields = {"rule": rule, "metric": metric, "unit": UNITS[metric], "value": value, "note": "", **facts}
        fields.setdefault("since_ns", self.clock())
        events = []
        if level != before:
            name = "alert.firing" if before == "ok" else "alert.resolved" if level == "ok" else "alert.level"
            events = [Event(name, self.clock(), key, level, before, f"{key} is {level}", fields)]
        row = AlertRow(
            key, rule, {}, "test", "resolved" if level == "ok" else "firing", level, self.clock(), value, 0.1, "{}"
        )
        self.levels[key] = level
        alerts.save(self.state, Evaluation(rows=[row], events=events))
        return self.look() if watch else None

    def look(self):
        return self.watch.run({"calls": Rule("calls", "error_rate", warning=0.1, of="llm")})

    def after(self, seconds):
        self.clock.advance(seconds)
        return self.look()

    def restarted(self):
        """The same home in a process that knows nothing."""
        self.state.close()
        self.state = open_state(self.home)
        self.watch = Watch(replace(self.desk, state=self.state), lambda: self.failing)
        return self

    def all(self):
        return list(reversed(incidents.newest(self.state, 1000)))

    def one(self):
        [found] = self.all()
        return found

    def of(self, read, incident_id):
        with self.state.read() as reader:
            return read(reader, incident_id)

    def deadline(self, incident_id, kind="response"):
        found = {one.kind: one for one in self.of(incidents.deadlines, incident_id)}
        return found.get(kind)

    def names(self, incident_id):
        return [one.name for one in self.of(incidents.timeline, incident_id)]

    def told(self):
        """What the history of alerts says of incidents, oldest first."""
        events = reversed(alerts.history(self.state, limit=10_000))
        return [event for event in events if event.name.startswith("incident.")]

    def addressed(self):
        """Who is named to hear of incidents: event -> references."""
        with self.state.read() as reader:
            rows = reader.execute(
                "SELECT event.name, reference FROM notice JOIN alert_event AS event ON event.id = event_id "
                "WHERE route = 'incidents' ORDER BY event_id, reference"
            ).fetchall()
        found = {}
        for name, reference in rows:
            found.setdefault(name, []).append(reference)
        return found


@pytest.fixture
def clock():
    return FakeClock(NOON_NS)


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home", create=True)


@pytest.fixture
def make_world(home, clock, tmp_path):
    opened = []

    def make(text=""):
        settings = settings_of(tmp_path, text)
        state = open_state(home)
        world = World(home, state, clock, settings, Watch(Desk(state, policy_of(settings), clock)))
        world.watch.nothing_succeeds = lambda: world.failing
        world.look()
        opened.append(world)
        return world

    yield make
    for world in opened:
        world.state.close()


@pytest.fixture
def world(make_world):
    return make_world()
