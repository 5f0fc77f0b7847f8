"""Controls: they end by themselves, and no change of them is forgotten."""

import sqlite3

import pytest

from ihobs.clock import HOUR_NS, SECOND_NS
from ihobs.errors import InvalidInputError, NotFoundError
from ihobs.store.state.controls import (
    FORWARD_PAUSED,
    Setting,
    Watch,
    active,
    changes,
    clear_control,
    set_control,
    value_of,
)
from ihobs.store.state.migrations import open_state


@pytest.fixture
def state(home):
    opened = open_state(home)
    yield opened
    opened.close()


@pytest.fixture
def hold(state, clock):
    return lambda value=True, owner="me", reason="test": set_control(
        state, FORWARD_PAUSED, Setting(value, owner, reason, clock() + HOUR_NS), clock()
    )


def test_a_control_ends_by_itself(state, hold, clock):
    hold()
    assert active(state, clock())[FORWARD_PAUSED].value is True
    assert active(state, clock() + HOUR_NS) == {}


def test_every_change_counts_up_and_is_told_with_what_was_before(state, hold, clock):
    assert hold(value=True).version == 1
    clock.forward(SECOND_NS)
    assert hold(value=False, owner="you", reason="moved").version == 2
    clock.forward(SECOND_NS)
    assert clear_control(state, FORWARD_PAUSED, owner="me", reason="done", now_ns=clock())
    told = [(one.previous, one.value, one.owner, one.reason) for one in changes(state, limit=9)]
    assert told == [(False, None, "me", "done"), (True, False, "you", "moved"), (None, True, "me", "test")]
    assert active(state, clock()) == {}


def test_clearing_what_is_not_set_changes_nothing(state, clock):
    assert not clear_control(state, FORWARD_PAUSED, owner="me", reason="", now_ns=clock())
    assert changes(state, limit=9) == []


@pytest.mark.parametrize("statement", ["UPDATE control_change SET owner = 'x'", "DELETE FROM control_change"])
def test_the_history_cannot_be_changed(state, hold, statement):
    hold()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), state.write() as connection:
        connection.execute(statement)


def test_a_control_that_does_not_exist_is_refused_with_the_one_that_was_meant(state, clock):
    with pytest.raises(NotFoundError) as caught:
        set_control(state, "forward.pause", Setting(value=True, owner="", reason="", expires_ns=1), clock())
    assert (caught.value.name, caught.value.hint) == ("forward.pause", "did you mean 'forward.paused'?")


def test_a_value_that_means_nothing_is_refused():
    assert value_of(FORWARD_PAUSED, "On") is True
    with pytest.raises(InvalidInputError) as caught:
        value_of(FORWARD_PAUSED, "maybe")
    assert caught.value.where == FORWARD_PAUSED


def test_a_watch_sees_changes_of_others_at_once_and_the_end_by_the_clock(home, hold, clock):
    mine = open_state(home)
    watch = Watch(mine, clock)
    assert watch.value(FORWARD_PAUSED) is False
    hold()
    assert watch.value(FORWARD_PAUSED) is True
    clock.forward(HOUR_NS)
    assert watch.value(FORWARD_PAUSED) is False
    mine.close()


def test_while_the_home_is_gone_the_last_value_holds_until_it_expires(home, hold, state, clock):
    watch = Watch(state, clock)
    hold()
    assert watch.value(FORWARD_PAUSED) is True
    home.path.rename(home.path.with_name("elsewhere"))
    assert watch.value(FORWARD_PAUSED) is True
    clock.forward(HOUR_NS)
    assert watch.value(FORWARD_PAUSED) is False
    home.path.with_name("elsewhere").rename(home.path)
