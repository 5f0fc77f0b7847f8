"""What is a finding, what only looks like one, and how it goes."""

import json

import pytest
from tests.redact.planted import ALL, HEARTS, SECRETS

from ihobs.redact import checksums
from ihobs.redact.keys import KeyTable, Verdict
from ihobs.redact.policy import Policy
from ihobs.redact.values import without_message

NO_FINDINGS = [
    "550e8400-e29b-41d4-a716-446655440000", "41111111-1111-1111-1111-111111111111",
    "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "5b8efff798038103d269b633813fc60c",
    "1767225600000000000", "1767225600000", "2026-11-22T18:52:24.123456Z", "2026-11-22 18:52:24 +0100",
    "chatcmpl-1234567890123456", "msg_01XFDUDYJgAACzvnptvVoYEL", "call_4242424242424242", "run-4111111111111112",
    "gpt-4o-mini-2024-07-18", "claude-3-5-sonnet-20241022", "us.anthropic.claude-3-haiku-20240307-v1:0",
    "langgraph:step:1|node:550e8400", "session-2024-01-15-0001", "user_15551234567", "thread-5555555555554444",
    "0.4111111111111111", "4111.111111111111", "3.141592653589793", "-0.0052631578947368", "1.45.2", "Chrome/120.0.0.0",
    "openai==1.2.3.4", "127.0.0.1:8081", "0.0.0.0", "::1", "std::vector<int>", "x[::2]", "10:30:00", "12:34:56:78",
    "tokens: 12345678", "max_tokens=4096", "api_key=os.environ['OPENAI_API_KEY']", "password: string", '"token": 5',
    '{"password": {"type": "string"}}', "api_key: <your key>", "api_key=${KEY}", "the basic understanding of it",
    "a bearer of bad news arrived", "task-1234567890123456789", "risk-assessment-for-2024-and-later",
    "sk-learn", "disk-usage-of-the-whole-machine1", "logo@2x.png", "@app.route('/x')", "git@github.com:org/repo.git",
    "x @ y", "1-2-3-4-5-6-7-8-9-10", "512 768 1024 2048", "#include <stdio.h>", "eyJhbGciOi", "https://example.com/a:b",
    "http://localhost:4318/v1/traces", "a+b=c", "1+1", "4111 1111 1111 1112", "DE89370400440532013001", "[email]",
    "AKIA", "deadbeef" * 5, "8.5.2026", "(404) not found", "Traceback (most recent call last):", "key: value",
    "openai.RateLimitError: Error code: 429 - retry after 20 s", "/usr/lib/python3.11/site-packages/x.py", "P0001Y02",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_FINDINGS)
def test_what_only_looks_like_a_finding_stays(scrub, text):
    assert scrub(text) == text
    assert scrub(f"it said {text}, and so on") == f"it said {text}, and so on"


@pytest.mark.parametrize("kind", ALL)
def test_each_is_called_by_its_name(scrub, kind):
    assert f"[{kind.partition(' ')[0]}]" in scrub(ALL[kind])


def test_what_is_around_a_finding_stays(scrub):
    assert scrub("mail alice@example.org, or call +49 30 901820.") == "mail [email], or call [phone]."
    assert scrub("postgres://app:hunter2hunter2@db.internal:5432/x") == "postgres://[url-password]@db.internal:5432/x"
    assert scrub("curl -H 'Authorization: Bearer abc.123.def' x") == "curl -H 'Authorization: Bearer [bearer-token]' x"
    assert json.loads(scrub(json.dumps({"note": "a\nalice@example.org\n"}))) == {"note": "a\n[email]\n"}


def test_a_hash_tells_different_findings_apart_and_nothing_else(scrub):
    first, again, other = (scrub(text, "hash") for text in ("a@b.org", "a@b.org", "c@b.org"))
    assert first == again != other
    assert first.startswith("[email#")
    assert len(first) == len("[email#]") + 12


def test_dropping_a_finding_drops_what_holds_it(scrub):
    assert scrub("mail alice@example.org", "drop") is None
    assert scrub("mail nobody", "drop") == "mail nobody"


