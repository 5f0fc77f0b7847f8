"""A changed `ihobs.yaml` is taken over while the duties run, whole or not at all."""

from __future__ import annotations

import time

import pytest
from tests.alerts.orchestrator import Run, request

from ihobs.clock import now_ns
from ihobs.config import load
from ihobs.duties import CONFIGURATION, Duties
from ihobs.errors import InvalidInputError, NotFoundError
from ihobs.plugins import load as load_plugins
from ihobs.reloading import Watched, waits_for_next_start
from ihobs.store.state import alerts
from ihobs.store.state.migrations import open_state
from ihobs.store.telemetry import TelemetryStore

BOUND_S = 30.0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "ihobs.yaml"
    path.write_text("thresholds: {error_rate: {critical: 0.9}}\n")
    return path


@pytest.fixture
def watched(file):
    return Watched(load(file, environ={}), lambda: load(file, environ={}))


def write(path, text):
    """Write as editors do: another file in its place."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def until(condition):
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.02)


def test_what_has_not_changed_is_not_read_again(watched):
    assert watched.changed() is None


def test_a_changed_file_is_read_again_once(watched, file):
    write(file, "thresholds: {error_rate: {critical: 0.5}}\n")
    assert watched.changed().settings.thresholds["error_rate"] == {"critical": 0.5}
    assert watched.changed() is None


def test_a_mistake_is_told_once_and_the_next_change_is_seen(watched, file):
    write(file, "thresholds: {error_rate: {critical: a lot}}\n")
    with pytest.raises(InvalidInputError, match="must be a number"):
        watched.changed()
    assert watched.changed() is None
    write(file, "thresholds: {error_rate: {critical: 0.25}}\n")
    assert watched.changed().settings.thresholds["error_rate"] == {"critical": 0.25}


def test_files_of_rules_are_watched_too_also_new_ones(watched, file, tmp_path):
    write(file, "rule_files: [rules/*.yaml]\n")
    with pytest.raises(NotFoundError):
        watched.changed()
    (tmp_path / "rules").mkdir()
    write(tmp_path / "rules" / "a.yaml", "rules: [{id: a, metric: error_rate, warning: 0.1}]\n")
    write(file, "rule_files: [rules/*.yaml] \n")
    assert [rule["id"] for rule in watched.changed().settings.rules] == ["a"]
    write(tmp_path / "rules" / "b.yaml", "rules: [{id: b, metric: error_rate, warning: 0.1}]\n")
    assert [rule["id"] for rule in watched.changed().settings.rules] == ["a", "b"]
    write(tmp_path / "rules" / "b.yaml", "rules: [{id: a, metric: error_rate, warning: 0.1}]\n")
    with pytest.raises(InvalidInputError, match=r"the rule id 'a' is taken by a\.yaml"):
        watched.changed()


def test_what_takes_effect_later_is_named(file):
    before = load(file, environ={}).settings
    write(file, "redact: {secrets: drop}\nretention: {spans: 3d}\nrules: []\n")
    assert waits_for_next_start(before, load(file, environ={}).settings) == ["redact", "retention"]


def test_running_duties_take_a_change_over_and_refuse_a_mistake_whole(home, file, watched):
    with TelemetryStore(home) as store:
        store.ingest(request(now_ns(), *[Run(failed=number < 3) for number in range(10)]))
    state = open_state(home)

    def level():
        row = alerts.load(state).get("error_rate")
        return row and row.level

    def sick():
        return {one.rule: one.error for one in alerts.unhealthy_rules(state)}

    with Duties(home, watched._config.settings, load_plugins(), receivers={}, watched=watched):
        until(lambda: level() == "ok")
        write(file, "thresholds: {error_rate: {critical: 0.2}}\n")
        until(lambda: level() == "critical")
        write(file, "thresholds: {error_rate: {}}\nrules: [{id: x}]\n")
        until(lambda: f"{file}:2:9: rule 'x' needs either 'metric' or 'slo'" in sick().get(CONFIGURATION, ""))
        assert level() == "critical"
        write(file, "thresholds: {error_rate: {}}\n")
        until(lambda: level() is None)
        until(lambda: CONFIGURATION not in sick())
    state.close()
