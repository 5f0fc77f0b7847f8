"""The console and the file receiver."""

from __future__ import annotations

import json
import stat

import pytest

import ihobs_notifier
from ihobs.model import Event, Notification, Outcome
from ihobs.testing import check_keeps_contract
from ihobs_notifier.logs import console_line, json_line

EVENT = Event(
    name="alert.firing",
    at_ns=1_800_000_000_250_000_000,
    subject="error_rate",
    level="critical",
    previous_level="ok",
    text="error_rate is 42 %, above 15 %",
    fields={"value": 0.42, "threshold": 0.15},
)
NOTIFICATION = Notification("7:console:", "critical", EVENT.text, "", EVENT.at_ns, (EVENT,))


def send(receiver, notification=NOTIFICATION):
    return check_keeps_contract(ihobs_notifier, "ihobs_notify", notification=notification, receiver=receiver)


def test_the_console_gets_one_readable_line(capsys):
    assert send("console:") == Outcome("delivered")
    assert capsys.readouterr().err == "ihobs 08:00:00Z CRITICAL error_rate is 42 %, above 15 %\n"


def test_text_from_traffic_cannot_steer_the_terminal():
    title = "node=\x1b[2J\nCRITICAL is fine"
    line = console_line(Notification("k", "warning", title, "", 0, ()))
    assert line == "ihobs 00:00:00Z WARNING  node= [2J CRITICAL is fine\n"


def test_a_file_gets_one_line_of_json_for_each_message(tmp_path):
    path = tmp_path / "new" / "alerts.jsonl"
    assert [send(f"file:{path}"), send(f"file:{path}")] == [Outcome("delivered")] * 2
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first == second
    assert first["at"] == "2027-01-15T08:00:00.250+00:00"
    assert (first["key"], first["level"], first["title"]) == ("7:console:", "critical", EVENT.text)
    assert first["events"][0]["fields"] == {"value": 0.42, "threshold": 0.15}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_infinity_is_null_in_json():
    event = Event("alert.firing", 0, "r", "critical", "ok", "", {"value": float("inf")})
    document = json.loads(json_line(Notification("k", "critical", "", "", 0, (event,))), parse_constant=pytest.fail)
    assert document["events"][0]["fields"] == {"value": None}


@pytest.mark.parametrize("receiver", ["slack://team-alerts", "email://ops@example.com", "consolex:", "file:", ""])
def test_other_receivers_are_left_to_other_plugins(receiver):
    assert send(receiver) is None


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path):
    (tmp_path / "alerts.jsonl").mkdir()
    assert send(f"file:{tmp_path / 'alerts.jsonl'}") == Outcome("later", "the file cannot be written: Is a directory")
