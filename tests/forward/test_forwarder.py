"""One destination: what it is sent, what its answers mean, and what is kept of them."""

import threading
from dataclasses import replace

import pytest
from tests.forward.backend import Reply
from tests.forward.conftest import drain

from ihobs.clock import SECOND_NS
from ihobs.forward import forwarder as module
from ihobs.forward import http_sender
from ihobs.forward.pieces import spans_of
from ihobs.guard import guard
from ihobs.store import forwarding
from ihobs.store.dead_letters import ask_again, newest_dead_letters


def names_of(request):
    return [span.name for span in spans_of(request)]


def test_what_comes_in_after_the_start_is_sent_once_and_nothing_before(place, forward, backend, clock):
    place.put("before")
    line = forward()
    place.put("a", "b")
    place.put("c")
    assert drain(line, clock) is None
    assert [names_of(request) for request in backend.requests] == [["a", "b", "c"]]
    assert drain(line, clock) is None
    assert place.backlog().sent_spans == 3
    assert place.backlog().spans == 0


def test_a_destination_may_begin_with_all_that_is_stored(place, forward, backend, clock, there):
    place.put("before")
    drain(forward(replace(there, from_beginning=True)), clock)
    assert backend.names() == {"before": 1}


def test_a_request_carries_the_headers_and_comes_gzipped(place, forward, backend, clock):
    line = forward()
    place.put("a")
    drain(line, clock)
    [headers] = backend.headers
    assert headers["path"] == "/v1/traces"
    assert headers["x-api-key"] == "sekrit-key-123"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["User-Agent"].startswith("ihobs/")


def test_a_destination_without_gzip_is_sent_plain_requests(place, forward, backend, clock):
    backend.answer = lambda _: Reply(415 if "Content-Encoding" in backend.headers[-1] else 200)
    line = forward()
    place.put("a")
    drain(line, clock)
    assert backend.names() == {"a": 1}


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504, 500, 0])
def test_what_may_pass_is_tried_again_after_a_random_pause_that_grows(place, forward, backend, clock, status):
    line = forward(chance=lambda: 0.5)
    place.put("a")
    backend.answer = lambda _: Reply(status)
    pauses = []
    for _ in range(11):
        next_ns = drain(line, clock)
        pauses.append((next_ns - clock()) / SECOND_NS)
        assert drain(line, clock) == next_ns  # nothing is sent before
        clock.now_ns = next_ns
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 150, 150]
    if status not in {0, 500}:
        assert len(backend.requests) == 11
    backend.answer = lambda _: Reply()
    assert drain(line, clock) is None
    assert backend.names() == {"a": 1}
    assert place.backlog().problem == ""


def test_a_new_process_waits_as_long_as_the_old_one_would_have(place, forward, backend, clock):
    place.put("before")
    line = forward()
    place.put("a")
    backend.answer = lambda _: Reply(503)
    next_ns = drain(line, clock)
    assert drain(forward(), clock) == next_ns
    assert len(backend.requests) == 1


def test_retry_after_is_honoured_in_seconds_and_as_a_date(place, forward, backend, clock):
    line = forward(chance=lambda: 0.0)
    place.put("a")
    backend.answer = lambda _: Reply(429, {"Retry-After": "120"})
    assert drain(line, clock) == clock() + 120 * SECOND_NS
    clock.advance(120)
    backend.answer = lambda _: Reply(503, {"Retry-After": "Thu, 01 Jan 2026 01:00:00 GMT"})  # the clock began at 0:00
    assert drain(line, clock) == clock() + 3480 * SECOND_NS


def test_a_pause_that_a_wrong_clock_set_is_not_kept(place, forward, backend, clock):
    line = forward()
    place.put("a")
    backend.answer = lambda _: Reply(503)
    clock.advance(86_400)
    drain(line, clock)
    clock.advance(-86_400)
    backend.answer = lambda _: Reply()
    assert drain(line, clock) is None


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
def test_what_only_people_can_mend_pauses_the_destination_with_the_reason(place, forward, backend, clock, status):
    line = forward()
    place.put("a")
    backend.answer = lambda _: Reply(status, {"Location": "http://127.0.0.1:1/"}, text="the key sekrit-key-123 is bad")
    assert drain(line, clock) == clock() + module.PAUSED_AGAIN_NS
    backlog = place.backlog()
    assert backlog.paused
    assert backlog.problem == f"answers {status}: the key [secret] is bad"
    assert len(backend.requests) == 1
    clock.advance(15 * 60)  # asked again now and then: it may have been mended at the other end
    backend.answer = lambda _: Reply()
    assert drain(line, clock) is None
    assert not place.backlog().paused
    assert backend.names() == {"a": 1}


