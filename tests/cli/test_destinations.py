"""`ihobs destinations`, and what `ihobs status` says of them."""

import json

import pytest

from ihobs.clock import HOUR_NS, SECOND_NS
from ihobs.store.dead_letters import DeadLetter, newest_dead_letters
from ihobs.store.forwarding import (
    Enrolment,
    Progress,
    Trouble,
    advance,
    enrol,
    postpone,
    read_cursor,
)
from ihobs.store.state.controls import FORWARD_PAUSED, Setting, set_control
from ihobs.store.state.migrations import open_state

CONFIGURATION = """\
destinations:
  phoenix: {type: otlp, endpoint: "http://127.0.0.1:6006"}
  collector:
    type: otlp
    endpoint: "http://127.0.0.1:4317"
    protocol: grpc
    headers: {authorization: "${env:FW_TOKEN}"}
"""


@pytest.fixture
def there(filled, tmp_path, ihobs):
    """A home with three spans and two destinations that a duties process has seen."""
    (tmp_path / "ihobs.yaml").write_text(CONFIGURATION)
    known = {name: Enrolment("f", from_beginning=True) for name in ("phoenix", "collector")}
    enrol(filled.telemetry.database, known)
    filled.span("a", 1).span("b", 2).span("c", 3).store()
    return filled


def pause(filled, reason="answers 401: unknown key"):
    postpone(
        filled.telemetry.database, "phoenix", Trouble(reason, 1, filled.now_ns + HOUR_NS, paused=True), filled.now_ns
    )


def sent(filled, name="phoenix", dead=()):
    cursor = read_cursor(filled.telemetry.database, name)
    progress = Progress(1, filled.now_ns, sent_spans=3 - len(dead), dead=dead)
    assert advance(filled.telemetry.database, cursor, progress, filled.now_ns + SECOND_NS)


def test_without_destinations_it_says_how_to_name_some(filled, ihobs):
    result = ihobs("destinations", "status")
    assert (result.exit_code, result.stdout) == (0, "no destinations; name some in 'destinations' of ihobs.yaml\n")


def test_what_waits_is_shown_for_each(there, ihobs):
    sent(there)
    result = ihobs("destinations", "status")
    assert result.exit_code == 0
    head, phoenix, collector = result.stdout.splitlines()
    assert head.split()[:4] == ["destination", "state", "waiting", "for"]
    assert phoenix.split()[:5] == ["phoenix", "ok", "0", "-", "3"]
    assert collector.split()[:3] == ["collector", "ok", "3"]


def test_a_paused_destination_is_a_finding_with_its_reason(there, ihobs):
    pause(there)
    result = ihobs("destinations", "status")
    assert result.exit_code == 1
    assert "answers 401: unknown key; the next try at" in result.stdout
    told = ihobs("status")
    assert told.exit_code == 1
    assert "forward    phoenix: 3 spans wait; paused: answers 401: unknown key\n" in told.stdout
    assert "attention  destination phoenix is paused: answers 401: unknown key" in told.stdout


def test_json_holds_everything_but_the_secrets(there, ihobs, monkeypatch):
    monkeypatch.setenv("FW_TOKEN", "sekrit-token")
    sent(there, dead=[DeadLetter(1, (1).to_bytes(16), (2).to_bytes(8), "answers 400: no")])
    result = ihobs("destinations", "status", "--json")
    phoenix, collector = json.loads(result.stdout)["destinations"]
    assert (phoenix["state"], phoenix["waiting_spans"], phoenix["sent_spans"]) == ("ok", 0, 2)
    [letter] = phoenix["newest_dead_letters"]
    assert (letter["span_id"], letter["reason"]) == ("0000000000000002", "answers 400: no")
    assert (collector["protocol"], collector["waiting_spans"], collector["problem"]) == ("grpc", 3, None)
    assert "sekrit" not in result.stdout + ihobs("config", "show").stdout


def test_a_destination_that_no_process_has_seen_is_not_started(filled, tmp_path, ihobs):
    (tmp_path / "ihobs.yaml").write_text(CONFIGURATION)
    assert ihobs("destinations", "status").stdout.count("not started") == 2


def test_holding_everything_is_shown_with_who_and_until_when(there, ihobs):
    state = open_state(there.home)
    held = Setting(value=True, owner="ada", reason="backend is being moved", expires_ns=there.now_ns + HOUR_NS)
    set_control(state, FORWARD_PAUSED, held, there.now_ns)
    state.close()
    result = ihobs("destinations", "status")
    assert result.exit_code == 0
    assert "held: ada has set forward.paused until" in result.stdout
    assert "(backend is being moved)" in result.stdout


def test_retry_ends_a_pause_and_with_dead_sends_letters_again(there, ihobs):
    letter = DeadLetter(1, (1).to_bytes(16), (2).to_bytes(8), "answers 400")
    sent(there, dead=[letter])
    pause(there)
    result = ihobs("destinations", "retry", "phoenix", "--dead")
    assert (result.exit_code, result.stdout) == (0, "phoenix: tried again at once, with 1 dead letter\n")
    assert "no duties process is alive" in result.stderr
    cursor = read_cursor(there.telemetry.database, "phoenix")
    assert (cursor.paused, cursor.next_ns) == (0, 0)
    assert len(newest_dead_letters(there.telemetry.database, "phoenix", limit=9)) == 1  # until it was taken


def test_retry_of_all_names_them(there, ihobs):
    assert json.loads(ihobs("destinations", "retry", "--json").stdout) == [
        {"name": "collector", "dead_letters": 0},
        {"name": "phoenix", "dead_letters": 0},
    ]


def test_a_name_that_is_none_is_refused_with_those_there_are(there, ihobs):
    result = ihobs("destinations", "retry", "phonix")
    assert result.exit_code == 3
    assert "no destination 'phonix'; there are: collector, phoenix" in result.stderr
