"""Where spans go by the configuration, and with which secrets."""

import re

from ihobs.config import load
from ihobs.forward.destinations import destinations_of


def destinations(tmp_path, text, **environ):
    path = tmp_path / "ihobs.yaml"
    path.write_text(text)
    return {one.name: one for one in destinations_of(load(path, environ={}).settings, environ)}


def test_without_destinations_a_key_alone_starts_nothing(tmp_path):
    assert destinations(tmp_path, "{}", LANGSMITH_API_KEY="lsv2_pt_x", LANGSMITH_TRACING="true") == {}


def test_langsmith_is_reached_by_the_variables_of_its_sdk(tmp_path):
    [one] = destinations(
        tmp_path, "destinations: {ls: {type: langsmith}}", LANGSMITH_API_KEY="lsv2_pt_x", LANGSMITH_WORKSPACE_ID="w1"
    ).values()
    assert one.url == "https://api.smith.langchain.com/otel/v1/traces"
    assert dict(one.headers) == {"x-api-key": "lsv2_pt_x", "X-Tenant-Id": "w1", "Langsmith-Project": "InsightHub"}
    assert (one.missing, one.is_langsmith) == ("", True)


def test_the_file_goes_over_the_variables_and_old_names_are_known(tmp_path):
    text = 'destinations: {ls: {type: langsmith, project: Mine, endpoint: "https://eu.api.smith.langchain.com"}}'
    old = {"LANGCHAIN_API_KEY": "lsv2_old", "LANGCHAIN_PROJECT": "theirs", "LANGCHAIN_ENDPOINT": "https://elsewhere"}
    [one] = destinations(tmp_path, text, **old).values()
    assert one.url == "https://eu.api.smith.langchain.com/otel/v1/traces"
    assert (one.headers["x-api-key"], one.headers["Langsmith-Project"]) == ("lsv2_old", "Mine")


def test_a_langsmith_of_ones_own_is_reached_below_its_api(tmp_path):
    text = 'destinations: {ls: {type: langsmith, endpoint: "https://smith.example.com/api/v1"}}'
    [one] = destinations(tmp_path, text, LANGSMITH_API_KEY="k").values()
    assert one.url == "https://smith.example.com/api/v1/otel/v1/traces"


def test_without_a_key_langsmith_says_which_variable_is_missing(tmp_path):
    [one] = destinations(tmp_path, "destinations: {ls: {type: langsmith}}").values()
    assert one.missing == "LANGSMITH_API_KEY"


def test_the_path_of_otlp_is_added_once_and_not_for_grpc(tmp_path):
    text = """
    destinations:
      base: {type: otlp, endpoint: "http://host:4318"}
      whole: {type: otlp, endpoint: "http://host/otel/v1/traces"}
      grpc: {type: otlp, endpoint: "http://host:4317", protocol: grpc}
    """
    urls = {name: one.url for name, one in destinations(tmp_path, text).items()}
    assert urls == {
        "base": "http://host:4318/v1/traces",
        "whole": "http://host/otel/v1/traces",
        "grpc": "http://host:4317",
    }


def test_headers_are_filled_in_and_never_shown(tmp_path):
    text = 'destinations: {lf: {type: otlp, endpoint: "http://h", headers: {authorization: "Basic ${env:LF_AUTH}"}}}'
    [one] = destinations(tmp_path, text, LF_AUTH="c2VjcmV0OnNlY3JldA==").values()
    assert one.headers == {"authorization": "Basic c2VjcmV0OnNlY3JldA=="}
    assert one.secrets == {"c2VjcmV0OnNlY3JldA==", "Basic c2VjcmV0OnNlY3JldA=="}
    assert "c2VjcmV0" not in repr(one)
    [without] = destinations(tmp_path, text).values()
    assert without.missing == "LF_AUTH"


def test_the_fingerprint_changes_with_what_may_be_refused_and_with_nothing_else(tmp_path):
    text = "destinations: {ls: {type: langsmith%s}}"
    prints = [
        destinations(tmp_path, text % more, LANGSMITH_API_KEY=key)["ls"].fingerprint()
        for more, key in [("", "k"), (", sample: 0.5", "k"), ("", "other"), (", project: p", "k")]
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_the_configuration_in_the_documentation_is_valid(tmp_path, repository):
    text = (repository / "docs" / "forwarding.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    found = destinations(tmp_path, block, LANGSMITH_API_KEY="k", LANGFUSE_AUTH="a")
    assert {name: one.protocol for name, one in found.items() if not one.missing} == {
        "langsmith": "http",
        "phoenix": "http",
        "collector": "grpc",
        "langfuse": "http",
    }
