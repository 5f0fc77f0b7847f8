"""A second ihobs as the destination: it holds what the first one holds, attribute by attribute."""

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from tests.forward.conftest import drain
from tests.web.sender import Listening

from ihobs.redact.policy import Policy as Redaction
from ihobs.spans.decode import read_file
from ihobs.spans.dialects import shipped_dialects
from ihobs.store.home import Home
from ihobs.store.payloads import decompress
from ihobs.store.query import metrics
from ihobs.store.redaction import redactor_for
from ihobs.store.telemetry import TelemetryStore
from ihobs.web.access import Policy
from ihobs.web.limits import Limits

TRACES = Path(os.environ.get("IHOBS_TRACES") or Path(__file__).parents[2].parent / "shared" / "traces")
FILES = sorted(TRACES.rglob("*.jsonl*")) if TRACES.is_dir() else []


MOST_OF_A_FILE = 25
"""Documents of each file: some of every kind."""


@pytest.fixture
def second(tmp_path):
    """An ihobs that receives, and keeps contents as the first one does."""
    home = Home.open(tmp_path / "second", create=True)
    kept = redactor_for(home, Redaction(content="keep"), shipped_dialects())
    made = Listening(TelemetryStore(home, redactor=kept), Limits(), Policy(None, None))
    yield made
    made.close()


def everything(store):
    """Return what a store holds: the ids of each span -> its resource, its scope and itself, whole."""
    with store.database.read() as connection:
        bodies = [body for (body,) in connection.execute("SELECT body FROM payload")]
    found = {}
    for request in map(decompress, bodies):
        for resource_spans in request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    assert (span.trace_id, span.span_id) not in found
                    around = resource_spans.resource, resource_spans.schema_url, scope_spans.scope
                    found[span.trace_id, span.span_id] = (*around, scope_spans.schema_url, span)
    return found


def sums(store):
    group = metrics(store.database, start_ns=0, end_ns=2**62).groups[0]
    return replace(group.counters, flagged_times=0, unpriced_calls=0, cost_nano_usd=0)


@pytest.mark.skipif(not FILES, reason="the real traces are not there; set IHOBS_TRACES")
def test_a_second_ihobs_holds_what_the_first_one_holds(place, forward, there, second, clock):
    clock.now_ns = 1_900_000_000 * 10**9  # after the last of the real traces
    line = forward(replace(there, url=f"{second.url}/v1/traces"))
    for path in FILES:
        for chunk in islice(read_file(str(path)), MOST_OF_A_FILE):
            place.store.ingest(chunk.request, live=False)
    assert drain(line, clock) is None
    place.store.settle(everything=True)
    second.store.settle(everything=True)
    mine, theirs = everything(place.store), everything(second.store)
    assert len(mine) > 500
    assert theirs.keys() == mine.keys()
    assert all(theirs[ids] == whole for ids, whole in mine.items())
    assert sums(second.store) == sums(place.store)
    assert place.backlog().sent_spans == len(mine)
    assert place.backlog().rejected_spans == 0