def test_a_page_for_people_is_no_success(place, forward, backend, clock):
    line = forward()
    place.put("a")
    backend.answer = lambda _: Reply(200, {"Content-Type": "text/html; charset=utf-8"}, takes=False)
    drain(line, clock)
    assert place.backlog().problem == "answers 200 with a page for people: no OTLP is spoken at this URL"
    backend.answer = lambda _: Reply()
    clock.advance(15 * 60)
    drain(line, clock)
    assert backend.names() == {"a": 1}


def test_a_header_that_cannot_be_sent_is_told_and_tried_again(place, forward, backend, clock, there, monkeypatch):
    monkeypatch.setattr(guard, "strict", False)
    line = forward(replace(there, headers={"x-name": "\N{SNOWMAN}"}))
    place.put("a")
    assert drain(line, clock) == clock() + SECOND_NS
    assert "cannot be sent" in place.backlog().problem


def test_the_key_is_in_no_log_no_error_and_no_file(place, forward, backend, clock, caplog, capfd):
    line = forward()
    place.put("a", "b")
    backend.answer = lambda request: Reply(
        400 if "b" in names_of(request) else 200, text="x-api-key sekrit-key-123 may not send b@example.com"
    )
    drain(line, clock)
    place.put("c")
    backend.answer = lambda _: Reply(401, text="sekrit-key-123?")
    drain(line, clock)
    [letter] = newest_dead_letters(place.store.database, "there", limit=9)
    assert letter.reason == "answers 400: x-api-key [secret] may not send [email]"
    assert "answers 401: [secret]?" in caplog.text
    files = [path.read_bytes() for path in place.home.path.rglob("*") if path.is_file()]
    told = [caplog.text.encode(), *(text.encode() for text in capfd.readouterr()), *files]
    assert not any(b"sekrit-key-123" in one for one in told)


def test_somebody_who_has_mended_it_need_not_wait(place, forward, backend, clock):
    line = forward()
    place.put("a")
    backend.answer = lambda _: Reply(401)
    drain(line, clock)
    backend.answer = lambda _: Reply()
    assert forwarding.resume(place.store.database, "there")
    assert drain(line, clock) is None
    assert backend.names() == {"a": 1}


def test_another_key_ends_the_pause_at_the_next_start(place, forward, backend, clock, there):
    line = forward()
    place.put("a")
    backend.answer = lambda _: Reply(401)
    drain(line, clock)
    forward()
    assert place.backlog().paused
    forward(replace(there, headers={"x-api-key": "another-key"}))
    assert not place.backlog().paused


def test_a_variable_that_is_not_set_pauses_and_nothing_is_sent(place, forward, backend, clock, there):
    line = forward(replace(there, missing="LANGSMITH_API_KEY"))
    place.put("a")
    drain(line, clock)
    assert place.backlog().problem == "the variable LANGSMITH_API_KEY is not set; set it and start ihobs again"
    assert place.backlog().paused
    assert backend.requests == []


def test_a_request_that_is_too_large_is_split_until_it_fits_and_later_ones_are_smaller(place, forward, backend, clock):
    line = forward()
    for number in range(8):
        place.put(*(f"{number}-{index}" for index in range(8)))
    backend.answer = lambda request: Reply(200 if len(names_of(request)) <= 10 else 413)
    drain(line, clock)
    assert len(backend.names()) == 64
    assert set(backend.names().values()) == {1}


def test_a_destination_that_is_too_slow_for_a_batch_is_sent_less_at_once(place, forward, backend, clock, monkeypatch):
    monkeypatch.setattr(http_sender, "READ_TIMEOUT_S", 0.2)
    line = forward()
    place.put(*(str(index) for index in range(8)))
    too_late = threading.Event()
    backend.answer = lambda request: Reply(takes=len(names_of(request)) <= 4 or too_late.wait(30))
    while (next_ns := drain(line, clock)) is not None:
        clock.now_ns = next_ns
    assert len(backend.requests) == 3  # eight spans, then four and four
    assert place.backlog().sent_spans == 8
    too_late.set()


