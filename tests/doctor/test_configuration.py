"""The configuration, receivers, variables and plug-ins under examination; and LangSmith asked in person."""

import pytest
from tests.langsmith.server import KEY, LangSmith

from ihobs.doctor import backends, configuration
from ihobs.plugins import Candidate


def test_a_receiver_without_an_address_is_told(patient):
    patient.configure('channels: {critical: ["slack://team", "console:"]}\ndelivery: {fallback: ["pager://ops"]}')
    told = patient.told(configuration.receivers)
    assert [(level, text.partition(" ")[0]) for level, text in told] == [
        ("warning", "'slack://team'"), ("warning", "'pager://ops'"),
    ]  # fmt: skip


def test_receivers_with_addresses_are_fine(patient):
    patient.configure('channels: {critical: ["slack://team"]}\nreceivers: {"slack://team": "${env:SLACK}"}')
    assert [level for level, _ in patient.told(configuration.receivers)] == ["ok"]


def test_a_receiver_that_is_an_address_with_a_secret_is_not_quoted(patient):
    patient.configure('channels: {critical: ["mailto://me:pass-word@mail.example.com/x"]}')
    assert "pass-word" not in str(patient.told(configuration.receivers) + patient.told(configuration.variables))


def test_variables_that_are_referred_to_and_not_set_are_named(patient):
    patient.configure(
        """
receivers: {"slack://team": "${env:SLACK}", "mail": "${env:MAIL}"}
destinations: {fuse: {type: otlp, endpoint: "http://127.0.0.1:1", headers: {authorization: "Basic ${env:FUSE}"}}}
"""
    )
    told = [text for _, text in patient.told(configuration.variables, {"MAIL": "x"})]
    assert [("SLACK" in text, "FUSE" in text) for text in told] == [(True, False), (False, True)]


def test_a_plugin_that_fails_is_named(patient):
    def broken():
        raise ImportError("no module named there")

    examined = patient.examined()
    examined.plugins.add(Candidate("weather", "weather-rules", "1", broken))
    [found] = configuration.plugins(examined)
    assert (found.level, found.text) == ("problem", "weather: load: ImportError: no module named there")


def test_what_switches_recording_off_is_told(patient):
    patient.variables |= {"IHOBS_DISABLED": "1", "IHOBS_ENDPOINT": "http://127.0.0.1:8081"}
    assert [level for level, _ in patient.told(configuration.switched_off)] == ["warning", "ok"]


@pytest.fixture
def server():
    one = LangSmith().start()
    yield one
    one.stop()


def test_langsmith_is_local_only_without_a_key(patient):
    assert patient.told(backends.langsmith, {}, online=True) == [
        ("ok", "local only: there is no key of LangSmith; everything works without it")
    ]


@pytest.mark.parametrize(
    ("key", "project", "configured", "level"),
    [
        (KEY, "InsightHub", True, ["ok"]),
        (KEY, "Other", True, ["warning"]),
        ("wrong", "InsightHub", True, ["problem"]),
        ("wrong", "InsightHub", False, ["ok", "warning"]),
    ],
)
def test_langsmith_is_as_bad_as_what_depends_on_it(patient, server, key, project, configured, level):
    server.project(project)
    if configured:
        patient.configure("destinations: {smith: {type: langsmith}}")
    environ = {"LANGSMITH_API_KEY": key, "LANGSMITH_ENDPOINT": server.url}
    told = patient.told(backends.langsmith, environ, online=True)
    assert [one for one, _ in told] == level
    assert key not in str(told)
