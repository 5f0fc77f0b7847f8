"""`ihobs channels`, `ihobs silences`, `ihobs alerts ack` and `history`, as people type them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.delivery.servers import Answer, Server

from ihobs.cli import main
from ihobs.clock import now_ns


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def run(home, monkeypatch, tmp_path):
    monkeypatch.setenv("IHOBS_HOME", str(home.path))
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        result = CliRunner().invoke(main, [str(one) for one in arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture
def configured(tmp_path, server):
    def write(**receivers):
        known = {"ops": f"webhook:{server.url}/s3cret", **receivers}
        channels = {"critical": list(known)}
        (tmp_path / "ihobs.yaml").write_text(json.dumps({"channels": channels, "receivers": known}), encoding="utf-8")

    return write


@pytest.fixture
def fired(world):
    """An alert that fires since an hour, as told to `pager:1`."""
    world.clock.now_ns = now_ns() - 3600 * 10**9
    world.set("errors", "critical")
    world.deliver()
    return world


def test_a_test_goes_the_real_way_and_is_marked(run, configured, server):
    configured()
    code, out, _ = run("channels", "test", "ops")
    assert (code, out.split(" (")[0]) == (0, "ops: arrived")
    [request] = server.requests
    assert (request.path, request.json()["status"], request.json()["kind"]) == ("/s3cret", "test", "test")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(404), "refused: HTTP 404"),
        (Answer(429), "later: HTTP 429"),
        (Answer(how="reset"), "later: no connection"),
    ],
)
def test_a_test_that_fails_ends_with_6_and_says_what_to_do(run, configured, server, answer, says):
    configured()
    server.script = [answer]
    code, out, _ = run("channels", "test", "critical")
    first, advice = out.splitlines()
    assert (code, first.split(" (")[0]) == (6, f"ops: {says}")
    assert advice.strip()
    assert "s3cret" not in out


def test_a_receiver_without_an_address_is_named_and_nothing_else_is_tried(run, configured):
    configured(team="slack-bot://${env:NO_SUCH_VARIABLE}@C1")
    code, out, _ = run("channels", "test", "team", "--json")
    [tried] = json.loads(out)
    assert (code, tried["outcome"], tried["detail"]) == (6, "unknown", "the variable NO_SUCH_VARIABLE is not set")
    assert run("channels", "test", "nobody")[0] == 3
    code, out, _ = run("channels", "list")
    assert (code, "NO_SUCH_VARIABLE is not set here" in out) == (1, True)


def test_the_list_shows_who_hears_what_and_what_was_given_up(run, configured, fired):
    configured()
    assert run("channels", "list", "--json")[0] == 0
    fired.configure(channels={"critical": ("nobody://T0/B0/s3cret",)})
    fired.set("slow", "critical")
    fired.deliver()
    code, out, _ = run("channels", "list", "--json")
    found = json.loads(out)
    assert (code, "ops" in [one["receiver"] for one in found["receivers"]]) == (1, True)
    [letter] = found["dead_letters"]
    assert (letter["receiver"], letter["title"]) == ("nobody://...", "slow is critical")
    assert "s3cret" not in out + run("channels", "list")[1]


def test_a_silence_is_made_listed_and_ended(run):
    code, out, _ = run("silences", "add", "rule=errors", "node=~a|b", "--for", "2h", "--reason", "deploy", "--json")
    assert (code, json.loads(out)["id"]) == (0, 1)
    [listed] = json.loads(run("silences", "list", "--json")[1])
    assert (listed["conditions"], listed["in_force"]) == (['rule="errors"', 'node=~"a|b"'], True)
    assert "deploy" in run("silences", "list")[1]
    assert run("silences", "expire", "1")[0] == 0
    assert run("silences", "expire", "1")[0] == 3
    assert json.loads(run("silences", "list", "--json")[1]) == []
    assert json.loads(run("silences", "list", "--all", "--json")[1])[0]["in_force"] is False


@pytest.mark.parametrize("arguments", [("errors", "--for", "2h"), ("rule=~(", "--for", "2h"), ("a=b", "--for", "x")])
def test_a_silence_that_cannot_be_meant_is_refused(run, arguments):
    code, _, error = run("silences", "add", *arguments, "--reason", "r")
    assert (code, bool(error)) == (2, True)


def test_an_acknowledged_alert_stays_quiet_and_its_history_says_why(run, fired):
    code, out, _ = run("alerts", "ack", "errors", "--for", "6h", "--author", "ann", "--reason", "on it")
    assert (code, out.startswith("errors (critical) is not repeated until ")) == (0, True)
    [found] = json.loads(run("alerts", "history", "errors", "--json")[1])
    [hearing] = found["changes"][0]["receivers"]
    assert (hearing["receiver"], hearing["state"], hearing["attempts"][0]["outcome"]) == (
        "pager:1",
        "sent",
        "delivered",
    )
    [prospect] = found["next"]
    assert (prospect["told"], prospect["reason"]) == ("critical", "acknowledged by ann: on it")
    code, out, _ = run("alerts", "history", "errors")
    assert (code, "acknowledged by ann: on it" in out) == (0, True)


def test_only_what_fires_can_be_acknowledged_and_only_what_is_known_has_a_history(run, fired):
    fired.set("errors", "ok")
    assert run("alerts", "ack", "errors")[0] == 3
    assert run("alerts", "ack", "nothing")[0] == 3
    assert run("alerts", "history", "nothing")[0] == 3
    assert "no duties process has looked at it yet" in run("alerts", "history", "errors")[1]
