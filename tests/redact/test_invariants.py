"""What redaction never does: change a number, change its mind, or take long."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.redact.conftest import KEY
from tests.redact.planted import ALL, keys_of_every_dialect, value_of

from ihobs.redact.attributes import CONTENT
from ihobs.redact.keys import Verdict
from ihobs.redact.policy import Policy
from ihobs.redact.text import TextRedactor
from ihobs.spans.batch import read_batch
from ihobs.spans.decode import read_file
from ihobs.spans.dialects import shipped_dialects
from ihobs.spans.facts import facts
from ihobs.spans.normalise import Receipt
from ihobs.store.redaction import redactor_with

RECEIPT = Receipt(2**62, live=False)
FILES = ["agent-prism.otlp.jsonl.gz", "any-agent.otlp.jsonl.gz", "langfuse.otlp.jsonl.gz", "fixtures.otlp.jsonl.gz",
         "tau2.otlp.jsonl.gz", "langgraph"]  # fmt: skip
MOST_SPANS = 1_500


def redactor(**policy):
    return redactor_with(Policy(**policy), shipped_dialects(), hash_key=lambda: KEY)


def spans_of(requests, made=None):
    """Return what is read of requests, by trace, and what was removed."""
    batch = read_batch(requests, shipped_dialects(), RECEIPT, made)
    return {trace: [entry.span for entry in entries] for trace, entries in batch.traces.items()}, batch.redacted


def numbers(span):
    """Return a span without the texts that may be masked."""
    return span._replace(shape=span.shape.kind, attempt_key=None)


def totals(counted):
    """Return the sums of a trace, whatever its series are called, and its runs."""
    return [sum(column) for column in zip(*counted.sums.values(), strict=True)], counted.runs


def check_invariants(requests, **policy):
    """Redact requests and check that only texts changed; return what was removed."""
    made = redactor(**policy)
    before, _ = spans_of(copy.deepcopy(requests))
    kept, tally = spans_of(requests, made)
    bytes_once = [request.SerializeToString(deterministic=True) for request in requests]
    again, _ = spans_of(requests)
    for trace, spans in before.items():
        assert list(map(numbers, spans)) == list(map(numbers, kept[trace]))
        assert totals(facts(spans)) == totals(facts(kept[trace]))
        if set(tally.by_kind()) <= {CONTENT}:
            assert spans == kept[trace] == again[trace]
    _, second = spans_of(requests, made)
    assert [request.SerializeToString(deterministic=True) for request in requests] == bytes_once
    assert second.removed == {}
    return tally


def requests_of(path):
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    requests, spans = [], 0
    for chunk in (chunk for file in files for chunk in read_file(str(file))):
        requests.append(chunk.request)
        spans += sum(len(scope.spans) for resource in chunk.request.resource_spans for scope in resource.scope_spans)
        if spans >= MOST_SPANS:
            break
    return requests


@pytest.mark.parametrize("policy", [{}, {"content": "keep"}, {"contents": "hash", "personal": "hash"}], ids=str)
@pytest.mark.parametrize("name", FILES)
def test_in_real_traces_only_texts_change_and_once(traces_dir, name, policy):
    check_invariants(requests_of(traces_dir / name), **policy)


def test_what_only_masks_contents_changes_nothing_that_is_read(traces_dir):
    tally = check_invariants(requests_of(traces_dir / "langgraph"))
    assert set(tally.by_kind()) == {CONTENT}


FRAGMENTS = st.one_of(
    st.sampled_from([*ALL.values(), *(text[:-1] for text in ALL.values()), *(text[1:] for text in ALL.values())]),
    st.sampled_from(
        [" ", "\n", "\\n", '"', "'", "%20", ":", "=", "@", "://", "password", "[", "]", "#", "-", "+", "."]
    ),
    st.text(max_size=12),
    st.integers(0, 10**19).map(str),
)
TEXTS = st.lists(FRAGMENTS, max_size=6).map("".join)


@pytest.mark.parametrize("mode", ["mask", "hash", "drop"])
@given(text=TEXTS)
@settings(max_examples=150, deadline=None)
def test_redacting_a_text_twice_changes_nothing(mode, text):
    made = TextRedactor(Policy(secrets=mode, personal=mode), hash_key=lambda: KEY, hook=None)
    once = made.redact(text, "key", lambda _kind: None)
    if once is not None:
        found = []
        assert made.redact(once, "key", found.append) == once
        assert found == []


MEMBERS = ["input_tokens", "langgraph_node", "ls_provider", "langgraph_checkpoint_ns", "note", "password"]
CONTENTS = st.one_of(
    TEXTS,
    st.integers(-(2**40), 2**62),
    st.floats(allow_nan=False),
    st.booleans(),
    st.lists(TEXTS, max_size=3),
    st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=3),
    st.dictionaries(st.sampled_from(MEMBERS), st.integers(0, 9) | TEXTS).map(json.dumps),
)
ATTRIBUTES = st.dictionaries(st.sampled_from(keys_of_every_dialect()), CONTENTS, max_size=8)


@pytest.mark.parametrize("policy", [{}, {"content": "keep"}, {"contents": "drop"}, {"contents": "hash"}], ids=str)
@given(attributes=ATTRIBUTES, name=TEXTS, message=TEXTS, exception=st.tuples(TEXTS, TEXTS))
@settings(max_examples=80, deadline=None)
def test_no_attribute_of_any_dialect_changes_a_number(policy, attributes, name, message, exception):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            name=name, trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=10**18, end_time_unix_nano=10**18 + 9
        )
    )
    span.status.code, span.status.message = 2, message
    for key, content in attributes.items():
        span.attributes.add(key=key).value.CopyFrom(value_of(content))
    event = span.events.add(name="exception")
    for key, content in zip(("exception.type", "exception.message"), exception, strict=True):
        event.attributes.add(key=key).value.string_value = content
    check_invariants([request], **policy)


def test_attempts_that_look_alike_when_masked_are_still_two(redactor):
    request = requests_with_attempts("order:alice@example.com", "order:bob@example.com")
    kept, _ = spans_of([request], redactor())
    first, second = kept[b"t" * 16]
    assert first.attempt_key != second.attempt_key
    again, _ = spans_of([request])
    assert [span.attempt_key for span in again[b"t" * 16]] == [first.attempt_key, second.attempt_key]


def test_attempts_of_one_thing_stay_attempts_of_one_thing(redactor):
    request = requests_with_attempts("order:alice@example.com", "order:alice@example.com")
    kept, _ = spans_of([request], redactor())
    first, second = kept[b"t" * 16]
    assert first.attempt_key == second.attempt_key


def requests_with_attempts(*keys):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, key in enumerate(keys, 1):
        span = spans.add(
            name="pay", trace_id=b"t" * 16, span_id=bytes(7) + bytes([number]),
            start_time_unix_nano=10**18, end_time_unix_nano=10**18 + 9,
        )  # fmt: skip
        span.attributes.add(key="ihobs.attempt_key").value.string_value = key
    return request


LONG = 200_000
HOSTILE = [
    "a" * LONG, "1" * LONG, "1 " * LONG, "@" * LONG, "a@" * LONG, "a.b@c." * (LONG // 6), "sk-" * (LONG // 3),
    "eyJ" * (LONG // 3), "-----BEGIN PRIVATE KEY-----" * (LONG // 27), "://a:b" * (LONG // 6), "key=" * (LONG // 4),
    "password: " * (LONG // 10), "DE89 " * (LONG // 5), "2001:db8:" * (LONG // 9), "1.1." * (LONG // 4),
    "+1" * LONG, "\\u0041" * (LONG // 6), "Bearer " * (LONG // 7), "phone: 1234567 " * (LONG // 15),
    "%40" * (LONG // 3), "\\" * LONG, "password" + "\\" * LONG, "(2" * LONG, 'File "' * (LONG // 6),
]  # fmt: skip


@pytest.mark.parametrize("kind", Verdict, ids=lambda kind: kind.name.lower())
def test_no_text_takes_longer_than_in_proportion_to_its_length(kind):
    """A search that tries all of a text at all of its places would take hours for these."""
    program = (
        "from ihobs.redact.keys import Verdict\n"
        "from ihobs.redact.attributes import Walk\n"
        "from ihobs.redact.tally import Tally\n"
        "from tests.redact.test_invariants import HOSTILE, redactor\n"
        f"judge = lambda key: Verdict.{kind.name}\n"
        "for text in HOSTILE:\n"
        f"    redactor()._attributes.string(text, 'key', Verdict.{kind.name}, Walk('attribute', Tally(), judge))\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=120)
