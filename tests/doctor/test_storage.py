"""The home under examination: whole, broken in every way that could be thought of, and never touched."""

import os
import shutil

import pytest

from ihobs.doctor import running, storage
from ihobs.doctor.examine import examine
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore


def levels(findings):
    return {finding.subject: finding.level for finding in findings if finding.level != "ok"}


def no_home(_):
    pass


def a_directory_that_is_no_home(patient):
    patient.path.mkdir()
    (patient.path / "notes.txt").write_text("mine")


def a_home_without_databases(patient):
    Home.open(patient.path, create=True)


def a_home_with_spans(patient):
    patient.make()
    patient.spans()


def a_home_that_is_older(patient):
    a_home_with_spans(patient)
    patient.sql("telemetry", "DROP TABLE destination", "PRAGMA user_version=2")


def a_home_that_is_newer(patient):
    a_home_with_spans(patient)
    patient.sql("telemetry", "PRAGMA user_version=999", "UPDATE meta SET value='999' WHERE key='min_writer'")


def a_home_that_is_text(patient):
    a_home_with_spans(patient)
    for name in ("telemetry", "state"):
        Home.open(patient.path).database(name).write_text("not a database at all\n" * 500)


def a_home_with_a_damaged_page(patient):
    a_home_with_spans(patient)
    path = Home.open(patient.path).database("telemetry")
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    path.write_bytes(content)


def a_home_that_was_cut(patient):
    a_home_with_spans(patient)
    os.truncate(Home.open(patient.path).database("telemetry"), 5000)


def a_home_without_its_generation(patient):
    patient.make()
    shutil.rmtree(patient.path / "data")


def a_home_with_a_directory_for_a_file(patient):
    patient.make()
    path = Home.open(patient.path).database("telemetry")
    path.unlink()
    path.mkdir()


CASES = [
    (no_home, {"home": "problem"}),
    (a_directory_that_is_no_home, {"home": "problem"}),
    (a_home_without_databases, {}),
    (a_home_with_spans, {}),
    (a_home_that_is_older, {}),
    (a_home_that_is_newer, {"telemetry.db": "problem"}),
    (a_home_that_is_text, {"telemetry.db": "problem", "state.db": "problem"}),
    (a_home_with_a_damaged_page, {"telemetry.db": "problem"}),
    (a_home_that_was_cut, {"telemetry.db": "problem"}),
    (a_home_without_its_generation, {"home": "problem"}),
    (a_home_with_a_directory_for_a_file, {"telemetry.db": "problem"}),
]


@pytest.mark.parametrize(("prepare", "wanting"), CASES, ids=lambda one: getattr(one, "__name__", ""))
def test_whatever_the_home_is_like_it_is_told_and_not_touched(patient, prepare, wanting):
    prepare(patient)
    before = patient.files()
    examined = patient.examined()
    found = list(examine(examined))
    examined.close()
    assert patient.files() == before
    assert {subject: level for subject, level in levels(found).items() if subject in {*wanting, "home"}} == wanting
    if not wanting:
        assert levels(found) == {}
    assert all(finding.advice and finding.meaning for finding in found if finding.level != "ok")


def test_a_home_in_use_is_read_with_what_is_not_in_the_file_yet(patient):
    patient.make()
    with TelemetryStore(Home.open(patient.path), clock=lambda: patient.now_ns) as store:
        store.record_dropped("queue full", 7)
        assert list(patient.path.rglob("telemetry.db-wal"))
        [(level, text)] = patient.told(running.losses)
    assert (level, "7 spans were lost (queue full)" in text) == ("problem", True)


def test_nothing_can_be_written_through_what_only_looks(patient):
    from ihobs.errors import StoreRefusedError

    patient.make()
    examined = patient.examined()
    with pytest.raises(StoreRefusedError), examined.telemetry.write():
        pass
    examined.close()


def test_what_others_may_read_is_a_warning(patient):
    patient.make()
    assert patient.told(storage.permissions)[0][0] == "ok"
    patient.path.chmod(0o755)
    [(level, text)] = patient.told(storage.permissions)
    assert (level, "drwxr-xr-x" in text) == ("warning", True)


def test_a_full_disk_is_a_problem(patient, monkeypatch):
    patient.make()
    assert [level for level, _ in patient.told(storage.disk)] == ["ok"]
    monkeypatch.setattr(storage, "LOW_BYTES", 10**18)
    assert [level for level, _ in patient.told(storage.disk)] == ["problem"]


def test_a_large_database_is_read_to_the_end_only_on_demand(patient, monkeypatch):
    patient.make()
    monkeypatch.setattr(storage, "LOOKED_THROUGH_BYTES", 0)
    assert "can be read; --deep reads every page of it" in [text for _, text in patient.told(storage.databases)]
    assert "is whole" in [text for _, text in patient.told(storage.databases, deep=True)]


def test_an_older_home_says_when_it_is_brought_up(patient):
    a_home_that_is_older(patient)
    assert ("ok", True) in [(level, "has version 2" in text) for level, text in patient.told(storage.databases)]
