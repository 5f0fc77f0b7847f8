"""`ihobs controls`."""

import getpass
import json

import pytest

from ihobs.cli.who import who
from ihobs.errors import EXIT_INVALID, EXIT_NOT_FOUND


@pytest.fixture
def controls(filled, ihobs):
    return lambda *arguments: ihobs("controls", *arguments)


def test_every_control_is_listed_with_its_default(controls):
    head, line = controls("list").stdout.splitlines()
    assert head.split() == ["control", "value", "until", "(UTC)", "by", "reason", "what", "it", "does"]
    assert line.split()[:3] == ["forward.paused", "off", "-"]
    [told] = json.loads(controls("list", "--json").stdout)
    assert (told["value"], told["is_set"]) == (False, False)


def test_a_control_is_set_for_an_hour_or_as_long_as_said(controls):
    result = controls("set", "forward.paused", "on", "--for", "2d", "--reason", "moved", "--json")
    told = json.loads(result.stdout)
    assert (told["value"], told["owner"], told["reason"]) == (True, getpass.getuser(), "moved")
    assert controls("set", "forward.paused", "on").stdout.startswith("forward.paused is on until ")
    line = controls("list").stdout.splitlines()[1]
    assert line.split()[:2] == ["forward.paused", "on"]


def test_clearing_ends_it_and_the_history_tells_of_both(controls):
    controls("set", "forward.paused", "on")
    assert controls("clear", "forward.paused").stdout == "forward.paused is off\n"
    assert controls("clear", "forward.paused").stdout == "forward.paused is off; it was not set\n"
    told = json.loads(controls("list", "--history", "--json").stdout)
    assert [(one["previous"], one["value"]) for one in told] == [(True, None), (None, True)]
    assert "on -> not set" in controls("list", "--history").stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "text"),
    [
        (["set", "forward.pause", "on"], EXIT_NOT_FOUND, "did you mean 'forward.paused'?"),
        (["clear", "nothing.such"], EXIT_NOT_FOUND, "forward.paused"),
        (["set", "forward.paused", "maybe"], EXIT_INVALID, "neither on nor off"),
        (["set", "forward.paused", "on", "--for", "soon"], EXIT_INVALID, "--for"),
        (["set", "forward.paused", "on", "--for", "0"], EXIT_INVALID, "--for"),
        (["set", "forward.paused", "on", "--for", "31d"], EXIT_INVALID, "at most 30d"),
    ],
)
def test_what_cannot_be_is_refused(controls, arguments, exit_code, text):
    result = controls(*arguments)
    assert result.exit_code == exit_code
    assert text in result.stderr


def test_who_acts_is_the_one_that_is_named_and_a_container_without_users_is_no_fault(monkeypatch):
    def without_users():
        raise KeyError("getpwuid(): uid not found: 1001")

    monkeypatch.setattr(getpass, "getuser", without_users)
    assert (who("ann"), who()) == ("ann", "unknown")
