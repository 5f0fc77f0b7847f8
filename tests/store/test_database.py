"""A database under a live process: replaced, deleted, locked, full, damaged, newer, forked, shared by threads."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
from pathlib import Path

import pytest

from ihobs.errors import StoreRefusedError, StoreUnavailableError
from ihobs.store import connections, forking
from ihobs.store.database import Database
from ihobs.store.home import Home


def make_numbers(connection):
    connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
    connection.execute("INSERT INTO meta VALUES ('min_writer', '1')")
    connection.execute("CREATE TABLE number (value INTEGER)")


@pytest.fixture
def open_database(home):
    opened = []

    def open_another(**changes):
        arguments = {"version": 1, "migrate": make_numbers, "busy_timeout_s": 0.05, **changes}
        database = Database(home, "telemetry", **arguments)
        opened.append(database)
        return database

    yield open_another
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database):
    return open_database()


def add(database, value):
    with database.write() as connection:
        connection.execute("INSERT INTO number VALUES (?)", [value])


def numbers(database):
    with database.read() as connection:
        return [value for (value,) in connection.execute("SELECT value FROM number ORDER BY value")]


def numbers_in(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM number ORDER BY value")]


def make_generation(home, name):
    (home.path / "data" / name).mkdir()
    home.write_current(name)


def test_settings_that_durability_and_retention_rest_on_are_in_force(database):
    with database.write() as connection:
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "auto_vacuum", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2, "foreign_keys": 1}


def test_a_body_that_raises_leaves_nothing_behind(database):
    def fail(connection):
        connection.execute("INSERT INTO number VALUES (1)")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"), database.write() as connection:
        fail(connection)
    add(database, 2)
    assert numbers(database) == [2]


def test_a_read_sees_one_snapshot_however_long_it_lasts(open_database):
    reader, writer = open_database(), open_database()
    add(writer, 1)
    with reader.read() as connection:
        before = connection.execute("SELECT count(*) FROM number").fetchone()
        add(writer, 2)
        assert connection.execute("SELECT count(*) FROM number").fetchone() == before
        assert numbers(reader) == [1]  # a read inside a read is the same snapshot
    assert numbers(reader) == [1, 2]


def test_data_version_changes_when_another_connection_commits(open_database):
    here, there = open_database(), open_database()
    add(there, 1)
    before = here.data_version()
    assert here.data_version() == before
    add(there, 2)
    assert here.data_version() != before


class TestReplaced:
    def test_the_next_write_goes_to_the_new_generation(self, home, database):
        add(database, 1)
        old = home.database("telemetry")
        make_generation(home, "g0002")

        add(database, 2)

        assert numbers(database) == [2]
        assert numbers_in(old) == [1]

    def test_a_reader_that_saw_the_new_generation_first_does_not_leave_the_writer_on_the_old_one(self, home, database):
        add(database, 1)
        numbers(database)
        old = home.database("telemetry")
        make_generation(home, "g0002")

        assert numbers(database) == []  # opens a reader on the new generation
        add(database, 2)

        assert numbers_in(home.database("telemetry")) == [2]
        assert numbers_in(old) == [1]

    def test_a_generation_that_is_named_but_missing_is_reported_and_not_made(self, home, database):
        add(database, 1)
        home.write_current("g0009")
        with pytest.raises(StoreUnavailableError) as caught:
            add(database, 2)
        assert caught.value.reason == "the live generation is missing"
        assert not (home.path / "data" / "g0009").exists()

    def test_a_database_file_that_was_removed_alone_is_made_anew(self, home, database):
        add(database, 1)
        for path in (home.path / "data" / "g0001").iterdir():
            path.unlink()
        add(database, 2)
        assert numbers(database) == [2]


class TestDeleted:
    def test_writes_and_reads_say_that_the_home_is_gone(self, home, database):
        add(database, 1)
        numbers(database)
        shutil.rmtree(home.path)
        for attempt in (lambda: add(database, 2), lambda: numbers(database)):
            with pytest.raises(StoreUnavailableError) as caught:
                attempt()
            assert caught.value.reason == "the home is gone"

    def test_a_home_made_again_is_used_at_once(self, home, database):
        add(database, 1)
        shutil.rmtree(home.path)
        with pytest.raises(StoreUnavailableError):
            add(database, 2)
        Home.open(home.path, create=True)
        add(database, 3)
        assert numbers(database) == [3]

    def test_a_home_that_comes_back_is_not_left_locked(self, home, database, open_database):
        add(database, 1)
        away = home.path.with_name("away")
        home.path.rename(away)
        with pytest.raises(StoreUnavailableError):
            add(database, 2)
        away.rename(home.path)

        add(open_database(), 3)
        add(database, 4)

        assert numbers(database) == [1, 3, 4]


def hold_write_lock(path):
    """Start a process that holds the write lock until its standard input closes; return when it has it."""
    code = """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        print("locked", flush=True)
        sys.stdin.read()
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"locked\n"
    return holder


