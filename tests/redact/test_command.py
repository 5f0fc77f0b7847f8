"""`ihobs redact --check FILE`, and what `ihobs status` says of redaction."""

import json

import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.redact.planted import ALL, HEARTS

from ihobs.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["--home", "home", *arguments])


@pytest.fixture
def file(tmp_path):
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "of alice@example.org",
        "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000",
        "attributes": [
            {"key": "llm.input_messages.0.message.content", "value": {"stringValue": "the unicorn"}},
            {"key": "llm.input_messages.1.message.content", "value": {"stringValue": ALL["openai-key"]}},
            {"key": "note", "value": {"stringValue": ALL["openai-key"]}},
        ],
    }  # fmt: skip
    path = tmp_path / "spans.json"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    return path


def test_it_names_part_key_and_kind_and_never_the_finding(run, file):
    result = run("redact", "--check", str(file), "--json")
    checked = json.loads(result.stdout)
    assert {(row["part"], row["key"], row["kind"]): row["count"] for row in checked["removed"]} == {
        ("attribute", "llm.input_messages.*.message.content", "content"): 2,
        ("attribute", "note", "openai-key"): 1,
        ("span name", "", "email"): 1,
    }
    assert (checked["spans"], checked["unreadable"], checked["content"]) == (1, 0, "mask")
    assert result.exit_code == 1
    for secret in (HEARTS["openai-key"], "alice", "unicorn"):
        assert secret not in result.output


def test_as_text_it_is_a_table_and_a_sentence(run, file):
    result = run("redact", "--check", str(file))
    assert "openai-key" in result.stdout
    assert "1 span: 2 findings; prompts and answers are masked" in result.stdout
    assert HEARTS["openai-key"] not in result.output


def test_it_follows_the_settings(run, file, tmp_path):
    (tmp_path / "ihobs.yaml").write_text(
        "instrument: {content: keep}\nredact: {allow: ['*@example.org'], patterns: {beast: unicorn}}\n"
    )
    checked = json.loads(run("redact", "--check", str(file), "--json").stdout)
    assert sorted((row["kind"], row["count"]) for row in checked["removed"]) == [
        ("beast", 1), ("openai-key", 1), ("openai-key", 1)
    ]  # fmt: skip


def test_it_stores_nothing_and_needs_no_home(run, file, tmp_path):
    run("redact", "--check", str(file))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spans.json"]


def test_without_findings_it_ends_with_0(run, tmp_path):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        name="s", trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=10**18, end_time_unix_nano=10**18
    )
    message = request.SerializeToString()
    (tmp_path / "spans.pb").write_bytes(bytes([len(message)]) + message)
    assert run("redact", "--check", "spans.pb").exit_code == 0


def test_what_cannot_be_read_is_an_error(run, tmp_path):
    (tmp_path / "bad.json").write_text("{")
    assert run("redact", "--check", "bad.json").exit_code == 2
    assert run("redact", "--check", "none.json").exit_code == 2


def test_status_counts_what_was_removed_once(run, file):
    assert run("import", str(file)).exit_code == 0
    assert run("import", str(file)).exit_code == 0
    status = json.loads(run("status", "--json").stdout)
    assert {row["reason"]: row["count"] for row in status["redacted"]} == {"content": 2, "email": 1, "openai-key": 1}
    assert "content 2, email 1, openai-key 1" in run("status").stdout


def test_a_pattern_that_is_none_is_refused_with_its_place(run, tmp_path):
    (tmp_path / "ihobs.yaml").write_text("redact: {patterns: {a: '('}}\n")
    result = run("config", "check")
    assert result.exit_code == 2
    assert "redact.patterns" in result.output
