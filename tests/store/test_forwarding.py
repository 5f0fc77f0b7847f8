"""Cursors: what a restore, retention and two processes may do to them."""

import shutil
import sqlite3

import pytest

from ihobs.clock import DAY_NS, HOUR_NS
from ihobs.store.dead_letters import DeadLetter, newest_dead_letters
from ihobs.store.forwarding import (
    Enrolment,
    Progress,
    Trouble,
    advance,
    backlogs,
    enrol,
    postpone,
    read_cursor,
    stored_after,
)
from ihobs.store.retention import Retention
from ihobs.store.telemetry import TelemetryStore

NEW, OLD = Enrolment("f", from_beginning=False), Enrolment("f", from_beginning=True)


@pytest.fixture
def put(store, build, clock):
    """Store requests of two spans each."""
    count = iter(range(1, 10**6))

    def more(requests=1, into=store):
        for _ in range(requests):
            number = next(count)
            build.now_ns = clock()
            spans = [(2 * number, {"trace": number}), (2 * number + 1, {"trace": number})]
            assert into.ingest(build.request(*spans)).accepted == 2

    return more


def cursor_of(store, name="there"):
    return read_cursor(store.database, name)


def move(store, cursor, payload_id, **more):
    [stored] = stored_after(store.database, payload_id - 1, 1)
    return advance(store.database, cursor, Progress(payload_id, stored.received_ns, **more), store._clock())


def lost(store):
    with store.database.read() as connection:
        return dict(connection.execute("SELECT reason, spans FROM dropped").fetchall())


def test_a_new_destination_begins_with_what_comes_next_or_with_everything(store, put):
    put(2)
    enrol(store.database, {"new": NEW, "old": OLD})
    put(1)
    assert {one.name: one.spans for one in backlogs(store.database)} == {"new": 2, "old": 6}


def test_enrolling_again_moves_nothing(store, put):
    enrol(store.database, {"there": OLD})
    put(3)
    assert move(store, cursor_of(store), 2, sent_spans=4)
    enrol(store.database, {"there": OLD})
    assert cursor_of(store).payload_id == 2


def test_of_two_who_move_a_cursor_one_is_refused(store, put):
    enrol(store.database, {"there": OLD})
    put(3)
    cursor = cursor_of(store)
    assert move(store, cursor, 2, sent_spans=4)
    assert not move(store, cursor, 3, sent_spans=6)
    [backlog] = backlogs(store.database)
    assert (backlog.sent_spans, backlog.spans) == (4, 2)


def test_a_success_ends_a_pause_and_a_failure_remembers_since_when(store, put, clock):
    enrol(store.database, {"there": OLD})
    put()
    began_ns = clock()
    postpone(store.database, "there", Trouble("answers 503", 1, began_ns + 1), began_ns)
    clock.forward(HOUR_NS)
    postpone(store.database, "there", Trouble("answers 401", 2, 5, paused=True), clock())
    [backlog] = backlogs(store.database)
    assert (backlog.problem, backlog.problem_ns, backlog.paused) == ("answers 401", began_ns, True)
    assert move(store, cursor_of(store), 1, sent_spans=2)
    [backlog] = backlogs(store.database)
    assert (backlog.problem, backlog.problem_ns, backlog.paused) == ("", None, False)
    assert backlog.acknowledged_ns == clock()


def restored(home, copy):
    """Put a copy of the database into a new generation, as a restore does."""
    target = home.path / "data" / "g0002"
    target.mkdir()
    shutil.copy(copy, target / "telemetry.db")
    home.write_current("g0002")


def backed_up(store, path):
    with store.database.read() as connection, sqlite3.connect(path) as target:
        connection.backup(target)
    target.close()
    return path


def test_an_acknowledgement_from_before_a_restore_moves_nothing_in_the_restored_database(store, put, home, tmp_path):
    enrol(store.database, {"there": OLD})
    put(2)
    copy = backed_up(store, tmp_path / "copy.db")
    on_its_way = cursor_of(store)  # its batch is being sent
    restored(home, copy)
    put(3)
    assert not move(store, on_its_way, 2, sent_spans=4)
    assert cursor_of(store).payload_id == 0
    assert [one.spans for one in backlogs(store.database)] == [10]


