"""Random lives of incidents: alerts, people, clocks that jump, processes that start anew; held against invariants."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.incidents.conftest import NOON_NS, World, settings_of

from ihobs.errors import RefusedError
from ihobs.incidents import people
from ihobs.incidents.lifecycle import UNRESOLVED
from ihobs.incidents.policy import policy_of
from ihobs.incidents.session import Desk
from ihobs.incidents.watch import Watch
from ihobs.store.home import Home
from ihobs.store.state import incidents
from ihobs.store.state.migrations import open_state
from ihobs.testing import FakeClock

ALERTS = {"error_rate": {}, "error_rate.b": {"by.node": "b"}, "error_rate.c": {"by.workflow": "c"}, "response_time": {}}
READINGS = st.sampled_from([("ok", 0.01), ("warning", 0.06), ("critical", 0.2), ("critical", 0.5)])
PEOPLE = st.sampled_from(["anna", "bob"])
YAML = """
incidents:
  resolve_within: {P1: 1h}
  chain: [{receivers: ["pager:1"]}, {receivers: ["pager:2"], after: 10m}]
"""


class Lives(RuleBasedStateMachine):
    """What happens, in any order."""

    @initialize()
    def begin(self):
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name)
        clock = FakeClock(NOON_NS)
        self.home = Home.open(path / "home", create=True)
        chosen = settings_of(path, YAML)
        state = open_state(self.home)
        self.world = World(self.home, state, clock, chosen, Watch(Desk(state, policy_of(chosen), clock)))
        self.world.look()
        self.timelines = {}
        self.is_current = True

    def teardown(self):
        if hasattr(self, "world"):
            self.world.state.close()
            self.directory.cleanup()

    @rule(alert=st.sampled_from(sorted(ALERTS)), reading=READINGS, seen=st.booleans())
    def an_alert_changes(self, alert, reading, seen):
        level, value = reading
        self.world.alert(alert, level, value * (100 if alert == "response_time" else 1), watch=seen, **ALERTS[alert])
        self.is_current = seen

    @rule(seconds=st.sampled_from([1, 60, 290, 301, 1800, 7300]))
    def time_passes(self, seconds):
        self.world.after(seconds)
        self.is_current = True

    @rule(seconds=st.sampled_from([-7200, -30, 90_000]))
    def the_clock_jumps(self, seconds):
        self.world.clock.advance(seconds)
        self.is_current = False

    @rule()
    def the_process_starts_anew(self):
        self.world.restarted().look()
        self.is_current = True

    @rule(title=st.sampled_from(["slow", "wrong"]), severity=st.sampled_from(["P1", "P2", "P4"]), who=PEOPLE)
    def somebody_opens(self, title, severity, who):
        people.open_by_hand(self.world.desk, title, severity, who)

    @precondition(lambda self: self.world.all())
    @rule(
        data=st.data(),
        action=st.sampled_from(["acknowledge", "mitigate", "resolve", "raise", "lower", "note", "merge"]),
        who=PEOPLE,
    )
    def somebody_acts(self, data, action, who):
        found = self.world.all()
        one, other = (data.draw(st.sampled_from(found)) for _ in range(2))
        before, lines = one.state, len(self.world.of(incidents.timeline, one.id))
        try:
            outcome = self.act(action, one, other, who)
        except RefusedError:
            after = self.world.of(incidents.find, one.id)
            assert (after, len(self.world.of(incidents.timeline, one.id))) == (one, lines), "refused changes nothing"
            return
        grown = len(self.world.of(incidents.timeline, one.id)) > lines
        assert outcome.changed == grown, "what changed stands in the timeline, and nothing else does"
        assert outcome.changed or outcome.incident.state == before

    def act(self, action, one, other, who):
        desk = self.world.desk
        if action == "merge":
            if one.id == other.id:
                raise RefusedError("the same", "another")
            return people.merge(desk, one.id, other.id, who)
        if action in {"raise", "lower"}:
            return people.set_severity(desk, one.id, "P1" if action == "raise" else "P4", who, "because")
        if action == "acknowledge":
            return people.acknowledge(desk, one.id, who)
        return getattr(people, action)(desk, one.id, who, "words")

    @invariant()
    def nothing_is_doubled(self):
        unresolved = [one for one in self.world.all() if one.state in UNRESOLVED]
        keys = Counter(one.join_key for one in unresolved if one.join_key)
        assert not [key for key, count in keys.items() if count > 1]
        held = Counter(each.alert for one in unresolved for each in self.world.of(incidents.members, one.id))
        assert not [alert for alert, count in held.items() if count > 1]

    @invariant()
    def no_line_is_lost_changed_or_reordered(self):
        for one in self.world.all():
            before, now = self.timelines.get(one.id, []), self.world.of(incidents.timeline, one.id)
            assert now[: len(before)] == before
            self.timelines[one.id] = now
            assert now[0].name == "opened"

    @invariant()
    def deadlines_are_sane(self):
        for one in self.world.all():
            for each in self.world.of(incidents.deadlines, one.id):
                assert each.started_ns < each.due_ns
                assert each.state != "running" or one.state in UNRESOLVED
                assert each.kind != "response" or each.state != "running" or one.acknowledged_ns is None
                assert (each.state == "running") == (each.ended_ns is None) or each.state == "breached"
            names = Counter(self.world.names(one.id))
            lives, kinds = 1 + one.reopened, 2
            assert names["deadline.breached"] <= lives * kinds
            assert names["escalated"] <= lives * max(1, len(one.chain))
            assert one.chain_told <= len(one.chain)

    @invariant()
    def what_is_told_fits_together(self):
        last = {}
        for event in self.world.told():
            assert event.previous_level == last.get(event.subject, "ok"), event
            last[event.subject] = event.level
        for one in self.world.all():
            assert (last[one.id] == "ok") == (one.state not in UNRESOLVED)

    @invariant()
    def what_fires_belongs_to_an_incident(self):
        if not self.is_current:
            return
        with self.world.state.read() as reader:
            held = incidents.holders(reader)
        for alert, level in self.world.levels.items():
            if level != "ok":
                assert alert in held
            elif alert in held:
                assert {one.alert: one.cleared_ns for one in self.world.of(incidents.members, held[alert].id)}[alert]


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
