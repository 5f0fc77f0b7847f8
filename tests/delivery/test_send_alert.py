"""A program says something: it is stored at once, delivered like alerts, and never harms the program."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.delivery.waiting import until

import ihobs
import ihobs.sending
from ihobs.config import load
from ihobs.duties import Duties
from ihobs.guard import guard
from ihobs.store.state import alerts
from ihobs.testing import plugins_of


@pytest.fixture(autouse=True)
def here(home, monkeypatch):
    monkeypatch.setenv("IHOBS_HOME", str(home.path))
    ihobs.sending._settings.cache_clear()
    yield
    ihobs.sending._settings.cache_clear()
    if ihobs.sending._state.cache_info().currsize:
        ihobs.sending._state(str(home.path)).close()
    ihobs.sending._state.cache_clear()


def test_a_word_is_told_like_an_alert_and_not_repeated(world):
    assert ihobs.send_alert("critical", "the index is\n gone", clock=world.clock, team="search")
    world.deliver()
    [(_, message)] = world.pager.got
    assert (message.title, message.level, message.firing) == ("the index is gone", "critical", ())
    assert message.events[0].fields["label.team"] == "search"
    world.after(5 * 3600)
    assert len(world.pager.got) == 1


def test_a_storm_of_words_is_few_messages(world):
    for number in range(500):
        assert ihobs.send_alert("warning", f"word {number}", clock=world.clock)
    world.deliver()
    world.clock.advance(10)
    ihobs.send_alert("warning", "another", clock=world.clock)
    world.deliver()
    world.after(60)
    assert [len(message.events) + message.omitted for _, message in world.pager.got] == [500, 1]


@pytest.mark.parametrize(
    ("said", "level"), [("critical", "critical"), ("ERROR", "critical"), ("info", "warning"), (7, "warning")]
)
def test_any_level_is_taken(state, said, level):
    assert ihobs.send_alert(said, "text")
    assert alerts.history(state, limit=1)[0].level == level


def test_secrets_do_not_leave_the_program(state):
    ihobs.send_alert("warning", "the key sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD is refused")
    assert "abcdefgh" not in alerts.history(state, limit=1)[0].text


def test_it_never_raises(home, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setenv("IHOBS_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("not a directory")
    assert ihobs.send_alert("critical", "text") is False
    assert "not sent" in caplog.text

    class Breaks:
        def __str__(self):
            raise RuntimeError("broken")

    monkeypatch.setenv("IHOBS_HOME", str(home.path))
    assert ihobs.send_alert("critical", Breaks()) is False


@pytest.mark.parametrize("variable", [("IHOBS_DISABLED", "1"), ("IHOBS_ENDPOINT", "http://127.0.0.1:9")])
def test_where_nothing_can_be_stored_it_says_so(monkeypatch, caplog, variable):
    monkeypatch.setenv(*variable)
    assert ihobs.send_alert("critical", "text") is False
    assert "not sent" in caplog.text


def test_another_process_is_heard_at_once_and_imports_nothing_heavy(home, pager):
    settings = load(environ={"IHOBS_HOME": str(home.path)}).settings
    program = (
        "import sys, ihobs; assert ihobs.send_alert('critical', 'help')\n"
        "heavy = {'apprise', 'genai_prices', 'grpc', 'sqlite_utils', 'jinja2', 'starlette', 'rich', 'click'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    with Duties(home, settings, plugins_of(pager=pager), receivers={"critical": ["pager:1"]}):
        until(lambda: home.database("state").exists())
        subprocess.run([sys.executable, "-c", program], check=True)
        until(lambda: pager.titles() == ["help"])