def test_what_the_settings_allow_is_no_finding(scrub):
    allow = ("*@example.org", "10.*")
    assert scrub("alice@example.org from 10.0.0.1", allow=allow) == "alice@example.org from 10.0.0.1"
    assert scrub("alice@example.com from 11.0.0.1", allow=allow) == "[email] from [ipv4]"


def test_patterns_of_ones_own_are_looked_for_everywhere(scrub):
    assert scrub("customer C-123456", patterns={"customer": r"\bC-[0-9]{6}\b"}) == "customer [customer]"


def test_a_pattern_of_ones_own_that_finds_its_mask_removes_the_text(scrub):
    assert scrub("abc", patterns={"letters": "[a-z]+"}) == "[failed]"


@pytest.mark.parametrize("number", ["4111111111111111", "5555555555554444", "378282246310005", "6011111111111117",
                                    "3530111333300000", "30569309025904", "2223003122003222"])  # fmt: skip
def test_the_checksum_of_cards_is_luhns(number):
    assert checksums.card(number) == len(number)
    for place, digit in enumerate(number):
        wrong = f"{number[:place]}{(int(digit) + 1) % 10}{number[place + 1 :]}"
        assert checksums.card(wrong) == 0


IBANS = ["GB82WEST12345698765432", "FR1420041010050500013M02606", "NO9386011117947", "MT84MALT011000012345MTLCAST001S",
         "NL91ABNA0417164300", "CH9300762011623852957", "BR1800360305000010009795493C1",
         "DE89370400440532013000"]  # fmt: skip


@pytest.mark.parametrize("number", IBANS)
def test_ibans_are_found_alone_in_groups_and_before_other_words(scrub, number):
    grouped = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
    assert scrub(number) == "[iban]"
    assert scrub(f"to {grouped} AT ONCE") == "to [iban] AT ONCE"
    assert scrub(number[:-1] + ("1" if number[-1] != "1" else "2")) != "[iban]"


def test_the_verdict_of_a_key_follows_the_tables():
    keys = KeyTable(Policy(content_keys=("mine.*",), keep=("exception.message",)), {"input.value": frozenset()})
    expected = {
        "gen_ai.prompt": Verdict.CONTENT, "gen_ai.prompt.0.content": Verdict.CONTENT,
        "gen_ai.prompt_tokens": Verdict.PLAIN,
        "gen_ai.usage.prompt_tokens": Verdict.PLAIN, "llm.input_messages.3.message.content": Verdict.CONTENT,
        "llm.input_messages.3.message.role": Verdict.PLAIN, "metadata": Verdict.METADATA, "input.value": Verdict.PLAIN,
        "output.value": Verdict.CONTENT, "mine.text": Verdict.CONTENT, "exception.message": Verdict.PLAIN,
        "exception.stacktrace": Verdict.FAILURE, "langsmith.metadata.thread_id": Verdict.PLAIN,
        "langsmith.metadata.note": Verdict.CONTENT, "langsmith.metadata.LANGSMITH_API_KEY": Verdict.SECRET,
        "http.request.header.authorization": Verdict.SECRET, "db.password": Verdict.SECRET,
        "x-api-key": Verdict.SECRET,
        "llm.token_count.prompt": Verdict.PLAIN, "gen_ai.usage.output_tokens": Verdict.PLAIN,
        "next_token": Verdict.PLAIN,
        "reranker.output_documents.0.document.content": Verdict.CONTENT, "session.id": Verdict.PLAIN,
        "user.id": Verdict.PLAIN, "gen_ai.request.max_tokens": Verdict.PLAIN,
    }  # fmt: skip
    assert {key: keys.verdict(key) for key in expected} == expected


def test_when_contents_are_kept_only_secrets_go_by_their_key():
    keys = KeyTable(Policy(content="keep"), {})
    assert {keys.verdict(key) for key in ("input.value", "metadata", "status.message")} == {Verdict.PLAIN}
    assert keys.verdict("llm.headers") is Verdict.SECRET


