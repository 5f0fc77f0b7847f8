"""Bodies that were damaged in any way: never a 5xx, and whole spans beside them count.

IHOBS_FUZZ=100000 sends so many.
"""

import copy
import gzip
import itertools
import json
import os
import random

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.web.sender import JSON, PROTOBUF, Listening, span_request, success

from ihobs.spans.decode import read_file
from ihobs.store.home import Home
from ihobs.store.telemetry import TelemetryStore
from ihobs.web.access import Policy
from ihobs.web.limits import MIB, Limits

EXAMPLES = 150
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
FUZZ = int(os.environ.get("IHOBS_FUZZ", "400"))

SAMPLE = span_request(11, 12, 13)
SAMPLE.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 7
SAMPLE.resource_spans[0].scope_spans[0].spans[1].events.add(name="exception", time_unix_nano=1)
BODY = SAMPLE.SerializeToString()
DOCUMENT = json.loads(json_format.MessageToJson(SAMPLE))

ALLOWED = {200, 400, 413}

mutations = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "repeat"]), st.integers(0, 10**6), st.binary(max_size=12)),
    min_size=1,
    max_size=4,
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def mutated(body, changes):
    for kind, number, data in changes:
        place = number % (len(body) + 1)
        if kind == "flip" and body:
            place %= len(body)
            body = body[:place] + bytes([body[place] ^ (1 << number % 8)]) + body[place + 1 :]
        elif kind == "cut":
            body = body[:place]
        elif kind == "insert":
            body = body[:place] + data + body[place:]
        else:
            body += body[place:]
    return body


def places(value, at=()):
    """Yield the path to everything in a JSON value."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def replaced(document, at, value):
    if not at:
        return value
    document = copy.deepcopy(document)
    inner = document
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return document


PLACES = list(places(DOCUMENT))


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """One receiver for all of them: it must outlive each."""
    store = TelemetryStore(Home.open(tmp_path_factory.mktemp("mutated") / "home", create=True))
    listening = Listening(store, Limits(body_bytes=2 * MIB), Policy(None, None))
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def neighbour(receiver):
    """Send a whole span, under an id of its own, and see it counted."""
    numbers = itertools.count(1)

    def send_and_count():
        before = receiver.spans()
        success(receiver.post(span_request(next(numbers), trace=2**100)))
        assert receiver.spans() == before + 1

    return send_and_count


def test_mutated_protobuf(receiver, neighbour):
    @SETTINGS
    @given(mutations)
    def send(changes):
        assert receiver.post(mutated(BODY, changes)).status_code in ALLOWED

    send()
    neighbour()


def test_mutated_gzip(receiver, neighbour):
    @SETTINGS
    @given(mutations)
    def send(changes):
        answer = receiver.post(mutated(gzip.compress(BODY, mtime=0), changes), content_encoding="gzip")
        assert answer.status_code in ALLOWED

    send()
    neighbour()


def test_mutated_json_text(receiver, neighbour):
    @SETTINGS
    @given(mutations)
    def send(changes):
        assert receiver.post(mutated(json.dumps(DOCUMENT).encode(), changes), JSON).status_code in ALLOWED

    send()
    neighbour()


def test_json_with_anything_anywhere(receiver, neighbour):
    @SETTINGS
    @given(st.sampled_from(PLACES), anything)
    def send(at, value):
        assert receiver.post(json.dumps(replaced(DOCUMENT, at, value)), JSON).status_code in ALLOWED

    send()
    neighbour()


def test_one_span_with_anything_anywhere_does_not_cost_the_other(receiver):
    of_a_span = ("resourceSpans", 0, "scopeSpans", 0, "spans", 1)
    inside = [at for at in PLACES if at[:6] == of_a_span]
    numbers = itertools.count(1000)

    @SETTINGS
    @given(st.sampled_from(inside), anything)
    def send(at, value):
        before = receiver.spans()
        document = copy.deepcopy(DOCUMENT)
        whole, _, other = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
        for span in (whole, other):
            span["spanId"] = next(numbers).to_bytes(8).hex()
        assert receiver.post(json.dumps(replaced(document, at, value)), JSON).status_code == 200
        assert receiver.spans() in {before + 2, before + 3}

    send()


def test_the_real_traces_with_bytes_changed_at_random(receiver, neighbour, traces_dir):
    rng = random.Random(4)
    bodies = [chunk.request.SerializeToString() for chunk in read_file(traces_dir / "any-agent.otlp.pb.gz")]
    for _ in range(FUZZ):
        body = bytearray(rng.choice(bodies))
        for _ in range(rng.choice([1, 1, 3, 30])):
            body[rng.randrange(len(body))] = rng.randrange(256)
        assert receiver.post(bytes(body), PROTOBUF).status_code in ALLOWED
    neighbour()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"resourceSpans":' * 20_000, id="deep objects"),
        pytest.param(b"[" * 300_000, id="deep arrays"),
        pytest.param(b'{"resourceSpans":[' + b"{}," * 100_000 + b"{}]}", id="many empty resources"),
        pytest.param(b'"' + b"x" * 900_000 + b'"', id="a long string"),
        pytest.param(b'{"resourceSpans": ' + b"9" * 50_000 + b"}", id="a long number"),
        pytest.param(b"\xff\xfe" * 1000, id="not UTF-8"),
        pytest.param(b"{}\n" * 50_000, id="many lines"),
        pytest.param(b'{"resourceSpans":NaN}', id="not a number"),
        pytest.param(b'{"' + b'\\"' * 500_000, id="quotes without an end"),
        pytest.param(b"{}" * 900_000, id="many documents on one line"),
        pytest.param(b"\n" * 1_900_000, id="empty lines"),
        pytest.param(b"\n\0" * 400_000, id="lines that are not JSON"),
        pytest.param(
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"0," * 900_000 + b"0]}]}]}", id="numbers for spans"
        ),
    ],
)
def test_json_that_is_an_attack(receiver, neighbour, body):
    assert receiver.post(body, JSON).status_code in ALLOWED
    neighbour()


def crowded():
    """Return a request whose resource has so many attributes that each takes two bytes."""
    request = copy.deepcopy(SAMPLE)
    request.resource_spans[0].resource.MergeFromString(b"\x0a\x00" * 900_000)
    return request.SerializeToString()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x0a" + b"\xff" * 9 + b"\x01", id="a length of 2**64"),
        pytest.param(b"\x0a\x00" * 200_000, id="many empty resources"),
        pytest.param(b"\x0b" * 300_000, id="deep groups"),
        pytest.param(b"\x0a\x80\x80\x40" + b"\x12\x00" * 524_000, id="many empty scopes"),
        pytest.param(bytes(1000), id="zeros"),
        pytest.param(crowded(), id="many attributes"),
    ],
)
def test_protobuf_that_is_an_attack(receiver, neighbour, body):
    assert receiver.post(body).status_code in ALLOWED
    neighbour()
