"""What is found out about a way to LangSmith, and the advice for each way in which it can fail."""

import socket

import pytest
from tests.langsmith.server import KEY, ORG_KEY, READ_ONLY_KEY, WORKSPACE, WRITE_ONLY_KEY

from ihobs.langsmith.access import Access, accesses, by_variables
from ihobs.langsmith.status import STEPS, connection


def access(server, key=KEY, project="InsightHub", **more):
    endpoint = more.pop("endpoint", None) or server.url
    return Access("langsmith", endpoint, project, key, "LANGSMITH_API_KEY", **more)


def states(found):
    return {check.name: check.state for check in found.checks}


def failed(found):
    [check] = [check for check in found.checks if check.state == "failed"]
    return check


def test_everything_right_is_six_times_ok_in_order(langsmith):
    langsmith.project("InsightHub")
    found = connection(access(langsmith))
    assert [check.name for check in found.checks] == list(STEPS)
    assert set(states(found).values()) == {"ok"}
    assert found.ok
    assert [path for _, path, _ in langsmith.asked] == [
        "/info", "/sessions", "/settings", "/sessions", "/otel/v1/traces",
    ]  # fmt: skip
    assert "Acme" in found.checks[3].text


def test_the_first_question_carries_no_key_and_the_last_stores_nothing(langsmith):
    connection(access(langsmith))
    assert "x-api-key" not in langsmith.asked[0][2]
    assert all(headers["x-api-key"] == KEY for _, _, headers in langsmith.asked[1:])
    assert langsmith.asked[-1][2]["langsmith-project"] == "InsightHub"
    assert (langsmith.otlp, langsmith.runs, langsmith.projects) == ([b""], {}, {})


def test_a_wrong_key_names_the_variable_and_the_other_regions_and_ends_the_questions(langsmith):
    found = connection(access(langsmith, "lsv2_pt_wrong"))
    assert states(found) == {
        "reach": "ok", "key": "failed", "read": "skipped", "workspace": "skipped", "project": "skipped",
        "write": "skipped",
    }  # fmt: skip
    assert "LANGSMITH_API_KEY" in failed(found).advice
    assert langsmith.count("/otel/v1/traces") == 0


def test_in_the_cloud_a_wrong_key_is_told_of_the_other_regions():
    from ihobs.langsmith.advice import of_key

    told = of_key(Access("x", "https://api.smith.langchain.com", "p", "k", "LANGSMITH_API_KEY"))
    assert "asked of US" in told
    assert "https://eu.api.smith.langchain.com (EU)" in told
    assert "https://api.smith.langchain.com" not in told


def test_a_key_that_only_writes_skips_the_project_and_says_so(langsmith):
    found = connection(access(langsmith, WRITE_ONLY_KEY))
    assert states(found) == {
        "reach": "ok", "key": "ok", "read": "failed", "workspace": "skipped", "project": "skipped", "write": "ok",
    }  # fmt: skip
    assert "import" in failed(found).advice


def test_a_key_that_only_reads_fails_at_the_write_path(langsmith):
    langsmith.project("InsightHub")
    found = connection(access(langsmith, READ_ONLY_KEY))
    assert states(found) | {"write": "failed"} == states(found)
    assert "may not write" in failed(found).advice


def test_a_key_of_an_organisation_needs_its_workspace(langsmith):
    langsmith.project("InsightHub")
    found = connection(access(langsmith, ORG_KEY))
    assert {check.advice.partition(": ")[2] for check in found.checks if check.state == "failed"} == {
        "set LANGSMITH_WORKSPACE_ID to the workspace that you mean"
    }
    assert connection(access(langsmith, ORG_KEY, workspace=WORKSPACE)).ok


def test_a_project_that_is_not_there_may_be_in_another_workspace(langsmith):
    langsmith.project("Other")
    check = failed(connection(access(langsmith)))
    assert check.name == "project"
    assert "its workspace" in check.advice
    assert "first span" in check.advice


def test_a_quota_is_told_with_when_to_try_again(langsmith):
    langsmith.project("InsightHub")
    langsmith.answer("/otel/v1/traces", 429, retry_after="17")
    check = failed(connection(access(langsmith)))
    assert (check.name, "again in 17 s" in check.advice, "quota" in check.advice) == ("write", True, True)
    assert langsmith.count("/otel/v1/traces") == 1


def test_a_server_that_refuses_empty_requests_is_reached_with_a_key_that_is_right(langsmith):
    langsmith.project("InsightHub")
    langsmith.answer("/otel/v1/traces", 422)
    assert connection(access(langsmith)).ok