def test_a_lock_held_for_longer_than_the_timeout_is_an_error_that_says_so_and_passes(home, database):
    add(database, 1)
    with hold_write_lock(home.database("telemetry")) as holder:
        with pytest.raises(StoreUnavailableError) as caught:
            add(database, 2)
        assert caught.value.reason == "is locked by another process"
        assert numbers(database) == [1]
        holder.stdin.close()
        holder.wait()
    add(database, 3)
    assert numbers(database) == [1, 3]


def test_a_full_disk_is_an_error_that_says_so_and_loses_nothing_committed(database):
    add(database, 1)
    with database.idle() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    with pytest.raises(StoreUnavailableError) as caught, database.write() as connection:
        connection.execute("INSERT INTO meta VALUES ('much', ?)", ["x" * 100_000])

    assert caught.value.reason == "the disk is full"
    assert numbers(database) == [1]
    with database.idle() as connection:
        connection.execute("PRAGMA max_page_count=100000")
    add(database, 2)
    assert numbers(database) == [1, 2]


NOBODY = 65_534


@pytest.fixture
def public_home():
    """A home whose parents anybody may enter, unlike pytest's own temporary folders."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        home = Home.open(Path(parent) / "home", create=True)
        with contextlib.closing(Database(home, "telemetry", version=1, migrate=make_numbers)) as database:
            add(database, 1)
        yield home
        for path in (home.path, *home.path.rglob("*")):
            path.chmod(0o700)


@pytest.mark.parametrize("writable", ["directories", "nothing"])
def test_a_home_that_one_may_not_write_is_an_error_that_says_so(public_home, writable):
    for path in (public_home.path, *public_home.path.rglob("*")):
        if path.is_dir():
            path.chmod(0o777 if writable == "directories" else 0o555)
        else:
            path.chmod(0o444)

    def child():
        if os.geteuid() == 0:
            os.setuid(NOBODY)  # root may write anywhere
        with pytest.raises(StoreUnavailableError) as caught:
            add(Database(public_home, "telemetry", version=1, migrate=make_numbers), 2)
        assert caught.value.reason in {"cannot be written", "cannot be opened"}

    assert in_child(child) == 0


def test_a_connection_that_may_only_read_is_an_error_that_says_so(database):
    add(database, 1)
    with database.idle() as connection:
        connection.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreUnavailableError) as caught:
        add(database, 2)
    assert caught.value.reason == "cannot be written"


class TestDamaged:
    def test_a_file_that_is_no_database_is_left_as_it_is(self, home, database):
        path = home.database("telemetry")
        path.write_bytes(b"this is somebody's diary, not a database\n" * 100)
        before = path.read_bytes()
        for attempt in (lambda: add(database, 1), lambda: numbers(database)):
            with pytest.raises(StoreUnavailableError) as caught:
                attempt()
            assert caught.value.reason == "is not a database of ihobs"
        assert path.read_bytes() == before

    def test_pages_overwritten_with_noise_are_reported_as_damage(self, home, database, open_database):
        with database.write() as connection:
            connection.executemany("INSERT INTO number VALUES (?)", [(n,) for n in range(5_000)])
        database.close()
        with home.database("telemetry").open("r+b") as file:
            file.seek(4096 * 3)
            file.write(b"\xa5" * 4096 * 8)
        with pytest.raises(StoreUnavailableError) as caught:
            numbers(open_database())
        assert caught.value.reason == "is damaged"

    def test_another_programs_database_is_refused(self, home, database):
        with contextlib.closing(sqlite3.connect(home.database("telemetry"))) as connection:
            connection.execute("CREATE TABLE theirs (x)")
            connection.execute("PRAGMA user_version=77")
        with pytest.raises(StoreUnavailableError) as caught:
            add(database, 1)
        assert caught.value.reason == "is not a database of ihobs"


class TestOlderBesideNewer:
    """A process with version 1 of the code, and one with version 2 that has migrated the home."""

    @staticmethod
    def newer(open_database, min_writer):
        def migrate(connection):
            connection.execute("ALTER TABLE number ADD COLUMN unit TEXT")
            connection.execute("UPDATE meta SET value = ? WHERE key = 'min_writer'", [str(min_writer)])

        return open_database(version=2, migrate=migrate)

    @staticmethod
    def add_by_name(database, value):
        with database.write() as connection:
            connection.execute("INSERT INTO number (value) VALUES (?)", [value])

    def test_an_additive_change_lets_the_older_one_write_on(self, database, open_database):
        self.add_by_name(database, 1)
        self.add_by_name(self.newer(open_database, min_writer=1), 2)
        self.add_by_name(database, 3)
        self.add_by_name(open_database(), 4)
        assert numbers(database) == [1, 2, 3, 4]

    def test_a_change_that_it_cannot_follow_refuses_the_older_one_even_when_it_is_open_already(
        self, database, open_database
    ):
        self.add_by_name(database, 1)
        self.add_by_name(self.newer(open_database, min_writer=2), 2)

        for older in (database, open_database()):
            with pytest.raises(StoreRefusedError) as caught:
                self.add_by_name(older, 3)
            assert caught.value.reason == "was written by a newer ihobs"
        assert numbers(self.newer(open_database, min_writer=2)) == [1, 2]

    def test_a_migration_runs_once_though_several_open_at_the_same_time(self, home, open_database):
        ran = []

        def migrate(connection):
            ran.append(1)
            make_numbers(connection)

        databases = [open_database(migrate=migrate, busy_timeout_s=5) for _ in range(6)]
        threads = [threading.Thread(target=add, args=(each, n)) for n, each in enumerate(databases)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ran == [1]
        assert numbers(databases[0]) == list(range(6))

    def test_a_migration_that_fails_leaves_the_version_as_it_was(self, open_database):
        def fail(connection):
            connection.execute("CREATE TABLE half (x)")
            raise sqlite3.OperationalError("half way")

        with pytest.raises(sqlite3.OperationalError, match="half way"):
            add(open_database(migrate=fail), 1)


@contextlib.contextmanager
def forked(body):
    """Run `body` in a forked child beside the with-block; give what tells its exit code (0: it came to its end)."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            traceback.print_exc()
            os._exit(code)
    code = None

    def outcome():
        return code

    yield outcome
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_child(body):
    with forked(body) as outcome:
        pass
    return outcome()