def test_metadata_keeps_names_and_numbers_and_loses_texts(redactor):
    document = {"langgraph_node": "draft", "thread_id": "t1", "note": "the unicorn", "score": 3,
                "openai_api_key": "abc", "nested": {"a": ["unicorn"]}, "ok": True}  # fmt: skip
    made = redactor()
    span = _span("metadata", json.dumps(document))
    _redact(made, span)
    assert json.loads(span.attributes[0].value.string_value) == document | {
        "note": "[masked]", "openai_api_key": "[secret]", "nested": "[masked]"
    }  # fmt: skip


def test_metadata_that_is_no_object_goes_whole(redactor):
    span = _span("metadata", "the unicorn {")
    _redact(redactor(), span)
    assert span.attributes[0].value.string_value == "[masked]"


def test_numbers_and_switches_stay_under_every_key(redactor):
    from tests.redact.planted import value_of

    for number in (3, 0.5, True):
        span = _span("input.value", "")
        span.attributes[0].value.CopyFrom(value_of(number))
        before = span.SerializeToString()
        _redact(redactor(), span)
        assert span.SerializeToString() == before


def test_vectors_go_as_texts_do(redactor):
    from tests.redact.planted import value_of

    span = _span("embedding.embeddings.0.embedding.vector", "")
    span.attributes[0].value.CopyFrom(value_of([0.1, 0.2]))
    _redact(redactor(), span)
    assert span.attributes[0].value.string_value == "[masked]"


@pytest.mark.parametrize(("told", "left"), [
    ("ValueError('the unicorn')", "ValueError([masked])"),
    ("openai.RateLimitError: the unicorn", "openai.RateLimitError: [masked]"),
    ("the unicorn: escaped", "[masked]"),
    ("GraphInterrupt((Interrupt(value='unicorn'),))", "GraphInterrupt([masked])"),
    ('Traceback (most recent call last):\n  File "a.py", line 3, in draft\n    ask(x)\nValueError: unicorn',
     'Traceback (most recent call last):\n  File "a.py", line 3, in draft\n[masked]'),
    ("TypeError: unicorn\n    at run (/app/index.js:10:5)\n    at main (/app/index.js:2:1)",
     "TypeError: [masked]\n    at run (/app/index.js:10:5)\n    at main (/app/index.js:2:1)\n[masked]"),
])  # fmt: skip
def test_of_a_failure_the_class_and_the_frames_stay(told, left):
    assert without_message(told, "[masked]") == left
    assert without_message(left, "[masked]") == left


def test_dropped_contents_leave_no_attribute(redactor):
    span = _span("input.value", "the unicorn")
    span.attributes.add(key="kept").value.string_value = "x"
    _redact(redactor(contents="drop"), span)
    assert [attribute.key for attribute in span.attributes] == ["kept"]


def test_a_key_that_holds_a_finding_is_masked_itself(redactor):
    span = _span("of alice@example.org", "x")
    _redact(redactor(content="keep"), span)
    assert span.attributes[0].key == "of [email]"


def test_a_secret_of_any_kind_does_not_hide_in_a_name_that_is_cut(redactor, tmp_path):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from ihobs.spans.batch import read_batch
    from ihobs.spans.dialects import shipped_dialects
    from ihobs.spans.normalise import Receipt

    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.CopyFrom(_span("ihobs.workflow", "w " * 115 + SECRETS["github-token"]))
    span.name = "n " * 120 + SECRETS["openai-key"]
    batch = read_batch([request], shipped_dialects(), Receipt(2**62, live=False), redactor())
    [[entry]] = batch.traces.values()
    assert HEARTS["github-token"][:12] not in str(entry.span.shape)
    assert HEARTS["openai-key"][:12] not in str(entry.span.shape)


def _span(key, text):
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    span = Span(name="s", trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=10**18, end_time_unix_nano=10**18)
    span.attributes.add(key=key).value.string_value = text
    return span


def _redact(made, span):
    from ihobs.redact.tally import Tally
    from ihobs.spans.attributes import attributes_of

    made.span(span, attributes_of(span), Tally())
