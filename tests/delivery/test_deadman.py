"""The ping out, in a real duties process' threads, and what stops it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.delivery.servers import Answer, Server
from tests.delivery.waiting import until

from ihobs.config import load
from ihobs.delivery.addresses import Addresses
from ihobs.delivery.deadman import DEADMAN, Deadman
from ihobs.duties import Duties
from ihobs.errors import InvalidInputError
from ihobs.routes import DeadmanSettings
from ihobs.testing import plugins_of


@pytest.fixture
def server():
    with Server() as running:
        yield running


def deadman(home, url, **environ):
    return Deadman(Addresses(home, {DEADMAN: url}, environ), 1.0)


def test_a_process_that_is_well_pings(home, server):
    settings = replace(load(environ={}).settings, deadman=DeadmanSettings(f"{server.url}/ping/abc", 0.05))
    with Duties(home, settings, plugins_of()):
        until(lambda: len(server.requests) > 2)
    assert {request.path for request in server.requests} == {"/ping/abc"}


def test_a_process_that_does_not_evaluate_any_more_does_not_ping(home, server):
    settings = replace(load(environ={}).settings, deadman=DeadmanSettings(f"{server.url}/ping", 0.05))
    duties = Duties(home, settings, plugins_of())
    duties._stopping.set()
    duties._evaluated_ns = duties._delivered_ns = duties._clock()
    duties._prove_life(duties._deadman)
    assert len(server.requests) == 1
    duties._evaluated_ns = 0
    duties._prove_life(duties._deadman)
    assert len(server.requests) == 1


def test_a_ping_that_is_not_taken_is_an_error_that_does_not_tell_the_address(home, server):
    server.script = [Answer(404), Answer(how="reset")]
    for why in ("the answer is HTTP 404", "no answer (ConnectionError)"):
        with pytest.raises(InvalidInputError) as caught:
            deadman(home, f"{server.url}/${{env:KEY}}", KEY="s3cret").ping()
        assert str(caught.value) == f"deadman.url: {why}"
    with pytest.raises(InvalidInputError, match="the variable KEY is not set"):
        deadman(home, "${env:KEY}").ping()
