"""Whatever is planted, wherever, in whatever dialect: it reaches no file, no log and no error message."""

import copy
import json
import logging
import subprocess
import sys

import pytest
from tests.redact.planted import ALL, HEARTS, PERSONAL, SECRETS, plant, request_with_everything

from ihobs.guard import guard
from ihobs.redact.keys import KeyTable, Verdict
from ihobs.redact.policy import Policy
from ihobs.spans.decode import read_file
from ihobs.spans.dialects import shipped_dialects
from ihobs.store.home import Home
from ihobs.store.payloads import decompress
from ihobs.store.redaction import redactor_for, removed
from ihobs.store.telemetry import TelemetryStore

MODES = [("mask", "keep"), ("hash", "keep"), ("drop", "keep"), ("mask", "mask"), ("drop", "mask")]


def stored(tmp_path, requests, *, mode="mask", content="keep"):
    """Store requests in a new home and return every byte that is in its files, payloads also as they were."""
    home = Home.open(tmp_path / "home", create=True)
    policy = Policy(content=content, contents=mode, secrets=mode, personal=mode)
    with TelemetryStore(home, redactor=redactor_for(home, policy, shipped_dialects())) as store:
        result = store.ingest_many(requests, live=False)
        assert result.accepted
        with store.database.read() as connection:
            bodies = [row[0] for row in connection.execute("SELECT body FROM payload")]
            counted = removed(store.database)
        files = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    assert (home.path / "data" / "g0001" / "telemetry.db-wal").exists() or b"SQLite" in files
    return files + b"".join(decompress(body).SerializeToString() for body in bodies), counted


def left(kind, everything):
    heart = HEARTS[kind].encode()
    return [everything[max(0, at - 40) : at + 60] for at in [everything.find(heart)] if at >= 0]


@pytest.mark.parametrize(("mode", "content"), MODES)
def test_nothing_planted_in_any_part_of_any_dialect_reaches_the_files(tmp_path, mode, content):
    text = " ; ".join(ALL.values())
    everything, counted = stored(tmp_path, [request_with_everything(text)], mode=mode, content=content)
    assert {kind: found for kind in ALL if (found := left(kind, everything))} == {}
    kinds = {each.kind for each in counted}
    assert kinds >= {kind.partition(" ")[0] for kind in ALL} | {"secret"} or mode == "drop"


@pytest.mark.parametrize("kind", ALL)
def test_each_alone_in_each_part_is_enough(tmp_path, kind):
    everything, _ = stored(tmp_path, [request_with_everything(ALL[kind], every=9)])
    assert left(kind, everything) == []


@pytest.mark.parametrize("around", ["{}", '"{}"', "\\n{}\\n", "a%20{}", "<{}>", "({}).", "né {},", "x={}&y"])
@pytest.mark.parametrize("kind", ALL)
def test_what_stands_around_it_hides_nothing(scrub, kind, around):
    assert HEARTS[kind] not in scrub(around.format(ALL[kind]))
    assert HEARTS[kind] not in scrub(json.dumps({"a": [around.format(ALL[kind])]}).replace("\\n", "\n"))


@pytest.mark.parametrize("kind", [kind for kind in ALL if '"' not in ALL[kind]])
def test_json_in_json_hides_nothing(scrub, kind):
    assert HEARTS[kind] not in scrub(json.dumps({"a": json.dumps({"b": f"\n{ALL[kind]}\n"})}))


FILES = ["langgraph/*.json", "langfuse.otlp.jsonl.gz", "any-agent.otlp.jsonl.gz"]


@pytest.mark.parametrize("pattern", FILES)
def test_nothing_planted_into_real_traces_reaches_the_files(tmp_path, traces_dir, pattern):
    requests = []
    for path in sorted(traces_dir.glob(pattern)):
        for chunk in list(read_file(str(path)))[:15]:
            request = copy.deepcopy(chunk.request)
            plant(request, " ; ".join(ALL.values()))
            requests.append(request)
    everything, _ = stored(tmp_path, requests)
    assert {kind: found for kind in ALL if (found := left(kind, everything))} == {}


CONTENT = "the patient told us about the unicorn in her garden"


def test_masked_contents_reach_no_file_in_any_dialect(tmp_path):
    request = request_with_everything(CONTENT)
    _only_contents(request)
    everything, counted = stored(tmp_path, [request], content="mask")
    assert b"unicorn" not in everything
    assert {each.kind for each in counted} == {"content", "secret"}


def _only_contents(request):
    """Leave the planted text only where contents stand: it is no secret, and other texts stay."""
    keys = KeyTable(Policy(), {})
    others = (Verdict.PLAIN, Verdict.METADATA)
    request.DiscardUnknownFields()
    for resource_spans in request.resource_spans:
        resource_spans.ClearField("resource")
        resource_spans.ClearField("schema_url")
        for scope_spans in resource_spans.scope_spans:
            scope_spans.ClearField("scope")
            scope_spans.ClearField("schema_url")
            for span in scope_spans.spans:
                span.name, span.trace_state = "span", ""
                del span.links[:]
                _leave(span.attributes, lambda key: keys.verdict(key) not in others)
                for event in span.events:
                    event.name = name = event.name.removesuffix(f" {CONTENT}")
                    _leave(event.attributes, lambda key, name=name: keys.verdict_in_event(name, key) not in others)


def _leave(attributes, is_content):
    for attribute in list(attributes):
        if not is_content(attribute.key):
            attributes.remove(attribute)


def test_what_a_detector_fails_on_goes_whole_and_neither_the_log_nor_the_file_quotes_it(tmp_path, monkeypatch, caplog):
    from ihobs.redact import personal_patterns

    def failing(found):
        raise ValueError(f"cannot read {found!r}")

    monkeypatch.setattr(personal_patterns.checksums, "email", failing)
    monkeypatch.setattr(guard, "strict", False)
    text = f"write to {PERSONAL['email']} with {SECRETS['openai-key']}"
    request = request_with_everything(text)
    with caplog.at_level(logging.DEBUG, "ihobs"):
        everything, counted = stored(tmp_path, [request])
    assert left("email", everything) == []
    assert left("openai-key", everything) == []
    assert "failed" in {each.kind for each in counted}
    assert caplog.records
    assert HEARTS["openai-key"] not in caplog.text + repr([record.__dict__ for record in caplog.records])


def test_an_import_that_refuses_a_value_does_not_quote_a_secret_in_it(tmp_path):
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": SECRETS["anthropic-key"], "name": "x",
        "startTimeUnixNano": SECRETS["github-token"], "endTimeUnixNano": "2",
    }]}]}]}  # fmt: skip
    (tmp_path / "bad.json").write_text(json.dumps(document))
    command = [sys.executable, "-m", "ihobs", "--home", str(tmp_path / "home"), "import", "bad.json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "rejected 1" in ended.stderr
    for kind in ("anthropic-key", "github-token"):
        assert HEARTS[kind][:12] not in ended.stdout + ended.stderr