def integrity(home):
    with contextlib.closing(sqlite3.connect(home.database("telemetry"))) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]


class TestForked:
    def test_child_and_parent_write_after_the_fork_and_nothing_is_damaged(self, home, database):
        add(database, 0)
        numbers(database)

        def child():
            for n in range(1, 50):
                add(database, n)
            assert numbers(database)[-1] == 49

        assert in_child(child) == 0
        add(database, 50)

        assert numbers(database) == list(range(51))
        assert integrity(home) == "ok"

    def test_what_a_child_commits_outlives_the_parents_connections(self, home, database):
        add(database, 0)
        numbers(database)
        closed_by_parent, told_child = os.pipe()

        def child():
            add(database, 1)  # opens its own connection beside what it inherited, if it inherited any
            os.read(closed_by_parent, 1)
            add(database, 2)

        with forked(child) as outcome:
            while numbers_in(home.database("telemetry")) != [0, 1]:
                os.sched_yield()
            database.close()
            os.write(told_child, b"x")
        assert outcome() == 0
        assert numbers(database) == [0, 1, 2]
        assert integrity(home) == "ok"

    def test_a_child_forked_inside_a_transaction_refuses_to_work_and_the_parent_goes_on(self, home, database):
        def child():
            for attempt in (lambda: add(database, 2), lambda: numbers(database)):
                with pytest.raises(StoreUnavailableError) as caught:
                    attempt()
                assert caught.value.reason == "was in use when this process was forked"

        with database.write() as connection:
            connection.execute("INSERT INTO number VALUES (1)")
            with forked(child) as outcome:
                pass
            assert outcome() == 0
        add(database, 3)
        assert numbers(database) == [1, 3]
        assert integrity(home) == "ok"

    def test_a_database_that_is_opened_while_another_thread_forks_can_be_used_afterwards(self, open_database):
        forking._before_fork()
        late = open_database()
        forking._after_fork_in_parent()
        writer = threading.Thread(target=add, args=(late, 1), daemon=True)
        writer.start()
        writer.join(20)
        assert not writer.is_alive()
        assert numbers(late) == [1]

    def test_a_fork_that_began_before_the_module_was_imported_may_end_after_it(self, open_database):
        early = open_database()
        forking._after_fork_in_parent()
        add(early, 1)
        assert numbers(early) == [1]

    def test_children_forked_while_another_thread_writes_all_write(self, home, open_database):
        database = open_database(busy_timeout_s=10)
        add(database, 0)
        stop = threading.Event()

        def keep_writing():
            while not stop.is_set():
                add(database, 0)

        writer = threading.Thread(target=keep_writing)
        writer.start()
        try:
            outcomes = [in_child(lambda n=n: add(database, n)) for n in range(1, 21)]
        finally:
            stop.set()
            writer.join()
        assert outcomes == [0] * 20
        assert set(range(21)) <= set(numbers(database))
        assert integrity(home) == "ok"


def test_threads_of_one_process_take_turns_and_none_is_lost(database):
    def work(first):
        for n in range(first, first + 25):
            add(database, n)
            numbers(database)
        database.close()

    threads = [threading.Thread(target=work, args=(100 * t,)) for t in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers(database)) == 150


def test_who_comes_second_to_a_new_home_needs_no_lock_to_open_it(home, database, open_database, monkeypatch):
    add(database, 1)
    answers = [0]  # at its first look there was no schema yet; then another process made it, and writes all the time
    real = connections.schema_version
    monkeypatch.setattr(connections, "schema_version", lambda each: answers.pop() if answers else real(each))
    with hold_write_lock(home.database("telemetry")) as holder:
        assert numbers(open_database()) == [1]
        holder.stdin.close()
        holder.wait()
    assert answers == []