def test_a_self_hosted_endpoint_without_its_path_is_told_the_path(self_hosted):
    found = connection(access(self_hosted, endpoint=self_hosted.host))
    assert failed(found).advice.endswith(f"try {self_hosted.url}")
    assert {check.state for check in found.checks[1:]} == {"skipped"}
    self_hosted.project("InsightHub")
    assert connection(access(self_hosted)).ok


@pytest.mark.parametrize(
    ("status", "body", "headers", "told"),
    [
        (500, None, {}, "status.smith.langchain.com"),
        (302, None, {"location": "https://login.example.com/?next=1"}, "/api/v1"),
        (200, "<html>a proxy's page</html>", {}, "/api/v1"),
        (403, None, {}, "permissions"),
    ],
)
def test_answers_of_others_are_understood(langsmith, status, body, headers, told):
    langsmith.answer("/info", status, body=body, **headers)
    check = failed(connection(access(langsmith)))
    assert (check.name, told in check.advice) == ("reach", True)
    assert "next=1" not in check.text


def test_a_redirect_never_takes_the_key_along(langsmith, self_hosted):
    langsmith.answer("/sessions", 307, location=f"{self_hosted.url}/sessions")
    assert not connection(access(langsmith)).ok
    assert self_hosted.asked == []


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("http://127.0.0.1:{port}", "nobody listens there"),
        ("http://no-such-host.invalid", "the host's name is not known"),
        ("smith.example.com", "the endpoint is no URL that can be asked"),
        ("http://[::1", "the endpoint is no URL that can be asked"),
    ],
)
def test_what_does_not_answer_is_told_apart(endpoint, told):
    found = connection(access(None, endpoint=endpoint.format(port=closed_port())))
    assert (failed(found).text, bool(failed(found).advice)) == (told, True)


def test_a_server_that_speaks_no_tls_is_told_apart(langsmith):
    check = failed(connection(access(langsmith, endpoint=langsmith.url.replace("http:", "https:"))))
    assert check.text == "no secure connection could be made"


@pytest.mark.parametrize("key", [KEY, "lsv2_pt_wrong", "", "with a\nline", "schlüssel→"])
def test_the_key_is_nowhere_to_be_seen(langsmith, key, caplog):
    caplog.set_level("DEBUG")
    one = access(langsmith, key)
    told = f"{one!r} {connection(one)!r} {caplog.text}"
    assert not key or key not in told


def test_the_sdks_variables_are_read_the_new_before_the_old():
    environ = {
        "LANGCHAIN_API_KEY": "old", "LANGSMITH_API_KEY": " 'new' ", "LANGCHAIN_ENDPOINT": "https://eu.x/otel/",
        "LANGCHAIN_PROJECT": "P", "LANGSMITH_WORKSPACE_ID": "w",
    }  # fmt: skip
    found = by_variables(environ)
    assert (found.key, found.key_from, found.endpoint) == ("new", "LANGSMITH_API_KEY", "https://eu.x")
    assert (found.project, found.workspace, found.is_configured) == ("P", "w", False)


def test_what_nobody_says_is_the_us_cloud_and_insighthub():
    found = by_variables({})
    assert (found.endpoint, found.project, found.key) == ("https://api.smith.langchain.com", "InsightHub", "")
    assert (found.region, found.traces_url) == ("US", "https://api.smith.langchain.com/otel/v1/traces")


def settings_of(tmp_path, text):
    from ihobs.config import load

    path = tmp_path / "ihobs.yaml"
    path.write_text(text)
    return load(path, environ={}).settings


def test_a_destination_goes_over_the_variables_and_says_what_holds_its_key(tmp_path):
    settings = settings_of(
        tmp_path,
        """
destinations:
  eu: {type: langsmith, endpoint: "https://eu.api.smith.langchain.com", project: P, headers: {X-API-Key: "${env:EU}"}}
  plain: {type: langsmith}
  other: {type: otlp, endpoint: "http://127.0.0.1:4318"}
""",
    )
    eu, plain = accesses(settings, {"EU": "e", "LANGSMITH_API_KEY": "k", "LANGSMITH_ENDPOINT": "https://x/api/v1"})
    assert (eu.name, eu.region, eu.project, eu.key, eu.key_from) == ("eu", "EU", "P", "e", "EU")
    assert (plain.endpoint, plain.project, plain.key, plain.is_configured) == (
        "https://x/api/v1", "InsightHub", "k", True,
    )  # fmt: skip
    assert accesses(settings, {})[0].key == ""


def test_without_a_destination_a_key_is_a_way_that_is_not_configured_and_without_a_key_there_is_none(tmp_path):
    settings = settings_of(tmp_path, "service: x")
    [alone] = accesses(settings, {"LANGCHAIN_API_KEY": "k"})
    assert not alone.is_configured
    assert accesses(settings, {}) == ()
