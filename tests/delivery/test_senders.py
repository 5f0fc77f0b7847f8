"""The notifier's senders against servers on loopback that answer as the real ones do, or misbehave."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
from dataclasses import replace
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller
from tests.delivery.servers import Answer, PagerDuty, Server, Slack

import ihobs_notifier
from ihobs.clock import SECOND_NS
from ihobs.model import Event, Notification, Outcome
from ihobs.testing import FakeClock, check_keeps_contract
from ihobs_notifier import http, slack, webhook

AT_NS = 1_800_000_000 * SECOND_NS
EVENT = Event(
    "alert.firing", AT_NS, "errors", "critical", "ok", "errors is 42 %", {"metric": "error_rate", "value": 0.4}
)
FIRING = Notification(
    key="7-abc",
    level="critical",
    title="errors is 42 %",
    body="Runs fail for good.",
    at_ns=AT_NS,
    events=(EVENT,),
    group='channels{rule="errors"}',
    firing=("errors",),
)
RESOLVED = replace(FIRING, key="8-abc", level="ok", title="errors: resolved", firing=())


REDIRECTS = "HTTP 302: it redirects; give the address that it redirects to"


def send(address, notification=FIRING):
    return check_keeps_contract(ihobs_notifier, "ihobs_notify", notification=notification, receiver=address)


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def slack_server():
    with Slack() as running:
        yield running


@pytest.fixture
def pagerduty():
    with PagerDuty() as running:
        yield running


@pytest.fixture
def bot(slack_server):
    return f"slack-bot://xoxb-good@C01ALERTS?api={quote(slack_server.url + '/api')}"


@pytest.fixture
def events_api(pagerduty):
    return f"pagerduty-events://{'r' * 32}?api={quote(pagerduty.url)}"


def hook(server, **fields):
    return "webhook:" + json.dumps({"url": f"{server.url}/in", **fields})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(200), Outcome("delivered", "HTTP 200")),
        (Answer(204), Outcome("delivered", "HTTP 204")),
        (
            Answer(302, headers={"Location": "/x"}),
            Outcome("refused", REDIRECTS),
        ),
        (Answer(400), Outcome("refused", "HTTP 400")),
        (Answer(404), Outcome("refused", "HTTP 404")),
        (Answer(408), Outcome("later", "HTTP 408")),
        (Answer(429, headers={"Retry-After": "17"}), Outcome("later", "HTTP 429", 17.0)),
        (Answer(429, headers={"Retry-After": "soon"}), Outcome("later", "HTTP 429")),
        (Answer(500), Outcome("later", "HTTP 500")),
        (Answer(503, headers={"Retry-After": "3"}), Outcome("later", "HTTP 503", 3.0)),
        (Answer(how="reset"), Outcome("later", "no connection")),
    ],
    ids=lambda one: one.detail if isinstance(one, Outcome) else f"{one.status} {one.how}",
)
def test_an_answer_says_whether_to_try_again(server, answer, outcome):
    server.script = [answer]
    assert send(f"webhook:{server.url}") == outcome


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_server_that_does_not_come_to_an_end_is_cut_off(server, how):
    server.script = [Answer(how=how)]
    with pytest.raises(http.UnreachableError, match=r"^no answer in time$"):
        http.post(server.url, b"{}", {}, total_s=0.3)


def test_nobody_listening_is_tried_again(server):
    server.__exit__()
    assert send(f"webhook:{server.url}") == Outcome("later", "no connection")
    server._thread = type(server._thread)(target=lambda: None)
    server.__enter__()


def test_a_date_in_retry_after_is_understood(server):
    server.script = [Answer(503, headers={"Retry-After": "Fri, 15 Jan 2027 08:00:30 GMT"})]
    assert http.post(server.url, b"", {}, clock=FakeClock(AT_NS)).retry_after_s == 30.0


def test_a_webhook_without_a_template_gets_everything(server):
    send(hook(server))
    [request] = server.requests
    document = request.json()
    assert (document["version"], document["status"], document["key"]) == (1, "firing", "7-abc")
    assert (document["at"], document["title"]) == ("2027-01-15T08:00:00.000Z", "errors is 42 %")
    assert document["events"][0]["fields"]["value"] == 0.4
    assert request.headers["Idempotency-Key"] == "7-abc"
    assert "X-Ihobs-Signature" not in request.headers


def test_a_webhook_is_signed_so_that_its_receiver_can_check_it(server):
    clock = FakeClock(AT_NS)
    webhook.deliver(FIRING, hook(server, secret="hush", headers={"X-Team": "ops"}), clock=clock)
    [request] = server.requests
    signed = request.headers["X-Ihobs-Timestamp"].encode() + b"." + request.body
    expected = hmac.new(b"hush", signed, hashlib.sha256).hexdigest()
    assert request.headers["X-Ihobs-Signature"] == f"sha256={expected}"
    assert (request.headers["X-Ihobs-Timestamp"], request.headers["X-Team"]) == ("1800000000", "ops")


def test_a_template_makes_the_body(server):
    send(hook(server, template='{"text": {{ title | tojson }}, "n": {{ events | length }}}'))
    assert server.requests[0].json() == {"text": "errors is 42 %", "n": 1}


@pytest.mark.parametrize(
    "template",
    [
        "{{ nothing }}",
        "not json",
        "{% for x in %}",
        "{{ title.__class__.__mro__ }}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_that_fails_does_not_drop_the_alert(server, template):
    send(hook(server, template=template))
    document = server.requests[0].json()
    assert document["title"] == "errors is 42 %"
    assert document["template_error"]


@pytest.mark.parametrize("url", ["ftp://host/x", "host/x", "file:///etc/passwd"])
def test_a_webhook_speaks_http_only(url):
    assert send(f"webhook:{url}").state == "refused"


def test_slack_changes_its_message_as_the_group_changes(bot, slack_server):
    first = send(bot)
    assert first == Outcome("delivered", message_id="C01ALERTS/1700000000.000000")
    changed = replace(RESOLVED, answered=first.message_id, answered_level="critical")
    assert send(bot, changed) == first
    assert slack_server.texts() == ["RESOLVED: errors: resolved"]


def test_slack_gets_a_new_message_for_what_rises_or_goes_on(bot, slack_server):
    first = send(bot, replace(FIRING, level="warning"))
    send(bot, replace(FIRING, answered=first.message_id, answered_level="warning"))
    send(bot, replace(FIRING, kind="repeat", answered=first.message_id, answered_level="critical"))
    said = Event("alert.message", AT_NS, "message", "warning", "ok", "look", {})
    send(bot, replace(FIRING, events=(said,), answered=first.message_id, answered_level="critical"))
    assert len(slack_server.messages) == 4


def test_slack_gets_a_new_message_when_the_old_one_was_deleted(bot, slack_server):
    again = send(bot, replace(RESOLVED, answered="C01ALERTS/1.0", answered_level="critical"))
    assert (again.state, slack_server.texts()) == ("delivered", ["RESOLVED: errors: resolved"])
    assert [request.path for request in slack_server.requests] == ["/api/chat.update", "/api/chat.postMessage"]


def test_what_slack_answers_with_200_may_still_be_a_failure(slack_server):
    api = f"?api={quote(slack_server.url + '/api')}"
    assert send(f"slack-bot://xoxb-bad@C01ALERTS{api}") == Outcome("refused", "invalid_auth")
    assert send(f"slack-bot://xoxb-good@C0NONE{api}") == Outcome("refused", "channel_not_found")
    assert send(f"slack-bot://C01ALERTS{api}") is None


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}), Outcome("later", "HTTP 429", 30.0)),
        (Answer(200, {"ok": False, "error": "fatal_error"}), Outcome("later", "fatal_error")),
        (Answer(200, "<html>a proxy</html>"), Outcome("later", "the answer is not Slack's")),
        (Answer(200, "[]"), Outcome("later", "the answer is not Slack's")),
        (Answer(500), Outcome("later", "HTTP 500")),
    ],
)
def test_slack_is_asked_again_when_that_may_help(bot, slack_server, answer, outcome):
    slack_server.script = [answer]
    assert send(bot) == outcome


def test_text_cannot_mention_a_channel_or_fake_a_link(bot, slack_server):
    send(bot, replace(FIRING, title="<!channel> & <http://x|y>"))
    assert slack_server.texts() == ["CRITICAL: &lt;!channel&gt; &amp; &lt;http://x|y&gt;"]


def test_slack_texts_stay_short():
    assert len(slack.content(replace(FIRING, body="x" * 10_000))["attachments"][0]["text"]) == slack.MAX_TEXT_CHARS


def test_pagerduty_opens_one_incident_a_group_and_resolves_it(events_api, pagerduty):
    assert send(events_api) == Outcome("delivered", "HTTP 202", message_id='ihobs channels{rule="errors"}')
    send(events_api, replace(FIRING, key="9-abc", title="errors is 50 %"))
    [payload] = pagerduty.incidents.values()
    assert (payload["summary"], payload["severity"], payload["class"]) == ("errors is 50 %", "critical", "error_rate")
    send(events_api, RESOLVED)
    assert pagerduty.incidents == {}


def test_a_group_with_a_long_name_has_a_key_that_pagerduty_takes(events_api, pagerduty):
    long = replace(FIRING, group="g" * 1000, title="t" * 5000)
    assert [send(events_api, long).state, len(pagerduty.incidents)] == ["delivered", 1]
    send(events_api, replace(RESOLVED, group=long.group))
    assert pagerduty.incidents == {}


def test_what_pagerduty_says_of_a_wrong_key_is_told_without_it(pagerduty):
    wrong = f"pagerduty-events://{'w' * 32}?api={quote(pagerduty.url)}"
    assert send(wrong) == Outcome("refused", "HTTP 400: Event object is invalid; no service for ...")
    assert send("pagerduty-events://") is None


class Mailbox:
    def __init__(self):
        self.mails, self.refuse = [], ""

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the name that aiosmtpd calls
        if self.refuse:
            return self.refuse
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox():
    handler = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    handler.port = port
    yield handler
    controller.stop()


def test_mail_arrives(mailbox):
    address = f"mailto://127.0.0.1:{mailbox.port}/?from=ihobs@example.com&to=oncall@example.com&mode=insecure"
    assert send(address) == Outcome("delivered")
    [mail] = mailbox.mails
    assert mail.rcpt_tos == ["oncall@example.com"]
    text = mail.content.decode()
    assert "[CRITICAL] errors is 42" in text
    mailbox.refuse = "451 try again later"
    assert send(address).state == "later"


@pytest.mark.parametrize(("status", "state"), [(200, "delivered"), (404, "refused"), (429, "later"), (500, "later")])
def test_services_of_apprise_say_whether_to_try_again(server, status, state):
    server.respond = lambda _: Answer(status)
    assert send(server.url.replace("http", "json") + "/in?rto=2").state == state
    assert b"Runs fail for good." in server.requests[0].body


SECRET = "T0psecretT0ken0000000000"


@pytest.mark.parametrize(
    "address",
    [
        f"slack://{SECRET}",
        f"json://user:{SECRET}@127.0.0.1:9/{SECRET}?rto=1",
        f"webhook:http://127.0.0.1:9/{SECRET}",
        f'webhook:{{"url": "http://127.0.0.1:9/", "secret": "{SECRET}", "headers": {{"X": "{SECRET}\\n"}}}}',
        f"slack-bot://{SECRET}@C1?api=http%3A//127.0.0.1%3A9",
        f"pagerduty-events://{SECRET}?api=http%3A//127.0.0.1%3A9",
        f"discord://{SECRET}/",
    ],
)
def test_no_secret_of_an_address_is_told(address, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    outcome = send(address)
    captured = capfd.readouterr()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("ihobs")]
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert SECRET not in f"{outcome} {captured} {ours} {loud}"
