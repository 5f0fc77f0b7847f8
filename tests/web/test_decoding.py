"""Bodies of requests: decompressed within a bound, decoded as far as they are whole."""

import gzip
import json
import zlib

import pytest
from google.protobuf import json_format
from tests.web.sender import CODINGS, span_request

from ihobs.spans.batch import Rejection
from ihobs.web import wire
from ihobs.web.decoding import IDENTITY, MAX_MEMBERS, coding_of, decode, decode_at_once, inflate
from ihobs.web.limits import MIB, Limits
from ihobs.web.wire import RefusalError

LIMITS = Limits()


def ids(parcel):
    return [
        int.from_bytes(span.span_id)
        for request in parcel.requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def refusal(call, *arguments):
    with pytest.raises(RefusalError) as caught:
        call(*arguments)
    return caught.value.status, caught.value.message


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("encoding", [wire.PROTOBUF, wire.JSON], ids=["protobuf", "json"])
def test_each_encoding_comes_in_each_coding(encoding, coding):
    body = CODINGS[coding](encoding.encode(span_request(1, 2)))
    parcel = decode(body, coding_of(coding), encoding, LIMITS)
    assert (ids(parcel), parcel.items, parcel.rejections) == ([1, 2], 2, ())
    assert parcel.size_bytes == len(encoding.encode(span_request(1, 2)))


def test_deflate_without_the_head_of_zlib_is_read_too():
    body = zlib.compress(span_request(1).SerializeToString(), wbits=-15)
    assert ids(decode(body, "deflate", wire.PROTOBUF, LIMITS)) == [1]


def test_gzip_files_behind_one_another_are_one_body():
    halves = [json_format.MessageToJson(span_request(n), indent=None).encode() + b"\n" for n in (1, 2)]
    body = b"".join(map(gzip.compress, halves))
    assert ids(decode(body, "gzip", wire.JSON, LIMITS)) == [1, 2]


@pytest.mark.parametrize("header", ["", "identity", " GZIP ", "x-gzip", "deflate"])
def test_a_coding_is_known_by_each_of_its_names(header):
    assert coding_of(header) in CODINGS


@pytest.mark.parametrize("header", ["br", "zstd", "gzip, gzip", "*"])
def test_another_coding_is_refused_and_ours_are_named(header):
    with pytest.raises(RefusalError) as caught:
        coding_of(header)
    assert (caught.value.status, caught.value.headers) == (415, {"accept-encoding": "gzip, deflate, identity"})


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_just_fits_is_inflated_and_a_byte_more_is_not(coding):
    assert inflate(CODINGS[coding](bytes(5000)), coding, 5000) == bytes(5000)
    status, message = refusal(inflate, CODINGS[coding](bytes(5001)), coding, 5000)
    assert (status, "larger than 5000 bytes" in message) == (413, True)


def test_a_bomb_is_refused_in_the_memory_of_the_limit():
    import tracemalloc

    bomb = gzip.compress(bytes(200 * MIB), 9)
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        assert refusal(inflate, bomb, "gzip", MIB)[0] == 413
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_a_bomb_of_many_parts_is_refused():
    assert refusal(inflate, gzip.compress(bytes(400)) * 3, "gzip", 1000)[0] == 413
    assert refusal(inflate, gzip.compress(b"") * (MAX_MEMBERS + 1), "gzip", 1000) == (
        400,
        f"the gzip data has more than {MAX_MEMBERS} parts",
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_data_that_is_cut_off_or_damaged_is_refused(coding):
    body = CODINGS[coding](span_request(*range(1, 50)).SerializeToString())
    assert refusal(inflate, body[:-20], coding, MIB) == (400, f"the {coding} data is cut off")
    assert refusal(inflate, body[:20] + bytes(20) + body[40:], coding, MIB)[0] == 400
    assert refusal(inflate, b"no", coding, MIB)[0] == 400


def test_a_span_that_cannot_be_decoded_costs_only_itself():
    document = json.loads(json_format.MessageToJson(span_request(1, 2, 3)))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["traceId"] = "secret"
    parcel = decode(json.dumps(document).encode(), IDENTITY, wire.JSON, LIMITS)
    assert ids(parcel) == [1, 3]
    [rejection] = parcel.rejections
    assert (rejection.count, "traceId" in rejection.reason, "secret" in rejection.reason) == (1, True, False)


def test_of_a_damaged_message_the_whole_spans_are_saved():
    request = span_request(1, 2)
    body = request.SerializeToString() + span_request(3).SerializeToString()[:-5]
    parcel = decode(body, IDENTITY, wire.PROTOBUF, LIMITS)
    assert ids(parcel) == [1, 2]
    assert parcel.rejections == (Rejection("the protobuf message is damaged or cut off", 1),)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"\xff\xff\xff\xff", wire.PROTOBUF),
        (b"<html>", wire.JSON),
        (b"", wire.JSON),
        (b"[1, 2]", wire.JSON),
        (b'{"resourceLogs": []}', wire.JSON),
        (b"[" * 100_000, wire.JSON),
        (b'{"resourceSpans": ' + b"[" * 100_000, wire.JSON),
    ],
)
def test_what_holds_no_span_at_all_is_refused(body, encoding):
    assert refusal(decode, body, IDENTITY, encoding, LIMITS)[0] == 400


@pytest.mark.parametrize(("body", "encoding"), [(b"", wire.PROTOBUF), (b"{}", wire.JSON), (b"[]", wire.JSON)])
def test_an_empty_request_is_a_request(body, encoding):
    parcel = decode(body, IDENTITY, encoding, LIMITS)
    assert (parcel.requests, parcel.items) == ([], 0)


def test_more_spans_than_can_ever_wait_are_refused():
    limits = Limits(pending_items=3)
    assert decode(span_request(1, 2, 3).SerializeToString(), IDENTITY, wire.PROTOBUF, limits).items == 3
    body = span_request(1, 2, 3, 4).SerializeToString()
    assert refusal(decode, body, IDENTITY, wire.PROTOBUF, limits)[0] == 413


def test_a_large_request_is_divided_into_what_fits_a_transaction():
    body = span_request(*range(1, 8)).SerializeToString()
    parcel = decode(body, IDENTITY, wire.PROTOBUF, Limits(group_items=3))
    assert [len(request.resource_spans[0].scope_spans[0].spans) for request in parcel.requests] == [3, 3, 1]
    assert ids(parcel) == list(range(1, 8))


def test_only_small_protobuf_that_is_whole_is_decoded_at_once():
    body = span_request(1).SerializeToString()
    assert ids(decode_at_once(body, IDENTITY, wire.PROTOBUF, LIMITS)) == [1]
    assert decode_at_once(gzip.compress(body), "gzip", wire.PROTOBUF, LIMITS) is None
    assert decode_at_once(b"{}", IDENTITY, wire.JSON, LIMITS) is None
    assert decode_at_once(body[:-3], IDENTITY, wire.PROTOBUF, LIMITS) is None
    large = span_request(1, name="n" * 200_000).SerializeToString()
    assert decode_at_once(large, IDENTITY, wire.PROTOBUF, LIMITS) is None
