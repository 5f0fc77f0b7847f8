"""`GET /api/langsmith-status`: what it says, and that nobody waits for LangSmith."""

import contextlib
import threading
import time

import pytest
import requests
from tests.langsmith.server import KEY

from ihobs.config import load
from ihobs.langsmith.report import report
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore
from ihobs.web.access import Policy
from ihobs.web.langsmith_status import KEEP_NS, LangSmithStatus
from ihobs.web.receiver import Receiver
from ihobs.web.server import bind

PATH = "/api/langsmith-status"
BOUND_S = 20


@pytest.fixture
def settings(tmp_path):
    def write(text=""):
        (tmp_path / "ihobs.yaml").write_text(text)
        return load(tmp_path / "ihobs.yaml", environ={}).settings

    return write


@pytest.fixture
def serving(tmp_path):
    """Return a function that serves a status, and gives one that asks it."""
    with contextlib.ExitStack() as open_until_end:

        def serve(status, token=None):
            store = open_until_end.enter_context(TelemetryStore(Home.open(tmp_path / "home", create=True)))
            listening = bind("127.0.0.1", 0)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            receiver = Receiver(store, listening, Policy(None, token), more=[status.route])
            receiver.start()
            open_until_end.callback(receiver.stop)
            return lambda path=PATH: requests.get(url + path, timeout=BOUND_S)

        yield serve


FORWARDING = "destinations: {langsmith: {type: langsmith, project: P}}"


def test_without_a_key_it_is_local_only_and_all_is_well(settings):
    found = report(settings(), {}, clock=lambda: 5)
    assert (found.mode, found.ok, found.connections) == ("local only", True, ())


def test_a_destination_without_a_key_is_told_what_is_missing(settings, langsmith):
    [one] = report(settings(FORWARDING), {"LANGSMITH_ENDPOINT": langsmith.url}).connections
    assert [(check.name, check.state) for check in one.checks][:2] == [("reach", "ok"), ("key", "failed")]
    assert "LANGSMITH_API_KEY" in one.checks[1].advice


def test_the_answer_holds_every_check_and_never_the_key(settings, langsmith, serving):
    environ = {"LANGSMITH_API_KEY": KEY, "LANGSMITH_ENDPOINT": langsmith.url}
    ask = serving(LangSmithStatus(lambda: report(settings(FORWARDING), environ)))
    answer = ask()
    body = answer.json()
    assert (body["mode"], body["ok"], body["checking"]) == ("forwarding", False, False)
    [one] = body["connections"]
    assert (one["destination"], one["project"], one["key_from"]) == ("langsmith", "P", "LANGSMITH_API_KEY")
    assert {check["name"]: check["state"] for check in one["checks"]}["project"] == "failed"
    assert KEY not in answer.text
    assert KEY[:12] not in answer.text


def test_a_key_alone_starts_nothing_but_is_checked(settings, langsmith):
    langsmith.project("InsightHub")
    found = report(settings(), {"LANGSMITH_API_KEY": KEY, "LANGSMITH_ENDPOINT": langsmith.url})
    assert (found.mode, found.ok, found.connections[0].destination) == ("key only", True, None)


def test_langsmith_is_asked_once_for_all_who_ask_within_half_a_minute(settings, langsmith, serving):
    now = [time.time_ns()]
    environ = {"LANGSMITH_API_KEY": KEY, "LANGSMITH_ENDPOINT": langsmith.url}
    status = LangSmithStatus(lambda: report(settings(), environ, clock=lambda: now[0]), clock=lambda: now[0])
    ask = serving(status)
    for _ in range(5):
        assert ask().json()["mode"] == "key only"
    assert langsmith.count("/info") == 1
    now[0] += KEEP_NS
    ask()
    assert langsmith.count("/info") == 2


def test_a_langsmith_that_hangs_holds_up_neither_who_asks_nor_anybody_else(settings, serving):
    answering = threading.Event()
    asked = []

    def slow():
        asked.append(1)
        answering.wait(BOUND_S)
        return report(settings(), {})

    ask = serving(LangSmithStatus(slow, wait_s=0.01))
    assert ask().json() == {"mode": None, "ok": None, "checked": None, "connections": [], "checking": True}
    assert ask().json()["checking"]
    assert ask("/api/test").json() == {"status": "ok"}
    answering.set()
    end = time.monotonic() + BOUND_S
    while (body := ask().json())["checking"]:
        assert time.monotonic() < end
    assert (body["mode"], len(asked)) == ("local only", 1)


def test_who_has_no_token_is_told_nothing(settings, serving):
    ask = serving(LangSmithStatus(lambda: report(settings(), {})), token="a" * 20)
    assert ask().status_code == 401
