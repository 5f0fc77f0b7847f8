"""`ihobs incidents` as it is typed: what it says, and what it ends with."""

from __future__ import annotations

import json

import pytest

from ihobs.errors import EXIT_FINDING, EXIT_INVALID, EXIT_NOT_FOUND, EXIT_REFUSED


@pytest.fixture
def opened(filled, ihobs):
    """An incident of a home in which runs fail."""
    for number in range(1, 8):
        filled.span("import", number, trace=number, kind="workflow", error="TimeoutError" if number > 2 else "")
    filled.store()
    result = ihobs("incidents", "open", "imports", "fail", "--severity", "P1", "--author", "anna", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)["id"]


def test_the_list_ends_with_1_while_an_incident_goes_on(ihobs, opened):
    listed = ihobs("incidents", "list")
    assert listed.exit_code == EXIT_FINDING
    assert opened in listed.output
    assert "P1" in listed.output
    assert "response due in" in listed.output
    ihobs("incidents", "resolve", opened, "restarted")
    over = ihobs("incidents", "list")
    assert (over.exit_code, over.output) == (0, "no incident goes on; --all shows those that are over\n")
    assert "response" not in ihobs("incidents", "list", "--all").output
    [one] = json.loads(ihobs("incidents", "list", "--all", "--json").output)
    assert (one["id"], one["state"]) == (opened, "resolved")


def test_an_incident_is_shown_with_people_deadline_health_and_timeline(ihobs, opened):
    ihobs("incidents", "ack", opened, "--author", "bob")
    ihobs("incidents", "note", "latest", "restarted", "the", "worker", "--author", "bob")
    shown = ihobs("incidents", "show", "latest").output
    assert shown.startswith(f"P1 {opened} acknowledged  imports fail\n")
    assert "by anna" in shown
    assert "lead bob" in shown
    assert "response   met after" in shown
    assert "29% of 7 runs within 5 min succeeded" in shown
    assert "TimeoutError" in shown
    assert "restarted the worker  (bob)" in shown
    assert "changes, controls, health, logs, metrics, system, traces" in shown


def test_a_draft_of_a_status_update_is_made_of_numbers(ihobs, opened):
    ihobs("incidents", "note", opened, "restarted the worker", "--author", "bob")
    draft = ihobs("incidents", "show", opened, "--update").output
    assert draft.startswith(f"**P1: imports fail** ({opened})")
    assert "nobody has taken it yet" in draft
    assert "- Now: 29% of the runs of the last 5 min succeed" in draft
    assert "restarted the worker (bob)" in draft


def test_whoever_comes_second_is_told_by_whom(ihobs, opened):
    assert "acknowledged by bob" in ihobs("incidents", "ack", opened, "--author", "bob").output
    second = ihobs("incidents", "ack", opened.lower(), "--author", "carl")
    assert (second.exit_code, "was acknowledged already by bob" in second.output) == (0, True)
    third = json.loads(ihobs("incidents", "ack", opened, "--json").output)
    assert third["changed"] is False


def test_an_export_holds_what_was_seen(ihobs, opened, tmp_path):
    result = ihobs("incidents", "export", opened, "--out", tmp_path / "incident.json")
    assert result.exit_code == 0
    found = json.loads((tmp_path / "incident.json").read_text())
    seen = {one["part"]: one["content"]["data"] for one in found["diagnostics"]}
    assert seen["health"]["failed_runs"] == 5
    assert [one["error"] for one in seen["traces"]["errors"]] == ["TimeoutError"]
    assert len(seen["traces"]["failed_examples"]) == 5
    assert sum(minute["runs"] for minute in seen["metrics"]["minutes"]) == 7
    assert seen["system"]["memory_total_bytes"] > 0
    assert json.loads(ihobs("incidents", "export", "latest").output)["id"] == opened


def test_deployments_are_remembered_for_the_incidents_to_come(filled, ihobs):
    assert ihobs("incidents", "note", "--deploy", "release 7").output == "deployment noted\n"
    opened = json.loads(ihobs("incidents", "open", "it fails", "--severity", "p2", "--json").output)["id"]
    [changes] = [
        one
        for one in json.loads(ihobs("incidents", "export", opened).output)["diagnostics"]
        if one["part"] == "changes"
    ]
    assert [one["text"] for one in changes["content"]["data"]["noted"]] == ["release 7"]
    assert ihobs("incidents", "note", "--deploy", "release 8").output == "deployment noted, and on 1 incident\n"


def test_roles_severity_and_merging(ihobs, opened):
    assert ihobs("incidents", "assign", opened, "--comms", "eve").output == f"{opened}: comms: eve\n"
    assert ihobs("incidents", "severity", opened, "P3").exit_code == EXIT_REFUSED
    assert ihobs("incidents", "severity", opened, "P3", "--reason", "only a test").output == f"{opened} is P3 now\n"
    other = json.loads(ihobs("incidents", "open", "other", "--severity", "P4", "--json").output)["id"]
    assert ihobs("incidents", "merge", other, "--into", opened).output == f"{other} is a part of {opened} now\n"
    assert ihobs("incidents", "mitigate", opened, "switched off").output == f"{opened} is mitigated\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["show", "INC-1"], EXIT_NOT_FOUND, "no incident 'INC-1'; see 'ihobs incidents list'"),
        (["show", "latest"], EXIT_NOT_FOUND, "no incident 'latest'"),
        (["note", "INC-1"], EXIT_INVALID, "say what to note"),
        (["assign", "INC-1"], EXIT_INVALID, "name a role"),
        (["open", "x"], EXIT_INVALID, "Missing option '--severity'"),
        (["resolve", "INC-1"], EXIT_INVALID, "Missing argument 'RESOLUTION...'"),
    ],
)
def test_what_cannot_be_done_says_why(filled, ihobs, arguments, code, text):
    result = ihobs("incidents", *arguments)
    assert (result.exit_code, text in result.output) == (code, True), result.output


def test_what_is_over_cannot_be_taken(ihobs, opened):
    ihobs("incidents", "resolve", opened, "done")
    result = ihobs("incidents", "ack", opened)
    assert result.exit_code == EXIT_REFUSED
    assert f"{opened} is resolved and cannot be acknowledged" in result.output
