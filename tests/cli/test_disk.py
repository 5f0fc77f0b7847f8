"""What `ihobs status` says of the disk."""

import json

import pytest

from ihobs.cli.disk import disk_figures, disk_text, is_urgent
from ihobs.clock import DAY_NS, HOUR_NS
from ihobs.store.forecast import Forecast

NOW_NS = 1_767_225_600 * 10**9
"""2026-01-01T00:00:00Z"""

FULL = {"growth_bytes_a_day": 5e9, "in_a_week_bytes": 4e10, "settles_at_bytes": 5e10}


SETTLES = Forecast(10**9, 20 * 10**9, "max_bytes", 10**8, None, 1.7e9, 3e9)
MAX_BYTES = Forecast(10**9, 20 * 10**9, "max_bytes", full_ns=NOW_NS, **FULL)
FILE_SYSTEM = Forecast(10**9, 2 * 10**9, "file system", full_ns=NOW_NS, **FULL)


@pytest.mark.parametrize(
    ("found", "limit", "future"),
    [
        (
            Forecast(10**9, 20 * 10**9, "max_bytes"),
            "1 GB of 20 GB (retention.max_bytes)",
            "; too little history for a forecast",
        ),
        (
            SETTLES,
            "1 GB of 20 GB (retention.max_bytes)",
            ", 100 MB a day come in: settles at 3 GB, as 'retention' forgets as much",
        ),
        (
            MAX_BYTES,
            "1 GB of 20 GB (retention.max_bytes)",
            ", 5 GB a day come in: full on 2026-01-01 00:00:00 UTC; full spans go sooner from then on",
        ),
        (
            FILE_SYSTEM,
            "1 GB of 2 GB (all that the file system has left)",
            ", 5 GB a day come in: full on 2026-01-01 00:00:00 UTC; no span can be stored then",
        ),
    ],
)
def test_the_forecast_is_a_sentence(found, limit, future):
    assert disk_text(found) == limit + future


@pytest.mark.parametrize(
    ("limited_by", "full_ns", "urgent"),
    [
        ("file system", NOW_NS + 7 * DAY_NS - 1, True),
        ("file system", NOW_NS + 7 * DAY_NS, False),
        ("file system", None, False),
        ("max_bytes", NOW_NS, False),
    ],
)
def test_a_file_system_that_is_full_within_a_week_is_urgent(limited_by, full_ns, urgent):
    assert is_urgent(Forecast(1, 2, limited_by, full_ns=full_ns), NOW_NS) == urgent


def test_the_json_has_when_and_in_how_many_seconds():
    found = Forecast(10**9, 2 * 10**9, "file system", full_ns=NOW_NS + HOUR_NS, **FULL)
    assert disk_figures(found, NOW_NS) == {
        "used_bytes": 10**9,
        "limit_bytes": 2 * 10**9,
        "limited_by": "file system",
        "growth_bytes_a_day": 5 * 10**9,
        "full_at": "2026-01-01T01:00:00.000Z",
        "full_in_s": 3600.0,
        "settles_at_bytes": 5 * 10**10,
    }


def test_status_shows_it_beside_the_limit_of_the_configuration(filled, ihobs, tmp_path):
    filled.span("job", 1, kind="workflow").store(live=False)
    (tmp_path / "ihobs.yaml").write_text("retention: {max_bytes: 3MB}\n")
    found = json.loads(ihobs("status", "--json").stdout)["disk"]
    assert (found["limit_bytes"], found["limited_by"], found["full_at"]) == (3_000_000, "max_bytes", None)
    assert 100_000 < found["used_bytes"] < 1_000_000
    assert "of 3 MB (retention.max_bytes); too little history" in ihobs("status").stdout


def test_status_foretells_when_a_program_has_run_for_long_enough(filled, ihobs, tmp_path):
    filled.telemetry._clock = lambda: filled.now_ns - 2 * HOUR_NS
    filled.span("job", 1, kind="workflow", ago_s=7300, text="x" * 100_000).store()
    (tmp_path / "ihobs.yaml").write_text("retention: {max_bytes: 200kB}\n")
    found = json.loads(ihobs("status", "--json").stdout)["disk"]
    assert found["growth_bytes_a_day"] > 0
    assert found["full_at"] is not None
    assert found["full_in_s"] > 0


def test_before_there_is_a_database_nothing_is_said_of_it(filled, ihobs):
    assert json.loads(ihobs("status", "--json").stdout)["disk"] is None
