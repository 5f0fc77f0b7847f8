"""Alerts, and their history in the state database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from ihobs.model import Event
from ihobs.store.state import alerts
from ihobs.store.state.alerts import AlertRow, Evaluation, RuleHealth
from ihobs.store.state.migrations import VERSION, open_state

ROW = AlertRow(
    key="errors",
    rule="errors",
    by={},
    source="threshold",
    state="firing",
    level="warning",
    since_ns=1_800_000_000_500_000_000,
    value=0.1,
    threshold=0.05,
    clocks="{}",
)


def event(name, level, previous, at_ns=7):
    return Event(name, at_ns, "errors", level, previous, "errors are high", {"value": 0.1, "rule": "errors"})


FIRING = event("alert.firing", "warning", "ok")
RISEN = event("alert.level", "critical", "warning", 8)
RESOLVED = event("alert.resolved", "ok", "critical", 9)


def test_what_is_saved_is_loaded(state):
    by_node = replace(ROW, key='slow{"node":null}', rule="slow", by={"node": None}, value=None, threshold=None)
    alerts.save(state, Evaluation(rows=[ROW, by_node]))
    assert alerts.load(state) == {ROW.key: ROW, by_node.key: by_node}


def test_a_row_is_replaced_and_forgotten(state):
    alerts.save(state, Evaluation(rows=[ROW]))
    resolved = replace(ROW, state="resolved", level="ok")
    alerts.save(state, Evaluation(rows=[resolved]))
    assert alerts.load(state) == {ROW.key: resolved}
    alerts.save(state, Evaluation(gone=[ROW.key]))
    assert alerts.load(state) == {}


def test_the_history_is_newest_first_and_cannot_be_changed(state):
    other = replace(FIRING, subject="other")
    alerts.save(state, Evaluation(events=[FIRING, other, RESOLVED]))
    assert alerts.history(state, limit=10) == [RESOLVED, other, FIRING]
    assert alerts.history(state, limit=10, alert="errors") == [RESOLVED, FIRING]
    assert alerts.history(state, limit=1) == [RESOLVED]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), state.write() as writer:
        writer.execute("UPDATE alert_event SET level = 'ok'")


def test_an_evaluation_that_cannot_be_saved_leaves_nothing_behind(state):
    bad = replace(ROW, key="bad", level="purple")
    with pytest.raises(sqlite3.IntegrityError):
        alerts.save(state, Evaluation(rows=[ROW, bad], events=[FIRING]))
    assert (alerts.load(state), alerts.history(state, limit=1)) == ({}, [])


def test_unhealthy_rules_are_replaced_as_a_whole(state):
    broken = RuleHealth("errors", "no such metric", 5)
    alerts.save(state, Evaluation(unhealthy=[broken]))
    alerts.save(state, Evaluation(rows=[ROW]))
    assert alerts.unhealthy_rules(state) == [broken]
    alerts.save(state, Evaluation(unhealthy=[]))
    assert alerts.unhealthy_rules(state) == []


def test_the_view_for_people_speaks_of_time_in_utc(state):
    alerts.save(state, Evaluation(rows=[ROW]))
    with state.read() as reader:
        row = reader.execute("SELECT rule, level, state, since, value, threshold FROM alerts").fetchone()
    assert row == ("errors", "warning", "firing", "2027-01-15T08:00:00.500Z", 0.1, 0.05)


def test_opening_twice_migrates_once(home, state):
    alerts.load(state)
    again = open_state(home)
    alerts.load(again)
    again.close()
    with closing(sqlite3.connect(home.database("state"))) as connection:
        assert connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone() == (VERSION,)
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
