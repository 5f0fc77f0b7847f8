"""Which buckets are closed, and what is offered of them."""

from __future__ import annotations

import pytest
from tests.alerts.orchestrator import Run, request

from ihobs.alerts.windows import closed, last_closed_ns, next_close_ns
from ihobs.clock import SECOND_NS


@pytest.mark.parametrize(("now_s", "end_s", "next_s"), [(24.9, 0, 25), (25, 10, 35), (34.9, 10, 35), (35, 20, 45)])
def test_a_bucket_is_closed_fifteen_seconds_after_its_end(now_s, end_s, next_s):
    now_ns = round(now_s * SECOND_NS)
    assert (last_closed_ns(now_ns), next_close_ns(now_ns)) == (end_s * SECOND_NS, next_s * SECOND_NS)


def test_buckets_without_spans_and_those_long_past_are_left_out(store, clock):
    now = clock()
    store.report_active("insighthub", {"digest": 2})
    store.ingest(request(now, *[Run(ended_ago_s=ago_s) for ago_s in (5, 35, 36, 595, 700)]))
    until = now // (10 * SECOND_NS) * 10 * SECOND_NS
    found = list(closed(store.database, 0, until, now))
    assert [(until - window.start_ns) // SECOND_NS for window in found] == [590, 30]
    assert [window.total.counters.runs for window in found] == [1, 2]
    assert {window.active_workflows for window in found} == {2}