def test_one_span_that_is_too_large_is_a_dead_letter_and_the_others_are_sent(place, forward, backend, clock):
    line = forward()
    place.put("a", "b", "huge", "c")
    backend.answer = lambda request: Reply(413 if "huge" in names_of(request) else 200, text="too much")
    drain(line, clock)
    assert backend.names() == {"a": 1, "b": 1, "c": 1}
    [letter] = newest_dead_letters(place.store.database, "there", limit=9)
    assert (letter.reason, letter.span_id) == ("answers 413: too much", (3).to_bytes(8))


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("bad", [["1-2"], ["0-0", "3-7"], ["2-3", "2-4", "2-5"]])
def test_spans_that_are_refused_become_dead_letters_and_every_other_is_sent_once(
    place, forward, backend, clock, status, bad
):
    line = forward()
    for number in range(4):
        place.put(*(f"{number}-{index}" for index in range(8)))
    backend.answer = lambda request: Reply(status if set(bad) & set(names_of(request)) else 200, text="bad span")
    assert drain(line, clock) is None
    sent = backend.names()
    assert len(sent) == 32 - len(bad)
    assert set(sent.values()) == {1}
    letters = newest_dead_letters(place.store.database, "there", limit=9)
    assert {letter.reason for letter in letters} == {f"answers {status}: bad span"}
    assert len(letters) == place.backlog().dead_letters == len(bad)
    assert place.losses() == {"forward:there: refused": len(bad)}


def test_a_destination_that_refuses_every_span_is_paused_and_nothing_is_given_up(place, forward, backend, clock):
    line = forward()
    place.put(*(str(index) for index in range(100)))
    backend.answer = lambda _: Reply(400)
    assert drain(line, clock) == clock() + module.PAUSED_AGAIN_NS
    assert len(backend.requests) < 30
    assert place.backlog().paused
    assert place.backlog().dead_letters == 0
    clock.advance(15 * 60)
    backend.answer = lambda _: Reply()
    drain(line, clock)
    assert len(backend.names()) == 100


def test_a_batch_that_is_all_bad_is_given_up_when_others_are_taken(place, forward, backend, clock):
    line = forward()
    line._limit_bytes = 1
    place.put(*(f"bad-{index}" for index in range(20)))
    place.put("good")
    backend.answer = lambda request: Reply(400 if "bad" in names_of(request)[0] else 200)
    assert drain(line, clock) is None
    assert backend.names() == {"good": 1}
    assert place.backlog().dead_letters == 20


def test_a_span_that_makes_the_server_fail_is_found_after_some_tries(place, forward, backend, clock):
    line = forward()
    place.put(*(f"a{index}" for index in range(16)), "poison", "z")
    backend.answer = lambda request: Reply(500 if "poison" in names_of(request) else 200)
    tries = 0
    while (next_ns := drain(line, clock)) is not None:
        clock.now_ns, tries = next_ns, tries + 1
    assert tries == 5
    assert len(backend.names()) == 17
    assert place.backlog().dead_letters == 1


def test_a_server_that_only_fails_loses_no_span_however_long_it_lasts(place, forward, backend, clock):
    line = forward()
    place.put(*(f"a{index}" for index in range(20)))
    backend.answer = lambda _: Reply(500)
    for _ in range(30):
        clock.now_ns = drain(line, clock)
    assert place.backlog().dead_letters == 0
    backend.answer = lambda _: Reply()
    assert drain(line, clock) is None
    assert len(backend.names()) == 20


def test_what_a_partial_success_rejects_is_counted_with_what_it_says(place, forward, backend, clock):
    line = forward()
    place.put("a", "b", "c")
    backend.answer = lambda _: Reply(rejected=2, text="too old")
    assert drain(line, clock) is None
    backlog = place.backlog()
    assert (backlog.sent_spans, backlog.rejected_spans) == (1, 2)
    assert place.losses() == {"forward:there: refused": 2}


