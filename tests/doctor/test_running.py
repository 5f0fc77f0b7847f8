"""Duties, rules, what waits and was lost, clocks, destinations: told apart as they are."""

import pytest

from ihobs.clock import DAY_NS, MINUTE_NS
from ihobs.doctor import backends, running
from ihobs.store.home import Home
from ihobs.store.losses import note_losses
from ihobs.store.spool import Spool
from ihobs.store.state import progress
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore


def test_no_duties_is_a_problem_only_while_a_program_is_watched(patient):
    home = patient.make()
    assert [level for level, _ in patient.told(running.duties)] == ["ok"]
    patient.spans(live=True, ended_s_ago=1)
    assert [level for level, _ in patient.told(running.duties)] == ["problem"]
    with home.locked("duties"):
        assert [level for level, _ in patient.told(running.duties)] == ["ok"]


def test_what_was_evaluated_before_the_duties_ended_in_good_order_is_no_problem(patient):
    home = patient.make()
    patient.spans(live=True, ended_s_ago=1)
    progress.record_reached(open_state(home), progress.DUTIES, patient.now_ns)
    assert [level for level, _ in patient.told(running.duties)] == ["ok"]


def test_with_an_endpoint_the_duties_are_somebody_elses(patient):
    patient.make()
    patient.variables["IHOBS_ENDPOINT"] = "http://127.0.0.1:8081"
    assert patient.told(running.duties) == []


def test_a_rule_that_cannot_be_evaluated_is_named_with_its_error(patient):
    patient.make()
    assert [level for level, _ in patient.told(running.rules)] == ["ok"]
    patient.sql("state", "INSERT INTO rule_health (rule, error, since_ns) VALUES ('slow', 'no such metric', 1)")
    [(level, text)] = patient.told(running.rules)
    assert (level, "slow" in text, "no such metric" in text) == ("problem", True, True)


def test_what_waits_is_a_problem_when_nobody_takes_it_for_a_minute(patient):
    patient.make()
    Spool(patient.path / "spool", clock=lambda: patient.now_ns).append(b"request")
    assert [level for level, _ in patient.told(running.waiting)] == ["ok"]
    patient.now_ns += 2 * MINUTE_NS
    assert [level for level, _ in patient.told(running.waiting)] == ["problem"]


def test_losses_matter_for_a_day_wherever_they_are_told(patient):
    home = patient.make()
    note_losses(patient.path / "spool", {"the disk is full": 3}, patient.now_ns)
    with TelemetryStore(home, clock=lambda: patient.now_ns) as store:
        store.record_dropped("queue full", 4)
    assert sorted(text.partition(" ")[0] for _, text in patient.told(running.losses)) == ["3", "4"]
    patient.now_ns += DAY_NS
    assert patient.told(running.losses) == []


@pytest.mark.parametrize(("ended_s_ago", "told"), [(1, None), (-30, "ahead"), (300, "behind")])
def test_clocks_that_disagree_are_told_with_their_service(patient, ended_s_ago, told):
    patient.make()
    patient.spans(live=True, ended_s_ago=ended_s_ago, service="worker")
    examined = patient.examined()
    found = list(running.clocks(examined))
    examined.close()
    assert [(one.level, "worker" in one.text, told in one.meaning) for one in found] == (
        [("warning", True, True)] if told else []
    )


def test_receivers_that_fail_and_messages_that_were_given_up_are_told(patient):
    patient.make()
    columns = "INSERT INTO receiver (reference, failures, since_ns, next_ns, outcome, detail, delivered_ns) VALUES "
    patient.sql("state", columns + "('console:', 0, 0, 0, 'delivered', '', 1)")
    assert patient.told(running.deliveries) == [("ok", "arrive at console:")]
    patient.sql("state", columns + "('mailto://me:pass-word@x/y', 3, 1, 0, 'failed', 'refused', NULL)")
    [(level, text)] = patient.told(running.deliveries)
    assert (level, "mailto://..." in text, "refused" in text) == ("problem", True, True)


DESTINATION = "INSERT INTO destination (name, active, fingerprint, store_id, payload_id, received_ns, {}) VALUES "


@pytest.mark.parametrize(
    ("columns", "values", "level", "told"),
    [
        ("sent_spans", "42", "ok", "42 spans sent"),
        ("problem, problem_ns, paused", "'401: the key is not accepted', 1, 1", "problem", "is paused: 401"),
        ("problem, problem_ns", "'connection refused', 1", "warning", "connection refused"),
    ],
)
def test_a_destination_is_told_as_the_forwarder_left_it(patient, columns, values, level, told):
    patient.make()
    patient.configure("destinations: {phoenix: {type: otlp, endpoint: 'http://127.0.0.1:6006'}}")
    assert patient.told(backends.destinations)[0][1].startswith("nothing was sent yet")
    patient.sql("telemetry", DESTINATION.format(columns) + f"('phoenix', 1, '', '', 0, 0, {values})")
    assert [(one, told in text) for one, text in patient.told(backends.destinations)] == [(level, True)]


def test_spans_that_nobody_hands_on_are_told(patient):
    home = patient.make()
    patient.configure("destinations: {phoenix: {type: otlp, endpoint: 'http://127.0.0.1:6006'}}")
    patient.spans()
    patient.sql("telemetry", DESTINATION.format("sent_spans") + "('phoenix', 1, '', '', 0, 0, 0)")
    assert [level for level, _ in patient.told(backends.destinations)] == ["ok"]
    patient.now_ns += 20 * MINUTE_NS
    [(level, text)] = patient.told(backends.destinations)
    assert (level, text.startswith("1 spans wait since")) == ("warning", True)
    assert home == Home.open(patient.path)