def test_after_a_restore_what_came_in_since_is_not_skipped(store, put, home, tmp_path, clock):
    enrol(store.database, {"there": OLD})
    put(2)
    copy = backed_up(store, tmp_path / "copy.db")
    put(3)
    assert move(store, cursor_of(store), 5, sent_spans=10)
    restored(home, copy)
    clock.forward(HOUR_NS)
    put(1)
    assert cursor_of(store).payload_id == 0  # of the backup; what it had sent since then is sent again
    assert stored_after(store.database, 0, 9)[-1].id == 3


def test_a_cursor_of_another_database_goes_back_to_what_it_is_sure_of(store, put, clock):
    enrol(store.database, {"there": OLD})
    put(4)
    assert move(store, cursor_of(store), 4, sent_spans=8)
    clock.forward(HOUR_NS)
    put(2)
    with store.database.write() as connection:  # as if the numbers were given anew, in another order
        connection.execute("UPDATE destination SET store_id = 'another', payload_id = 999")
    assert cursor_of(store).payload_id == 4


def test_what_retention_takes_before_it_was_sent_is_counted_for_that_destination(home, clock, put):
    keeps = TelemetryStore(home, clock=clock, retention=Retention(payload_ns=DAY_NS))
    enrol(keeps.database, {"quick": OLD, "slow": OLD})
    put(3, keeps)
    assert move(keeps, cursor_of(keeps, "quick"), 3, sent_spans=6)
    assert move(keeps, cursor_of(keeps, "slow"), 1, sent_spans=2)
    clock.forward(2 * DAY_NS)
    put(1, keeps)
    keeps.maintain()
    assert lost(keeps) == {"forward:slow": 4}
    assert {one.name: one.spans for one in backlogs(keeps.database)} == {"quick": 2, "slow": 2}
    keeps.close()


def test_a_full_database_takes_the_oldest_and_counts_what_was_not_sent(home, clock, put):
    keeps = TelemetryStore(home, clock=clock, retention=Retention(max_bytes=1))
    enrol(keeps.database, {"there": OLD})
    put(3, keeps)
    keeps.maintain()
    assert lost(keeps) == {"forward:there": 6}
    keeps.close()


def test_a_destination_that_is_no_longer_configured_loses_nothing_by_retention(home, clock, put):
    keeps = TelemetryStore(home, clock=clock, retention=Retention(payload_ns=DAY_NS))
    enrol(keeps.database, {"there": OLD})
    put(3, keeps)
    enrol(keeps.database, {})
    clock.forward(2 * DAY_NS)
    keeps.maintain()
    assert lost(keeps) == {}
    keeps.close()


def test_what_comes_after_everything_was_removed_is_not_skipped(home, clock, put):
    keeps = TelemetryStore(home, clock=clock, retention=Retention(payload_ns=DAY_NS))
    enrol(keeps.database, {"there": OLD})
    put(3, keeps)
    assert move(keeps, cursor_of(keeps), 3, sent_spans=6)
    clock.forward(2 * DAY_NS)
    keeps.maintain()
    put(1, keeps)
    [waiting] = stored_after(keeps.database, cursor_of(keeps).payload_id, 9)
    assert waiting.id == 4
    keeps.close()


def test_dead_letters_are_kept_up_to_a_bound_and_the_oldest_go(store, put, monkeypatch):
    monkeypatch.setattr("ihobs.store.dead_letters.MAX_DEAD_LETTERS", 3)
    enrol(store.database, {"there": OLD, "other": OLD})
    put(3)
    for name, number in [("other", 1), ("there", 1), ("there", 2), ("there", 3)]:
        dead = [DeadLetter(number, bytes(16), bytes([number, index]), "no") for index in range(2)]
        assert move(store, cursor_of(store, name), number, dead=dead)
    kept = newest_dead_letters(store.database, "there", limit=99)
    assert [letter.span_id for letter in kept] == [b"\x03\x01", b"\x03\x00", b"\x02\x01"]
    assert len(newest_dead_letters(store.database, "other", limit=99)) == 2
    assert lost(store) == {"forward:there: refused": 6, "forward:other: refused": 2}