def test_at_most_four_batches_are_on_their_way(place, forward, backend, clock):
    line = forward()
    line._limit_bytes = 1
    for index in range(20):
        place.put(str(index))
    together = threading.Barrier(4, timeout=30)
    backend.answer = lambda _: Reply() if together.wait() >= 0 else None
    drain(line, clock)
    assert backend.most_in_flight == 4
    assert len(backend.names()) == 20
    assert set(backend.names().values()) == {1}


def test_a_batch_that_fails_amid_others_is_sent_again_alone(place, forward, backend, clock):
    line = forward()
    line._limit_bytes = 1
    for index in range(4):
        place.put(str(index))
    backend.answer = lambda request: Reply(503 if names_of(request) == ["1"] else 200)
    clock.now_ns = drain(line, clock)
    assert place.backlog().spans == 3  # the cursor stands before the one that failed
    backend.answer = lambda _: Reply()
    assert drain(line, clock) is None
    assert backend.names() == {"0": 1, "1": 1, "2": 1, "3": 1}


def test_while_it_is_held_nothing_is_sent_and_nothing_is_lost(place, forward, backend, clock):
    held = [True]
    line = forward(is_held=lambda: held[0])
    place.put("a")
    assert drain(line, clock) == clock() + SECOND_NS
    assert backend.requests == []
    held[0] = False
    assert drain(line, clock) is None
    assert backend.names() == {"a": 1}


def test_holding_it_stops_a_batch_that_is_being_split(place, forward, backend, clock):
    held = []
    line = forward(is_held=lambda: len(held) > 0)
    place.put("a", "b", "c", "d")

    def answer(request):
        if len(backend.requests) == 3:
            held.append(1)
        return Reply(413 if len(names_of(request)) > 1 else 200)

    backend.answer = answer
    drain(line, clock)
    assert len(backend.requests) == 3
    held.clear()
    drain(line, clock)
    assert backend.names() == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_dead_letters_are_sent_again_when_somebody_asks(place, forward, backend, clock):
    line = forward()
    place.put("a", "bad", "worse")
    backend.answer = lambda request: Reply(400 if {"bad", "worse"} & set(names_of(request)) else 200)
    drain(line, clock)
    backend.answer = lambda request: Reply(400 if "worse" in names_of(request) else 200, text="still")
    assert ask_again(place.store.database, "there") == 2
    assert drain(line, clock) is None
    assert backend.names() == {"a": 1, "bad": 1}
    [letter] = newest_dead_letters(place.store.database, "there", limit=9)
    assert letter.reason == "answers 400: still"


def test_a_dead_letter_that_is_taken_ends_what_was_wrong(place, forward, backend, clock):
    line = forward()
    place.put("a", "bad")
    backend.answer = lambda request: Reply(400 if "bad" in names_of(request) else 200)
    drain(line, clock)
    ask_again(place.store.database, "there")
    backend.answer = lambda _: Reply(401)
    drain(line, clock)
    assert place.backlog().paused
    forwarding.resume(place.store.database, "there")
    backend.answer = lambda _: Reply()
    assert drain(line, clock) is None
    backlog = place.backlog()
    assert (backlog.problem, backlog.dead_letters, backlog.sent_spans) == ("", 0, 2)


def test_a_dead_letter_that_is_no_longer_stored_says_so(place, forward, backend, clock):
    line = forward()
    place.put("a", "bad")
    backend.answer = lambda request: Reply(400 if "bad" in names_of(request) else 200)
    drain(line, clock)
    with place.store.database.write() as connection:
        connection.execute("DELETE FROM payload")
    ask_again(place.store.database, "there")
    drain(line, clock)
    [letter] = newest_dead_letters(place.store.database, "there", limit=9)
    assert letter.reason == "is no longer stored"


def test_a_stored_request_that_is_damaged_is_counted_and_holds_up_nothing(place, forward, backend, clock):
    line = forward()
    place.put("a", "b")
    place.put("c")
    with place.store.database.write() as connection:
        connection.execute("UPDATE payload SET body = x'00' WHERE spans = 2")
    assert drain(line, clock) is None
    assert backend.names() == {"c": 1}
    assert place.losses() == {"forward:there": 2}
